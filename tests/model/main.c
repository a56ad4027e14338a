/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the models.
 *
 *   run                                   the slice of make test
 *   run birth SEEDS OPS [MUTATION [FIRST-SEED]]
 *   run crash SEEDS CUTS [MUTATION [FIRST-SEED]]
 *
 * Without a mutation no seed may fail; with one at least one seed must.
 */
#include "base/simloop.h"
#include "tests/model/model.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct model *const models[] = {&birth_model, &crash_model};

static unsigned passed, failed;

/* ---- what the models use ---- */

void
model_fail(struct model_seed *seed, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(seed->why, sizeof(seed->why), format, args);
	va_end(args);
	longjmp(seed->failed, 1);
}

unsigned
model_below(struct model_seed *seed, unsigned limit)
{
	return (unsigned)sim_below(&seed->random, limit);
}

int
model_chance(struct model_seed *seed, unsigned percent)
{
	return model_below(seed, 100) < percent;
}

/* One chain of allocations, freed when the seed ends. */
struct chunk {
	struct chunk *next;
	_Alignas(16) char bytes[];
};

static struct chunk *chunks;

void *
model_alloc(size_t size)
{
	struct chunk *chunk = calloc(1, sizeof(*chunk) + size);
	if (chunk == NULL)
		abort();
	chunk->next = chunks;
	chunks = chunk;
	return chunk->bytes;
}

static void
chunks_free(void)
{
	while (chunks != NULL) {
		struct chunk *next = chunks->next;
		free(chunks);
		chunks = next;
	}
}

/* ---- the harness ---- */

struct batch {
	const struct model *model;
	unsigned seeds, steps, mutation;
	uint64_t first;
};

/* False: the seed failed, why says how. */
static bool
seed_run(const struct batch *batch, uint64_t number,
    struct model_counters *counters, char why[MODEL_WHY_MAX])
{
	struct model_seed seed = {
	    .random = (number + 1) * 0x9e3779b97f4a7c15ull,
	    .steps = batch->steps,
	    .mutation = batch->mutation,
	    .counters = counters,
	};
	bool good = setjmp(seed.failed) == 0;
	if (good)
		batch->model->run(&seed);
	else
		memcpy(why, seed.why, MODEL_WHY_MAX);
	chunks_free();
	return good;
}

static void
counters_print(const struct model *model, const struct model_counters *c)
{
	printf("    ");
	for (unsigned i = 0; model->counters[i] != NULL; i++)
		printf(" %s %llu", model->counters[i],
		    (unsigned long long)c->count[i]);
	printf("\n");
}

static void
failure_print(const struct batch *batch, uint64_t number, const char *why)
{
	printf("    seed %llu: %s\n", (unsigned long long)number, why);
	printf("    repeat: run %s 1 %u %s %llu\n", batch->model->name,
	    batch->steps, batch->model->mutations[batch->mutation],
	    (unsigned long long)number);
}

/* Counts the batch as one test. */
static void
batch_run(const struct batch *batch, bool verbose)
{
	struct model_counters counters = {0};
	char why[MODEL_WHY_MAX];
	unsigned bad = 0;

	for (unsigned i = 0; i < batch->seeds; i++) {
		if (seed_run(batch, batch->first + i, &counters, why))
			continue;
		if (++bad <= 3 && (verbose || batch->mutation == 0))
			failure_print(batch, batch->first + i, why);
	}
	bool good = batch->mutation == 0 ? bad == 0 : bad > 0;
	if (good)
		passed++;
	else
		failed++;
	printf("%s %s, mutation %-10s seeds %llu..%llu x %u %s: %u of %u %s\n",
	    good ? "ok  " : "FAIL", batch->model->name,
	    batch->model->mutations[batch->mutation],
	    (unsigned long long)batch->first,
	    (unsigned long long)batch->first + batch->seeds - 1, batch->steps,
	    batch->model->steps_are, bad, batch->seeds,
	    batch->mutation == 0 ? "failed" : "caught it");
	if (batch->mutation == 0)
		counters_print(batch->model, &counters);
	fflush(stdout);
}

static void
model_test(const struct model *model)
{
	struct batch batch = {.model = model,
	    .seeds = model->test_seeds,
	    .steps = model->test_steps};

	batch_run(&batch, false);
	batch.seeds = model->mutation_seeds;
	batch.steps = model->mutation_steps;
	for (unsigned m = 1; model->mutations[m] != NULL; m++) {
		batch.mutation = m;
		batch_run(&batch, false);
	}
}

static int
usage(void)
{
	fprintf(stderr, "usage: run [MODEL SEEDS STEPS [MUTATION "
			"[FIRST-SEED]]]\n");
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		fprintf(stderr, "  %s (STEPS: %s), mutations", models[i]->name,
		    models[i]->steps_are);
		for (unsigned m = 0; models[i]->mutations[m] != NULL; m++)
			fprintf(stderr, " %s", models[i]->mutations[m]);
		fprintf(stderr, "\n");
	}
	return 2;
}

/* -1: no such name in the NULL-ended list. */
static int
name_index(const char *const *names, const char *name)
{
	for (int i = 0; names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static bool
batch_parse(struct batch *batch, int argc, char **argv)
{
	*batch = (struct batch){0};
	if (argc < 4 || argc > 6)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		if (strcmp(models[i]->name, argv[1]) == 0)
			batch->model = models[i];
	if (batch->model == NULL)
		return false;
	batch->seeds = (unsigned)strtoul(argv[2], NULL, 10);
	batch->steps = (unsigned)strtoul(argv[3], NULL, 10);
	int mutation =
	    argc > 4 ? name_index(batch->model->mutations, argv[4]) : 0;
	if (mutation < 0 || batch->seeds == 0)
		return false;
	batch->mutation = (unsigned)mutation;
	batch->first = argc > 5 ? strtoull(argv[5], NULL, 10) : 0;
	return true;
}

int
main(int argc, char **argv)
{
	struct batch batch;

	if (argc == 1) {
		for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
			model_test(models[i]);
	} else if (batch_parse(&batch, argc, argv)) {
		batch_run(&batch, true);
	} else {
		return usage();
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
