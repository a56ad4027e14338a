/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iSCSI targets of the kernel.  A target has one TPG; what it exports is
 * numbered as it comes, and each initiator's ACL maps its own numbers to those
 * (lio_acl.c).
 *
 * TargetAlias marks a target as ours: one that has no LUN, as a host has none
 * or we were killed before we had made the link, can still be taken away.
 */
#include "base/assert.h"
#include "target/tcmu/lio_step.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALIAS "varve"

static struct lio_path
target_tpg(const struct lio *lio, const char *iqn)
{
	return lio_path("%s/" LIO_ISCSI "/%s/tpgt_1", lio->configfs, iqn);
}

static const struct lio_target *
target_wanted(const struct lio_config *config, const char *iqn)
{
	for (unsigned i = 0; i < config->target_count; i++)
		if (strcmp(config->targets[i].iqn, iqn) == 0)
			return &config->targets[i];
	return NULL;
}

static bool
device_wanted(const struct lio_target *target, const char *device)
{
	for (unsigned i = 0; i < target->acl_count; i++)
		for (unsigned j = 0; j < target->acls[i].lun_count; j++)
			if (strcmp(target->acls[i].luns[j].device, device) == 0)
				return true;
	return false;
}

static bool
portal_wanted(const struct lio_target *target, const char *portal)
{
	for (unsigned i = 0; i < target->portal_count; i++)
		if (strcmp(target->portals[i], portal) == 0)
			return true;
	return false;
}

/* ---- what goes ---- */

/* Those that target does not want; NULL: all. */
static void
portals_prune(struct lio *lio, const char *tpg, const struct lio_target *target)
{
	struct lio_path dir = lio_path("%s/np", tpg);
	struct lio_list list;

	if (lio_read_dir(lio, dir.text, &list) < 0)
		return;
	for (unsigned i = 0; i < list.count; i++) {
		const char *portal = list.entries[i].name;

		if (target == NULL || !portal_wanted(target, portal))
			lio_remove_dir(
			    lio, lio_path("%s/%s", dir.text, portal).text);
	}
	lio_list_done(&list);
}

/* Also a second one of the same device, and one without a link. */
static void
ports_prune(struct lio *lio, const char *tpg, const struct lio_target *target,
    const struct lio_ports *ports)
{
	for (unsigned i = 0; i < ports->count; i++) {
		const struct lio_port *port = &ports->ports[i];

		if (port->device[0] == '\0' ||
		    lio_ports_find(ports, port->device) != port ||
		    !device_wanted(target, port->device))
			lio_port_remove(lio, tpg, port);
	}
}

static bool
tpg_is_enabled(struct lio *lio, const char *tpg)
{
	char text[LIO_TEXT_MAX];
	struct lio_path path = lio_path("%s/enable", tpg);

	return lio_get(lio, path.text, text, sizeof(text)) == 0 &&
	       strcmp(text, "1") == 0;
}

/* Sessions end first, so that nothing waits for a command; the links go before
 * what they point to. */
static void
target_remove(struct lio *lio, const char *iqn, const struct lio_ports *ports)
{
	struct lio_path tpg = target_tpg(lio, iqn);
	struct lio_path dir =
	    lio_path("%s/" LIO_ISCSI "/%s", lio->configfs, iqn);

	if (tpg_is_enabled(lio, tpg.text))
		lio_write(lio, lio_path("%s/enable", tpg.text).text, "0");
	lio_acls_remove(lio, tpg.text);
	for (unsigned i = 0; i < ports->count; i++)
		lio_port_remove(lio, tpg.text, &ports->ports[i]);
	portals_prune(lio, tpg.text, NULL);
	if (lio_remove_dir(lio, tpg.text) == 0)
		lio_remove_dir(lio, dir.text);
}

static bool
target_is_marked(struct lio *lio, const char *tpg)
{
	char alias[LIO_TEXT_MAX];
	struct lio_path path = lio_path("%s/param/TargetAlias", tpg);

	return lio_get(lio, path.text, alias, sizeof(alias)) == 0 &&
	       strcmp(alias, ALIAS) == 0;
}

static void
target_trim(struct lio *lio, const struct lio_target *target,
    const struct lio_ports *ports)
{
	struct lio_path tpg = target_tpg(lio, target->iqn);

	lio_acls_prune(lio, tpg.text, target, ports);
	ports_prune(lio, tpg.text, target, ports);
	portals_prune(lio, tpg.text, target);
}

static void
target_prune(struct lio *lio, const struct lio_config *config, const char *iqn)
{
	const struct lio_target *target = target_wanted(config, iqn);
	struct lio_path tpg = target_tpg(lio, iqn);
	struct lio_ports ports;

	if (lio_ports_read(lio, tpg.text, &ports) < 0)
		return;
	if (ports.foreign[0] != '\0')
		; /* not ours: when it is in the way, target_make says so */
	else if (target != NULL)
		target_trim(lio, target, &ports);
	else if (target_is_marked(lio, tpg.text))
		target_remove(lio, iqn, &ports);
	lio_ports_done(&ports);
}

/* Before anything is made: a portal that moves may need the port that another
 * target's old one still has. */
void
lio_targets_prune(struct lio *lio, const struct lio_config *config)
{
	struct lio_path dir = lio_path("%s/" LIO_ISCSI, lio->configfs);
	struct lio_list list;

	if (lio_read_dir(lio, dir.text, &list) < 0)
		return;
	for (unsigned i = 0; i < list.count; i++)
		if (strcmp(list.entries[i].name, "discovery_auth") != 0)
			target_prune(lio, config, list.entries[i].name);
	lio_list_done(&list);
}

/* ---- what comes ---- */

/* Who may log in is what the ACLs say, no dynamic ones, and discovery shows a
 * target to those only. */
static const struct {
	const char *name, *value;
} tpg_attributes[] = {
    {"generate_node_acls", "0"},
    {"cache_dynamic_acls", "0"},
    {"demo_mode_write_protect", "0"},
    {"demo_mode_discovery", "0"},
};

static int
tpg_mark(struct lio *lio, const char *tpg)
{
	struct lio_path path = lio_path("%s/param/TargetAlias", tpg);

	/* kernels before 5.18 cut off the last byte of a parameter */
	return target_is_marked(lio, tpg)
		   ? 0
		   : lio_write(lio, path.text, ALIAS "\n");
}

static int
tpg_authentication(struct lio *lio, const char *tpg, bool on)
{
	struct lio_path path = lio_path("%s/attrib/authentication", tpg);

	return lio_set(lio, path.text, on ? "1" : "0");
}

static int
tpg_attributes_set(
    struct lio *lio, const char *tpg, const struct lio_target *target)
{
	int ret = tpg_mark(lio, tpg);

	for (size_t i = 0; i < ARRAY_SIZE(tpg_attributes) && ret == 0; i++)
		ret = lio_set(lio,
		    lio_path("%s/attrib/%s", tpg, tpg_attributes[i].name).text,
		    tpg_attributes[i].value);
	/* stricter at once, laxer when the ACLs say who it is for */
	if (ret == 0 && lio_acls_any_chap(target))
		ret = tpg_authentication(lio, tpg, true);
	return ret;
}

static void
port_make(struct lio *lio, const char *tpg, struct lio_ports *ports,
    const char *device)
{
	struct lio_port port = {.number = 0, .link = "lnk"};

	if (lio_ports_find(ports, device) != NULL)
		return;
	while (lio_ports_number(ports, port.number) != NULL)
		port.number++;
	snprintf(port.device, sizeof(port.device), "%s", device);
	if (lio_port_make(lio, tpg, port.number, device) < 0)
		port.link[0] = '\0'; /* once is enough: it was said */
	lio_ports_add(lio, ports, &port);
}

static void
ports_make(struct lio *lio, const char *tpg, const struct lio_target *target,
    struct lio_ports *ports)
{
	for (unsigned i = 0; i < target->acl_count; i++)
		for (unsigned j = 0; j < target->acls[i].lun_count; j++)
			port_make(
			    lio, tpg, ports, target->acls[i].luns[j].device);
}

static void
portals_make(struct lio *lio, const char *tpg, const struct lio_target *target)
{
	for (unsigned i = 0; i < target->portal_count; i++)
		lio_make_dir(
		    lio, lio_path("%s/np/%s", tpg, target->portals[i]).text);
}

/* Enabled last: nobody logs in to a part of it. */
static void
tpg_fill(struct lio *lio, const char *tpg, const struct lio_target *target,
    struct lio_ports *ports)
{
	if (tpg_attributes_set(lio, tpg, target) < 0)
		return;
	ports_make(lio, tpg, target, ports);
	lio_acls_make(lio, tpg, target, ports);
	portals_make(lio, tpg, target);
	if (!lio_acls_any_chap(target))
		tpg_authentication(lio, tpg, false);
	lio_set(lio, lio_path("%s/enable", tpg).text, "1");
}

static int
target_check(struct lio *lio, const char *iqn, const struct lio_ports *ports)
{
	if (ports->foreign[0] == '\0')
		return 0;
	return lio_fail(lio, -EEXIST,
	    "target %.100s exports %s, which is not varve's: it is left alone",
	    iqn, ports->foreign);
}

static void
target_make(struct lio *lio, const struct lio_target *target)
{
	struct lio_path tpg = target_tpg(lio, target->iqn);
	struct lio_path dir =
	    lio_path("%s/" LIO_ISCSI "/%s", lio->configfs, target->iqn);
	struct lio_ports ports;

	if (lio_ports_read(lio, tpg.text, &ports) < 0)
		return;
	if (target_check(lio, target->iqn, &ports) == 0 &&
	    lio_make_dir(lio, dir.text) == 0 &&
	    lio_make_dir(lio, tpg.text) == 0)
		tpg_fill(lio, tpg.text, target, &ports);
	lio_ports_done(&ports);
}

void
lio_targets_make(struct lio *lio, const struct lio_config *config)
{
	struct lio_path dir = lio_path("%s/" LIO_ISCSI, lio->configfs);

	if (config->target_count == 0 ||
	    lio_make_with_module(lio, dir.text, "iscsi_target_mod") < 0)
		return;
	for (unsigned i = 0; i < config->target_count; i++)
		target_make(lio, &config->targets[i]);
}
