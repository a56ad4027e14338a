/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A document of the form that config export prints, against what is: the
 * calls of the API that make the server as the document says.
 */
#ifndef TARGET_PLAN_H
#define TARGET_PLAN_H

#include "target/method.h"

/* All that is configured, but secrets. */
json_t *plan_document(
    struct house *house, const struct survey *survey, json_t **ret_fault);

/* *ret_steps: an array of {method, params, name, detail}, in the order in which
 * they are to be called.  A fault when the document is not understood. */
json_t *plan_make(struct house *house, const struct survey *survey,
    const json_t *document, bool prune, json_t **ret_steps);

#endif
