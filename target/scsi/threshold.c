/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thresholds of thin provisioning, SBC-3 4.7.3.7 and 6.4.6, and when a unit
 * says that one was reached.  There are two, both soft: what the pool has left,
 * on its way down, and what the unit uses, on its way up.
 *
 * The first is the pool's own, at which it warns (--warn-at), as long as no
 * initiator has chosen another for this unit by MODE SELECT; then the pool's is
 * not told to this unit any more.  The second is off until somebody asks for
 * it.  To choose the default value again is to follow the pool again.
 *
 * LBPERE, mode page 01h, turns the telling off and on.
 *
 * What initiators chose is looked at when a command that writes, or a piece of
 * a copy, ends: a unit nobody writes to needs no space.
 */
#include "target/scsi/handlers.h"
#include "target/scsi/mode.h"

#define DESCRIPTOR 8u
#define ENABLED    0x80u

static const struct threshold_kind {
	uint8_t arming; /* DECREASING or INCREASING; type 000b, soft */
	uint8_t resource;
	enum attention attention;
} kinds[LUN_THRESHOLDS] = {
    {0x00, THRESHOLD_AVAILABLE, ATTENTION_THRESHOLD},
    {0x01, THRESHOLD_USED, ATTENTION_THRESHOLD_USED},
};

static uint64_t
sets_of(uint64_t bytes)
{
	return bytes >> THRESHOLD_SHIFT;
}

static void
usage_of(const struct lun *lun, struct bs_usage *ret_usage)
{
	*ret_usage = (struct bs_usage){0};
	if (lun->bs->ops->usage != NULL)
		lun->bs->ops->usage(lun->bs, ret_usage);
}

/* What it is without an initiator's choice. */
static struct lun_threshold
followed(const struct lun *lun, unsigned kind)
{
	struct lun_threshold t = {.count = 0};
	struct bs_usage usage;

	if (kinds[kind].resource != THRESHOLD_AVAILABLE)
		return t;
	usage_of(lun, &usage);
	uint64_t sets = sets_of(usage.warn_free);
	t.enabled = usage.warn_free > 0;
	t.count = sets < UINT32_MAX ? (uint32_t)sets : UINT32_MAX;
	return t;
}

/* ---- the page ---- */

static void
put(uint8_t *to, const struct threshold_kind *kind,
    const struct lun_threshold *threshold)
{
	to[0] = kind->arming | (threshold->enabled ? ENABLED : 0);
	to[1] = kind->resource;
	store_be32(to + 4, threshold->count);
}

void
threshold_build(const struct lun *lun, const struct lun_mode *mode,
    enum page_control control, uint8_t *page)
{
	for (unsigned i = 0; i < LUN_THRESHOLDS; i++) {
		uint8_t *to = page + MODE_THRESHOLD_AT + DESCRIPTOR * i;
		struct lun_threshold t = followed(lun, i);
		if (control == PC_CHANGEABLE) {
			to[0] = ENABLED;
			store_be32(to + 4, UINT32_MAX);
			continue;
		}
		put(to, &kinds[i],
		    mode->threshold[i].own ? &mode->threshold[i] : &t);
	}
}

static bool
is_same(const struct lun_threshold *a, const struct lun_threshold *b)
{
	return a->enabled == b->enabled && a->count == b->count;
}

void
threshold_show(struct lun *lun)
{
	for (unsigned i = 0; i < LUN_THRESHOLDS; i++) {
		if (!lun->mode.threshold[i].own)
			lun->threshold_shown[i] = followed(lun, i);
	}
}

/* A threshold that comes back as it was read is no choice, also if the pool
 * has got another meanwhile. */
void
threshold_take(
    const struct lun *lun, struct lun_mode *mode, const uint8_t *page)
{
	for (unsigned i = 0; i < LUN_THRESHOLDS; i++) {
		const uint8_t *from = page + MODE_THRESHOLD_AT + DESCRIPTOR * i;
		struct lun_threshold t = followed(lun, i);
		struct lun_threshold chosen = {
		    .own = true,
		    .enabled = from[0] & ENABLED,
		    .count = load_be32(from + 4),
		};
		if (is_same(&chosen, &t) ||
		    is_same(&chosen, &lun->threshold_shown[i]))
			chosen = (struct lun_threshold){.own = false};
		mode->threshold[i] = chosen;
	}
}

/* ---- when one is reached ---- */

static bool
is_watched(const struct lun *lun, unsigned kind)
{
	return lun->mode.tells_thresholds && lun->mode.threshold[kind].own &&
	       lun->mode.threshold[kind].enabled;
}

static bool
is_reached(const struct lun *lun, unsigned kind, const struct bs_usage *usage)
{
	uint32_t count = lun->mode.threshold[kind].count;

	return kinds[kind].resource == THRESHOLD_AVAILABLE
		   ? sets_of(usage->free) <= count
		   : sets_of(usage->used) >= count;
}

/* Told once each time that it is reached. */
void
threshold_look(struct lun *lun)
{
	struct bs_usage usage;

	if (!is_watched(lun, 0) && !is_watched(lun, 1))
		return;
	usage_of(lun, &usage);
	for (unsigned i = 0; i < LUN_THRESHOLDS; i++) {
		bool reached = is_watched(lun, i) && is_reached(lun, i, &usage);
		if (reached && !lun->threshold_told[i])
			attention_set_lun(lun, kinds[i].attention, NULL);
		lun->threshold_told[i] = reached;
	}
}

void
lun_threshold_reached(struct lun *lun)
{
	ASSERT_MAGIC(lun, LUN_MAGIC);
	if (lun->mode.tells_thresholds && !lun->mode.threshold[0].own)
		attention_set_lun(lun, ATTENTION_THRESHOLD, NULL);
}
