/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registrations and the persistent reservation of one logical unit, SPC-4
 * 5.12, as a value: who has registered which key, who holds what.  A change is
 * made in a copy, which takes the place of the first when it is durable
 * (persist.c).  It knows neither commands nor tasks.
 *
 * An I_T nexus is named by the initiator port, the target device, and the
 * relative identifier of the target port.  A registration with all_ports is
 * one for every target port of that device (ALL_TG_PT), and is changed and
 * taken away as one.
 */
#ifndef TARGET_SCSI_REGISTRY_H
#define TARGET_SCSI_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Per unit: 64 hosts with eight paths each.  The next one gets INSUFFICIENT
 * REGISTRATION RESOURCES. */
#define REGISTRY_MAX        512u
#define REGISTRY_PORT_MAX   256 /* with the NUL */
#define REGISTRY_TARGET_MAX 224

/* SPC-4 6.15.3.4 */
enum registry_type {
	REGISTRY_NONE = 0,
	REGISTRY_WRITE_EXCLUSIVE = 1,
	REGISTRY_EXCLUSIVE_ACCESS = 3,
	REGISTRY_WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5,
	REGISTRY_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6,
	REGISTRY_WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7,
	REGISTRY_EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8,
};

struct registration {
	uint64_t key; /* not 0 */
	char initiator[REGISTRY_PORT_MAX];
	char target[REGISTRY_TARGET_MAX];
	uint16_t port;
	bool all_ports;
};

struct registry {
	uint32_t generation; /* PRGENERATION */
	bool aptpl;          /* outlives a loss of power */
	enum registry_type type;
	unsigned holder; /* index; of types without a single one: 0 */
	unsigned count, capacity;
	struct registration *list; /* in the order they were made */
};

/* NULL: no memory. */
struct registry *registry_new(void);
struct registry *registry_copy(const struct registry *registry);
void registry_free(struct registry *registry);

bool registry_type_is_known(unsigned type);
/* Does it keep others from reading, too? */
bool registry_type_is_exclusive(enum registry_type type);
/* May all who are registered do what the holder may? */
bool registry_type_is_shared(enum registry_type type);
/* Are all who are registered its holders? */
bool registry_type_is_held_by_all(enum registry_type type);
/* "write-exclusive"; "" of none */
const char *registry_type_text(enum registry_type type);

/* Index, or -1. */
int registry_find(const struct registry *registry, const char *initiator,
    const char *target, uint16_t port);
/* The persistent reservation holder, or one of them? */
bool registry_is_holder(const struct registry *registry, int index);
/* Does the reservation keep nothing from it? */
bool registry_may_all(const struct registry *registry, int index);

/* Makes it, or gives the one there is the key.  Its index; -ENOSPC:
 * REGISTRY_MAX are there; -ENOMEM. */
int registry_register(
    struct registry *registry, const struct registration *wanted);
/* What is held by it alone is released. */
void registry_remove(struct registry *registry, unsigned index);
void registry_clear(struct registry *registry);

#endif
