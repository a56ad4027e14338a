/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/tcmu/support/fake_configfs.h"
#include "base/assert.h"
#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 512
#define TARGET     "/cfg/target"

enum kind { DIR_NODE, ATTR_NODE, LINK_NODE };

struct fake_node {
	char path[PATH_BYTES], text[PATH_BYTES];
	enum kind kind;
	bool made; /* by mkdir or symlink, and not by the kernel */
};

/* What the making of a directory brings with it. */
#define DEVICE TARGET "/core/user_*/*"
#define TPG    TARGET "/iscsi/*/tpgt_*"
#define ACL    TPG "/acls/*"
#define LOOP   TARGET "/loopback/*/tpgt_*"
static const struct {
	const char *pattern, *entry, *text; /* text NULL: a directory */
} brings[] = {
    {TARGET "/core/user_*", "hba_mode", "0"},
    {DEVICE, "control", ""},
    {DEVICE, "enable", "0"},
    {DEVICE, "attrib/cmd_time_out", "30"},
    {DEVICE, "attrib/qfull_time_out", "-1"},
    {DEVICE, "attrib/tmr_notification", "0"},
    {DEVICE, "attrib/dev_size", "0"},
    {DEVICE, "attrib/dev_config", ""},
    {DEVICE, "attrib/hw_block_size", "0"},
    {DEVICE, "action/block_dev", "unblocked"},
    {DEVICE, "action/reset_ring", ""},
    {DEVICE, "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: "},
    {TARGET "/iscsi", "discovery_auth", NULL},
    {TPG, "enable", "0"},
    {TPG, "np", NULL},
    {TPG, "acls", NULL},
    {TPG, "lun", NULL},
    {TPG, "param/TargetAlias", "LIO Target"},
    {TPG, "attrib/authentication", "0"},
    {TPG, "attrib/generate_node_acls", "0"},
    {TPG, "attrib/cache_dynamic_acls", "0"},
    {TPG, "attrib/demo_mode_write_protect", "1"},
    {TPG, "attrib/prod_mode_write_protect", "0"},
    {TPG, "attrib/demo_mode_discovery", "1"},
    {TPG "/lun/lun_*", "statistics", NULL},
    {ACL, "attrib/authentication", "-1"},
    {ACL, "auth/userid", ""},
    {ACL, "auth/password", ""},
    {ACL, "auth/userid_mutual", ""},
    {ACL, "auth/password_mutual", ""},
    {ACL "/lun_*", "write_protect", "0"},
    {ACL "/lun_*", "statistics", NULL},
    {LOOP, "nexus", ""},
    {LOOP, "lun", NULL},
    {LOOP "/lun/lun_*", "statistics", NULL},
};

static bool
matches(const char *pattern, const char *path)
{
	return fnmatch(pattern, path, FNM_PATHNAME) == 0;
}

static bool
is_below(const char *path, const char *dir)
{
	size_t length = strlen(dir);

	return strncmp(path, dir, length) == 0 && path[length] == '/';
}

static struct fake_node *
find(struct fake *fake, const char *path)
{
	for (unsigned i = 0; i < fake->count; i++)
		if (strcmp(fake->nodes[i].path, path) == 0)
			return &fake->nodes[i];
	return NULL;
}

static void
parent_of(const char *path, char ret[PATH_BYTES])
{
	snprintf(ret, PATH_BYTES, "%s", path);
	*strrchr(ret, '/') = '\0';
}

/* And the directories above it that are not there. */
static struct fake_node *
add(struct fake *fake, const char *path, enum kind kind, const char *text)
{
	char parent[PATH_BYTES];
	struct fake_node *node;

	parent_of(path, parent);
	if (parent[0] != '\0' && find(fake, parent) == NULL)
		add(fake, parent, DIR_NODE, "");
	fake->nodes =
	    realloc(fake->nodes, (fake->count + 1) * sizeof(*fake->nodes));
	node = &fake->nodes[fake->count++];
	*node = (struct fake_node){.kind = kind};
	snprintf(node->path, sizeof(node->path), "%s", path);
	snprintf(node->text, sizeof(node->text), "%s", text);
	return node;
}

static void
drop_tree(struct fake *fake, const char *path)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < fake->count; i++)
		if (strcmp(fake->nodes[i].path, path) != 0 &&
		    !is_below(fake->nodes[i].path, path))
			fake->nodes[kept++] = fake->nodes[i];
	fake->count = kept;
}

static bool
is_linked(struct fake *fake, const char *path)
{
	for (unsigned i = 0; i < fake->count; i++)
		if (fake->nodes[i].kind == LINK_NODE &&
		    strcmp(fake->nodes[i].text, path) == 0)
			return true;
	return false;
}

static bool
has_made(struct fake *fake, const char *dir, enum kind kind)
{
	for (unsigned i = 0; i < fake->count; i++)
		if (is_below(fake->nodes[i].path, dir) && fake->nodes[i].made &&
		    fake->nodes[i].kind >= kind)
			return true;
	return false;
}

/* Counts a change that is about to be made, and may fail it. */
static int
change(struct fake *fake, const char *verb, const char *path, const char *text)
{
	size_t used = strlen(fake->log);
	const char *shown =
	    is_below(path, TARGET) ? path + strlen(TARGET "/") : path;

	fake->changes++;
	if (fake->fail_at != 0 &&
	    (fake->changes == fake->fail_at ||
		(fake->killed && fake->changes > fake->fail_at)))
		return -EIO;
	snprintf(fake->log + used, sizeof(fake->log) - used, "%s %s%s%s\n",
	    verb, shown, text[0] != '\0' ? " " : "", text);
	return 0;
}

/* ---- directories ---- */

static void
bring(struct fake *fake, const char *path)
{
	char entry[PATH_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(brings); i++) {
		if (!matches(brings[i].pattern, path))
			continue;
		snprintf(
		    entry, sizeof(entry), "%.300s/%s", path, brings[i].entry);
		if (brings[i].text == NULL)
			add(fake, entry, DIR_NODE, "");
		else
			add(fake, entry, ATTR_NODE, brings[i].text);
	}
}

static int
make_dir(void *arg, const char *path)
{
	struct fake *fake = arg;
	char parent[PATH_BYTES];
	int ret;

	parent_of(path, parent);
	if (find(fake, path) != NULL)
		return -EEXIST;
	if (find(fake, parent) == NULL)
		return -ENOENT;
	if (fake->no_modules)
		return -EINVAL;
	ret = change(fake, "mkdir", path, "");
	if (ret < 0)
		return ret;
	add(fake, path, DIR_NODE, "")->made = true;
	bring(fake, path);
	return 0;
}

static void
drop_uio(struct fake *fake, const char *device)
{
	char name[PATH_BYTES];

	snprintf(name, sizeof(name), "tcm-user/%.400s",
	    device + strlen(TARGET "/core/user_"));
	for (unsigned i = 0; i < fake->count; i++)
		if (is_below(fake->nodes[i].path, "/sys") &&
		    strncmp(fake->nodes[i].text, name, strlen(name)) == 0) {
			parent_of(fake->nodes[i].path, name);
			drop_tree(fake, name);
			return;
		}
}

static int
remove_dir(void *arg, const char *path)
{
	struct fake *fake = arg;
	struct fake_node *node = find(fake, path);
	int ret;

	if (node == NULL)
		return -ENOENT;
	if (!node->made)
		return -EPERM;
	if (has_made(fake, path, DIR_NODE))
		return -ENOTEMPTY;
	if (is_linked(fake, path))
		return -EBUSY;
	ret = change(fake, "rmdir", path, "");
	if (ret < 0)
		return ret;
	if (matches(DEVICE, path))
		drop_uio(fake, path);
	drop_tree(fake, path);
	return 0;
}

static int
list(void *arg, const char *path, struct lio_list *ret)
{
	struct fake *fake = arg;

	*ret = (struct lio_list){NULL, 0};
	if (find(fake, path) == NULL)
		return -ENOENT;
	for (unsigned i = 0; i < fake->count; i++) {
		const struct fake_node *node = &fake->nodes[i];

		if (node->kind != ATTR_NODE && is_below(node->path, path) &&
		    strchr(node->path + strlen(path) + 1, '/') == NULL)
			lio_list_add(ret, node->path + strlen(path) + 1,
			    node->kind == LINK_NODE);
	}
	return 0;
}

/* ---- links ---- */

static int
may_link(struct fake *fake, const char *target, const char *path)
{
	char parent[PATH_BYTES], nexus[PATH_BYTES];

	parent_of(path, parent);
	if (find(fake, parent) == NULL || find(fake, target) == NULL)
		return -ENOENT;
	if (has_made(fake, parent, LINK_NODE))
		return -EINVAL;
	if (!matches(LOOP "/lun/lun_*", parent))
		return 0;
	snprintf(nexus, sizeof(nexus), "%.*s/nexus",
	    (int)(strstr(parent, "/lun/") - parent), parent);
	return fake_read(fake, nexus)[0] != '\0' ? 0 : -ENODEV;
}

static int
make_link(void *arg, const char *target, const char *path)
{
	struct fake *fake = arg;
	int ret = may_link(fake, target, path);

	if (ret == 0)
		ret =
		    change(fake, "link", path, strstr(target, "/target/") + 8);
	if (ret == 0)
		add(fake, path, LINK_NODE, target)->made = true;
	return ret;
}

/* A LUN that an ACL maps: the kernel would take it away below the ACL. */
static int
remove_link(void *arg, const char *path)
{
	struct fake *fake = arg;
	char parent[PATH_BYTES];
	int ret;

	if (find(fake, path) == NULL)
		return -ENOENT;
	parent_of(path, parent);
	if (is_linked(fake, parent))
		return -EBUSY;
	ret = change(fake, "unlink", path, "");
	if (ret == 0)
		drop_tree(fake, path);
	return ret;
}

static int
read_link(void *arg, const char *path, char *ret, size_t size)
{
	struct fake_node *node = find(arg, path);

	if (node == NULL)
		return -ENOENT;
	snprintf(
	    ret, size, "../../../../../..%s", strstr(node->text, "/target/"));
	return 0;
}

/* ---- attributes ---- */

static int
read_text(void *arg, const char *path, char *ret, size_t size)
{
	const char *text = fake_read(arg, path);

	if (text == NULL)
		return -ENOENT;
	snprintf(ret, size, "%s\n", text);
	return 0;
}

static bool
device_is(
    struct fake *fake, const char *path, const char *entry, const char *value)
{
	char other[PATH_BYTES];

	snprintf(other, sizeof(other), "%.*s/%s",
	    (int)(strrchr(path, '/') - path), path, entry);
	return strcmp(fake_read(fake, other), value) == 0;
}

static bool
device_is_exported(struct fake *fake, const char *path)
{
	char device[PATH_BYTES];

	parent_of(path, device); /* .../attrib */
	*strrchr(device, '/') = '\0';
	return is_linked(fake, device);
}

static int
store_enable(struct fake *fake, struct fake_node *node, const char *text)
{
	char uio[PATH_BYTES], name[PATH_BYTES], device[PATH_BYTES];

	parent_of(node->path, device);
	if (strcmp(text, node->text) == 0)
		return -EEXIST;
	if (device_is(fake, node->path, "attrib/dev_config", "") ||
	    !device_is(fake, node->path, "attrib/cmd_time_out", "0"))
		return -EINVAL;
	snprintf(node->text, sizeof(node->text), "%s", text);
	snprintf(
	    uio, sizeof(uio), "/sys/class/uio/uio%d/name", fake->uio_next++);
	snprintf(name, sizeof(name), "tcm-user/%.300s/varve%s",
	    device + strlen(TARGET "/core/user_"), strrchr(device, '/'));
	add(fake, uio, ATTR_NODE, name);
	return 0;
}

static int
store_control(struct fake *fake, struct fake_node *node, const char *text)
{
	static const char *const kept[] = {
	    "dev_config", "dev_size", "hw_block_size"};
	char path[PATH_BYTES], device[PATH_BYTES];

	parent_of(node->path, device);
	if (!device_is(fake, node->path, "enable", "0"))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const char *value = strstr(text, kept[i]) + strlen(kept[i]) + 1;

		snprintf(
		    path, sizeof(path), "%.300s/attrib/%s", device, kept[i]);
		snprintf(find(fake, path)->text, PATH_BYTES, "%.*s",
		    (int)strcspn(value, ","), value);
	}
	return 0;
}

static int
store_before_export(struct fake *fake, struct fake_node *node, const char *text)
{
	const char *before = strstr(node->path, "/wwn/") != NULL
				 ? "T10 VPD Unit Serial Number: "
				 : "";

	if (device_is_exported(fake, node->path))
		return -EINVAL;
	snprintf(node->text, sizeof(node->text), "%s%s", before, text);
	return 0;
}

static int
store_size(struct fake *fake, struct fake_node *node, const char *text)
{
	if (fake->no_listener)
		return -ESRCH;
	snprintf(node->text, sizeof(node->text), "%s", text);
	return 0;
}

static int
store_action(struct fake *fake, struct fake_node *node, const char *text)
{
	char device[PATH_BYTES];

	(void)text;
	parent_of(node->path, device);
	return device_is(fake, device, "enable", "1") ? 0 : -EINVAL;
}

static int
store_nexus(struct fake *fake, struct fake_node *node, const char *text)
{
	char tpg[PATH_BYTES];

	if (strcmp(text, "NULL") == 0) {
		parent_of(node->path, tpg);
		for (unsigned i = 0; i < fake->count; i++)
			if (fake->nodes[i].kind == LINK_NODE &&
			    is_below(fake->nodes[i].path, tpg))
				return -EPERM;
		node->text[0] = '\0';
		return 0;
	}
	if (node->text[0] != '\0')
		return -EEXIST;
	snprintf(node->text, sizeof(node->text), "%s", text);
	return 0;
}

static int
store_other(struct fake *fake, struct fake_node *node, const char *text)
{
	(void)fake;
	snprintf(node->text, sizeof(node->text), "%.*s",
	    (int)strcspn(text, "\n"), text);
	return 0;
}

static const struct {
	const char *pattern;
	int (*store)(
	    struct fake *fake, struct fake_node *node, const char *text);
} stores[] = {
    {DEVICE "/enable", store_enable},
    {DEVICE "/control", store_control},
    {DEVICE "/attrib/cmd_time_out", store_before_export},
    {DEVICE "/attrib/dev_size", store_size},
    {DEVICE "/wwn/*", store_before_export},
    {DEVICE "/action/*", store_action},
    {LOOP "/nexus", store_nexus},
    {"*", store_other},
    {"/*", store_other},
};

static int
store(struct fake *fake, struct fake_node *node, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(stores); i++)
		if (matches(stores[i].pattern, node->path))
			return stores[i].store(fake, node, text);
	return store_other(fake, node, text);
}

static int
write_text(void *arg, const char *path, const char *text)
{
	struct fake *fake = arg;
	struct fake_node *node = find(fake, path);
	int ret;

	if (node == NULL)
		return -ENOENT;
	ret = change(fake, "write", path, text);
	return ret < 0 ? ret : store(fake, node, text);
}

static int
try_open(void *arg, const char *path)
{
	struct fake *fake = arg;

	return fake->open_uio != NULL && strcmp(path, fake->open_uio) == 0
		   ? -EBUSY
		   : 0;
}

const struct lio_files fake_files = {
    .make_dir = make_dir,
    .remove_dir = remove_dir,
    .make_link = make_link,
    .remove_link = remove_link,
    .read_link = read_link,
    .read = read_text,
    .write = write_text,
    .list = list,
    .try_open = try_open,
};

/* ---- for tests ---- */

struct fake *
fake_new(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	add(fake, TARGET "/core", DIR_NODE, "");
	add(fake, TARGET "/dbroot", ATTR_NODE, "/var/target");
	add(fake, "/sys/class/uio", DIR_NODE, "");
	add(fake, "/var", DIR_NODE, "");
	return fake;
}

void
fake_free(struct fake *fake)
{
	free(fake->nodes);
	free(fake);
}

void
fake_forget(struct fake *fake)
{
	fake->log[0] = '\0';
	fake->changes = fake->fail_at = 0;
	fake->killed = false;
}

void
fake_make_dir(struct fake *fake, const char *path)
{
	char parent[PATH_BYTES];

	parent_of(path, parent);
	if (find(fake, parent) == NULL)
		fake_make_dir(fake, parent);
	if (find(fake, path) != NULL)
		return;
	add(fake, path, DIR_NODE, "")->made = true;
	bring(fake, path);
}

void
fake_make_link(struct fake *fake, const char *target, const char *path)
{
	add(fake, path, LINK_NODE, target)->made = true;
}

void
fake_write(struct fake *fake, const char *path, const char *text)
{
	struct fake_node *node = find(fake, path);

	assert(node != NULL);
	snprintf(node->text, sizeof(node->text), "%s", text);
}

void
fake_drop(struct fake *fake, const char *path)
{
	drop_tree(fake, path);
}

const char *
fake_read(struct fake *fake, const char *path)
{
	struct fake_node *node = find(fake, path);

	return node != NULL ? node->text : NULL;
}

static int
compare_nodes(const void *a, const void *b)
{
	return strcmp(((const struct fake_node *)a)->path,
	    ((const struct fake_node *)b)->path);
}

/* Which of its values the last link began with means nothing. */
char *
fake_dump(struct fake *fake)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	qsort(fake->nodes, fake->count, sizeof(*fake->nodes), compare_nodes);
	for (unsigned i = 0; i < fake->count; i++)
		if (strstr(fake->nodes[i].path, "/prod_mode") == NULL)
			fprintf(file, "%s=%s\n", fake->nodes[i].path,
			    fake->nodes[i].text);
	fclose(file);
	return text;
}
