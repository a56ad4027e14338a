/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE OUT, SPC-4 6.16 and 5.12: a parameter list is read, and
 * its service action worked out on a copy of the registry.  What comes of it is
 * a verdict: a status, or that the copy is to take effect (persist.c).
 *
 *	service action                  who may                  PRGENERATION
 *	REGISTER                        anyone with the right key     counts
 *	REGISTER AND IGNORE EXISTING    anyone                        counts
 *	CLEAR, PREEMPT (AND ABORT)      registered, by its key        counts
 *	REGISTER AND MOVE               holder, by its key            counts
 *	RESERVE, RELEASE                registered, by its key        stays
 */
#include "target/scsi/handlers.h"
#include "target/scsi/transport_id.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define BASIC_LENGTH 24u
#define LIST_MAX     (64u << 10)

enum action {
	REGISTER,
	RESERVE,
	RELEASE,
	CLEAR,
	PREEMPT,
	PREEMPT_AND_ABORT,
	REGISTER_AND_IGNORE,
	REGISTER_AND_MOVE,
};

struct basic_list {
	struct be64 key;
	struct be64 action_key;
	uint8_t obsolete[4];
	uint8_t flags;
	uint8_t reserved;
	uint8_t obsolete2[2];
};
static_assert(sizeof(struct basic_list) == BASIC_LENGTH, "SPC-4 table 221");

#define FLAGS_AT  20u
#define SPEC_I_PT 0x08u
#define ALL_TG_PT 0x04u
#define APTPL     0x01u

struct move_list {
	struct be64 key;
	struct be64 action_key;
	uint8_t reserved;
	uint8_t flags;
	struct be16 port;
	struct be32 id_length;
};
static_assert(sizeof(struct move_list) == BASIC_LENGTH, "SPC-4 table 223");

#define MOVE_FLAGS_AT 17u
#define UNREG         0x02u

struct pr_out {
	struct scsi_task *task;
	const uint8_t *list;
	size_t length;
	uint64_t key, action_key;
	int mine; /* the nexus' registration in next, or -1 */
	struct registry *next;
	struct registry_change *change;
	struct scsi_sense sense; /* of CHECK CONDITION */
	bool nothing;            /* GOOD, and all stays as it is */
};

/* ---- verdicts ---- */

static enum scsi_status
refuse(struct pr_out *out, struct scsi_sense sense)
{
	out->sense = sense;
	return SCSI_CHECK_CONDITION;
}

static enum scsi_status
refuse_parameter(struct pr_out *out, size_t byte, int bit)
{
	return refuse(out, scsi_invalid_parameter((unsigned)byte, bit));
}

static enum scsi_status
refuse_registration(struct pr_out *out, int error)
{
	if (error == -ENOMEM)
		return SCSI_BUSY;
	assert(error == -ENOSPC);
	return refuse(out, SENSE_INSUFFICIENT_REGISTRATION_RESOURCES);
}

static enum scsi_status
stays(struct pr_out *out)
{
	out->nothing = true;
	return SCSI_GOOD;
}

static enum registry_type
cdb_type(const struct pr_out *out)
{
	return (enum registry_type)(out->task->cdb[2] & 0x0f);
}

/* 6.15.3.3 and 6.15.3.4: LU_SCOPE, and one of the six types */
static struct scsi_sense
check_scope_type(const struct scsi_task *task)
{
	if (task->cdb[2] >> 4 != 0)
		return scsi_invalid_cdb(2, 7);
	if (!registry_type_is_known(task->cdb[2] & 0x0f))
		return scsi_invalid_cdb(2, 3);
	return SENSE_NONE;
}

static bool
holds(const struct pr_out *out)
{
	return registry_is_holder(out->next, out->mine);
}

/* ---- REGISTER, REGISTER AND IGNORE EXISTING KEY ---- */

static struct registration
registration_of(const struct pr_out *out, const char *initiator)
{
	const struct scsi_nexus *nexus = out->task->nexus;
	struct registration r = {
	    .key = out->action_key, .port = nexus->relative_port};

	strcpy(r.initiator, initiator);
	strcpy(r.target, nexus->target_name);
	return r;
}

static_assert(sizeof((struct registration){0}.initiator) >=
		  sizeof((struct scsi_nexus){0}.initiator_port),
    "a port's name fits");
static_assert(sizeof((struct registration){0}.target) >=
		  sizeof((struct scsi_nexus){0}.target_name),
    "a target's name fits");

static enum scsi_status
register_one(struct pr_out *out, const char *initiator)
{
	struct registration r = registration_of(out, initiator);
	int ret;

	r.all_ports = out->list[FLAGS_AT] & ALL_TG_PT;
	ret = registry_register(out->next, &r);
	return ret < 0 ? refuse_registration(out, ret) : SCSI_GOOD;
}

/* One that is named must not be registered with another key: it is as if it
 * had asked itself, with RESERVATION KEY zero. */
static enum scsi_status
register_named(struct pr_out *out, const char *initiator, size_t at)
{
	const struct scsi_nexus *nexus = out->task->nexus;
	int index = registry_find(
	    out->next, initiator, nexus->target_name, nexus->relative_port);

	if (index >= 0 && out->next->list[index].key != out->action_key)
		return refuse_parameter(out, at, -1);
	return register_one(out, initiator);
}

/* 7.6.4.6, format 00b: all ports of the device that are known here. */
static enum scsi_status
register_device(struct pr_out *out, const char *device, size_t at)
{
	const struct scsi_nexus *here = out->task->nexus;
	enum scsi_status status = SCSI_GOOD;
	const struct scsi_mapping *mapping;
	unsigned found = 0;

	list_for_each (mapping, &out->task->lun->mappings, link) {
		const struct scsi_nexus *nexus = mapping->nexus;
		if (mapping->closing || status != SCSI_GOOD ||
		    strcasecmp(nexus->target_name, here->target_name) != 0 ||
		    !transport_is_port_of(nexus->initiator_port, device))
			continue;
		found++;
		status = register_named(out, nexus->initiator_port, at);
	}
	return found > 0 ? status : refuse_parameter(out, at, -1);
}

/* 6.16.3: all of them, or none. */
static enum scsi_status
register_list(struct pr_out *out)
{
	size_t at = BASIC_LENGTH + 4;
	enum scsi_status status = SCSI_GOOD;
	struct transport_id id;

	if (out->length < at ||
	    load_be32(out->list + BASIC_LENGTH) != out->length - at)
		return refuse(out, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	while (at < out->length && status == SCSI_GOOD) {
		int length =
		    transport_id_decode(out->list + at, out->length - at, &id);
		if (length < 0)
			return refuse_parameter(out, at, -1);
		status = id.device_only ? register_device(out, id.port, at)
					: register_named(out, id.port, at);
		at += (size_t)length;
	}
	return status;
}

/* 5.12.11.2.1: others hear of a reservation that they had a part in. */
static enum scsi_status
unregister(struct pr_out *out)
{
	enum registry_type type = out->next->type;

	if (out->list[FLAGS_AT] & SPEC_I_PT)
		return refuse_parameter(out, FLAGS_AT, 3);
	if (out->mine < 0)
		return stays(out);
	registry_remove(out->next, (unsigned)out->mine);
	out->change->released =
	    registry_type_is_shared(type) && out->next->type == REGISTRY_NONE;
	return SCSI_GOOD;
}

static enum scsi_status
register_some(struct pr_out *out)
{
	const char *self = out->task->nexus->initiator_port;
	bool list = out->list[FLAGS_AT] & SPEC_I_PT;
	enum scsi_status status;

	/* 5.12.7: only with a nexus that was not registered before */
	if (list && out->mine >= 0)
		return refuse_parameter(out, FLAGS_AT, 3);
	status = register_one(out, self);
	return status == SCSI_GOOD && list ? register_list(out) : status;
}

static enum scsi_status
register_any(struct pr_out *out)
{
	bool aptpl = out->list[FLAGS_AT] & APTPL;
	enum scsi_status status;

	if (aptpl && !lun_keeps_registry(out->task->lun))
		return refuse_parameter(out, FLAGS_AT, 0);
	status = out->action_key == 0 ? unregister(out) : register_some(out);
	if (status == SCSI_GOOD && !out->nothing) {
		out->next->aptpl = aptpl;
		out->next->generation++;
	}
	return status;
}

static enum scsi_status
pr_register(struct pr_out *out)
{
	uint64_t expected = 0;

	if (out->mine >= 0)
		expected = out->next->list[out->mine].key;
	if (out->key != expected)
		return SCSI_RESERVATION_CONFLICT;
	return register_any(out);
}

static enum scsi_status
pr_register_and_ignore(struct pr_out *out)
{
	return register_any(out);
}

/* ---- RESERVE, RELEASE, CLEAR ---- */

/* 5.12.9: what it holds already it may ask for again, nothing else. */
static enum scsi_status
pr_reserve(struct pr_out *out)
{
	struct registry *next = out->next;

	if (next->type == REGISTRY_NONE) {
		next->type = cdb_type(out);
		next->holder = registry_type_is_held_by_all(next->type)
				   ? 0
				   : (unsigned)out->mine;
		return SCSI_GOOD;
	}
	if (holds(out) && next->type == cdb_type(out))
		return stays(out);
	return SCSI_RESERVATION_CONFLICT;
}

/* 5.12.11.2.2 */
static enum scsi_status
pr_release(struct pr_out *out)
{
	struct registry *next = out->next;

	if (!holds(out))
		return stays(out);
	if (next->type != cdb_type(out))
		return refuse(out, SENSE_INVALID_RELEASE);
	out->change->released = registry_type_is_shared(next->type);
	next->type = REGISTRY_NONE;
	next->holder = 0;
	return SCSI_GOOD;
}

static enum scsi_status
pr_clear(struct pr_out *out)
{
	registry_clear(out->next);
	out->next->generation++;
	out->change->lost = ATTENTION_RESERVATIONS_PREEMPTED;
	return SCSI_GOOD;
}

/* ---- PREEMPT, PREEMPT AND ABORT ---- */

/* Does the key mean the reservation, too?  Zero is for one held by all. */
static bool
means_holder(const struct pr_out *out)
{
	const struct registry *next = out->next;

	if (next->type == REGISTRY_NONE)
		return false;
	if (registry_type_is_held_by_all(next->type))
		return out->action_key == 0;
	return next->list[next->holder].key == out->action_key;
}

/* 5.12.11.4.3, 5.12.11.4.4: the one that preempts stays where the reservation
 * becomes its own, or is held by all.  How many the key means. */
static unsigned
remove_preempted(struct pr_out *out, bool keep_mine)
{
	struct registry *next = out->next;
	unsigned meant = 0;

	for (unsigned i = next->count; i-- > 0;) {
		if (out->action_key != 0 &&
		    next->list[i].key != out->action_key)
			continue;
		meant++;
		if (keep_mine && (int)i == out->mine)
			continue;
		registry_remove(next, i);
		if ((int)i < out->mine)
			out->mine--;
	}
	return meant;
}

static void
take_over(struct pr_out *out, enum registry_type before)
{
	struct registry *next = out->next;

	next->type = cdb_type(out);
	next->holder =
	    registry_type_is_held_by_all(next->type) ? 0 : (unsigned)out->mine;
	out->change->released = next->type != before;
}

static enum scsi_status
pr_preempt(struct pr_out *out)
{
	enum registry_type before = out->next->type;
	bool all = registry_type_is_held_by_all(before);
	bool reservation = means_holder(out);

	if (out->action_key == 0 && !all)
		return refuse_parameter(out, 8, -1);
	if (reservation) {
		struct scsi_sense sense = check_scope_type(out->task);
		if (!sense_is_good(&sense))
			return refuse(out, sense);
	}
	if (remove_preempted(out, reservation || all) == 0)
		return SCSI_RESERVATION_CONFLICT;
	if (reservation)
		take_over(out, before);
	out->next->generation++;
	out->change->lost = ATTENTION_REGISTRATIONS_PREEMPTED;
	return SCSI_GOOD;
}

static enum scsi_status
pr_preempt_and_abort(struct pr_out *out)
{
	out->change->abort = true;
	out->task->ends_others = true;
	return pr_preempt(out);
}

/* ---- REGISTER AND MOVE ---- */

/* A device's name is as good as a port's where only one port is known. */
static bool
port_of_device(const struct pr_out *out, struct transport_id *id)
{
	const struct scsi_mapping *mapping;
	const char *port = NULL;

	list_for_each (mapping, &out->task->lun->mappings, link) {
		const char *here = mapping->nexus->initiator_port;
		if (mapping->closing || !transport_is_port_of(here, id->port))
			continue;
		if (port != NULL && strcasecmp(port, here) != 0)
			return false;
		port = here;
	}
	if (port == NULL)
		return false;
	strcpy(id->port, port);
	return true;
}

/* Of this target: the one that the command came in by, or one through which
 * someone has the unit. */
static bool
port_is_known(const struct pr_out *out, uint16_t port)
{
	const struct scsi_nexus *here = out->task->nexus;
	const struct scsi_mapping *mapping;

	list_for_each (mapping, &out->task->lun->mappings, link) {
		const struct scsi_nexus *nexus = mapping->nexus;
		if (nexus->relative_port == port &&
		    strcasecmp(nexus->target_name, here->target_name) == 0)
			return true;
	}
	return false;
}

/* 5.12.8: to whom, and not to itself. */
static enum scsi_status
move_destination(struct pr_out *out, struct registration *ret)
{
	const struct move_list *list = (const void *)out->list;
	uint16_t port = be16_get(&list->port);
	struct transport_id id;
	int length = transport_id_decode(
	    out->list + BASIC_LENGTH, out->length - BASIC_LENGTH, &id);

	if (!port_is_known(out, port))
		return refuse_parameter(out, 18, -1);
	if (length < 0 || (size_t)length != out->length - BASIC_LENGTH ||
	    (id.device_only && !port_of_device(out, &id)))
		return refuse_parameter(out, BASIC_LENGTH, -1);
	*ret = registration_of(out, id.port);
	ret->port = port;
	if (registry_find(out->next, ret->initiator, ret->target, port) ==
	    out->mine)
		return refuse_parameter(out, BASIC_LENGTH, -1);
	return SCSI_GOOD;
}

/* 5.12.8 table 51, in its order. */
static enum scsi_status
move_check(struct pr_out *out)
{
	const struct move_list *list = (const void *)out->list;

	if (be32_get(&list->id_length) != out->length - BASIC_LENGTH)
		return refuse(out, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	if (out->next->type == REGISTRY_NONE)
		return refuse(out, scsi_invalid_cdb(1, 4));
	if (!holds(out) || registry_type_is_held_by_all(out->next->type))
		return SCSI_RESERVATION_CONFLICT;
	if (out->action_key == 0)
		return refuse_parameter(out, 8, -1);
	if ((list->flags & APTPL) && !lun_keeps_registry(out->task->lun))
		return refuse_parameter(out, MOVE_FLAGS_AT, 0);
	return SCSI_GOOD;
}

static enum scsi_status
pr_register_and_move(struct pr_out *out)
{
	const struct move_list *list = (const void *)out->list;
	struct registration to;
	enum scsi_status status = move_check(out);
	int index;

	if (status == SCSI_GOOD)
		status = move_destination(out, &to);
	if (status != SCSI_GOOD)
		return status;
	index = registry_register(out->next, &to);
	if (index < 0)
		return refuse_registration(out, index);
	out->next->holder = (unsigned)index;
	if (list->flags & UNREG)
		registry_remove(out->next, (unsigned)out->mine);
	out->next->aptpl = list->flags & APTPL;
	out->next->generation++;
	return SCSI_GOOD;
}

/* ---- the command ---- */

static const struct {
	enum scsi_status (*run)(struct pr_out *out);
	bool registered; /* and the key has to be right */
} actions[] = {
    [REGISTER] = {pr_register, false},
    [RESERVE] = {pr_reserve, true},
    [RELEASE] = {pr_release, true},
    [CLEAR] = {pr_clear, true},
    [PREEMPT] = {pr_preempt, true},
    [PREEMPT_AND_ABORT] = {pr_preempt_and_abort, true},
    [REGISTER_AND_IGNORE] = {pr_register_and_ignore, false},
    [REGISTER_AND_MOVE] = {pr_register_and_move, true},
};

/* 6.16.1: what the CDB alone tells.  PREEMPT and PREEMPT AND ABORT have a use
 * for SCOPE and TYPE only when they take over a reservation. */
struct scsi_sense
pr_out_check(struct scsi_task *task)
{
	uint32_t length = load_be32(&task->cdb[5]);
	uint8_t action = task->op->action;
	struct scsi_sense sense = SENSE_PARAMETER_LIST_LENGTH_ERROR;

	if (length >= BASIC_LENGTH && length <= LIST_MAX)
		sense = scsi_task_want_list(task, length);
	if (sense_is_good(&sense) && (action == RESERVE || action == RELEASE))
		return check_scope_type(task);
	return sense;
}

/* 6.16.1, 6.16.3: SPEC_I_PT is for REGISTER alone, and without it a list of
 * another length is none. */
static enum scsi_status
check_list(struct pr_out *out)
{
	uint8_t action = out->task->op->action;
	bool spec_i_pt = out->list[FLAGS_AT] & SPEC_I_PT;

	if (action == REGISTER_AND_MOVE)
		return SCSI_GOOD;
	if (spec_i_pt && action != REGISTER)
		return refuse_parameter(out, FLAGS_AT, 3);
	if (!spec_i_pt && out->length != BASIC_LENGTH)
		return refuse(out, SENSE_PARAMETER_LIST_LENGTH_ERROR);
	return SCSI_GOOD;
}

static enum scsi_status
judge(struct pr_out *out)
{
	uint8_t action = out->task->op->action;
	enum scsi_status status = check_list(out);

	assert(action < ARRAY_SIZE(actions));
	if (status != SCSI_GOOD)
		return status;
	if (actions[action].registered &&
	    (out->mine < 0 || out->next->list[out->mine].key != out->key))
		return SCSI_RESERVATION_CONFLICT;
	return actions[action].run(out);
}

static void
pr_out_finish(struct registry_change *change, enum scsi_status status,
    const struct scsi_sense *sense)
{
	struct scsi_task *task = change->task;

	registry_change_free(change);
	if (status == SCSI_CHECK_CONDITION)
		scsi_task_end(task, sense);
	else if (status == SCSI_GOOD)
		scsi_task_end_good(task);
	else
		scsi_task_end_status(task, status);
}

static void
pr_out_begin(struct registry_change *change)
{
	struct scsi_task *task = change->task;
	const struct basic_list *list =
	    (const void *)scsi_task_parameters(task);
	struct pr_out out = {
	    .task = task,
	    .change = change,
	    .list = (const uint8_t *)list,
	    .length = task->data_length,
	    .key = be64_get(&list->key),
	    .action_key = be64_get(&list->action_key),
	    .mine = task->mapping->registration,
	    .next = registry_copy(task->lun->registry),
	};
	enum scsi_status status;

	change->next = out.next;
	status = out.next == NULL ? SCSI_BUSY : judge(&out);
	if (status == SCSI_GOOD && !out.nothing) {
		registry_change_make(change);
		return;
	}
	registry_change_leave(change);
	pr_out_finish(change, status, &out.sense);
}

/* What could not be kept has not happened: not the initiator's fault. */
static void
pr_out_end(struct registry_change *change, int result)
{
	if (result < 0)
		pr_out_finish(change, SCSI_CHECK_CONDITION,
		    &SENSE_INTERNAL_TARGET_FAILURE);
	else
		pr_out_finish(change, SCSI_GOOD, NULL);
}

void
pr_out(struct scsi_task *task)
{
	struct registry_change *change = registry_change_new(task->lun, task);

	if (change == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	change->begin = pr_out_begin;
	change->end = pr_out_end;
	registry_change_start(change);
}
