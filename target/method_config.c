/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config export, diff, apply.  Apply is a chain of calls of this same API, each
 * checked, logged and committed by itself.
 */
#include "target/method.h"
#include "target/plan.h"
#include <stdlib.h>
#include <string.h>

/* ---- export ---- */

static void
export_answer(struct request *request)
{
	json_t *fault;
	json_t *document =
	    plan_document(request->house, request->survey, &fault);

	if (fault != NULL)
		request_fail(request, fault);
	else
		request_answer(
		    request, json_pack("{s:o}", "document", document));
}

void
method_config_export(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, export_answer);
}

/* ---- diff ---- */

/* Steps as they are shown: without the parameters. */
static json_t *
steps_items(const json_t *steps)
{
	json_t *items = json_array();
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step)
	{
		json_t *item = json_copy(step);
		json_object_del(item, "params");
		json_array_append_new(items, item);
	}
	return items;
}

static bool
steps_make(struct request *request, json_t **ret_steps)
{
	json_t *fault = plan_make(request->house, request->survey,
	    json_object_get(request->params, "document"),
	    param_flag(request->params, "prune"), ret_steps);

	if (fault != NULL)
		request_fail(request, fault);
	return fault == NULL;
}

static void
diff_answer(struct request *request)
{
	json_t *steps;

	if (!steps_make(request, &steps))
		return;
	json_t *items = steps_items(steps);
	json_decref(steps);
	request_answer_items(request, items);
}

void
method_config_diff(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, diff_answer);
}

/* ---- apply ---- */

struct apply {
	json_t *steps;
	size_t next;
};

static void
apply_free(void *own)
{
	struct apply *apply = own;

	json_decref(apply->steps);
	free(apply);
}

static void apply_next(struct request *request);

static void
apply_failed(struct request *request, json_t *step, const json_t *why)
{
	struct apply *apply = request->own;
	json_t *fault, *rest;

	json_object_set_new(step, "state", json_string("failed"));
	json_object_set_new(step, "problem", json_text(fault_what(why)));
	for (size_t i = apply->next + 1; i < json_array_size(apply->steps);
	     i++) {
		rest = json_array_get(apply->steps, i);
		json_object_set_new(rest, "state", json_string("not tried"));
	}
	fault = fault_new("config.partial", "step %zu of %zu failed: %s",
	    apply->next + 1, json_array_size(apply->steps), fault_what(why));
	json_object_set(fault, "why", json_object_get(why, "why"));
	json_object_set(fault, "fix", json_object_get(why, "fix"));
	fault_fix(fault, "then apply the same file again: what is done stays "
			 "done");
	/* secrets that were made are in no other answer */
	json_object_set_new(fault, "items", steps_items(apply->steps));
	request_fail(request, fault);
}

static void
apply_answered(struct request *inner, json_t *result, json_t *fault)
{
	static const char *const secrets[] = {"secret", "mutual_secret"};
	struct request *request = inner->arg;
	struct apply *apply = request->own;
	json_t *step = json_array_get(apply->steps, apply->next);
	const json_t *item = json_object_get(result, "item");

	if (fault != NULL) {
		apply_failed(request, step, fault);
		return;
	}
	json_object_set_new(step, "state", json_string("done"));
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		json_t *secret = json_object_get(item, secrets[i]);
		if (json_is_string(secret))
			json_object_set(step, secrets[i], secret);
	}
	apply->next++;
	apply_next(request);
}

static void
apply_end(struct request *request)
{
	struct apply *apply = request->own;
	int ret = state_begin(request->house->state);

	request->item = steps_items(apply->steps);
	if (ret < 0)
		request_fail(request,
		    fault_internal("all is done, but not logged", ret));
	else if (request_commit(request, request->item))
		request_answer_items(request, json_incref(request->item));
}

static void
apply_next(struct request *request)
{
	struct apply *apply = request->own;
	json_t *step = json_array_get(apply->steps, apply->next);
	struct request *inner;
	json_t *fault;

	if (step == NULL) {
		apply_end(request);
		return;
	}
	fault = request_new(request->house,
	    json_string_value(json_object_get(step, "method")),
	    json_incref(json_object_get(step, "params")), &request->caller,
	    &inner);
	if (fault != NULL) {
		apply_failed(request, step, fault);
		json_decref(fault);
		return;
	}
	inner->inner = true;
	inner->answered = apply_answered;
	inner->arg = request;
	request_start(inner);
}

static void
apply_go(struct request *request)
{
	struct apply *apply;
	json_t *steps;

	if (!steps_make(request, &steps))
		return;
	if (request->dry_run) {
		json_t *items = steps_items(steps);
		json_decref(steps);
		request_answer_items(request, items);
		return;
	}
	apply = calloc(1, sizeof(*apply));
	assert(apply != NULL);
	apply->steps = steps;
	request->own = apply;
	request->own_free = apply_free;
	apply_next(request);
}

void
method_config_apply(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, apply_go);
}
