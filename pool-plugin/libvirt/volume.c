/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/libvirt/volume.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

static char *
path_of(const char *prefix, unsigned number)
{
	return g_strdup_printf("%s%u", prefix, number);
}

static const struct share_volume *
find(const struct share_view *view, const char *name, size_t length)
{
	for (size_t i = 0; i < view->count; i++) {
		const struct share_volume *volume = &view->volumes[i];
		if (strlen(volume->name) == length &&
		    memcmp(volume->name, name, length) == 0)
			return volume;
	}
	return NULL;
}

/* The path of the snapshot it is a clone of, if that is a volume here, or of
 * the LUN that the snapshot is of; else varve's name of it. */
static char *
parent_path(const char *prefix, const struct share_view *view,
    const struct share_volume *volume)
{
	const char *parent = volume->parent;
	const struct share_volume *found = find(view, parent, strlen(parent));

	if (found == NULL)
		found = find(view, parent, strcspn(parent, "@"));
	return found != NULL ? path_of(prefix, found->number)
			     : g_strdup(parent);
}

static void
set_parent(virStorageSource *target, char *path)
{
	g_clear_pointer(&target->backingStore, virObjectUnref);
	if (path == NULL)
		return;
	target->backingStore = virStorageSourceNew();
	target->backingStore->type = VIR_STORAGE_TYPE_NETWORK;
	target->backingStore->format = VIR_STORAGE_FILE_RAW;
	target->backingStore->path = path;
}

void
volume_update(virStorageVolDef *def, const char *prefix,
    const struct share_view *view, const struct share_volume *volume)
{
	def->target.capacity = volume->size;
	def->target.allocation = volume->live;
	def->target.physical = volume->live;
	set_parent(&def->target, volume->parent[0] != '\0'
				     ? parent_path(prefix, view, volume)
				     : NULL);
}

static char *
key_of(virStoragePoolObj *pool, const char *name)
{
	if (book_is_elsewhere(pool_uuid(pool), name))
		return g_strdup_printf(
		    "%s/%s", virStoragePoolObjGetDef(pool)->name, name);
	return g_strdup(name);
}

void
volume_fill(virStorageVolDef *def, virStoragePoolObj *pool, const char *prefix,
    const struct share_view *view, const struct share_volume *volume)
{
	char name[SHARE_LONG_NAME_MAX];

	share_long_name(volume, name);
	g_free(def->name);
	g_free(def->key);
	g_free(def->target.path);
	def->name = g_strdup(name);
	def->key = key_of(pool, volume->name);
	def->target.path = path_of(prefix, volume->number);
	def->type = VIR_STORAGE_VOL_NETWORK;
	def->target.type = VIR_STORAGE_TYPE_NETWORK;
	def->target.format = VIR_STORAGE_FILE_RAW;
	volume_update(def, prefix, view, volume);
}

int
volume_of(const virStorageVolDef *def, struct share_volume *ret_volume)
{
	int number;

	*ret_volume = (struct share_volume){.number = 0};
	if (!share_parse_name(def->name, ret_volume->name, &number)) {
		virReportError(VIR_ERR_INVALID_ARG,
		    "'%s' is no name of a volume of varve: NAME, or "
		    "NAME:0:0:LUN, of A-Z a-z 0-9 . _ -",
		    def->name);
		return -1;
	}
	ret_volume->number = number >= 0 ? (unsigned)number : 0;
	return 0;
}

bool
volume_by_path(const char *prefix, const char *path,
    const struct share_view *view, char name[SHARE_VOLUME_MAX])
{
	for (size_t i = 0; i < view->count; i++) {
		g_autofree char *mine =
		    path_of(prefix, view->volumes[i].number);
		if (strcmp(mine, path) == 0) {
			g_strlcpy(
			    name, view->volumes[i].name, SHARE_VOLUME_MAX);
			return true;
		}
	}
	return false;
}
