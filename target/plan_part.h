/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan that is being made, for plan.c, plan_portal.c, plan_policy.c.
 */
#ifndef TARGET_PLAN_PART_H
#define TARGET_PLAN_PART_H

#include "target/method.h"

struct plan {
	json_t *want; /* a copy, in the form of plan_portals_form */
	json_t *have;
	json_t *steps;
	json_t *fault;
	bool prune;
};

/* Takes params; with what the API would refuse anyway refused now. */
void plan_step(struct plan *plan, const char *method, const char *name,
    json_t *params, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));
/* The document is not understood; the first reason counts. */
void plan_fail(struct plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "": the entry has no such member. */
const char *plan_text(const json_t *entry, const char *member);
/* The entry of array whose members name (and host, if there is one in key) are
 * those of key. */
const json_t *plan_entry(const json_t *array, const json_t *key);
bool plan_string_in(const json_t *array, const char *text);
/* The strings of one's array member that are not in other's; NULL: none. */
json_t *plan_beside(const json_t *one, const json_t *other, const char *member);

/* ---- portals (plan_portal.c) ---- */

json_t *plan_portals_document(struct house *house);
json_t *plan_redirects_document(struct house *house);
/* Portals and redirects of the document, in the form of what is exported. */
void plan_portals_form(struct plan *plan);
/* What is not in the document goes. */
void plan_portals_prune(struct plan *plan);
void plan_portals(struct plan *plan);
void plan_redirects(struct plan *plan);

/* ---- policies (plan_policy.c) ---- */

/* NULL: the state cannot be read. */
json_t *plan_policies_document(struct house *house);
/* What is not in the document goes. */
void plan_policies_prune(struct plan *plan);
void plan_policies(struct plan *plan);

#endif
