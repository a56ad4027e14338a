/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every backstore must do, whatever it stores its bytes in: the promises
 * of backstores/backstore.h as tests.  A store is tested by giving a way to
 * make one:
 *
 *	static int make(struct contract *c) { c->bs = ...; return 0; }
 *	static const struct contract_store mine = {.name = "mine", ...};
 *	return contract_run(&mine);
 *
 * Durability over a power cut is not tested here (a process cannot tell): the
 * power-cut disk has its own tests, and the engine is tested on it.
 */
#ifndef TESTS_UNIT_BACKSTORES_SUPPORT_CONTRACT_H
#define TESTS_UNIT_BACKSTORES_SUPPORT_CONTRACT_H

#include "tests/unit/backstores/support/drive.h"

struct contract {
	struct drive drive;
	struct backstore *bs; /* make: at least 8 MiB */
	void *arg;            /* the maker's */
};

struct contract_store {
	const char *name;
	bool simulated;      /* the loop */
	bool dirty_at_birth; /* a new one does not read as zeros */
	/* Opens c->bs on c->drive.loop; not 0: skip this store's tests. */
	int (*make)(struct contract *c);
	/* After c->bs was closed; may be NULL. */
	void (*unmake)(struct contract *c);
};

/* Runs all tests; returns the number of failures, for main(). */
int contract_run(const struct contract_store *store);

#endif
