/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may log in to a TPG, with which secret, and sees which LUNs.
 *
 * Authentication is the TPG's and, since Linux 6.0, also the ACL's.  The TPG
 * demands CHAP when one host has it; the ACL of a host that has none says so.
 * A kernel that has no such attribute lets those hosts not in: that is safe,
 * and a problem.
 */
#include "base/assert.h"
#include "target/tcmu/lio_step.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool
acl_has_chap(const struct lio_acl *acl)
{
	return acl->chap.user != NULL && acl->chap.secret != NULL;
}

bool
lio_acls_any_chap(const struct lio_target *target)
{
	for (unsigned i = 0; i < target->acl_count; i++)
		if (acl_has_chap(&target->acls[i]))
			return true;
	return false;
}

static const struct lio_acl *
acl_wanted(const struct lio_target *target, const char *iqn)
{
	for (unsigned i = 0; i < target->acl_count; i++)
		if (strcmp(target->acls[i].iqn, iqn) == 0)
			return &target->acls[i];
	return NULL;
}

/* ---- what goes ---- */

static int
mapped_remove(struct lio *lio, const char *dir)
{
	char link[LIO_ENTRY_MAX];
	int ret = 0;

	lio_find_link(lio, dir, link);
	if (link[0] != '\0')
		ret = lio_remove_link(lio, lio_path("%s/%s", dir, link).text);
	return ret < 0 ? ret : lio_remove_dir(lio, dir);
}

/* The device that a mapped LUN leads to; NULL: none of ours. */
static const struct lio_port *
mapped_port(struct lio *lio, const char *dir, const struct lio_ports *ports)
{
	char link[LIO_ENTRY_MAX], target[LIO_PATH_MAX];
	const char *last;
	unsigned number;

	lio_find_link(lio, dir, link);
	if (link[0] == '\0' ||
	    lio->files->read_link(lio->arg, lio_path("%s/%s", dir, link).text,
		target, sizeof(target)) < 0)
		return NULL;
	last = strrchr(target, '/');
	if (!lio_lun_number(last != NULL ? last + 1 : target, &number))
		return NULL;
	return lio_ports_number(ports, number);
}

/* It leads to the port that we would link it to. */
static bool
mapped_is_right(struct lio *lio, const char *dir, const struct lio_lun *lun,
    const struct lio_ports *ports)
{
	const struct lio_port *port = mapped_port(lio, dir, ports);

	return port != NULL && port == lio_ports_find(ports, lun->device);
}

static const struct lio_lun *
lun_wanted(const struct lio_acl *acl, unsigned number)
{
	for (unsigned i = 0; i < acl->lun_count; i++)
		if (acl->luns[i].number == number)
			return &acl->luns[i];
	return NULL;
}

/* Those that acl does not want; NULL: all. */
static void
mapped_prune(struct lio *lio, const char *dir, const struct lio_acl *acl,
    const struct lio_ports *ports)
{
	struct lio_list list;
	unsigned number;

	if (lio_read_dir(lio, dir, &list) < 0)
		return;
	for (unsigned i = 0; i < list.count; i++) {
		const char *name = list.entries[i].name;
		struct lio_path path = lio_path("%s/%s", dir, name);
		const struct lio_lun *lun;

		if (!lio_lun_number(name, &number))
			continue;
		lun = acl != NULL ? lun_wanted(acl, number) : NULL;
		if (lun == NULL || !mapped_is_right(lio, path.text, lun, ports))
			mapped_remove(lio, path.text);
	}
	lio_list_done(&list);
}

/* target NULL: all of them. */
static void
acls_prune(struct lio *lio, const char *tpg, const struct lio_target *target,
    const struct lio_ports *ports)
{
	struct lio_path dir = lio_path("%s/acls", tpg);
	struct lio_list list;

	if (lio_read_dir(lio, dir.text, &list) < 0)
		return;
	for (unsigned i = 0; i < list.count; i++) {
		const char *iqn = list.entries[i].name;
		struct lio_path path = lio_path("%s/%s", dir.text, iqn);
		const struct lio_acl *acl =
		    target != NULL ? acl_wanted(target, iqn) : NULL;

		mapped_prune(lio, path.text, acl, ports);
		if (acl == NULL)
			lio_remove_dir(lio, path.text);
	}
	lio_list_done(&list);
}

void
lio_acls_prune(struct lio *lio, const char *tpg,
    const struct lio_target *target, const struct lio_ports *ports)
{
	acls_prune(lio, tpg, target, ports);
}

void
lio_acls_remove(struct lio *lio, const char *tpg)
{
	acls_prune(lio, tpg, NULL, NULL);
}

/* ---- what comes ---- */

/* The kernel's word for none is "NULL", and it keeps a newline as a part of
 * the secret: none is written. */
static int
auth_set(struct lio *lio, const char *dir, const char *name, const char *value)
{
	struct lio_path path = lio_path("%s/auth/%s", dir, name);
	char now[LIO_TEXT_MAX];
	bool none;

	if (value != NULL)
		return lio_set(lio, path.text, value);
	none = lio_get(lio, path.text, now, sizeof(now)) == 0 &&
	       (now[0] == '\0' || strcmp(now, "NULL") == 0);
	explicit_bzero(now, sizeof(now));
	return none ? 0 : lio_write(lio, path.text, "NULL");
}

static int
credentials_set(struct lio *lio, const char *dir, const struct lio_acl *acl)
{
	bool chap = acl_has_chap(acl);
	/* the initiator asks for ours only where it shows its own */
	bool mutual =
	    chap && acl->mutual.user != NULL && acl->mutual.secret != NULL;
	const struct {
		const char *name, *value;
	} rows[] = {
	    {"userid", chap ? acl->chap.user : NULL},
	    {"password", chap ? acl->chap.secret : NULL},
	    {"userid_mutual", mutual ? acl->mutual.user : NULL},
	    {"password_mutual", mutual ? acl->mutual.secret : NULL},
	};
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows) && ret == 0; i++)
		ret = auth_set(lio, dir, rows[i].name, rows[i].value);
	return ret;
}

static int
authentication_set(struct lio *lio, const char *dir,
    const struct lio_target *target, const struct lio_acl *acl)
{
	struct lio_path path = lio_path("%s/attrib/authentication", dir);
	char now[LIO_TEXT_MAX];

	if (lio_get(lio, path.text, now, sizeof(now)) != -ENOENT)
		return lio_set(lio, path.text, acl_has_chap(acl) ? "1" : "0");
	if (acl_has_chap(acl) || !lio_acls_any_chap(target))
		return 0;
	return lio_fail(lio, -EOPNOTSUPP,
	    "host %.100s needs a CHAP secret: others of its target have one, "
	    "and this kernel (before 6.0) asks all or none",
	    acl->iqn);
}

/* The secrets before they are asked for, and after. */
static int
acl_authenticate(struct lio *lio, const char *dir,
    const struct lio_target *target, const struct lio_acl *acl)
{
	int first, second;

	if (acl_has_chap(acl)) {
		first = credentials_set(lio, dir, acl);
		second = authentication_set(lio, dir, target, acl);
	} else {
		first = authentication_set(lio, dir, target, acl);
		second = credentials_set(lio, dir, acl);
	}
	return first < 0 ? first : second;
}

/* prod_mode_write_protect is what a link begins with: set before it, there is
 * no moment at which a LUN that may only be read can be written. */
static int
mapped_link(struct lio *lio, const char *tpg, const char *dir,
    const struct lio_port *port, const struct lio_lun *lun)
{
	struct lio_path begin =
	    lio_path("%s/attrib/prod_mode_write_protect", tpg);
	int ret = lio_set(lio, begin.text, lun->read_only ? "1" : "0");

	if (ret < 0)
		return ret;
	return lio_make_link(lio,
	    lio_path("%s/lun/lun_%u", tpg, port->number).text,
	    lio_path("%s/lnk", dir).text);
}

static void
mapped_make(struct lio *lio, const char *tpg, const char *acl,
    const struct lio_ports *ports, const struct lio_lun *lun)
{
	struct lio_path dir = lio_path("%s/lun_%u", acl, lun->number);
	const struct lio_port *port = lio_ports_find(ports, lun->device);
	char link[LIO_ENTRY_MAX];

	if (port == NULL || port->link[0] == '\0') /* it could not be made */
		return;
	if (lio_make_dir(lio, dir.text) < 0)
		return;
	lio_find_link(lio, dir.text, link);
	if (link[0] == '\0' && mapped_link(lio, tpg, dir.text, port, lun) < 0)
		return;
	lio_set(lio, lio_path("%s/write_protect", dir.text).text,
	    lun->read_only ? "1" : "0");
}

/* LUNs are for a host that was authenticated as it should be. */
static void
acl_make(struct lio *lio, const char *tpg, const struct lio_target *target,
    const struct lio_acl *acl, const struct lio_ports *ports)
{
	struct lio_path dir = lio_path("%s/acls/%s", tpg, acl->iqn);

	if (lio_make_dir(lio, dir.text) < 0 ||
	    acl_authenticate(lio, dir.text, target, acl) < 0)
		return;
	for (unsigned i = 0; i < acl->lun_count; i++)
		mapped_make(lio, tpg, dir.text, ports, &acl->luns[i]);
}

void
lio_acls_make(struct lio *lio, const char *tpg, const struct lio_target *target,
    const struct lio_ports *ports)
{
	for (unsigned i = 0; i < target->acl_count; i++)
		acl_make(lio, tpg, target, &target->acls[i], ports);
}

/* ---- who is logged in ---- */

bool
lio_has_session(struct lio *lio, const char *iqn, const char *initiator)
{
	struct lio_path path =
	    lio_path("%s/" LIO_ISCSI "/%s/tpgt_1/acls/%s/info", lio->configfs,
		iqn, initiator);
	char info[LIO_TEXT_MAX];

	lio_begin(lio);
	return lio_get(lio, path.text, info, sizeof(info)) == 0 &&
	       info[0] != '\0' &&
	       strncmp(info, "No active", strlen("No active")) != 0;
}
