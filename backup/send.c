/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup send: replication by snapshots, to whatever receives them: a copy in a
 * pool that is reached from here, or the far end of a pipe.
 */
#include "backup/copy.h"
#include "backup/live.h"
#include "backup/pipe.h"
#include "backup/ssh.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <string.h>

#define TAG_ROOM (4 * POINT_TEXT_MAX)

struct sending {
	const struct backup_send_params *params;
	struct offer offer;
	struct agreed agreed;
	struct receiver *receiver;
	struct sink sink;    /* the receiver's, with marks */
	uint64_t since_mark; /* bytes of data */
	bool refused;        /* by the receiver */
	char tag[TAG_ROOM];
	uint64_t data, zero;
	struct initiator_stat stat;
};

/* ---- what is offered ---- */

static void
snap_take(const json_t *item, struct offer_snap *ret)
{
	snprintf(ret->name, sizeof(ret->name), "%s", snap_name(item));
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", item_text(item, "uuid"));
}

/* The newest of them. */
static void
snaps_take(struct offer *offer, const json_t *items)
{
	size_t all = json_array_size(items), skip = 0;

	if (all > OFFER_SNAPS_MAX)
		skip = all - OFFER_SNAPS_MAX;
	offer->snaps = calloc(all - skip + 1, sizeof(*offer->snaps));
	assert(offer->snaps != NULL);
	for (; offer->count < all - skip; offer->count++)
		snap_take(json_array_get(items, skip + offer->count),
		    &offer->snaps[offer->count]);
}

static json_t *
since_take(struct sending *sending)
{
	const char *since = sending->params->since;
	struct offer *offer = &sending->offer;

	offer->one_way = sending->params->to_pipe;
	if (since == NULL)
		return NULL;
	since += since[0] == '@';
	for (size_t i = 0; i < offer->count; i++) {
		if (strcmp(offer->snaps[i].name, since) == 0)
			memcpy(offer->since, offer->snaps[i].uuid,
			    sizeof(offer->since));
	}
	if (offer->since[0] != '\0')
		return NULL;
	return problem_fix(backup_problem(BACKUP_BASE,
			       "%s has no snapshot %s that could be the base",
			       offer->lun, since),
	    "varve snap list %s", offer->lun);
}

static json_t *
look(struct sending *sending)
{
	const struct backup_send_params *params = sending->params;
	_cleanup_(json_decrefpp) json_t *snap = NULL, *lun = NULL,
					*snaps = NULL;
	struct offer *offer = &sending->offer;
	json_t *problem =
	    varve_item(params->varve, "snap.show", "snap", params->snap, &snap);

	snprintf(offer->lun, sizeof(offer->lun), "%.*s",
	    (int)strcspn(params->snap, "@"), params->snap);
	if (problem == NULL)
		problem = varve_item(
		    params->varve, "lun.show", "lun", offer->lun, &lun);
	if (problem == NULL)
		problem = varve_items(
		    params->varve, "snap.list", "of", offer->lun, &snaps);
	if (problem != NULL)
		return problem;
	snap_take(snap, &offer->snap);
	snaps_take(offer, snaps);
	offer->size = item_number(snap, "size");
	offer->block_size = item_number(lun, "block_size");
	consistency_parse(consistency_of(snap), &offer->consistency);
	offer->dry_run = params->dry_run;
	return since_take(sending);
}

/* ---- sending ---- */

static json_t *
marking_put(struct sink *sink, const struct piece *piece)
{
	struct sending *sending = container_of(sink, struct sending, sink);
	struct receiver *receiver = sending->receiver;
	json_t *problem = receiver->sink.put(&receiver->sink, piece);

	if (piece->data != NULL)
		sending->since_mark += piece->length;
	if (problem == NULL &&
	    sending->since_mark >= sending->params->mark_bytes) {
		sending->since_mark = 0;
		problem = receiver->mark(receiver);
	}
	sending->refused = problem != NULL;
	return problem;
}

static json_t *
pump_from(struct sending *sending, struct attachment *source,
    const struct extents_params *extents)
{
	struct live live;
	struct pump pump = {.source = &live.source,
	    .sink = &sending->sink,
	    .total = sending->data,
	    .watch = sending->params->watch};
	json_t *problem;

	live_init(&live, source, extents);
	problem = pump_run(&pump);
	live_done(&live);
	initiator_stat_get(attachment_initiator(source), &sending->stat);
	/* what was sent until then need not be sent again */
	if (problem != NULL && !sending->refused)
		json_decref(sending->receiver->mark(sending->receiver));
	return problem;
}

static json_t *
transfer(struct sending *sending, const struct extents_params *extents)
{
	const struct backup_send_params *params = sending->params;
	struct attachment *source = NULL;
	json_t *problem =
	    attachment_new(&(struct attachment_params){.varve = params->varve,
			       .name = params->snap,
			       .portal = params->portal,
			       .tag = sending->tag},
		&source);

	sending->sink.put = marking_put;
	if (problem == NULL)
		problem = pump_from(sending, source, extents);
	attachment_free(source);
	return problem;
}

static json_t *
send_all(struct sending *sending)
{
	const struct backup_send_params *params = sending->params;
	const struct agreed *agreed = &sending->agreed;
	_cleanup_(freep) char *from = NULL;
	struct extents_params extents = {.varve = params->varve,
	    .to = params->snap,
	    .offset = agreed->offset};
	json_t *problem;

	if (asprintf(&from, "%s%s%s", sending->offer.lun,
		agreed->base.name[0] != '\0' ? "@" : "", agreed->base.name) < 0)
		abort();
	extents.from = from;
	problem = extents_total(&extents, &sending->data, &sending->zero);
	if (problem != NULL || params->dry_run)
		return problem;
	problem = transfer(sending, &extents);
	return problem == NULL ? sending->receiver->finish(sending->receiver)
			       : problem;
}

static json_t *
answer(const struct sending *sending)
{
	json_t *item =
	    offer_item(&sending->offer, &sending->agreed, sending->params->to);

	json_object_set_new(
	    item, "data", json_integer((json_int_t)sending->data));
	json_object_set_new(
	    item, "zero", json_integer((json_int_t)sending->zero));
	json_object_set_new(
	    item, "read", json_integer((json_int_t)sending->stat.bytes));
	return item;
}

/* To sending->receiver. */
static json_t *
run(struct sending *sending)
{
	json_t *problem = sending->receiver->agree(
	    sending->receiver, &sending->offer, &sending->agreed);

	if (problem != NULL)
		return problem;
	if (!sending->agreed.there)
		return send_all(sending);
	/* it may have been killed then, before it had gone */
	if (!sending->params->dry_run)
		attachment_clear(sending->params->varve, sending->tag);
	return NULL;
}

/* ---- to what ---- */

static json_t *
send_to_copy(struct sending *sending)
{
	const struct backup_send_params *params = sending->params;
	const struct copy_params copy = {.varve = params->to_varve,
	    .to = params->to,
	    .portal = params->to_portal};
	json_t *problem;

	sending->receiver = copy_new(&copy);
	problem = run(sending);
	sending->receiver->free(sending->receiver);
	return problem;
}

static json_t *
send_through(struct sending *sending, const struct pipe_params *pipe)
{
	json_t *problem;

	sending->receiver = pipe_new(pipe);
	problem = run(sending);
	sending->receiver->free(sending->receiver);
	return problem;
}

/* What its end says of why nothing came through. */
static json_t *
ssh_explain(const struct ssh_params *ssh, int status, json_t *problem)
{
	if (problem == NULL ||
	    strcmp(varve_problem_code(problem), "backup.pipe") != 0)
		return problem;
	if (status == 127)
		problem_why(problem, "there is no program %s", ssh->varve);
	else if (status == 255)
		problem_why(problem, "ssh could not connect, or was cut off");
	return problem_fix(problem, "ssh %s %s version", ssh->host, ssh->varve);
}

static json_t *
send_by_ssh(struct sending *sending)
{
	const struct backup_send_params *params = sending->params;
	struct ssh ssh;
	json_t *problem = ssh_start(params->ssh, params->to, &ssh);

	if (problem != NULL)
		return problem;
	problem = send_through(sending, &(struct pipe_params){.out = ssh.out,
					    .in = ssh.in,
					    .name = params->ssh->host,
					    .level = params->level});
	return ssh_explain(params->ssh, ssh_end(&ssh), problem);
}

json_t *
backup_send(const struct backup_send_params *params, json_t **ret_item)
{
	struct sending sending = {.params = params};
	json_t *problem = look(&sending);

	snprintf(sending.tag, sizeof(sending.tag), "from %s to %s %s",
	    sending.offer.lun, params->ssh != NULL ? params->ssh->host : "",
	    params->to);
	if (problem == NULL && params->ssh != NULL)
		problem = send_by_ssh(&sending);
	else if (problem == NULL && params->to_pipe)
		problem = send_through(
		    &sending, &(struct pipe_params){.out = dup(params->out),
				  .in = -1,
				  .name = "standard output",
				  .level = params->level});
	else if (problem == NULL)
		problem = send_to_copy(&sending);
	if (problem == NULL)
		*ret_item = answer(&sending);
	offer_done(&sending.offer);
	return problem;
}
