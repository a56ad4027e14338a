/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the state to what the iSCSI server shows: a new struct iscsi_access is
 * built as a whole and replaces the one before; then to what the kernel shows.
 * Changes that come while one is on its way are served together by the next.
 */
#include "base/log.h"
#include "target/house_tcmu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rows {
	struct state_host *hosts;
	struct state_target *targets;
	struct state_export *exports;
	unsigned host_count, target_count, export_count;
};

static void
rows_free(struct rows *rows)
{
	state_hosts_free(rows->hosts, rows->host_count);
	free(rows->targets);
	free(rows->exports);
}

static int
rows_read(struct state *state, struct rows *rows)
{
	int ret = state_hosts(state, &rows->hosts, &rows->host_count);

	if (ret == 0)
		ret = state_targets(state, &rows->targets, &rows->target_count);
	if (ret == 0)
		ret = state_exports(state, &rows->exports, &rows->export_count);
	return ret;
}

static void
credentials_copy(
    const struct state_credentials *from, struct iscsi_credentials *to)
{
	snprintf(to->user, sizeof(to->user), "%s", from->user);
	snprintf(to->secret, sizeof(to->secret), "%s", from->secret);
}

static void
host_fill(const struct state_host *from, struct iscsi_host *to)
{
	snprintf(to->name, sizeof(to->name), "%s", from->name);
	snprintf(to->iqn, sizeof(to->iqn), "%s", from->iqn);
	credentials_copy(&from->chap, &to->chap);
	credentials_copy(&from->mutual, &to->mutual);
}

static int
host_compare(const void *a, const void *b)
{
	const struct state_host *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static unsigned
host_index(const struct rows *rows, int64_t id)
{
	const struct state_host key = {.id = id};
	const struct state_host *found = bsearch(
	    &key, rows->hosts, rows->host_count, sizeof(key), host_compare);

	assert(found != NULL); /* a foreign key says so */
	return (unsigned)(found - rows->hosts);
}

/* Its exports whose LUN is there to be served. */
static int
target_fill(struct house *house, const struct rows *rows,
    const struct state_target *from, struct iscsi_target *to)
{
	const struct house_pool *hp = house_pool_by_id(house, from->pool_id);

	snprintf(to->iqn, sizeof(to->iqn), "%s", from->iqn);
	snprintf(to->alias, sizeof(to->alias), "%s", from->alias);
	assert(hp != NULL);
	to->loop = hp->loop;
	to->exports = calloc(rows->export_count + 1, sizeof(*to->exports));
	if (to->exports == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < rows->export_count; i++) {
		const struct state_export *row = &rows->exports[i];
		uuid_t uuid;
		if (row->target_id != from->id ||
		    row->carrier != CARRIER_ISCSI ||
		    uuid_parse(row->lun_uuid, uuid) < 0)
			continue;
		struct house_lun *hl = house_lun_find(house, uuid);
		if (hl == NULL)
			continue;
		to->exports[to->export_count++] = (struct iscsi_export){
		    .host = host_index(rows, row->host_id),
		    .number = row->number,
		    .lun = hl->lun,
		    .read_only = row->read_only,
		};
	}
	return 0;
}

static struct iscsi_access *
access_build(struct house *house)
{
	struct rows rows = {.hosts = NULL};
	struct iscsi_access *access = NULL;
	int ret = rows_read(house->state, &rows);

	if (ret == 0) {
		qsort(rows.hosts, rows.host_count, sizeof(*rows.hosts),
		    host_compare);
		access = iscsi_access_new(rows.host_count, rows.target_count);
	}
	for (unsigned i = 0; access != NULL && i < rows.host_count; i++)
		host_fill(&rows.hosts[i], &access->hosts[i]);
	for (unsigned i = 0; access != NULL && i < rows.target_count; i++) {
		if (target_fill(house, &rows, &rows.targets[i],
			&access->targets[i]) < 0) {
			iscsi_access_unref(access);
			access = NULL;
		}
	}
	/* a host that proves itself at targets does so for discovery, too */
	if (access != NULL)
		access->discovery_chap = true;
	rows_free(&rows);
	return access;
}

static void publish_round(struct house *house);

static void
publish_done(void *arg)
{
	struct house *house = arg;
	struct list done;
	struct list *node;

	house->publishing = false;
	list_init(&done);
	list_splice_tail(&done, &house->publish_now);
	if (!list_empty(&house->publish_next))
		publish_round(house);
	while ((node = list_pop(&done)) != NULL) {
		struct publish_wait *wait =
		    list_entry(node, struct publish_wait, link);
		wait->result = house->publish_result;
		wait->done(wait);
	}
}

static void
publish_kernel_done(void *arg, int result)
{
	struct house *house = arg;

	if (result < 0)
		house->publish_result = result;
	publish_done(house);
}

static void
publish_kernel(void *arg)
{
	struct house *house = arg;

	house_tcmu_publish(house->tcmu, publish_kernel_done, house);
}

static void
publish_task_run(struct loop_task *task)
{
	publish_kernel(container_of(task, struct house, publish_task));
}

static void
publish_round(struct house *house)
{
	struct iscsi_access *access = access_build(house);

	house->publishing = true;
	house->publish_result = 0;
	list_splice_tail(&house->publish_now, &house->publish_next);
	if (access == NULL) {
		/* What was served is served further; the state has the change,
		 * and the next publication brings it. */
		log_error("access: cannot be built, no memory or no database");
		house->publish_result = -EIO;
		house->publish_task.run = publish_task_run;
		loop_defer(house->home, &house->publish_task);
		return;
	}
	iscsi_server_publish(house->server, access, publish_kernel, house);
	iscsi_access_unref(access);
}

void
house_publish(struct house *house, struct publish_wait *wait)
{
	list_add_tail(&house->publish_next, &wait->link);
	if (!house->publishing)
		publish_round(house);
}
