/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The iscsi-direct storage backend with varve's pools in it.  It changes the
 * stock backend's callbacks in place: each asks first whose the pool is, and
 * what is not varve's goes to the stock callback, or is told what libvirt says
 * where there is none.
 *
 * libvirt holds the pool's lock in all callbacks but those that make, copy and
 * wipe data; under it only short talks are held (pool-plugin/talk.h).
 */
#include "pool-plugin/libvirt/internal.h"
#include "pool-plugin/libvirt/stream.h"
#include "pool-plugin/libvirt/volume.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("varve.backend");

/* varve's LUNs are made of these. */
#define UNIT_BYTES 4096u

__attribute__((visibility("default"))) const char *varve_pool_register(void);

/* The stock callbacks. */
static virStorageBackend stock;

/* What libvirt says where a backend has no such callback. */
static int
not_supported(const char *what)
{
	virReportError(
	    VIR_ERR_NO_SUPPORT, "storage pool does not support %s", what);
	return -1;
}

/* ---- talking ---- */

/* Pool and host are looked up when they are not known yet. */
static json_t *
complete(struct talk *talk, struct book_page *page)
{
	struct share_space space;
	bool found = true;
	json_t *problem = NULL;

	if (page->share.pool[0] == '\0')
		problem = share_find_pool(talk, &page->share, &space, &found);
	if (problem == NULL && !found)
		problem = problem_new(VARVE_NOT_FOUND, "plugin.pool",
		    "varved at %s has no pool with the target %s", page->url,
		    page->share.iqn);
	if (problem == NULL && page->share.host[0] == '\0')
		problem = share_find_host(talk, &page->share);
	return problem;
}

static json_t *
open_talk(struct talk *talk, struct book_page *page, unsigned ms)
{
	json_t *problem = talk_open(talk, page->url, ms);

	return problem != NULL ? problem : complete(talk, page);
}

/* page of a pool that libvirt does not hold the lock of. */
static bool
known_unlocked(virStoragePoolObj *pool, struct book_page *ret_page)
{
	bool known;

	virObjectLock(pool);
	known = pool_known(pool, ret_page);
	virObjectUnlock(pool);
	return known;
}

static char *
prefix_unlocked(virStoragePoolObj *pool)
{
	char *prefix;

	virObjectLock(pool);
	prefix = pool_path_prefix(pool);
	virObjectUnlock(pool);
	return prefix;
}

/* ---- pools ---- */

/* Anew, so that what an administrator has mended since is seen. */
static json_t *
look_anew(virStoragePoolObj *pool, struct book_page *page, unsigned ms,
    struct share_view *ret_view)
{
	struct talk talk;
	json_t *problem = talk_open(&talk, page->url, ms);

	if (problem == NULL)
		problem = share_look(&talk, &page->share, ret_view);
	talk_close(&talk);
	if (problem == NULL) {
		book_write(pool_uuid(pool), page);
		book_set_view(pool_uuid(pool), ret_view);
	}
	return problem;
}

static int
start_pool(virStoragePoolObj *pool)
{
	struct book_page page;
	struct share_view view;
	json_t *problem;

	book_tear(pool_uuid(pool));
	if (!pool_decide(pool, &page))
		return stock.startPool != NULL ? stock.startPool(pool) : 0;
	problem = look_anew(pool, &page, TALK_START_MS, &view);
	if (problem != NULL)
		return pool_report(problem);
	share_view_done(&view);
	return 0;
}

static int
build_pool(virStoragePoolObj *pool, unsigned int flags)
{
	struct book_page page;
	struct talk talk;
	json_t *problem;

	if (!pool_decide(pool, &page))
		return stock.buildPool != NULL ? stock.buildPool(pool, flags)
					       : 0;
	/* nothing is to be built of one that is there */
	problem = open_talk(&talk, &page, TALK_SHORT_MS);
	talk_close(&talk);
	return problem != NULL ? pool_report(problem) : 0;
}

static int
stop_pool(virStoragePoolObj *pool)
{
	struct book_page page;
	bool known = pool_known(pool, &page);

	if (!known)
		return stock.stopPool != NULL ? stock.stopPool(pool) : 0;
	book_tear(pool_uuid(pool));
	return 0;
}

static int
delete_pool(virStoragePoolObj *pool, unsigned int flags)
{
	struct book_page page;

	if (!pool_decide(pool, &page))
		return stock.deletePool != NULL
			   ? stock.deletePool(pool, flags)
			   : not_supported("pool deletion");
	virReportError(VIR_ERR_OPERATION_INVALID,
	    "the pool is of all hosts of varve, and is not deleted by one: "
	    "virsh pool-undefine forgets it here, varve pool destroy deletes "
	    "it");
	return -1;
}

static int
add_volume(virStoragePoolObj *pool, const char *prefix,
    const struct share_view *view, const struct share_volume *volume)
{
	g_autoptr(virStorageVolDef) def = g_new0(virStorageVolDef, 1);

	volume_fill(def, pool, prefix, view, volume);
	if (virStoragePoolObjAddVol(pool, def) < 0) {
		virReportError(
		    VIR_ERR_INTERNAL_ERROR, "cannot add volume %s", def->name);
		return -1;
	}
	def = NULL;
	return 0;
}

static int
fill_pool(virStoragePoolObj *pool, const struct share_view *view)
{
	virStoragePoolDef *def = virStoragePoolObjGetDef(pool);
	g_autofree char *prefix = pool_path_prefix(pool);

	if (prefix == NULL)
		return -1;
	def->capacity = view->space.size;
	def->allocation = view->space.allocated;
	def->available = view->space.free;
	for (size_t i = 0; i < view->count; i++) {
		if (add_volume(pool, prefix, view, &view->volumes[i]) < 0)
			return -1;
	}
	return 0;
}

/* A failed refresh would make the pool inactive, and guests that run on it
 * would be cut off from libvirt's help: a varved that is silent costs news
 * only. */
static int
refresh_pool(virStoragePoolObj *pool)
{
	struct share_view view = {.count = 0};
	struct book_page page;
	json_t *problem;
	int ret;

	if (!pool_decide(pool, &page))
		return stock.refreshPool(pool);
	problem = look_anew(pool, &page, TALK_SHORT_MS, &view);
	if (problem != NULL && !talk_is_silence(problem))
		return pool_report(problem);
	if (problem != NULL) {
		pool_warn(pool, "volumes are shown as they were", problem);
		book_view(pool_uuid(pool), &view);
	}
	ret = fill_pool(pool, &view);
	share_view_done(&view);
	return ret;
}

/* ---- making volumes ---- */

/* The volume that is wanted, still without a number; of what it is a clone, in
 * parent ("": nothing). */
static int
wanted(virStorageVolDef *def, struct share_volume *ret_volume, int *ret_number)
{
	if (volume_of(def, ret_volume) < 0)
		return -1;
	if (strchr(ret_volume->name, '@') != NULL) {
		virReportError(VIR_ERR_INVALID_ARG, "%s",
		    "libvirt cannot make snapshots of varve: varve snap "
		    "create, and varve export add");
		return -1;
	}
	if (def->target.encryption != NULL) {
		virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
		    "varve's volumes are not encrypted by libvirt: encrypt in "
		    "the guest");
		return -1;
	}
	*ret_number =
	    strchr(def->name, ':') != NULL ? (int)ret_volume->number : -1;
	ret_volume->size =
	    (def->target.capacity + UNIT_BYTES - 1) / UNIT_BYTES * UNIT_BYTES;
	return 0;
}

/* The name of the volume that def is to be a clone of; "": of none that is
 * here.
 */
static void
parent_of(const char *prefix, const virStorageVolDef *def,
    const struct share_view *view, char name[SHARE_VOLUME_MAX])
{
	const virStorageSource *backing = def->target.backingStore;

	name[0] = '\0';
	if (backing != NULL && backing->path != NULL)
		volume_by_path(prefix, backing->path, view, name);
}

static uint64_t
size_of(const struct share_view *view, const char *name)
{
	for (size_t i = 0; i < view->count; i++) {
		if (strcmp(view->volumes[i].name, name) == 0)
			return view->volumes[i].size;
	}
	return 0;
}

/* A number that nobody has, and that nobody gets until the LUN is there. */
static int
promise(virStoragePoolObj *pool, struct book_page *page,
    struct share_volume *volume, int number)
{
	g_autofree bool *taken = g_new0(bool, SHARE_NUMBER_MAX + 1);
	struct talk talk;
	json_t *problem = open_talk(&talk, page, TALK_SHORT_MS);

	if (problem == NULL)
		problem = share_could_create(
		    &talk, &page->share, volume->name, volume->size);
	if (problem == NULL)
		problem = share_numbers(&talk, &page->share, taken);
	talk_close(&talk);
	if (problem != NULL)
		return pool_report(problem);
	book_write(pool_uuid(pool), page);
	number = book_promise(pool_uuid(pool), volume->name, number, taken);
	if (number < 0) {
		virReportError(number == -ENOSPC ? VIR_ERR_OPERATION_FAILED
						 : VIR_ERR_STORAGE_VOL_EXIST,
		    number == -ENOSPC
			? "all LUN numbers of the target are taken: '%s'"
			: "the name or its LUN number is taken: '%s'",
		    volume->name);
		return -1;
	}
	volume->number = (unsigned)number;
	return 0;
}

/* What buildVol needs besides: how much to reserve, and a parent that is none
 * here, to refuse it; buildVolFrom has another. */
static void
prepare(virStoragePoolObj *pool, const char *prefix,
    const struct share_view *view, const struct share_volume *volume,
    virStorageVolDef *def)
{
	virStorageSource *backing = g_steal_pointer(&def->target.backingStore);
	bool all = def->target.has_allocation &&
		   def->target.allocation >= def->target.capacity;

	volume_fill(def, pool, prefix, view, volume);
	def->target.allocation = all ? volume->size : 0;
	if (def->target.backingStore == NULL)
		def->target.backingStore = backing;
	else
		g_clear_pointer(&backing, virObjectUnref);
}

/* Is not told whether buildVol or buildVolFrom comes next. */
static int
create_volume(virStoragePoolObj *pool, virStorageVolDef *def)
{
	g_autofree char *prefix = NULL;
	struct share_view view;
	struct share_volume volume;
	struct book_page page;
	int number, ret;

	if (!pool_known(pool, &page))
		return stock.createVol != NULL
			   ? stock.createVol(pool, def)
			   : not_supported("volume creation");
	prefix = pool_path_prefix(pool);
	if (prefix == NULL || wanted(def, &volume, &number) < 0)
		return -1;
	book_view(pool_uuid(pool), &view);
	parent_of(prefix, def, &view, volume.parent);
	if (volume.size == 0)
		volume.size = size_of(&view, volume.parent);
	ret = promise(pool, &page, &volume, number);
	if (ret == 0)
		prepare(pool, prefix, &view, &volume, def);
	share_view_done(&view);
	return ret;
}

/* Of a volume that createVol has prepared. */
static json_t *
make_volume(
    struct book_page *page, const struct share_volume *volume, bool reserve)
{
	struct talk talk;
	json_t *problem = open_talk(&talk, page, TALK_LONG_MS);

	if (problem == NULL && volume->parent[0] != '\0')
		problem = share_clone(&talk, &page->share, volume->parent,
		    volume->name, volume->number, volume->size);
	else if (problem == NULL)
		problem = share_create(&talk, &page->share, volume->name,
		    volume->number, volume->size, reserve);
	talk_close(&talk);
	return problem;
}

/* By buildVol. */
static json_t *
make_wanted(virStoragePoolObj *pool, struct book_page *page,
    const virStorageVolDef *def, struct share_volume *volume)
{
	const virStorageSource *backing = def->target.backingStore;
	g_autofree char *prefix = prefix_unlocked(pool);
	struct share_view view;

	volume->size = def->target.capacity;
	book_view(pool_uuid(pool), &view);
	if (prefix != NULL)
		parent_of(prefix, def, &view, volume->parent);
	share_view_done(&view);
	if (backing != NULL && volume->parent[0] == '\0')
		return problem_new(VARVE_NOT_FOUND, "plugin.parent",
		    "the pool has no volume with the path %s to make a clone "
		    "of",
		    NULLSTR(backing->path));
	return make_volume(page, volume, def->target.allocation > 0);
}

static int
build_volume(virStoragePoolObj *pool, virStorageVolDef *def, unsigned int flags)
{
	const unsigned char *uuid = pool_uuid(pool);
	struct share_volume volume;
	struct book_page page;
	json_t *problem;

	if (!known_unlocked(pool, &page))
		return stock.buildVol != NULL ? stock.buildVol(pool, def, flags)
					      : 0;
	if (volume_of(def, &volume) < 0)
		return -1;
	problem = make_wanted(pool, &page, def, &volume);
	if (problem != NULL) {
		book_forget(uuid, volume.name);
		return pool_report(problem);
	}
	book_keep(uuid, &volume);
	return 0;
}

static bool
is_of(const virStorageVolDef *def, const char *prefix)
{
	return def->target.path != NULL &&
	       strncmp(def->target.path, prefix, strlen(prefix)) == 0;
}

/* Of this pool's target: data is not copied between pools. */
static int
origin_of(virStoragePoolObj *pool, const virStorageVolDef *from,
    struct share_volume *volume)
{
	g_autofree char *prefix = prefix_unlocked(pool);
	struct share_volume origin;

	if (prefix == NULL)
		return -1;
	if (!is_of(from, prefix)) {
		virReportError(VIR_ERR_NO_SUPPORT, "%s",
		    "a volume of another pool is not cloned into one of varve: "
		    "create it, then virsh vol-download and vol-upload");
		return -1;
	}
	if (volume_of(from, &origin) < 0)
		return -1;
	g_strlcpy(volume->parent, origin.name, sizeof(volume->parent));
	return 0;
}

/* After a failure libvirt calls deleteVol: what is broken is remembered. */
static int
build_volume_from(virStoragePoolObj *pool, virStorageVolDef *def,
    virStorageVolDef *from, unsigned int flags)
{
	const unsigned char *uuid = pool_uuid(pool);
	struct share_volume volume;
	struct book_page page;
	json_t *problem;

	if (!known_unlocked(pool, &page))
		return stock.buildVolFrom != NULL
			   ? stock.buildVolFrom(pool, def, from, flags)
			   : not_supported(
				 "volume creation from an existing volume");
	if (volume_of(def, &volume) < 0)
		return -1;
	volume.size = def->target.capacity;
	if (origin_of(pool, from, &volume) < 0) {
		book_break(uuid, volume.name);
		return -1;
	}
	problem = make_volume(&page, &volume, false);
	if (problem != NULL) {
		book_break(uuid, volume.name);
		return pool_report(problem);
	}
	book_keep(uuid, &volume);
	return 0;
}

/* ---- volumes that are there ---- */

/* libvirt deletes what it made just now when this fails, so silence costs news
 * only.  Of a volume that is copied from another pool it asks here, too. */
static int
refresh_volume(virStoragePoolObj *pool, virStorageVolDef *def)
{
	g_autofree char *prefix = NULL;
	struct share_volume volume;
	struct share_view view;
	struct book_page page;
	struct talk talk;
	json_t *problem;

	if (!pool_known(pool, &page))
		return stock.refreshVol != NULL ? stock.refreshVol(pool, def)
						: 0;
	prefix = pool_path_prefix(pool);
	if (prefix == NULL)
		return -1;
	if (!is_of(def, prefix))
		return 0;
	if (volume_of(def, &volume) < 0)
		return -1;
	problem = open_talk(&talk, &page, TALK_SHORT_MS);
	if (problem == NULL)
		problem = share_look_volume(&talk, &page.share, &volume);
	talk_close(&talk);
	if (problem != NULL && !talk_is_silence(problem))
		return pool_report(problem);
	if (problem != NULL) {
		pool_warn(pool, "a volume is shown as it was", problem);
		return 0;
	}
	book_view(pool_uuid(pool), &view);
	volume_update(def, prefix, &view, &volume);
	share_view_done(&view);
	return 0;
}

static int
delete_volume(
    virStoragePoolObj *pool, virStorageVolDef *def, unsigned int flags)
{
	const unsigned char *uuid = pool_uuid(pool);
	struct share_volume volume;
	struct book_page page;
	struct talk talk;
	json_t *problem;

	if (!pool_known(pool, &page))
		return stock.deleteVol != NULL
			   ? stock.deleteVol(pool, def, flags)
			   : not_supported("vol deletion");
	virCheckFlags(VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS, -1);
	if (volume_of(def, &volume) < 0)
		return -1;
	if (book_was_broken(uuid, volume.name))
		return 0;
	problem = open_talk(&talk, &page, TALK_SHORT_MS);
	if (problem == NULL)
		problem =
		    share_delete(&talk, &page.share, volume.name, volume.number,
			flags & VIR_STORAGE_VOL_DELETE_WITH_SNAPSHOTS);
	talk_close(&talk);
	if (problem != NULL)
		return pool_report(problem);
	book_drop(uuid, volume.name);
	return 0;
}

static int
resize_volume(virStoragePoolObj *pool, virStorageVolDef *def,
    unsigned long long capacity, unsigned int flags)
{
	struct share_volume volume;
	struct book_page page;
	struct talk talk;
	json_t *problem;

	if (!pool_known(pool, &page))
		return stock.resizeVol != NULL
			   ? stock.resizeVol(pool, def, capacity, flags)
			   : not_supported("changing of volume capacity");
	virCheckFlags(
	    VIR_STORAGE_VOL_RESIZE_ALLOCATE | VIR_STORAGE_VOL_RESIZE_SHRINK,
	    -1);
	if (volume_of(def, &volume) < 0)
		return -1;
	if (capacity % UNIT_BYTES != 0) {
		virReportError(VIR_ERR_INVALID_ARG,
		    "a volume's size is a multiple of 4 KiB, and %llu is not",
		    capacity);
		return -1;
	}
	problem = open_talk(&talk, &page, TALK_SHORT_MS);
	if (problem == NULL)
		problem = share_resize(&talk, &page.share, volume.name,
		    capacity, flags & VIR_STORAGE_VOL_RESIZE_SHRINK,
		    flags & VIR_STORAGE_VOL_RESIZE_ALLOCATE);
	talk_close(&talk);
	return problem != NULL ? pool_report(problem) : 0;
}

/* ---- their data ---- */

static int
open_disk(virStoragePoolObj *pool, const virStorageVolDef *def,
    struct disk **ret_disk)
{
	struct share_volume volume;
	json_t *problem;

	if (volume_of(def, &volume) < 0)
		return -1;
	problem = pool_disk(pool, volume.number, ret_disk);
	return problem != NULL ? pool_report(problem) : 0;
}

/* What snapshots keep is not wiped, and who wants zeros relies on it. */
static int
check_wipe(
    const virStorageVolDef *def, struct book_page *page, unsigned int algorithm)
{
	struct share_volume volume;
	unsigned snapshots = 0;
	struct talk talk;
	json_t *problem;

	if (algorithm == VIR_STORAGE_VOL_WIPE_ALG_TRIM)
		return 0;
	if (algorithm != VIR_STORAGE_VOL_WIPE_ALG_ZERO) {
		virReportError(VIR_ERR_INVALID_ARG,
		    "wiping algorithm %u is not supported: zero and trim are",
		    algorithm);
		return -1;
	}
	if (volume_of(def, &volume) < 0)
		return -1;
	problem = open_talk(&talk, page, TALK_LONG_MS);
	if (problem == NULL)
		problem = share_count_snapshots(
		    &talk, &page->share, volume.name, &snapshots);
	talk_close(&talk);
	if (problem != NULL)
		return pool_report(problem);
	if (snapshots == 0)
		return 0;
	virReportError(VIR_ERR_OPERATION_INVALID,
	    "%u snapshots of %s keep what is to be wiped: varve snap delete",
	    snapshots, volume.name);
	return -1;
}

static int
wipe_volume(virStoragePoolObj *pool, virStorageVolDef *def,
    unsigned int algorithm, unsigned int flags)
{
	struct book_page page;
	struct disk *disk;
	json_t *problem;

	if (!known_unlocked(pool, &page))
		return stock.wipeVol != NULL
			   ? stock.wipeVol(pool, def, algorithm, flags)
			   : not_supported("volume wiping");
	virCheckFlags(0, -1);
	if (check_wipe(def, &page, algorithm) < 0 ||
	    open_disk(pool, def, &disk) < 0)
		return -1;
	problem = disk_wipe(disk, algorithm == VIR_STORAGE_VOL_WIPE_ALG_ZERO);
	disk_close(disk);
	return problem != NULL ? pool_report(problem) : 0;
}

static int
upload_volume(virStoragePoolObj *pool, virStorageVolDef *def,
    virStreamPtr stream, unsigned long long offset, unsigned long long length,
    unsigned int flags)
{
	struct book_page page;
	struct disk *disk;

	if (!known_unlocked(pool, &page))
		return stock.uploadVol != NULL
			   ? stock.uploadVol(
				 pool, def, stream, offset, length, flags)
			   : not_supported("volume upload");
	virCheckFlags(0, -1);
	if (open_disk(pool, def, &disk) < 0)
		return -1;
	return stream_upload(stream, disk, offset, length);
}

static int
download_volume(virStoragePoolObj *pool, virStorageVolDef *def,
    virStreamPtr stream, unsigned long long offset, unsigned long long length,
    unsigned int flags)
{
	struct book_page page;
	struct disk *disk;

	if (!known_unlocked(pool, &page))
		return stock.downloadVol != NULL
			   ? stock.downloadVol(
				 pool, def, stream, offset, length, flags)
			   : not_supported("volume download");
	virCheckFlags(0, -1);
	if (open_disk(pool, def, &disk) < 0)
		return -1;
	return stream_download(stream, disk, offset, length);
}

/* ---- registering ---- */

const char *
varve_pool_register(void)
{
	virStorageBackend *backend =
	    virStorageBackendForType(VIR_STORAGE_POOL_ISCSI_DIRECT);

	if (backend == NULL || backend->refreshPool == NULL)
		return "libvirt has no iscsi-direct backend";
	stock = *backend;
	backend->startPool = start_pool;
	backend->buildPool = build_pool;
	backend->refreshPool = refresh_pool;
	backend->stopPool = stop_pool;
	backend->deletePool = delete_pool;
	backend->createVol = create_volume;
	backend->buildVol = build_volume;
	backend->buildVolFrom = build_volume_from;
	backend->refreshVol = refresh_volume;
	backend->deleteVol = delete_volume;
	backend->resizeVol = resize_volume;
	backend->wipeVol = wipe_volume;
	backend->uploadVol = upload_volume;
	backend->downloadVol = download_volume;
	VIR_INFO("varve's pools are served through the iscsi-direct backend");
	return NULL;
}
