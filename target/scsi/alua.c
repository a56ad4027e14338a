/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asymmetric access, SPC-4 5.15: how good each target port group is for this
 * unit, REPORT TARGET PORT GROUPS (6.37) and SET TARGET PORT GROUPS (6.45).  An
 * iSCSI target portal group is one target port, and a group of its own.
 *
 * The administrator says what a group is for all units (implicit); an initiator
 * may say otherwise for one unit (explicit), until the administrator speaks
 * again.  Two things it may not: use a group that the administrator made
 * unavailable, and leave the unit without a group that is active.
 *
 * What an initiator sets is kept, like what it saves by MODE SELECT, before it
 * is told; until it is, the groups that change are transitioning.
 */
#include "target/scsi/alua.h"
#include "target/scsi/handlers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- states: who may do what ---- */

static const struct access_rule {
	enum port_access access;
	uint32_t works; /* flag of commands that do, or 0: all */
	const struct scsi_sense *sense;
} rules[] = {
    {ACCESS_OPTIMIZED, 0, &SENSE_NONE},
    {ACCESS_NON_OPTIMIZED, 0, &SENSE_NONE},
    {ACCESS_STANDBY, OP_STANDBY, &SENSE_TARGET_PORT_STANDBY},
    {ACCESS_UNAVAILABLE, OP_UNAVAILABLE, &SENSE_TARGET_PORT_UNAVAILABLE},
    {ACCESS_TRANSITIONING, OP_TRANSITION, &SENSE_ACCESS_STATE_TRANSITION},
};

static const struct access_rule *
rule_of(enum port_access access)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		if (rules[i].access == access)
			return &rules[i];
	}
	return NULL;
}

bool
port_access_is_active(enum port_access access)
{
	return access == ACCESS_OPTIMIZED || access == ACCESS_NON_OPTIMIZED;
}

static struct lun_port_group *
group_find(struct lun *lun, uint16_t tag)
{
	for (unsigned i = 0; i < lun->ports.count; i++) {
		if (lun->ports.list[i].tag == tag)
			return &lun->ports.list[i];
	}
	return NULL;
}

static enum port_access
access_now(const struct lun_port_group *group)
{
	return group->changing != NULL ? ACCESS_TRANSITIONING : group->access;
}

/* Looked at by every command: whether there is anything to look for. */
static void
ports_settle(struct lun *lun)
{
	lun->ports.all_active = true;
	for (unsigned i = 0; i < lun->ports.count; i++) {
		if (!port_access_is_active(access_now(&lun->ports.list[i])))
			lun->ports.all_active = false;
	}
}

/* A group whose last portal is gone serves the sessions it has as before. */
bool
access_refuses(const struct scsi_mapping *mapping, const struct scsi_op *op,
    struct scsi_sense *ret_sense)
{
	const struct lun_port_group *group;
	const struct access_rule *rule;

	if (mapping->lun->ports.all_active)
		return false;
	group = group_find(mapping->lun, mapping->nexus->relative_port);
	if (group == NULL)
		return false;
	rule = rule_of(access_now(group));
	if (rule->works == 0 || (op != NULL && (op->flags & rule->works)))
		return false;
	*ret_sense = *rule->sense;
	return true;
}

/* ---- what the administrator says ---- */

void
lun_access_name(uint16_t tag, char ret_name[LUN_SAVED_NAME_MAX])
{
	snprintf(ret_name, LUN_SAVED_NAME_MAX, LUN_ACCESS_SETTING "%u", tag);
}

static void
take_group(struct lun_port_group *to, const struct port_group *from,
    const struct lun_port_group *before, bool set)
{
	assert(rule_of(from->access) != NULL);
	assert(from->access != ACCESS_TRANSITIONING);
	*to = before != NULL ? *before
			     : (struct lun_port_group){
				   .tag = from->tag, .access = from->access};
	to->given = from->access;
	if (!set)
		return;
	to->changing = NULL; /* whatever an initiator is saving */
	to->access = from->access;
	to->status = STATUS_IMPLICIT;
}

static bool
ports_differ(const struct lun_ports *a, const struct lun_ports *b)
{
	if (a->count != b->count)
		return true;
	for (unsigned i = 0; i < a->count; i++) {
		if (a->list[i].tag != b->list[i].tag ||
		    a->list[i].access != b->list[i].access)
			return true;
	}
	return false;
}

void
lun_set_port_groups(
    struct lun *lun, const struct port_groups *groups, uint16_t set)
{
	struct lun_ports next = {.count = groups->count};

	ASSERT_MAGIC(lun, LUN_MAGIC);
	assert(groups->count <= PORT_GROUPS_MAX);
	for (unsigned i = 0; i < groups->count; i++) {
		const struct port_group *from = &groups->list[i];
		take_group(&next.list[i], from, group_find(lun, from->tag),
		    from->tag == set);
	}
	if (ports_differ(&next, &lun->ports))
		attention_set_lun(lun, ATTENTION_ACCESS, NULL);
	lun->ports = next;
	ports_settle(lun);
}

/* What the administrator made unavailable no initiator uses. */
static bool
may_set(const struct lun_port_group *group, enum port_access access)
{
	return group->given != ACCESS_UNAVAILABLE ||
	       access == ACCESS_UNAVAILABLE;
}

static void
set_explicitly(struct lun_port_group *group, enum port_access access)
{
	if (!may_set(group, access))
		return;
	group->access = access;
	group->status = STATUS_EXPLICIT;
}

/* Of a unit that nobody has told of groups: the one all portals are in. */
static const struct port_groups only_group = {
    .count = 1, .list = {{.tag = 1, .access = ACCESS_OPTIMIZED}}};

void
ports_init(struct lun *lun, const struct port_groups *groups,
    const struct lun_saved *saved)
{
	char name[LUN_SAVED_NAME_MAX];
	int64_t value;

	lun_set_port_groups(lun, groups != NULL ? groups : &only_group, 0);
	for (unsigned i = 0; saved != NULL && i < lun->ports.count; i++) {
		struct lun_port_group *group = &lun->ports.list[i];
		lun_access_name(group->tag, name);
		if (!lun_saved_get(saved, name, &value) ||
		    value < ACCESS_OPTIMIZED || value > ACCESS_UNAVAILABLE)
			continue;
		set_explicitly(group, (enum port_access)value);
	}
	ports_settle(lun);
}

unsigned
ports_tags(
    const struct lun *lun, uint16_t own, uint16_t ret_tags[PORT_GROUPS_MAX + 1])
{
	bool has_own = own == 0;
	unsigned count = 0;

	for (unsigned i = 0; i < lun->ports.count; i++) {
		ret_tags[count] = lun->ports.list[i].tag;
		has_own = has_own || ret_tags[count] == own;
		count++;
	}
	if (!has_own)
		ret_tags[count++] = own;
	return count;
}

/* ---- REPORT TARGET PORT GROUPS ---- */

#define FORMAT_EXTENDED 1u
/* T_SUP, U_SUP, S_SUP, AN_SUP, AO_SUP */
#define SUPPORTED (0x80u | 0x08u | 0x04u | 0x02u | 0x01u)

struct scsi_sense
alua_report_check(struct scsi_task *task)
{
	if (task->cdb[1] >> 5 > FORMAT_EXTENDED)
		return scsi_invalid_cdb(1, 7);
	return SENSE_NONE;
}

/* One target port: the group's own. */
static size_t
put_group(uint8_t *to, const struct lun_port_group *group)
{
	to[0] = (uint8_t)access_now(group);
	to[1] = SUPPORTED;
	store_be16(to + 2, group->tag);
	to[5] = group->status;
	to[7] = 1;
	store_be16(to + 8 + 2, group->tag);
	return 12;
}

struct scsi_sense
alua_report(struct scsi_task *task, struct scsi_answer *answer)
{
	struct lun *lun = task->lun;
	uint16_t tags[PORT_GROUPS_MAX + 1];
	unsigned count = ports_tags(lun, task->nexus->relative_port, tags);
	uint8_t *data = answer->data;
	size_t at = 4;

	if (task->cdb[1] >> 5 == FORMAT_EXTENDED) {
		data[4] = FORMAT_EXTENDED << 4;
		at = 8; /* IMPLICIT TRANSITION TIME 0: not said */
	}
	for (unsigned i = 0; i < count; i++) {
		const struct lun_port_group *group = group_find(lun, tags[i]);
		const struct lun_port_group gone = {.tag = tags[i]};
		at += put_group(data + at, group != NULL ? group : &gone);
	}
	store_be32(data, (uint32_t)(at - 4));
	answer->length = at;
	return SENSE_NONE;
}

/* ---- SET TARGET PORT GROUPS ---- */

#define HEADER     4u
#define DESCRIPTOR 4u
#define LIST_MAX   (HEADER + DESCRIPTOR * 256u)

struct scsi_sense
alua_set_check(struct scsi_task *task)
{
	uint32_t length = load_be32(&task->cdb[6]);

	if (length > LIST_MAX || length % DESCRIPTOR != 0)
		return SENSE_PARAMETER_LIST_LENGTH_ERROR;
	return scsi_task_want_list(task, length);
}

static struct scsi_sense
parse_group(
    struct lun *lun, const uint8_t *list, size_t at, struct lun_ports *ports)
{
	struct lun_port_group *group =
	    group_find(lun, load_be16(list + at + 2));
	unsigned access = list[at] & 0x0f;

	if (list[at] & 0xf0)
		return scsi_invalid_parameter((unsigned)at, 7);
	if (access > ACCESS_UNAVAILABLE)
		return scsi_invalid_parameter((unsigned)at, 3);
	if (group == NULL)
		return scsi_invalid_parameter((unsigned)at + 2, -1);
	if (!may_set(group, (enum port_access)access))
		return SENSE_SET_TARGET_PORT_GROUPS_FAILED;
	ports->list[group - lun->ports.list].access = (enum port_access)access;
	return SENSE_NONE;
}

static bool
has_active(const struct lun_ports *ports)
{
	for (unsigned i = 0; i < ports->count; i++) {
		if (port_access_is_active(ports->list[i].access))
			return true;
	}
	return false;
}

/* The groups as they would be after this parameter list. */
static struct scsi_sense
parse_groups(struct scsi_task *task, struct lun_ports *ret_ports)
{
	const uint8_t *list = scsi_task_parameters(task);
	bool was_active = has_active(&task->lun->ports);

	*ret_ports = task->lun->ports;
	for (size_t at = HEADER; at < task->data_length; at += DESCRIPTOR) {
		struct scsi_sense sense =
		    parse_group(task->lun, list, at, ret_ports);
		if (!sense_is_good(&sense))
			return sense;
	}
	if (was_active && !has_active(ret_ports))
		return scsi_invalid_parameter(HEADER, 3);
	return SENSE_NONE;
}

struct alua_keep {
	struct lun_keep keep;
	struct scsi_task *task;
	struct lun_saved saved;
	unsigned count;
	struct port_group list[PORT_GROUPS_MAX]; /* those that change */
};

static void
alua_make(struct alua_keep *ak, bool kept)
{
	struct lun *lun = ak->task->lun;

	for (unsigned i = 0; i < ak->count; i++) {
		struct lun_port_group *group = group_find(lun, ak->list[i].tag);
		if (group == NULL || group->changing != ak)
			continue; /* gone, or the administrator spoke */
		group->changing = NULL;
		if (kept)
			set_explicitly(group, ak->list[i].access);
	}
	ports_settle(lun);
	if (kept)
		attention_set_lun(lun, ATTENTION_ACCESS, ak->task->mapping);
}

static void
alua_save(struct alua_keep *ak)
{
	struct lun *lun = ak->task->lun;
	char name[LUN_SAVED_NAME_MAX];

	ak->saved.count = 0;
	for (unsigned i = 0; i < ak->count; i++) {
		lun_access_name(ak->list[i].tag, name);
		lun_saved_add(&ak->saved, name, ak->list[i].access);
	}
	lun->keeper->saved(lun->keeper_arg, &ak->keep);
}

/* Did the administrator speak of one of the groups meanwhile?  Then what he
 * said is kept, not what was on its way. */
static bool
alua_is_overtaken(struct alua_keep *ak)
{
	bool overtaken = false;

	for (unsigned i = 0; i < ak->count; i++) {
		const struct lun_port_group *group =
		    group_find(ak->task->lun, ak->list[i].tag);
		if (group == NULL || group->changing == ak ||
		    group->access == ak->list[i].access)
			continue;
		ak->list[i].access = group->access;
		overtaken = true;
	}
	return overtaken;
}

/* What could not be kept has not happened. */
static void
alua_kept(struct lun_keep *keep, int result)
{
	struct alua_keep *ak = container_of(keep, struct alua_keep, keep);
	struct scsi_task *task = ak->task;

	ASSERT_MAGIC(task, SCSI_TASK_MAGIC);
	if (result == 0 && alua_is_overtaken(ak)) {
		alua_save(ak);
		return;
	}
	alua_make(ak, result == 0);
	free(ak);
	scsi_task_end(
	    task, result < 0 ? &SENSE_SET_TARGET_PORT_GROUPS_FAILED : NULL);
}

static void
collect(struct alua_keep *ak, const struct lun_ports *next)
{
	struct lun *lun = ak->task->lun;

	for (unsigned i = 0; i < next->count; i++) {
		const struct lun_port_group *to = &next->list[i];
		if (to->access == lun->ports.list[i].access)
			continue;
		ak->list[ak->count++] =
		    (struct port_group){.tag = to->tag, .access = to->access};
		lun->ports.list[i].changing = ak;
	}
	ports_settle(lun);
}

static void
alua_keep(struct scsi_task *task, const struct lun_ports *next)
{
	struct lun *lun = task->lun;
	struct alua_keep *ak = calloc(1, sizeof(*ak));

	if (ak == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	ak->task = task;
	collect(ak, next);
	ak->keep = (struct lun_keep){
	    .saved = &ak->saved,
	    .done = alua_kept,
	    .arg = lun->keeper_arg,
	};
	if (ak->count > 0 && lun_saves(lun)) {
		alua_save(ak);
		return;
	}
	alua_make(ak, ak->count > 0);
	free(ak);
	scsi_task_end_good(task);
}

static bool
is_changing(const struct lun *lun)
{
	for (unsigned i = 0; i < lun->ports.count; i++) {
		if (lun->ports.list[i].changing != NULL)
			return true;
	}
	return false;
}

void
alua_set(struct scsi_task *task)
{
	struct lun_ports next;
	struct scsi_sense sense;

	if (task->data_length == 0) {
		scsi_task_end_good(task);
		return;
	}
	sense = is_changing(task->lun) ? SENSE_ACCESS_STATE_TRANSITION
				       : parse_groups(task, &next);
	if (sense_is_good(&sense))
		alua_keep(task, &next);
	else
		scsi_task_end(task, &sense);
}
