/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The whole: what is checked before, and the order of fabrics.  Steps are in
 * lio_step.c, devices in lio_device.c, fabrics in lio_loop.c and lio_target.c.
 */
#include "base/assert.h"
#include "target/tcmu/lio_step.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTAL_MAX 64

static void
take_root(char ret[LIO_ROOT_MAX], const char *root, const char *otherwise)
{
	int length =
	    snprintf(ret, LIO_ROOT_MAX, "%s", root != NULL ? root : otherwise);

	assert(length < LIO_ROOT_MAX);
}

struct lio *
lio_new_on(
    const struct lio_paths *paths, const struct lio_files *files, void *arg)
{
	const struct lio_paths system = {NULL, NULL, NULL};
	struct lio *lio = calloc(1, sizeof(*lio));

	if (lio == NULL)
		return NULL;
	if (paths == NULL)
		paths = &system;
	take_root(lio->configfs, paths->configfs, "/sys/kernel/config");
	take_root(lio->sysfs, paths->sysfs, "/sys");
	take_root(lio->dev, paths->dev, "/dev");
	lio->files = files;
	lio->arg = arg;
	return lio;
}

struct lio *
lio_new(const struct lio_paths *paths)
{
	return lio_new_on(paths, &lio_files_kernel, NULL);
}

void
lio_free(struct lio *lio)
{
	free(lio);
}

const char *
lio_problem(const struct lio *lio)
{
	return lio->problem;
}

/* ---- check ---- */

/* The kernel makes it when target_core_mod is loaded; nobody else can. */
static int
check_tree(struct lio *lio)
{
	struct lio_path dir = lio_path("%s/target", lio->configfs);
	struct lio_list list;
	int ret = lio->files->list(lio->arg, dir.text, &list);

	if (ret == 0) {
		lio_list_done(&list);
		return 0;
	}
	if (ret != -ENOENT)
		return lio_fail(
		    lio, ret, "cannot read %s: %s", dir.text, strerror(-ret));
	return lio_fail(lio, -ENODEV,
	    "there is no %s: module target_core_mod is not loaded (modprobe "
	    "target_core_mod), or configfs is not mounted on %s",
	    dir.text, lio->configfs);
}

int
lio_check(struct lio *lio)
{
	struct lio_path mode =
	    lio_path("%s/target/core/user_%u/hba_mode", lio->configfs, LIO_HBA);
	int ret;

	lio_begin(lio);
	ret = check_tree(lio);
	if (ret == 0)
		ret = lio_hba_make(lio);
	if (ret < 0)
		return ret;
	ret = lio->files->try_open(lio->arg, mode.text);
	return ret < 0 ? lio_fail(lio, ret, "cannot write %s: %s", mode.text,
			     strerror(-ret))
		       : 0;
}

/* ---- apply ---- */

/* A name becomes a part of a path. */
static int
check_name(struct lio *lio, const char *name, size_t max)
{
	if (name[0] != '\0' && name[0] != '.' && strlen(name) < max &&
	    strchr(name, '/') == NULL)
		return 0;
	return lio_fail(lio, -EINVAL, "\"%.100s\" cannot be a name", name);
}

static int
check_acl(struct lio *lio, const struct lio_acl *acl)
{
	int ret = check_name(lio, acl->iqn, LIO_IQN_MAX);

	for (unsigned i = 0; i < acl->lun_count && ret == 0; i++)
		ret = lio_device_name_check(lio, acl->luns[i].device);
	return ret;
}

static int
check_target(struct lio *lio, const struct lio_target *target)
{
	int ret = check_name(lio, target->iqn, LIO_IQN_MAX);

	for (unsigned i = 0; i < target->portal_count && ret == 0; i++)
		ret = check_name(lio, target->portals[i], PORTAL_MAX);
	for (unsigned i = 0; i < target->acl_count && ret == 0; i++)
		ret = check_acl(lio, &target->acls[i]);
	return ret;
}

static int
check_config(struct lio *lio, const struct lio_config *config)
{
	int ret = 0;

	for (unsigned i = 0; i < config->loop_count && ret == 0; i++)
		ret = lio_device_name_check(lio, config->loops[i].device);
	for (unsigned i = 0; i < config->target_count && ret == 0; i++)
		ret = check_target(lio, &config->targets[i]);
	return ret;
}

/* Where the kernel keeps reservations that outlive a power failure (APTPL).
 * It does not make the directory, and without one refuses every PERSISTENT
 * RESERVE OUT that registers. */
static void
make_reservations_dir(struct lio *lio)
{
	struct lio_path path = lio_path("%s/target/dbroot", lio->configfs);
	char root[LIO_TEXT_MAX];

	if (lio_get(lio, path.text, root, sizeof(root)) < 0 || root[0] != '/' ||
	    strlen(root) > LIO_ROOT_MAX)
		snprintf(root, sizeof(root), "/var/target");
	if (lio_make_dir(lio, root) == 0)
		lio_make_dir(lio, lio_path("%s/pr", root).text);
}

int
lio_apply(struct lio *lio, const struct lio_config *config)
{
	int ret;

	lio_begin(lio);
	ret = check_config(lio, config);
	if (ret < 0)
		return ret;
	lio_loops_prune(lio, config);
	lio_targets_prune(lio, config);
	if (config->loop_count > 0 || config->target_count > 0)
		make_reservations_dir(lio);
	lio_loops_make(lio, config);
	lio_targets_make(lio, config);
	return lio->result;
}
