/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup receive: what backup send says through a pipe goes to a LUN here.
 */
#include "backup/backup.h"
#include "backup/copy.h"
#include "backup/pipe.h"

static json_t *
progress(void *arg, uint64_t offset, uint64_t size)
{
	struct backup_watch *watch = arg;

	return watch->progress(watch, offset, size);
}

json_t *
backup_receive(const struct backup_receive_params *params, json_t **ret_item)
{
	const struct copy_params copy = {
	    .varve = params->varve, .to = params->to, .portal = params->portal};
	struct pipe_end end = {.in = params->in,
	    .out = params->out,
	    .receiver = copy_new(&copy),
	    .progress = params->watch != NULL ? progress : NULL,
	    .arg = params->watch};
	json_t *problem = pipe_receive(&end);

	if (problem == NULL)
		*ret_item = offer_item(&end.offer, &end.agreed, params->to);
	end.receiver->free(end.receiver);
	offer_done(&end.offer);
	return problem;
}
