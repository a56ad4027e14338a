/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The structures of a pool as JSON, with the names of snapshot/format.h.
 */
#include "base/assert.h"
#include "snapshot/dump.h"
#include "tools/problem.h"
#include "tools/rescue_priv.h"
#include <errno.h>
#include <string.h>
#include <uuid/uuid.h>

struct dumping {
	struct rescue rescue; /* first */
	struct dump dump;
	json_t *document;
};

/* ---- values ---- */

static json_t *
number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *
uuid_text(const uint8_t uuid[16])
{
	char text[UUID_STR_LEN];

	uuid_unparse_lower(uuid, text);
	return json_string(text);
}

/* A field of fixed size, which may lack its end. */
static json_t *
name_text(const char *name, size_t size)
{
	char text[FMT_NAME + 1] = "";

	assert(size <= FMT_NAME);
	memcpy(text, name, size);
	return json_string_lossy(text);
}

static json_t *
pointer(const struct fmt_ptr *ptr)
{
	if (fmt_ptr_address(ptr) == 0 && le32_get(&ptr->birth) == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "address",
	    number(fmt_ptr_address(ptr)), "birth",
	    number(le32_get(&ptr->birth)), "gen", number(le32_get(&ptr->gen)));
}

static json_t *
root(const struct fmt_root *r)
{
	return json_pack("{s:o, s:i, s:o}", "ptr", pointer(&r->ptr), "levels",
	    (int)r->levels, "count", number(le64_get(&r->count)));
}

static void
set(json_t *object, const char *name, json_t *value)
{
	int ret = json_object_set_new(object, name, value);

	assert(ret == 0);
}

static void
add(struct dumping *d, const char *array, json_t *value)
{
	assert(value != NULL);
	json_array_append_new(json_object_get(d->document, array), value);
}

/* ---- superblock ---- */

static json_t *
devices(const struct fmt_super *super)
{
	static const char *const states[FMT_DEVICE_STATE_COUNT] = {
	    [FMT_DEVICE_MEMBER] = "member",
	    [FMT_DEVICE_EVACUATING] = "evacuating",
	    [FMT_DEVICE_REMOVED] = "removed",
	};
	json_t *array = json_array();

	for (uint32_t i = 0; i < le32_get(&super->device_count); i++) {
		const struct fmt_device *device = &super->device[i];
		uint32_t state = le32_get(&device->state);
		json_array_append_new(
		    array, json_pack("{s:o, s:o, s:o, s:s}", "uuid",
			       uuid_text(device->uuid), "size",
			       number(le64_get(&device->size)), "regions",
			       number(le64_get(&device->regions)), "state",
			       state < FMT_DEVICE_STATE_COUNT ? states[state]
							      : "unknown"));
	}
	return array;
}

static void
super_trees(json_t *object, const struct fmt_super *super)
{
	set(object, "regions", root(&super->regions));
	set(object, "versions", root(&super->versions));
	set(object, "bitmap", root(&super->bitmap));
	set(object, "dead", root(&super->dead));
	set(object, "bookmarks", root(&super->bookmarks));
	set(object, "groups", root(&super->groups));
	set(object, "lost", root(&super->lost));
}

static void
super_numbers(json_t *object, const struct fmt_super *super)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
	    {"version", le32_get(&super->version)},
	    {"gen", le64_get(&super->gen)},
	    {"compat", le64_get(&super->compat)},
	    {"ro_compat", le64_get(&super->ro_compat)},
	    {"incompat", le64_get(&super->incompat)},
	    {"created_unix", le64_get(&super->created_unix)},
	    {"written_unix", le64_get(&super->written_unix)},
	    {"region_blocks", le32_get(&super->region_blocks)},
	    {"region_count", le64_get(&super->region_count)},
	    {"epoch", le32_get(&super->epoch)},
	    {"soft_percent", super->soft_percent},
	    {"hard_percent", super->hard_percent},
	    {"next_version", le64_get(&super->next_version)},
	    {"next_group", le64_get(&super->next_group)},
	    {"checkpoint_lsn", le64_get(&super->checkpoint_lsn)},
	    {"log_start", le64_get(&super->log_start)},
	    {"log_blocks", le64_get(&super->log_blocks)},
	    {"log_tail", le64_get(&super->log_tail)},
	    {"log_seq", le64_get(&super->log_seq)},
	    {"log_incarnation", le64_get(&super->log_incarnation)},
	    {"data_blocks", le64_get(&super->data_blocks)},
	    {"meta_blocks", le64_get(&super->meta_blocks)},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		set(object, rows[i].name, number(rows[i].value));
}

static void
on_super(void *arg, const struct fmt_super *super)
{
	struct dumping *d = arg;
	json_t *object = json_object();

	set(object, "uuid", uuid_text(super->uuid));
	set(object, "name", name_text(super->name, sizeof(super->name)));
	set(object, "writer", name_text(super->writer, sizeof(super->writer)));
	super_numbers(object, super);
	super_trees(object, super);
	set(object, "device", devices(super));
	set(d->document, "super", object);
}

/* ---- tables ---- */

static void
on_region(void *arg, uint64_t index, const struct fmt_region *region)
{
	static const char *const classes[FMT_REGION_CLASS_COUNT] = {
	    [FMT_REGION_FREE] = "free",
	    [FMT_REGION_DATA] = "data",
	    [FMT_REGION_META] = "meta",
	    [FMT_REGION_LOG] = "log",
	    [FMT_REGION_BAD] = "bad",
	    [FMT_REGION_EVACUATING] = "evacuating",
	    [FMT_REGION_MIRROR] = "mirror",
	};
	const char *class = region->class < FMT_REGION_CLASS_COUNT
				? classes[region->class]
				: "impossible";

	add(arg, "regions",
	    json_pack("{s:o, s:s, s:i, s:o, s:o, s:o}", "index", number(index),
		"class", class, "device", (int)le16_get(&region->device),
		"device_region", number(le32_get(&region->device_region)),
		"free_blocks", number(le32_get(&region->free_blocks)),
		"free_chunks", number(le32_get(&region->free_chunks))));
}

static void
version_numbers(json_t *object, uint64_t slot, const struct fmt_version *v)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
	    {"slot", slot},
	    {"id", le64_get(&v->id)},
	    {"family", le64_get(&v->family)},
	    {"parent", le64_get(&v->parent)},
	    {"origin", le64_get(&v->origin)},
	    {"epoch", le32_get(&v->epoch)},
	    {"block_shift", v->block_shift},
	    {"cow_shift", v->cow_shift},
	    {"levels", v->levels},
	    {"size", le64_get(&v->size)},
	    {"live_blocks", le64_get(&v->live_blocks)},
	    {"held_blocks", le64_get(&v->held_blocks)},
	    {"cursor", le64_get(&v->cursor)},
	    {"group", le64_get(&v->group)},
	    {"created_unix", le64_get(&v->created_unix)},
	    {"deleted_unix", le64_get(&v->deleted_unix)},
	    {"bookmark_epoch", le32_get(&v->bookmark_epoch)},
	    {"flags", le32_get(&v->flags)},
	    {"account", le64_get(&v->account)},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		set(object, rows[i].name, number(rows[i].value));
}

static void
on_record(void *arg, uint64_t slot, const struct fmt_version *v)
{
	static const char *const states[FMT_VERSION_STATE_COUNT] = {
	    [FMT_VERSION_NONE] = "none",
	    [FMT_VERSION_HEAD] = "head",
	    [FMT_VERSION_SNAP] = "snap",
	    [FMT_VERSION_ZOMBIE] = "zombie",
	    [FMT_VERSION_DYING] = "dying",
	    [FMT_VERSION_DELETING] = "deleting",
	};
	json_t *object = json_object();

	set(object, "name", name_text(v->name, sizeof(v->name)));
	set(object, "uuid", uuid_text(v->uuid));
	set(object, "state",
	    json_string(v->state < FMT_VERSION_STATE_COUNT ? states[v->state]
							   : "impossible"));
	version_numbers(object, slot, v);
	set(object, "root", pointer(&v->root));
	add(arg, "versions", object);
}

static void
on_bookmark(void *arg, const struct fmt_bookmark *b)
{
	add(arg, "bookmarks",
	    json_pack("{s:o, s:o, s:o, s:o, s:o}", "name",
		name_text(b->name, sizeof(b->name)), "uuid", uuid_text(b->uuid),
		"volume", number(le64_get(&b->volume)), "epoch",
		number(le32_get(&b->epoch)), "created_unix",
		number(le64_get(&b->created_unix))));
}

static void
on_group(void *arg, const struct fmt_group *g)
{
	add(arg, "groups",
	    json_pack("{s:o, s:o, s:o, s:o}", "name",
		name_text(g->name, sizeof(g->name)), "uuid", uuid_text(g->uuid),
		"id", number(le64_get(&g->id)), "created_unix",
		number(le64_get(&g->created_unix))));
}

static void
on_lost(void *arg, const struct fmt_lost *lost)
{
	add(arg, "lost",
	    json_pack("{s:o, s:o, s:o}", "account",
		number(le32_get(&lost->account)), "birth",
		number(le32_get(&lost->birth)), "blocks",
		number(le64_get(&lost->blocks))));
}

/* ---- a map: one line each, in the order of the walk ---- */

static void
on_page(void *arg, const struct fmt_page *page, uint64_t address)
{
	add(arg, "map",
	    json_pack("{s:s, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "page",
		page->type == FMT_PAGE_FINE ? "fine"
		: page->level == 0          ? "leaf"
					    : "inner",
		"address", number(address), "level", (int)page->level, "index",
		number(le64_get(&page->index)), "birth",
		number(le32_get(&page->birth)), "gen",
		number(le32_get(&page->gen)), "used",
		number(le32_get(&page->used)), "version",
		number(le64_get(&page->version))));
}

static void
on_entry(void *arg, uint64_t chunk, const struct fmt_entry *entry)
{
	static const char *const types[] = {
	    [FMT_HOLE] = "hole",
	    [FMT_COARSE] = "coarse",
	    [FMT_FINE] = "fine",
	    [FMT_COMPRESSED] = "compressed",
	    [FMT_POISON] = "poison",
	};
	uint64_t word = le64_get(&entry->word);
	unsigned type = fmt_word_type(word);
	char mask[8];

	snprintf(mask, sizeof(mask), "%04x", fmt_word_mask(word));
	add(arg, "map",
	    json_pack("{s:o, s:s, s:o, s:s, s:o}", "chunk", number(chunk),
		"type", type < ARRAY_SIZE(types) ? types[type] : "impossible",
		"address", number(fmt_word_address(word)), "mask", mask,
		"birth", number(le32_get(&entry->birth))));
}

static void
on_sub(void *arg, unsigned n, const struct fmt_sub *sub)
{
	add(arg, "map",
	    json_pack("{s:i, s:o, s:o}", "sub", (int)n, "address",
		number(fmt_sub_address(sub)), "birth",
		number(le32_get(&sub->birth))));
}

/* ---- the run ---- */

static int
work(struct rescue *rescue)
{
	struct dumping *d = container_of(rescue, struct dumping, rescue);
	int ret = pool_dump(rescue->stores, rescue->count, rescue_step, rescue,
	    &rescue->report, &d->dump);

	if (ret == -ESRCH)
		rescue->problem = problem_new(API_NOT_FOUND, "rescue.no-lun",
		    "there is no version %llu",
		    (unsigned long long)d->dump.version);
	return ret;
}

json_t *
rescue_dump(const json_t *paths, json_int_t version, json_t **ret_result)
{
	struct dumping d = {
	    .rescue = {.paths = paths, .work = work},
	    .dump = {.version = (uint64_t)version,
		.super = on_super,
		.region = on_region,
		.record = on_record,
		.bookmark = on_bookmark,
		.group = on_group,
		.lost = on_lost,
		.page = on_page,
		.entry = on_entry,
		.sub = on_sub,
		.arg = &d},
	    .document = json_pack("{s:n, s:[], s:[], s:[], s:[], s:[]}",
		"super", "regions", "versions", "bookmarks", "groups", "lost"),
	};
	json_t *problem;

	if (version != 0)
		set(d.document, "map", json_array());
	problem = rescue_run(&d.rescue);
	set(d.document, "findings", json_incref(d.rescue.findings));
	if (problem == NULL)
		*ret_result = json_pack("{s:i, s:s, s:{s:O}}", "varve", 1,
		    "kind", "rescue.dump", "item", "document", d.document);
	rescue_done(&d.rescue);
	json_decref(d.document);
	return problem;
}
