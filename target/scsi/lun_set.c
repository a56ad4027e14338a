/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an administrator changes of a unit under way.  Its NAA is not among it:
 * that is what it is.
 */
#include "target/scsi/internal.h"
#include "target/scsi/mode.h"
#include <errno.h>
#include <string.h>

/* SPC-4 6.6.1: whoever changes INQUIRY data tells every nexus.  The data of
 * its VPD pages is INQUIRY data too. */
static void
identity_set(struct lun *lun, const struct lun_identity *identity)
{
	if (memcmp(&lun->identity, identity, sizeof(*identity)) == 0)
		return;
	lun->identity = *identity;
	attention_set_lun(lun, ATTENTION_INQUIRY, NULL);
}

/* WP is in the header of the mode parameters, WCE in a page: a change of either
 * is told as that by another's MODE SELECT is. */
static void
mode_set(struct lun *lun, const struct lun_params *params, bool cache_said)
{
	bool before = lun->mode.write_cache;
	bool cache = cache_said ? params->write_cache : before;
	bool read_only = params->read_only || lun->bs->read_only;

	if (read_only != lun->read_only || cache != before)
		attention_set_lun(lun, ATTENTION_MODE, NULL);
	lun->read_only = read_only;
	if (cache_said)
		mode_cache_said(lun, cache);
}

static void
setting_end(struct lun_setting *setting, int result)
{
	struct lun *lun = setting->lun;

	assert(lun->settings > 0);
	lun->settings--;
	setting->done(setting, result);
	lun_close_check(lun);
}

static void
setting_flushed(struct bs_io *io, int result)
{
	setting_end(container_of(io, struct lun_setting, io), result);
}

static void
setting_later(struct loop_task *task)
{
	setting_end(container_of(task, struct lun_setting, later), 0);
}

int
lun_set(struct lun *lun, const struct lun_params *params,
    struct lun_setting *setting)
{
	struct lun_identity identity;

	ASSERT_MAGIC(lun, LUN_MAGIC);
	assert(!lun->closing);
	assert(setting->done != NULL);
	if (!lun_identify(&identity, params))
		return -EINVAL;
	lun->settings++;
	setting->lun = lun;
	identity_set(lun, &identity);
	lun_limits_set(lun, &params->limits);
	mode_set(lun, params, setting->cache_said);
	if (setting->cache_said && !params->write_cache &&
	    lun->bs->volatile_cache) {
		/* what is being written flushes itself (scsi_task_end); also
		 * if it is off already: a flush before may have failed */
		bs_io_init(&setting->io);
		setting->io.op = BS_FLUSH;
		setting->io.complete = setting_flushed;
		lun_submit(lun, &setting->io);
		return 0;
	}
	setting->later = (struct loop_task){.run = setting_later};
	loop_defer(lun->loop, &setting->later);
	return 0;
}
