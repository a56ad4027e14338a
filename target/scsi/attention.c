/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unit attention conditions, SAM-5 5.14: per logical unit and I_T nexus a set,
 * not a queue: the same condition is pending once, and the order in which they
 * are reported is that of enum attention, resets before news.
 */
#include "target/scsi/mode.h"

/* SBC-3 4.7.3.7.6: INFORMATION is where the threshold stands in its mode page
 */
#define THRESHOLD(index)                                                       \
	{                                                                      \
		.key = 0x6, .asc = 0x38, .ascq = 0x07,                         \
		.information_valid = true,                                     \
		.information = MODE_THRESHOLD_AT + 8 * (index),                \
	}
static const struct scsi_sense thresholds[LUN_THRESHOLDS] = {
    THRESHOLD(0), THRESHOLD(1)};

static const struct scsi_sense *const attention_sense[ATTENTION_COUNT] = {
    /* the general one: stock libvirt takes no other for one that passes */
    [ATTENTION_FIRST] = &SENSE_RESET,
    [ATTENTION_POWER_ON] = &SENSE_POWER_ON,
    [ATTENTION_BUS_RESET] = &SENSE_BUS_RESET,
    [ATTENTION_DEVICE_RESET] = &SENSE_DEVICE_RESET,
    [ATTENTION_NEXUS_LOSS] = &SENSE_NEXUS_LOSS,
    [ATTENTION_COMMANDS_CLEARED] = &SENSE_COMMANDS_CLEARED,
    [ATTENTION_RESERVATIONS_PREEMPTED] = &SENSE_RESERVATIONS_PREEMPTED,
    [ATTENTION_REGISTRATIONS_PREEMPTED] = &SENSE_REGISTRATIONS_PREEMPTED,
    [ATTENTION_RESERVATIONS_RELEASED] = &SENSE_RESERVATIONS_RELEASED,
    [ATTENTION_ACCESS] = &SENSE_ACCESS_STATE_CHANGED,
    [ATTENTION_CAPACITY] = &SENSE_CAPACITY_DATA_HAS_CHANGED,
    [ATTENTION_MODE] = &SENSE_MODE_PARAMETERS_CHANGED,
    [ATTENTION_INQUIRY] = &SENSE_INQUIRY_DATA_HAS_CHANGED,
    [ATTENTION_LUNS] = &SENSE_REPORTED_LUNS_DATA_HAS_CHANGED,
    [ATTENTION_THRESHOLD] = &thresholds[0],
    [ATTENTION_THRESHOLD_USED] = &thresholds[1],
};

static_assert(ATTENTION_COUNT <= 32, "one bit each");

/* SAM-5 5.14.5: a power on tells all there is to tell; what was pending before
 * it, and a reset of smaller scope, add nothing. */
void
attention_set(struct scsi_mapping *mapping, enum attention kind)
{
	assert(kind < ATTENTION_COUNT);

	if (kind == ATTENTION_POWER_ON)
		mapping->attentions = 0;
	mapping->attentions |= 1u << kind;
}

void
attention_set_lun(
    struct lun *lun, enum attention kind, const struct scsi_mapping *except)
{
	struct scsi_mapping *mapping;

	list_for_each (mapping, &lun->mappings, link) {
		if (mapping != except)
			attention_set(mapping, kind);
	}
}

/* Of a reset, or of what else ends the tasks of a nexus. */
static bool
attention_ends_tasks(unsigned kind)
{
	return kind == ATTENTION_POWER_ON || kind == ATTENTION_BUS_RESET ||
	       kind == ATTENTION_DEVICE_RESET || kind == ATTENTION_NEXUS_LOSS ||
	       kind == ATTENTION_COMMANDS_CLEARED;
}

bool
attention_take(struct scsi_task *task, struct scsi_sense *ret_sense)
{
	struct scsi_mapping *mapping = task->mapping;

	if (mapping->attentions == 0)
		return false;

	unsigned kind = (unsigned)__builtin_ctz(mapping->attentions);
	assert(kind < ATTENTION_COUNT);
	mapping->attentions &= ~(1u << kind);
	if (kind == ATTENTION_LUNS)
		/* SPC-4 7.8.7 LUICLR: told once, told for all units */
		attention_clear_nexus(mapping->nexus, kind);
	*ret_sense = *attention_sense[kind];
	task->ends_others = attention_ends_tasks(kind);
	return true;
}

unsigned
attention_peek(const struct scsi_mapping *mapping, struct scsi_sense *ret_sense)
{
	if (mapping->attentions != 0)
		*ret_sense =
		    *attention_sense[__builtin_ctz(mapping->attentions)];
	return (unsigned)__builtin_popcount(mapping->attentions);
}

void
attention_clear_nexus(struct scsi_nexus *nexus, enum attention kind)
{
	for (unsigned i = 0; i < nexus->mapping_slots; i++) {
		if (nexus->mappings[i] != NULL)
			nexus->mappings[i]->attentions &= ~(1u << kind);
	}
}
