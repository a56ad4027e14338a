/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exports as answers have them, and export list.
 */
#include "base/endian.h"
#include "target/house_tcmu.h"
#include "target/method.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the item ---- */

static const char *
export_state(struct house *house, const struct state_export *row)
{
	const struct house_pool *hp = house_pool_by_id(house, row->pool_id);
	uuid_t uuid;

	if (hp == NULL || hp->pool == NULL)
		return "pool not open";
	if (uuid_parse(row->lun_uuid, uuid) < 0 ||
	    house_lun_find(house, uuid) == NULL)
		return "no such LUN";
	if (row->carrier != CARRIER_ISCSI &&
	    house_tcmu_problem(house->tcmu, uuid)[0] != '\0')
		return house_tcmu_problem(house->tcmu, uuid);
	return "served";
}

/* Where the host finds it. */
static json_t *
export_portals(struct house *house, const struct state_export *row)
{
	const struct config *config = house->config;
	json_t *portals;

	if (row->carrier == CARRIER_ISCSI)
		return house_portals_json(house);
	portals = json_array();
	for (unsigned i = 0;
	     row->carrier == CARRIER_TCMU && i < config->lio_portal_count; i++)
		json_array_append_new(
		    portals, json_string(config->lio_portals[i]));
	return portals;
}

void
export_disk_path(const struct state_export *row, char ret[EXPORT_DISK_MAX])
{
	uint8_t naa[8] = {0};
	uuid_t uuid;

	if (uuid_parse(row->lun_uuid, uuid) == 0)
		lun_naa_from_uuid(uuid, naa);
	snprintf(ret, EXPORT_DISK_MAX, "/dev/disk/by-id/wwn-0x%016" PRIx64,
	    load_be64(naa));
}

static json_t *
export_disk(const struct state_export *row)
{
	char disk[EXPORT_DISK_MAX];

	if (row->carrier != CARRIER_TCMU_LOOP)
		return json_null();
	export_disk_path(row, disk);
	return json_string(disk);
}

/* As the kernel shows it the target has another name: to be one target, all its
 * portals would have to show the same LUNs. */
void
export_iqn(const struct state_export *row, char ret_iqn[NAMING_IQN_MAX + 8])
{
	snprintf(ret_iqn, NAMING_IQN_MAX + 8, "%s%s", row->iqn,
	    row->carrier == CARRIER_TCMU ? ":tcmu" : "");
}

json_t *
export_item(struct house *house, const struct state_export *row)
{
	char iqn[NAMING_IQN_MAX + 8];
	bool local = row->carrier == CARRIER_TCMU_LOOP;

	export_iqn(row, iqn);
	return json_pack("{s:o, s:s, s:s, s:i, s:b, s:s, s:o, s:o, s:b, s:s, "
			 "s:o, s:o}",
	    "name", json_textf("%s/%s", row->pool, row->lun_name), "host",
	    row->host, "iqn", iqn, "lun", local ? 0 : (int)row->number,
	    "read_only", row->read_only, "carrier",
	    state_carriers[row->carrier], "portals", export_portals(house, row),
	    "disk", export_disk(row), "own_target", row->own_target, "state",
	    export_state(house, row), "created", json_time(row->created_unix),
	    "expires", json_time(row->expires_unix));
}

/* ---- list ---- */

bool
export_is_of(const struct state_export *row, const char *lun, const char *host)
{
	char name[REF_TEXT_MAX];

	snprintf(name, sizeof(name), "%s/%s", row->pool, row->lun_name);
	return (lun == NULL || strcmp(lun, name) == 0) &&
	       (host == NULL || strcmp(host, row->host) == 0);
}

bool
export_find(struct request *request, struct exports *ret_all,
    struct state_export *ret_row)
{
	const char *lun = param_text(request->params, "name");
	const char *host = param_text(request->params, "host");

	if (!method_exports(request, ret_all))
		return false;
	for (unsigned i = 0; i < ret_all->count; i++) {
		if (!export_is_of(&ret_all->rows[i], lun, host))
			continue;
		*ret_row = ret_all->rows[i];
		return true;
	}
	free(ret_all->rows);
	request_fail(
	    request, fault_fix(fault_new("export.not-found",
				   "%s is not exported to host %s", lun, host),
			 "varve export list"));
	return false;
}

static void
list_answer(struct request *request)
{
	const char *lun = param_text(request->params, "name");
	const char *host = param_text(request->params, "host");
	json_t *items = json_array();
	struct exports exports;

	if (!method_exports(request, &exports)) {
		json_decref(items);
		return;
	}
	for (unsigned i = 0; i < exports.count; i++) {
		if (export_is_of(&exports.rows[i], lun, host))
			json_array_append_new(items,
			    export_item(request->house, &exports.rows[i]));
	}
	free(exports.rows);
	request_answer_items(request, items);
}

void
method_export_list(struct request *request)
{
	const char *host_name = param_text(request->params, "host");
	struct state_host host;

	if (host_name != NULL && !method_find_host(request, host_name, &host))
		return;
	explicit_bzero(&host, sizeof(host));
	if (param_text(request->params, "name") != NULL)
		method_survey_version(request, "name", list_answer);
	else
		list_answer(request);
}
