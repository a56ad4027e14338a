/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The logical unit: its identity, its state, and what the rest of the program
 * tells it: its size changed, its pool runs full.
 */
#include "target/scsi/lun.h"
#include "base/log.h"
#include "target/scsi/alua.h"
#include "target/scsi/copy.h"
#include "target/scsi/mode.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NAA 3, locally assigned (SPC-4 7.8.6.6.4): 60 bits that are as unique as the
 * uuid they are folded from. */
void
lun_naa_from_uuid(const uint8_t uuid[16], uint8_t ret_naa[8])
{
	for (unsigned i = 0; i < 8; i++)
		ret_naa[i] = uuid[i] ^ uuid[i + 8];
	ret_naa[0] = (uint8_t)(0x30 | (ret_naa[0] & 0x0f));
}

/* SPC-4 4.3.1: ASCII data fields hold graphic characters and spaces only. */
static bool
ascii_copy(char *to, size_t size, const char *from, const char *otherwise)
{
	if (from == NULL)
		from = otherwise;
	if (from == NULL || strlen(from) >= size)
		return false;
	for (const char *c = from; *c != '\0'; c++) {
		if (*c < 0x20 || *c > 0x7e)
			return false;
	}
	strcpy(to, from);
	return true;
}

bool
lun_identify(struct lun_identity *identity, const struct lun_params *params)
{
	*identity = (struct lun_identity){.rotation = params->rotation};
	return ascii_copy(identity->serial, sizeof(identity->serial),
		   params->serial, NULL) &&
	       ascii_copy(identity->vendor, sizeof(identity->vendor),
		   params->vendor, LUN_VENDOR) &&
	       ascii_copy(identity->product, sizeof(identity->product),
		   params->product, LUN_PRODUCT) &&
	       ascii_copy(identity->revision, sizeof(identity->revision),
		   params->revision, LUN_REVISION);
}

static bool
lun_name(struct lun *lun, const struct lun_params *params)
{
	memcpy(lun->naa, params->naa, sizeof(lun->naa));
	return lun->naa[0] >> 4 == 3 && lun_identify(&lun->identity, params) &&
	       ascii_copy(lun->label, sizeof(lun->label), params->label, "");
}

void
lun_saved_add(struct lun_saved *saved, const char *name, int64_t value)
{
	struct lun_saved_value *setting = &saved->list[saved->count];

	assert(saved->count < LUN_SAVED_MAX);
	assert(strlen(name) < sizeof(setting->name));
	strcpy(setting->name, name);
	setting->value = value;
	saved->count++;
}

bool
lun_saved_get(
    const struct lun_saved *saved, const char *name, int64_t *ret_value)
{
	for (unsigned i = 0; i < saved->count; i++) {
		if (strcmp(saved->list[i].name, name) != 0)
			continue;
		*ret_value = saved->list[i].value;
		return true;
	}
	return false;
}

/* -EINVAL: an identification that does not fit its field; -ENOMEM */
int
lun_new(const struct lun_params *params, struct lun **ret_lun)
{
	const struct backstore *bs = params->bs;

	assert(bs != NULL);
	assert(bs->block_size >= 512 && bs->block_size <= 4096);
	assert((bs->block_size & (bs->block_size - 1)) == 0);
	assert(bs->mem_align <= bs->block_size);

	struct lun *lun = calloc(1, sizeof(*lun));
	if (lun == NULL)
		return -ENOMEM;
	if (!lun_name(lun, params)) {
		free(lun);
		return -EINVAL;
	}
	lun->registry = params->registry != NULL
			    ? registry_copy(params->registry)
			    : registry_new();
	if (lun->registry == NULL) {
		free(lun);
		return -ENOMEM;
	}
	lun->magic = LUN_MAGIC;
	lun->bs = params->bs;
	lun->loop = bs->loop;
	lun->idle_since_ns = loop_now(lun->loop);
	lun->block_shift = (unsigned)__builtin_ctz(bs->block_size);
	lun->read_only = params->read_only || bs->read_only;
	lun->mode_default.write_cache = params->write_cache;
	lun->mode_default.tells_thresholds = bs->thin;
	lun->mode_saved = lun->mode_default;
	threshold_show(lun);
	if (params->saved != NULL)
		mode_from_saved(params->saved, &lun->mode_saved);
	lun->keeper = params->keeper;
	lun->keeper_arg = params->keeper_arg;
	lun->manager = params->manager;
	lun->compares = params->compares;
	lun->sanitize.percent = params->background_percent;
	if (params->sanitizing)
		lun->sanitize.state = SANITIZE_FAILED;
	lun->sanitize.exits = params->sanitize_exits;
	throttle_init(lun);
	list_init(&lun->tasks);
	list_init(&lun->aborting);
	list_init(&lun->tmfs);
	list_init(&lun->mappings);
	list_init(&lun->tokens);
	list_init(&lun->copies);
	list_init(&lun->registry_changes);
	list_init(&lun->registry_aborts);
	ports_init(lun, params->ports, params->saved);
	lun_reset(lun);
	lun_limits_set(lun, &params->limits);
	*ret_lun = lun;
	return 0;
}

/* SPC-4: a reset brings back the saved values.
 * Registrations and what they hold stay (5.12.1). */
void
lun_reset(struct lun *lun)
{
	bool off = lun->mode.write_cache && !lun->mode_saved.write_cache;

	mode_put(lun, &lun->mode_saved);
	if (off) { /* SBC-3 6.4.5 WCE: what is in the cache goes out of it */
		lun_flush_in_background(lun);
		lun->flush_wanted = lun->flush_begun + lun->flush_again;
	}
	lun->stopped = false;
	lun->reserved_by = NULL;
}

static void
lun_closed(struct loop_task *later)
{
	struct lun *lun = container_of(later, struct lun, later);
	void (*done)(void *) = lun->done;
	void *arg = lun->arg;

	assert(lun->task_count == 0);
	assert(!loop_timer_armed(&lun->throttle.timer));
	lun->magic = 0;
	registry_free(lun->registry);
	free(lun->buffer);
	free(lun);
	if (done != NULL)
		done(arg);
}

void
lun_close_check(struct lun *lun)
{
	if (!lun->closing || lun->later.queued || lun->flush.in_flight ||
	    lun->settings > 0 || sanitize_is_busy(lun) ||
	    lun->token_users > 0 || !list_empty(&lun->mappings) ||
	    !list_empty(&lun->tmfs) || !list_empty(&lun->registry_changes) ||
	    lun->registry_turn.queued)
		return;
	lun->later.run = lun_closed;
	loop_defer(lun->loop, &lun->later);
}

void
lun_free(struct lun *lun, void (*done)(void *arg), void *arg)
{
	const struct scsi_mapping *mapping;

	ASSERT_MAGIC(lun, LUN_MAGIC);
	assert(!lun->closing);
	list_for_each (mapping, &lun->mappings, link)
		assert(mapping->closing);
	lun->closing = true;
	token_revoke_all(lun);
	throttle_wake_copies(lun);
	sanitize_stop(lun);
	lun->done = done;
	lun->arg = arg;
	lun_close_check(lun);
}

void
lun_capacity_changed(struct lun *lun)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	attention_set_lun(lun, ATTENTION_CAPACITY, NULL);
	token_revoke_all(lun);
}

void
lun_data_changing(struct lun *lun)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	lun->changing = true;
	token_revoke_all(lun);
}

void
lun_data_changed(struct lun *lun)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	lun->changing = false;
}

void
lun_submit(struct lun *lun, struct bs_io *io)
{
	bool changes =
	    io->op == BS_WRITE || io->op == BS_ZERO || io->op == BS_DISCARD;

	if (changes && !list_empty(&lun->tokens))
		token_revoke_range(lun, io->offset, io->length);
	bs_submit(lun->bs, io);
}

bool
mapping_is_protected(const struct scsi_mapping *mapping, struct scsi_sense *ret)
{
	*ret = SENSE_NONE;
	if (mapping->lun->read_only || mapping->read_only)
		*ret = SENSE_WRITE_PROTECTED;
	else if (mapping->lun->mode.software_protect)
		*ret = SENSE_SOFTWARE_WRITE_PROTECTED;
	return !sense_is_good(ret);
}

/* ---- a flush that no task waits for ---- */

static void
flush_complete(struct bs_io *io, int result)
{
	struct lun *lun = container_of(io, struct lun, flush);

	ASSERT_MAGIC(lun, LUN_MAGIC);
	if (result < 0)
		/* the store stays suspect: the next flush that someone waits
		 * for fails and tells */
		log_debug("%s: flush: %s", lun->label, strerror(-result));
	lun->flush_done = lun->flush_begun;
	if (lun->flush_again)
		lun_flush_in_background(lun);
	tmf_check(lun);
}

void
lun_flush_in_background(struct lun *lun)
{
	if (!lun->bs->volatile_cache)
		return;
	if (lun->flush.in_flight) {
		lun->flush_again = true;
		return;
	}
	lun->flush_again = false;
	lun->flush_begun++;
	bs_io_init(&lun->flush);
	lun->flush.op = BS_FLUSH;
	lun->flush.complete = flush_complete;
	lun_submit(lun, &lun->flush);
}

bool
lun_reset_is_flushing(const struct lun *lun)
{
	return lun->flush_done < lun->flush_wanted;
}

void
lun_stat_get(const struct lun *lun, struct lun_stat *ret_stat)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	*ret_stat = lun->stat;
	ret_stat->tasks = lun->task_count;
	ret_stat->nexuses = lun->mapping_count;
	ret_stat->stopped = lun->stopped;
	latency_figures_get(&lun->latency, LATENCY_ALL, &ret_stat->latency);
}

const struct latency *
lun_latency(const struct lun *lun)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	return &lun->latency;
}

const char *
lun_label(const struct lun *lun)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	return lun->label;
}
