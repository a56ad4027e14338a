/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/kernel_view.h"
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
kernel_view_free(struct kernel_view *view)
{
	state_hosts_free(view->hosts, view->host_count);
	free(view->exports);
	free(view->loops);
	free(view->iqns);
	free(view->targets);
	free(view->acls);
	free(view->luns);
	*view = (struct kernel_view){.exports = NULL};
}

static struct lio_credentials
credentials_of(const struct state_credentials *from)
{
	if (from->user[0] == '\0')
		return (struct lio_credentials){NULL, NULL};
	return (struct lio_credentials){from->user, from->secret};
}

static const struct state_host *
host_of(const struct kernel_view *view, int64_t id)
{
	for (unsigned i = 0; i < view->host_count; i++)
		if (view->hosts[i].id == id)
			return &view->hosts[i];
	assert(false); /* a foreign key says so */
	return NULL;
}

static struct lio_target *
target_of(struct kernel_view *view, const struct state_export *row)
{
	char *iqn = view->iqns[view->config.target_count];
	struct lio_target *target;

	export_iqn(row, iqn);
	for (unsigned i = 0; i < view->config.target_count; i++)
		if (strcmp(view->targets[i].iqn, iqn) == 0)
			return &view->targets[i];
	target = &view->targets[view->config.target_count++];
	*target = (struct lio_target){.iqn = iqn, .portals = view->portals};
	return target;
}

/* Its exports of one target and host lie one behind the other: state_exports
 * has been sorted so. */
static void
acl_add_lun(struct kernel_view *view, unsigned at)
{
	const struct state_export *row = &view->exports[at];
	const struct state_host *host = host_of(view, row->host_id);
	struct lio_target *target = target_of(view, row);
	struct lio_acl *acl;

	if (target->acls == NULL)
		target->acls = &view->acls[at];
	acl = &view->acls[target->acls - view->acls + target->acl_count];
	if (target->acl_count > 0 && strcmp(acl[-1].iqn, host->iqn) == 0) {
		acl--;
	} else {
		target->acl_count++;
		*acl = (struct lio_acl){.iqn = host->iqn,
		    .chap = credentials_of(&host->chap),
		    .mutual = credentials_of(&host->mutual),
		    .luns = &view->luns[at]};
	}
	view->luns[acl->luns - view->luns + acl->lun_count++] =
	    (struct lio_lun){.number = row->number,
		.device = row->lun_uuid,
		.read_only = row->read_only};
}

void
loop_naa_from_uuid(const uuid_t uuid, uint8_t ret_naa[8])
{
	lun_naa_from_uuid(uuid, ret_naa);
	ret_naa[0] = 0x10;
	ret_naa[1] = 0;
	ret_naa[2] = (uint8_t)((ret_naa[2] & 0xfc) | 0x02);
}

static void
loop_add(struct kernel_view *view, const struct state_export *row, bool served)
{
	struct lio_loop *loop = &view->loops[view->config.loop_count++];
	uuid_t uuid;

	loop->device = row->lun_uuid;
	loop->served = served;
	if (uuid_parse(row->lun_uuid, uuid) == 0)
		loop_naa_from_uuid(uuid, loop->naa);
}

static int
export_compare(const void *a, const void *b)
{
	const struct state_export *x = a, *y = b;
	int order = strcmp(x->iqn, y->iqn);

	if (order == 0)
		order = strcmp(x->host, y->host);
	if (order == 0)
		order = x->number < y->number ? -1 : x->number > y->number;
	return order;
}

int
kernel_view_read(struct kernel_view *view, struct state *state)
{
	int ret;

	kernel_view_free(view);
	ret = state_exports(state, &view->exports, &view->export_count);
	if (ret == 0)
		ret = state_hosts(state, &view->hosts, &view->host_count);
	if (ret < 0)
		return ret;
	if (view->export_count > 0)
		qsort(view->exports, view->export_count, sizeof(*view->exports),
		    export_compare);
	view->loops = calloc(view->export_count + 1, sizeof(*view->loops));
	view->iqns = calloc(view->export_count + 1, sizeof(*view->iqns));
	view->targets = calloc(view->export_count + 1, sizeof(*view->targets));
	view->acls = calloc(view->export_count + 1, sizeof(*view->acls));
	view->luns = calloc(view->export_count + 1, sizeof(*view->luns));
	return view->loops != NULL && view->iqns != NULL &&
		       view->targets != NULL && view->acls != NULL &&
		       view->luns != NULL
		   ? 0
		   : -ENOMEM;
}

static void
targets_add_portals(struct kernel_view *view, const struct config *config)
{
	for (unsigned i = 0; i < config->lio_portal_count; i++)
		view->portals[i] = config->lio_portals[i];
	for (unsigned i = 0; i < view->config.target_count; i++)
		view->targets[i].portal_count = config->lio_portal_count;
}

void
kernel_view_build(struct kernel_view *view, const struct config *config,
    enum kernel_device (*look)(void *arg, const char *uuid), void *arg)
{
	for (unsigned i = 0; i < view->export_count; i++) {
		const struct state_export *row = &view->exports[i];
		enum kernel_device device = row->carrier == CARRIER_ISCSI
						? KERNEL_DEVICE_ABSENT
						: look(arg, row->lun_uuid);
		if (device == KERNEL_DEVICE_ABSENT)
			continue;
		if (row->carrier == CARRIER_TCMU_LOOP)
			loop_add(view, row, device == KERNEL_DEVICE_SERVED);
		else
			acl_add_lun(view, i);
	}
	targets_add_portals(view, config);
	view->config.loops = view->loops;
	view->config.targets = view->targets;
}
