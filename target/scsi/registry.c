/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/scsi/registry.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	const char *text;
	bool exclusive, shared, all;
} types[] = {
    /* clang-format off */
    /*                                              exclusive shared all */
    [REGISTRY_NONE]                              = {"", false, false, false},
    [REGISTRY_WRITE_EXCLUSIVE]                   = {"write-exclusive", false, false, false},
    [REGISTRY_EXCLUSIVE_ACCESS]                  = {"exclusive-access", true, false, false},
    [REGISTRY_WRITE_EXCLUSIVE_REGISTRANTS_ONLY]  = {"write-exclusive-registrants-only", false, true, false},
    [REGISTRY_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY] = {"exclusive-access-registrants-only", true, true, false},
    [REGISTRY_WRITE_EXCLUSIVE_ALL_REGISTRANTS]   = {"write-exclusive-all-registrants", false, true, true},
    [REGISTRY_EXCLUSIVE_ACCESS_ALL_REGISTRANTS]  = {"exclusive-access-all-registrants", true, true, true},
    /* clang-format on */
};

bool
registry_type_is_known(unsigned type)
{
	return type != REGISTRY_NONE && type < ARRAY_SIZE(types) &&
	       types[type].text != NULL;
}

bool
registry_type_is_exclusive(enum registry_type type)
{
	return types[type].exclusive;
}

bool
registry_type_is_shared(enum registry_type type)
{
	return types[type].shared;
}

bool
registry_type_is_held_by_all(enum registry_type type)
{
	return types[type].all;
}

const char *
registry_type_text(enum registry_type type)
{
	return types[type].text;
}

/* ---- life ---- */

struct registry *
registry_new(void)
{
	return calloc(1, sizeof(struct registry));
}

struct registry *
registry_copy(const struct registry *registry)
{
	struct registry *copy = registry_new();

	if (copy == NULL)
		return NULL;
	*copy = *registry;
	copy->list = NULL;
	copy->capacity = copy->count;
	if (copy->count == 0)
		return copy;
	copy->list = calloc(copy->count, sizeof(*copy->list));
	if (copy->list == NULL) {
		free(copy);
		return NULL;
	}
	memcpy(copy->list, registry->list, copy->count * sizeof(*copy->list));
	return copy;
}

void
registry_free(struct registry *registry)
{
	if (registry == NULL)
		return;
	free(registry->list);
	free(registry);
}

/* ---- looking ---- */

static bool
is_of(const struct registration *r, const char *initiator, const char *target)
{
	return strcasecmp(r->initiator, initiator) == 0 &&
	       strcasecmp(r->target, target) == 0;
}

int
registry_find(const struct registry *registry, const char *initiator,
    const char *target, uint16_t port)
{
	for (unsigned i = 0; i < registry->count; i++) {
		const struct registration *r = &registry->list[i];
		if (is_of(r, initiator, target) &&
		    (r->all_ports || r->port == port))
			return (int)i;
	}
	return -1;
}

bool
registry_is_holder(const struct registry *registry, int index)
{
	if (index < 0 || registry->type == REGISTRY_NONE)
		return false;
	assert((unsigned)index < registry->count);
	return registry_type_is_held_by_all(registry->type) ||
	       (unsigned)index == registry->holder;
}

bool
registry_may_all(const struct registry *registry, int index)
{
	if (registry->type == REGISTRY_NONE)
		return true;
	return registry_is_holder(registry, index) ||
	       (index >= 0 && registry_type_is_shared(registry->type));
}

/* ---- changing ---- */

static int
grow(struct registry *registry)
{
	unsigned capacity = registry->capacity * 2 + 4;
	struct registration *list;

	if (registry->count == REGISTRY_MAX)
		return -ENOSPC;
	if (registry->count < registry->capacity)
		return 0;
	list = reallocarray(registry->list, capacity, sizeof(*list));
	if (list == NULL)
		return -ENOMEM;
	registry->list = list;
	registry->capacity = capacity;
	return 0;
}

/* What the initiator had for single ports is part of it now. */
static unsigned
widen(struct registry *registry, unsigned index)
{
	struct registration wide = registry->list[index];
	bool one_holds = registry->type != REGISTRY_NONE &&
			 !registry_type_is_held_by_all(registry->type);

	for (unsigned i = registry->count; i-- > 0;) {
		if (i == index ||
		    !is_of(&registry->list[i], wide.initiator, wide.target))
			continue;
		if (one_holds && registry->holder == i)
			registry->holder = index;
		registry_remove(registry, i);
		if (i < index)
			index--;
	}
	return index;
}

int
registry_register(struct registry *registry, const struct registration *wanted)
{
	int index = registry_find(
	    registry, wanted->initiator, wanted->target, wanted->port);

	assert(wanted->key != 0);
	if (index < 0) {
		int ret = grow(registry);
		if (ret < 0)
			return ret;
		index = (int)registry->count++;
		registry->list[index] = *wanted;
	}
	registry->list[index].key = wanted->key;
	if (wanted->all_ports) {
		registry->list[index].all_ports = true;
		index = (int)widen(registry, (unsigned)index);
	}
	return index;
}

void
registry_remove(struct registry *registry, unsigned index)
{
	bool shared = registry_type_is_held_by_all(registry->type);

	assert(index < registry->count);
	registry->count--;
	memmove(&registry->list[index], &registry->list[index + 1],
	    (registry->count - index) * sizeof(*registry->list));
	/* SPC-4 5.12.10: held by all, it ends with the last of them */
	if (registry->count == 0 || (!shared && registry->holder == index)) {
		registry->type = REGISTRY_NONE;
		registry->holder = 0;
	} else if (!shared && registry->holder > index) {
		registry->holder--;
	}
}

void
registry_clear(struct registry *registry)
{
	registry->count = 0;
	registry->type = REGISTRY_NONE;
	registry->holder = 0;
}
