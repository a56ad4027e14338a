/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hook that freezes nothing but says all that it does, in a directory of its
 * own, and a worker that freezes by it.
 */
#ifndef TESTS_UNIT_POLICY_SUPPORT_SCENE_H
#define TESTS_UNIT_POLICY_SUPPORT_SCENE_H

#include "policy/quiesce.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#define PATIENCE_MS 60000u /* only catches hangs */

/*
 * In the directory it is in:
 *	log         a line for each step
 *	frozen      is there while it is frozen
 *	stop-STEP   who comes to that step first stays there, while held-STEP is
 *	            there
 *	do-VERB     what else it does then, in shell
 */
struct scene {
	char directory[PATH_MAX], hook[PATH_MAX + 16], records[PATH_MAX + 16];
	json_t *about;
	unsigned budget_ms, thaw_ms;
};

/* Of the test that runs. */
extern struct scene scene;

/* For cmocka: of the group, and of a test. */
int top_make(void **state);
int top_remove(void **state);
int set_up(void **state);
int tear_down(void **state);

void scene_new(struct scene *s);
struct quiesce_params params_of(const struct scene *s);
/* Files of the directory. */
void path_in(
    const struct scene *s, const char *name, char ret_path[PATH_MAX + 64]);
void put(const struct scene *s, const char *name, const char *text);
void drop(const struct scene *s, const char *name);
bool is_there(const struct scene *s, const char *name);

/* Names in the directory of records that end so. */
unsigned records_count(const struct scene *s, const char *end);
/* Lines of the log that begin so. */
unsigned log_count(const struct scene *s, const char *step);
bool hook_runs(struct scene *s);
/* Also when nobody has asked for its status. */
bool is_dead(pid_t pid);

/* ---- waiting ---- */

void rest(void);

#define WAIT_FOR(condition)                                                    \
	do {                                                                   \
		for (unsigned ms_ = 0; !(condition); ms_ += 5) {               \
			if (ms_ > PATIENCE_MS) {                               \
				fprintf(stderr, "%s:%d: never: %s\n",          \
				    __FILE__, __LINE__, #condition);           \
				abort();                                       \
			}                                                      \
			rest();                                                \
		}                                                              \
	} while (0)

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
			    __LINE__, #condition);                             \
			abort();                                               \
		}                                                              \
	} while (0)

/* ---- a worker ---- */

struct worker {
	pid_t pid, keeper, deputy;
	int to, from;
};

void worker_start(const struct scene *s, struct worker *worker);
/* Finds keeper and deputy. */
void worker_family(struct worker *worker);
/* What it says next; "": it has ended. */
void worker_hear(const struct worker *worker, char ret_line[64]);
void worker_go(const struct worker *worker);
void worker_end(const struct worker *worker);

#endif
