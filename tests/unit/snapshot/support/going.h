/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests to the pool of web01.h, and I/O, that go on by themselves while a
 * test takes the loop step by step.
 */
#ifndef TESTS_UNIT_SNAPSHOT_GOING_H
#define TESTS_UNIT_SNAPSHOT_GOING_H

#include "tests/unit/snapshot/support/web01.h"
#include "tests/waited.h"

struct going {
	struct waited waited; /* of an I/O too, for done and result */
	struct bs_io io;
	struct iovec iov;
	uint8_t *data;
};

/* Before a request is made with &g->waited.request. */
void going_init(struct going *g);
void flatten_begin(struct going *g, struct volume *of);
void io_begin(struct going *g, struct backstore *store, enum bs_op op,
    uint64_t offset, uint64_t length, int byte);

/* Steps, but not past the end of g.  False: it has ended. */
bool going_steps(unsigned count, const struct going *g);
/* Waits for its end: the result. */
int going_end(struct going *g);

/* All of it; the problem is the rig's then. */
int flatten(struct volume *of);

#endif
