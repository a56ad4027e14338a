/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may log in and see what: life of struct iscsi_access and its look-ups.
 */
#include "target/iscsi/access.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct iscsi_access *
iscsi_access_new(unsigned hosts, unsigned targets)
{
	struct iscsi_access *access = calloc(1, sizeof(*access));

	if (access == NULL)
		return NULL;
	access->hosts = calloc(hosts + 1, sizeof(*access->hosts));
	access->targets = calloc(targets + 1, sizeof(*access->targets));
	if (access->hosts == NULL || access->targets == NULL) {
		free(access->hosts);
		free(access->targets);
		free(access);
		return NULL;
	}
	access->host_count = hosts;
	access->target_count = targets;
	atomic_init(&access->refs, 1);
	return access;
}

struct iscsi_access *
iscsi_access_ref(struct iscsi_access *access)
{
	unsigned before = atomic_fetch_add(&access->refs, 1);

	assert(before > 0);
	return access;
}

void
iscsi_access_unref(struct iscsi_access *access)
{
	if (access == NULL || atomic_fetch_sub(&access->refs, 1) > 1)
		return;
	for (unsigned i = 0; i < access->target_count; i++)
		free(access->targets[i].exports);
	explicit_bzero(
	    access->hosts, access->host_count * sizeof(*access->hosts));
	free(access->hosts);
	free(access->targets);
	free(access);
}

/* RFC 7143 4.2.7.1: names are normalised to lower case by who makes them; one
 * that was not still means the same. */
const struct iscsi_host *
iscsi_access_host(const struct iscsi_access *access, const char *iqn)
{
	for (unsigned i = 0; i < access->host_count; i++) {
		if (strcasecmp(access->hosts[i].iqn, iqn) == 0)
			return &access->hosts[i];
	}
	return NULL;
}

const struct iscsi_target *
iscsi_access_target(const struct iscsi_access *access, const char *iqn)
{
	for (unsigned i = 0; i < access->target_count; i++) {
		if (strcasecmp(access->targets[i].iqn, iqn) == 0)
			return &access->targets[i];
	}
	return NULL;
}

bool
iscsi_access_sees(const struct iscsi_access *access,
    const struct iscsi_host *host, const struct iscsi_target *target)
{
	const unsigned index = (unsigned)(host - access->hosts);

	assert(index < access->host_count);
	for (unsigned i = 0; i < target->export_count; i++) {
		if (target->exports[i].host == index)
			return true;
	}
	return false;
}

bool
iscsi_credentials_equal(
    const struct iscsi_credentials *a, const struct iscsi_credentials *b)
{
	return strcmp(a->user, b->user) == 0 &&
	       strcmp(a->secret, b->secret) == 0;
}
