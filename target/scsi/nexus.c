/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I_T nexuses and the logical units each of them sees.  A mapping that goes
 * away leaves the nexus at once, so that new commands do not find it, and is
 * freed when its last task has ended; the same for a nexus.  Both are freed
 * from the loop, never inside a call of their tasks.
 */
#include "target/scsi/internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- LUN fields, SAM-5 4.7 ---- */

#define ADDRESS_PERIPHERAL 0
#define ADDRESS_FLAT       1

/* Single level only: what follows the first two bytes is zero. */
int
lun_number_decode(const uint8_t field[8])
{
	for (unsigned i = 2; i < 8; i++) {
		if (field[i] != 0)
			return -1;
	}
	switch (field[0] >> 6) {
	case ADDRESS_PERIPHERAL: return field[0] == 0 ? field[1] : -1;
	case ADDRESS_FLAT: return (field[0] & 0x3f) << 8 | field[1];
	}
	return -1;
}

void
lun_number_encode(unsigned number, uint8_t field[8])
{
	assert(number <= LUN_NUMBER_MAX);

	store_be64(field, 0);
	store_be16(field, (uint16_t)number);
	if (number > 255)
		field[0] |= ADDRESS_FLAT << 6;
}

/* ---- mappings ---- */

static struct scsi_mapping *
nexus_slot(const struct scsi_nexus *nexus, int number)
{
	if (number < 0 || (unsigned)number >= nexus->mapping_slots)
		return NULL;
	return nexus->mappings[number];
}

struct scsi_mapping *
nexus_mapping(const struct scsi_nexus *nexus, const uint8_t lun_field[8])
{
	return nexus_slot(nexus, lun_number_decode(lun_field));
}

struct lun *
scsi_nexus_lun(const struct scsi_nexus *nexus, unsigned number)
{
	assert(number <= LUN_NUMBER_MAX);
	struct scsi_mapping *mapping = nexus_slot(nexus, (int)number);

	return mapping == NULL ? NULL : mapping->lun;
}

static int
nexus_grow(struct scsi_nexus *nexus, unsigned number)
{
	if (number < nexus->mapping_slots)
		return 0;
	unsigned slots = number + 1;
	struct scsi_mapping **mappings =
	    realloc(nexus->mappings, slots * sizeof(struct scsi_mapping *));
	if (mappings == NULL)
		return -ENOMEM;
	for (unsigned i = nexus->mapping_slots; i < slots; i++)
		mappings[i] = NULL;
	nexus->mappings = mappings;
	nexus->mapping_slots = slots;
	return 0;
}

static void
nexus_announce(struct scsi_nexus *nexus, const struct scsi_mapping *except)
{
	for (unsigned i = 0; i < nexus->mapping_slots; i++) {
		struct scsi_mapping *mapping = nexus->mappings[i];
		if (mapping != NULL && mapping != except)
			attention_set(mapping, ATTENTION_LUNS);
	}
}

int
scsi_nexus_map(struct scsi_nexus *nexus, unsigned number, struct lun *lun,
    bool read_only, bool announce)
{
	ASSERT_MAGIC(nexus, NEXUS_MAGIC);
	ASSERT_MAGIC(lun, LUN_MAGIC);
	assert(number <= LUN_NUMBER_MAX);
	assert(nexus->loop == lun->loop);
	assert(!nexus->closing && !lun->closing);

	if (scsi_nexus_lun(nexus, number) != NULL)
		return -EEXIST;
	struct scsi_mapping *mapping = calloc(1, sizeof(*mapping));
	if (mapping == NULL || nexus_grow(nexus, number) < 0) {
		free(mapping);
		return -ENOMEM;
	}
	mapping->nexus = nexus;
	mapping->lun = lun;
	mapping->number = number;
	mapping->read_only = read_only;
	list_init(&mapping->closing_link);
	list_add_tail(&lun->mappings, &mapping->link);
	lun->mapping_count++;
	nexus->mappings[number] = mapping;
	nexus->mapping_count++;
	if (!nexus->is_shared)
		attention_set(
		    mapping, announce ? ATTENTION_POWER_ON : ATTENTION_FIRST);
	registry_see(mapping);
	if (announce)
		nexus_announce(nexus, mapping);
	return 0;
}

static void
mapping_closed(struct loop_task *later)
{
	struct scsi_mapping *mapping =
	    container_of(later, struct scsi_mapping, later);
	struct scsi_nexus *nexus = mapping->nexus;
	struct lun *lun = mapping->lun;

	assert(mapping->task_count == 0);
	list_del(&mapping->link);
	lun->mapping_count--;
	list_del(&mapping->closing_link);
	if (mapping->done != NULL)
		mapping->done(mapping->arg);
	free(mapping->echo.data);
	free(mapping);
	lun_close_check(lun);
	nexus_close_check(nexus);
}

void
mapping_close_check(struct scsi_mapping *mapping)
{
	if (!mapping->closing || mapping->task_count > 0 ||
	    mapping->later.queued)
		return;
	mapping->later.run = mapping_closed;
	loop_defer(mapping->nexus->loop, &mapping->later);
}

/* Loss of the nexus ends what SPC-2 5.5 RESERVE gave it. */
static void
mapping_close(struct scsi_mapping *mapping)
{
	mapping->nexus->mappings[mapping->number] = NULL;
	mapping->nexus->mapping_count--;
	mapping->closing = true;
	list_add_tail(
	    &mapping->nexus->closing_mappings, &mapping->closing_link);
	if (mapping->lun->reserved_by == mapping)
		mapping->lun->reserved_by = NULL;
	abort_mapping(mapping, abort_ticket());
	throttle_wake_copies(mapping->lun);
	mapping_close_check(mapping);
}

int
scsi_nexus_unmap(struct scsi_nexus *nexus, unsigned number, bool announce,
    void (*done)(void *arg), void *arg)
{
	ASSERT_MAGIC(nexus, NEXUS_MAGIC);
	assert(number <= LUN_NUMBER_MAX);

	struct scsi_mapping *mapping = nexus_slot(nexus, (int)number);
	if (mapping == NULL)
		return -ENOENT;
	mapping->done = done;
	mapping->arg = arg;
	mapping_close(mapping);
	if (announce)
		nexus_announce(nexus, NULL);
	return 0;
}

/* ---- the nexus ---- */

static bool
name_copy(char *to, size_t size, const char *from)
{
	int length = snprintf(to, size, "%s", from == NULL ? "" : from);

	return length >= 0 && (size_t)length < size;
}

int
scsi_nexus_new(
    const struct scsi_nexus_params *params, struct scsi_nexus **ret_nexus)
{
	assert(params->loop != NULL);

	struct scsi_nexus *nexus = calloc(1, sizeof(*nexus));
	if (nexus == NULL)
		return -ENOMEM;
	nexus->magic = NEXUS_MAGIC;
	nexus->loop = params->loop;
	nexus->relative_port = params->relative_port;
	nexus->is_shared = params->is_shared;
	list_init(&nexus->orphans);
	list_init(&nexus->closing_mappings);
	if (!name_copy(nexus->initiator_port, sizeof(nexus->initiator_port),
		params->initiator_port) ||
	    !name_copy(nexus->target_port, sizeof(nexus->target_port),
		params->target_port) ||
	    !name_copy(nexus->target_name, sizeof(nexus->target_name),
		params->target_name)) {
		free(nexus);
		return -ENAMETOOLONG;
	}
	*ret_nexus = nexus;
	return 0;
}

const struct latency *
scsi_nexus_latency(const struct scsi_nexus *nexus)
{
	ASSERT_MAGIC(nexus, NEXUS_MAGIC);
	return &nexus->latency;
}

static void
nexus_closed(struct loop_task *later)
{
	struct scsi_nexus *nexus =
	    container_of(later, struct scsi_nexus, later);
	void (*done)(void *) = nexus->done;
	void *arg = nexus->arg;

	assert(nexus->mapping_count == 0);
	nexus->magic = 0;
	free(nexus->mappings);
	free(nexus);
	if (done != NULL)
		done(arg);
}

void
nexus_close_check(struct scsi_nexus *nexus)
{
	if (!nexus->closing || nexus->later.queued || nexus->tmf_count > 0 ||
	    !list_empty(&nexus->closing_mappings) ||
	    !list_empty(&nexus->orphans))
		return;
	nexus->later.run = nexus_closed;
	loop_defer(nexus->loop, &nexus->later);
}

void
scsi_nexus_free(struct scsi_nexus *nexus, void (*done)(void *arg), void *arg)
{
	struct scsi_task *task, *tmp;

	ASSERT_MAGIC(nexus, NEXUS_MAGIC);
	assert(!nexus->closing);
	nexus->closing = true;
	nexus->done = done;
	nexus->arg = arg;
	for (unsigned i = 0; i < nexus->mapping_slots; i++) {
		if (nexus->mappings[i] != NULL)
			mapping_close(nexus->mappings[i]);
	}
	list_for_each_safe (task, tmp, &nexus->orphans, link)
		abort_task(task, ABORT_SILENTLY, abort_ticket());
	nexus_close_check(nexus);
}
