/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/connect.h"
#include <string.h>
#include <unistd.h>

/* A wildcard portal is reached by the machine's name; one that says its
 * address is better.  True: no better one will come. */
static bool
portal_offer(const char *where, char portal[NAMING_ADDRESS_MAX])
{
	char hostname[NAMING_ADDRESS_MAX - 8] = "";

	if (!naming_address_any(where)) {
		snprintf(portal, NAMING_ADDRESS_MAX, "%s", where);
		return true;
	}
	gethostname(hostname, sizeof(hostname) - 1);
	snprintf(portal, NAMING_ADDRESS_MAX, "%s:%u", hostname,
	    naming_address_port(where));
	return false;
}

/* Portals that send hosts to the same are one path. */
static void
path_add(struct lines *lines, const char *portal)
{
	for (unsigned i = 0; i < lines->path_count; i++) {
		if (strcmp(lines->paths[i], portal) == 0)
			return;
	}
	if (lines->path_count < CONNECT_PORTALS_MAX)
		snprintf(lines->paths[lines->path_count++], NAMING_ADDRESS_MAX,
		    "%s", portal);
}

static void
portals_take(struct house *house, struct lines *lines)
{
	const struct config *config = house->config;
	char *best = lines->portals[CARRIER_ISCSI];
	char address[NAMING_ADDRESS_MAX];
	struct house_portal *portal;
	bool done = false;

	list_for_each (portal, &house->portals, link) {
		if (!portal->listening)
			continue;
		if (!done)
			done = portal_offer(house_portal_where(portal), best);
		portal_offer(house_portal_where(portal), address);
		path_add(lines, address);
	}
	for (unsigned i = 0; i < config->lio_portal_count; i++) {
		if (portal_offer(
			config->lio_portals[i], lines->portals[CARRIER_TCMU]))
			break;
	}
}

/* An export whose carrier has no portal. */
static bool
portal_is_missing(const struct lines *lines)
{
	for (unsigned i = 0; i < lines->exports->count; i++) {
		const struct state_export *row = &lines->exports->rows[i];
		if (is_connected(lines, row) &&
		    lines->portals[row->carrier][0] == '\0')
			return true;
	}
	return false;
}

/* Nothing to connect to: because it is this machine, or nothing is exported. */
static json_t *
nothing_fault(const struct lines *lines)
{
	json_t *fault = NULL;

	for (unsigned i = 0; i < lines->exports->count; i++) {
		const struct state_export *row = &lines->exports->rows[i];
		char disk[EXPORT_DISK_MAX];
		if (row->host_id != lines->host->id)
			continue;
		if (fault == NULL)
			fault = fault_why(
			    fault_new("host.this-machine",
				"there is nothing to connect to: what is "
				"exported to %s are disks here",
				lines->host->name),
			    "the kernel makes them without a network");
		export_disk_path(row, disk);
		fault = fault_fix(
		    fault, "%s/%s is %s", row->pool, row->lun_name, disk);
	}
	if (fault != NULL)
		return fault;
	return fault_fix(fault_new("host.no-exports",
			     "nothing is exported to %s", lines->host->name),
	    "varve export add POOL/LUN --host %s", lines->host->name);
}

static json_t *
connect_fault(struct house *house, struct lines *lines)
{
	if (exports_of(lines) == 0)
		return nothing_fault(lines);
	portals_take(house, lines);
	if (portal_is_missing(lines))
		return fault_fix(
		    fault_new("portal.none", "varved listens nowhere"),
		    "varve portal add ADDRESS");
	return NULL;
}

/* As --for of host connect has them. */
static const struct {
	const char *program;
	void (*write)(struct lines *lines);
} programs[] = {
    {"qemu", connect_qemu},
    {"libvirt", connect_libvirt},
    {"open-iscsi", connect_open_iscsi},
    {"multipath", connect_multipath},
    {"proxmox", connect_proxmox},
};

static json_t *
connect_item(struct lines *lines, const char *program)
{
	lines->array = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (strcmp(programs[i].program, program) == 0)
			programs[i].write(lines);
	}
	return json_pack("{s:s, s:s, s:o}", "host", lines->host->name, "for",
	    program, "lines", lines->array);
}

static void
connect_answer(struct request *request, const struct state_host *host)
{
	struct exports exports;
	struct lines lines = {.host = host,
	    .exports = &exports,
	    .show_secret = param_flag(request->params, "show_secret")};
	json_t *fault, *item = NULL;

	if (!method_exports(request, &exports))
		return;
	fault = connect_fault(request->house, &lines);
	if (fault == NULL)
		item = connect_item(&lines, param_text(request->params, "for"));
	free(exports.rows);
	if (fault != NULL)
		request_fail(request, fault);
	else
		request_answer(request, item);
}

void
method_host_connect(struct request *request)
{
	struct state_host host;

	if (param_flag(request->params, "show_secret") &&
	    request->caller.role < ROLE_WRITE) {
		request_fail(request,
		    fault_new("request.not-allowed",
			"a secret is shown to those only who may change it"));
		return;
	}
	if (!method_find_host(
		request, param_text(request->params, "host"), &host))
		return;
	connect_answer(request, &host);
	explicit_bzero(&host, sizeof(host));
}
