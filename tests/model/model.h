/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Executable models of the engine's two hard parts.  They share no code with
 * the engine: they are its rules (docs/design) in the smallest form that can
 * still be wrong, and each rule has a mutation that leaves it out.  A model
 * whose mutations go undetected proves nothing, so main.c runs both.
 *
 * A broken promise ends a seed by model_fail(), which returns to the harness;
 * so the models may check anything anywhere without passing verdicts around.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <setjmp.h>
#include <stdint.h>

#define MODEL_COUNTERS 24
#define MODEL_WHY_MAX  160

/* What a run did, summed over seeds: it shows that the cases are met. */
struct model_counters {
	uint64_t count[MODEL_COUNTERS];
};

struct model_seed {
	uint64_t random;   /* state of sim_random() */
	unsigned steps;    /* operations, or power cuts */
	unsigned mutation; /* 0: none; else an index into model.mutations */
	struct model_counters *counters;
	jmp_buf failed; /* model_fail() comes back here */
	char why[MODEL_WHY_MAX];
};

struct model {
	const char *name;
	const char *steps_are;        /* what argument 3 counts */
	const char *const *mutations; /* [0] is "none"; NULL ends */
	const char *const *counters;  /* NULL ends */
	/* Frees all it took; fails by model_fail(). */
	void (*run)(struct model_seed *seed);
	unsigned test_seeds, test_steps;         /* the slice of make test */
	unsigned mutation_seeds, mutation_steps; /* per mutation */
};

extern const struct model birth_model;
extern const struct model crash_model;

_Noreturn void model_fail(struct model_seed *seed, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A choice of the seed: true in percent cases of a hundred. */
int model_chance(struct model_seed *seed, unsigned percent);
unsigned model_below(struct model_seed *seed, unsigned limit);

/* Memory that lives until the seed ends, however it ends. */
void *model_alloc(size_t size);

#endif
