/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three hosts fight over a unit: random PERSISTENT RESERVE OUT commands, right
 * and wrong keys, paths that are lost and come back, stores that fail to keep
 * what is changed, and restarts.  After each step the unit must be what a model
 * of SPC-4 5.12 says, written apart from the code: who has registered which
 * key, who holds what, who hears of it, and whom it keeps from reading and
 * writing.  The seed of what went wrong is printed;
 * VARVE_SEED in the environment repeats it and shows each command.
 *
 * Not here: ALL_TG_PT, SPEC_I_PT and REGISTER AND MOVE (pr_out_test.c,
 * pr_register_test.c), and tasks that PREEMPT AND ABORT aborts
 * (persist_test.c).
 */
#include "tests/unit/target/scsi/support/pr.h"
#include <errno.h>
#include <stdlib.h>

#define HOSTS 3
#define SEEDS 400u
#define STEPS 250u
#define ALL   HOSTS /* holder: all who are registered */

static const char *const names[HOSTS] = {RIG_A, RIG_B, RIG_C};

enum { HEARS_REGISTRATION = 1, HEARS_PREEMPTED = 2, HEARS_RELEASED = 4 };

struct model {
	uint64_t key[HOSTS]; /* 0: not registered */
	unsigned type;       /* 0: nothing is held */
	unsigned holder;
	bool aptpl;
	unsigned hears[HOSTS];
};

struct fight {
	struct rig *rig;
	uint64_t random;
	struct model now;
};

static unsigned
any(struct fight *f, unsigned below)
{
	f->random = f->random * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(f->random >> 33) % below;
}

/* ---- the model ---- */

static bool
of_all(unsigned type)
{
	return type == WEAR || type == EAAR;
}

static bool
holds(const struct model *m, unsigned host)
{
	return m->type != 0 && m->key[host] != 0 &&
	       (m->holder == ALL || m->holder == host);
}

static unsigned
registered(const struct model *m)
{
	unsigned count = 0;

	for (unsigned i = 0; i < HOSTS; i++)
		count += m->key[i] != 0;
	return count;
}

static void
tell_others(struct model *m, unsigned host, unsigned what)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		if (i != host && m->key[i] != 0)
			m->hears[i] |= what;
	}
}

/* 5.12.11.2 */
static void
unregister(struct model *m, unsigned host)
{
	bool held = holds(m, host);

	m->key[host] = 0;
	if (!held || (m->holder == ALL && registered(m) > 0))
		return;
	if (m->type == WERO || m->type == EARO)
		tell_others(m, host, HEARS_RELEASED);
	m->type = 0;
}

static enum scsi_status
model_register(struct model *m, unsigned host, uint64_t key, uint64_t new_key,
    bool ignore, bool aptpl)
{
	if (!ignore && m->key[host] != key)
		return SCSI_RESERVATION_CONFLICT;
	if (m->key[host] == 0 && new_key == 0)
		return SCSI_GOOD; /* table 218: it does nothing */
	m->aptpl = aptpl;
	if (m->key[host] != 0 && new_key == 0)
		unregister(m, host);
	else if (new_key != 0)
		m->key[host] = new_key;
	return SCSI_GOOD;
}

static enum scsi_status
model_reserve(struct model *m, unsigned host, unsigned type)
{
	if (m->type != 0)
		return holds(m, host) && m->type == type
			   ? SCSI_GOOD
			   : SCSI_RESERVATION_CONFLICT;
	m->type = type;
	m->holder = of_all(type) ? ALL : host;
	return SCSI_GOOD;
}

static enum scsi_status
model_release(struct model *m, unsigned host, unsigned type)
{
	if (!holds(m, host))
		return SCSI_GOOD;
	if (m->type != type)
		return SCSI_CHECK_CONDITION;
	if (type != WE && type != EA)
		tell_others(m, host, HEARS_RELEASED);
	m->type = 0;
	return SCSI_GOOD;
}

static enum scsi_status
model_clear(struct model *m, unsigned host)
{
	tell_others(m, host, HEARS_PREEMPTED);
	memset(m->key, 0, sizeof(m->key));
	m->type = 0;
	return SCSI_GOOD;
}

/* Takes the registrations with that key from others, 0: from all others. */
static unsigned
take(struct model *m, unsigned host, uint64_t key)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < HOSTS; i++) {
		if (m->key[i] == 0 || (key != 0 && m->key[i] != key))
			continue;
		if (i == host) {
			taken += key != 0;
			continue;
		}
		m->key[i] = 0;
		m->hears[i] |= HEARS_REGISTRATION;
		taken++;
	}
	return taken;
}

/* 5.12.11.4 */
static enum scsi_status
model_preempt(struct model *m, unsigned host, unsigned type, uint64_t key)
{
	bool whole = m->type != 0 &&
		     (m->holder == ALL ? key == 0 : m->key[m->holder] == key);
	unsigned before = m->type;

	if (!whole && key == 0)
		return SCSI_CHECK_CONDITION;
	if (!whole) {
		struct model then = *m;
		if (take(&then, host, key) == 0)
			return SCSI_RESERVATION_CONFLICT;
		*m = then;
		/* 5.12.11.4.4: its own goes, too, if that is what it asks for;
		 * unless it holds what all hold */
		if (m->key[host] == key && !(m->type != 0 && m->holder == ALL))
			unregister(m, host);
		return SCSI_GOOD;
	}
	take(m, host, key);
	m->type = type;
	m->holder = of_all(type) ? ALL : host;
	if (type != before)
		tell_others(m, host, HEARS_RELEASED);
	return SCSI_GOOD;
}

static bool
model_keeps(const struct model *m, unsigned host, bool write)
{
	bool shared = m->type >= WERO;
	bool exclusive = m->type == EA || m->type == EARO || m->type == EAAR;

	if (m->type == 0 || holds(m, host) || (shared && m->key[host] != 0))
		return false;
	return write || exclusive;
}

/* ---- is the unit so? ---- */

static void
check_registry(const struct fight *f)
{
	const struct registry *is = pr_registry(f->rig);
	const struct model *m = &f->now;

	assert_int_equal(is->count, registered(m));
	for (unsigned i = 0; i < HOSTS; i++) {
		int at = registry_find(is, names[i], RIG_TARGET, 1);
		assert_int_equal(at >= 0 ? is->list[at].key : 0, m->key[i]);
		assert_int_equal(
		    at >= 0 && registry_is_holder(is, at), holds(m, i));
	}
	assert_int_equal(is->type, m->type);
}

static void
check_hears(const struct fight *f)
{
	static const struct {
		unsigned hears;
		enum attention attention;
	} table[] = {
	    {HEARS_REGISTRATION, ATTENTION_REGISTRATIONS_PREEMPTED},
	    {HEARS_PREEMPTED, ATTENTION_RESERVATIONS_PREEMPTED},
	    {HEARS_RELEASED, ATTENTION_RESERVATIONS_RELEASED},
	};

	for (unsigned i = 0; i < HOSTS; i++) {
		uint32_t expected = 0;
		for (unsigned k = 0; k < ARRAY_SIZE(table); k++) {
			if (f->now.hears[i] & table[k].hears)
				expected |= 1u << table[k].attention;
		}
		assert_int_equal(
		    f->rig->nexus[i]->mappings[0]->attentions, expected);
	}
}

static bool
conflicts(struct rig *rig, unsigned host, bool write)
{
	struct cmd cmd;
	bool conflict;

	CMD(&cmd, rig, write ? 0x2a : 0x28, 0, BE32(0), 0, BE16(1), 0);
	cmd.task.nexus = rig->nexus[host];
	cmd.task.expected_out = write ? rig->block_size : 0;
	if (cmd_begin(&cmd)) {
		scsi_task_drop(&cmd.task);
		return false;
	}
	conflict = cmd.task.status == SCSI_RESERVATION_CONFLICT;
	assert_true(conflict);
	cmd_release(&cmd);
	return conflict;
}

static void
check(struct fight *f)
{
	check_registry(f);
	check_hears(f);
	rig_clear_attentions(f->rig);
	memset(f->now.hears, 0, sizeof(f->now.hears));
	for (unsigned i = 0; i < HOSTS; i++) {
		for (unsigned write = 0; write < 2; write++)
			assert_int_equal(conflicts(f->rig, i, write),
			    model_keeps(&f->now, i, write));
	}
}

/* ---- steps ---- */

static enum scsi_status
model_command(struct model *m, unsigned host, enum pr_action action,
    unsigned type, uint64_t key, uint64_t action_key, bool aptpl)
{
	if (action == REGISTER || action == REGISTER_AND_IGNORE)
		return model_register(m, host, key, action_key,
		    action == REGISTER_AND_IGNORE, aptpl);
	if (m->key[host] == 0 || m->key[host] != key)
		return SCSI_RESERVATION_CONFLICT;
	switch (action) {
	case RESERVE: return model_reserve(m, host, type);
	case RELEASE: return model_release(m, host, type);
	case CLEAR: return model_clear(m, host);
	default: return model_preempt(m, host, type, action_key);
	}
}

static void
command(struct fight *f)
{
	static const enum pr_action actions[] = {REGISTER, REGISTER, RESERVE,
	    RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT, PREEMPT_AND_ABORT,
	    REGISTER_AND_IGNORE};
	enum pr_action action = actions[any(f, ARRAY_SIZE(actions))];
	unsigned host = any(f, HOSTS);
	unsigned type = pr_types[any(f, ARRAY_SIZE(pr_types))];
	uint64_t key = any(f, 8) == 0 ? any(f, 4) : f->now.key[host];
	uint64_t action_key = any(f, 4);
	bool aptpl = any(f, 2) == 0;
	struct model then = f->now;
	enum scsi_status status =
	    model_command(&then, host, action, type, key, action_key, aptpl);
	enum scsi_status is;

	f->rig->keep_error = any(f, 10) == 0 ? -EIO : 0;
	unsigned keeps = f->rig->keeps;
	bool registers = action == REGISTER || action == REGISTER_AND_IGNORE;
	is = pr_out_flags(f->rig, host, action, (uint8_t)type, key, action_key,
	    registers && aptpl ? APTPL : 0);
	if (getenv("VARVE_SEED") != NULL)
		print_message("%u of %u, type %u, keys %u %u, aptpl %u%s: %u\n",
		    action, host, type, (unsigned)key, (unsigned)action_key,
		    aptpl, f->rig->keep_error != 0 ? ", not kept" : "", is);
	if (f->rig->keep_error != 0 && f->rig->keeps > keeps) {
		/* it could not be kept, so it has not happened */
		assert_int_equal(is, SCSI_CHECK_CONDITION);
	} else {
		if (is != status)
			print_error("action %u by %u, type %u, keys %u %u: %u, "
				    "not %u\n",
			    action, host, type, (unsigned)key,
			    (unsigned)action_key, is, status);
		assert_int_equal(is, status);
		if (status == SCSI_GOOD)
			f->now = then;
	}
	f->rig->keep_error = 0;
}

/* A path that is lost takes nothing along. */
static void
lose_path(struct fight *f)
{
	unsigned host = any(f, HOSTS);

	scsi_nexus_free(f->rig->nexus[host], NULL, NULL);
	f->rig->nexus[host] = NULL;
	rig_drain(f->rig);
	rig_nexus(f->rig, host, names[host], RIG_TARGET, 1);
	rig_clear_attentions(f->rig);
}

static void
open_rig(struct rig *rig, struct registry *kept)
{
	rig_open(rig, &(struct rig_params){.keep = true, .registry = kept});
	rig->kept = kept;
	rig_nexus(rig, 2, RIG_C, RIG_TARGET, 1);
	rig_clear_attentions(rig);
}

/* What was asked to outlive a loss of power does, and nothing else. */
static void
restart(struct fight *f)
{
	struct registry *kept = f->rig->kept;

	if (getenv("VARVE_SEED") != NULL)
		print_message("restart\n");
	f->rig->kept = NULL;
	rig_close(f->rig);
	open_rig(f->rig, kept);
	if (f->now.aptpl)
		return;
	memset(f->now.key, 0, sizeof(f->now.key));
	f->now.type = 0;
}

static void
fight(struct rig *rig, uint64_t seed)
{
	struct fight f = {.rig = rig, .random = seed};

	for (unsigned step = 0; step < STEPS; step++) {
		unsigned what = any(&f, 20);
		if (what == 0)
			restart(&f);
		else if (what < 3)
			lose_path(&f);
		else
			command(&f);
		check(&f);
	}
}

static void
the_unit_is_what_the_standard_says_whoever_wins(void **state)
{
	const char *only = getenv("VARVE_SEED");
	uint64_t first = only != NULL ? strtoull(only, NULL, 0) : 1;
	struct rig rig;

	(void)state;
	for (uint64_t seed = first; seed < first + (only ? 1 : SEEDS); seed++) {
		print_message("VARVE_SEED=%llu\n", (unsigned long long)seed);
		open_rig(&rig, NULL);
		fight(&rig, seed);
		rig_close(&rig);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_unit_is_what_the_standard_says_whoever_wins),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
