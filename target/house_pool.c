/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pools of the house: known, opened, closed, and what they report.
 */
#include "base/log.h"
#include "base/size.h"
#include "target/event.h"
#include "target/house.h"
#include "target/house_check.h"
#include "target/pool_work.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct house_pool *
house_pool_find(struct house *house, const char *name)
{
	struct house_pool *hp;

	list_for_each (hp, &house->pools, link) {
		if (strcmp(hp->name, name) == 0)
			return hp;
	}
	return NULL;
}

struct house_pool *
house_pool_by_id(struct house *house, int64_t id)
{
	struct house_pool *hp;

	list_for_each (hp, &house->pools, link) {
		if (hp->id == id)
			return hp;
	}
	return NULL;
}

struct house_pool *
house_pool_by_uuid(struct house *house, const uuid_t uuid)
{
	struct house_pool *hp;

	list_for_each (hp, &house->pools, link) {
		if (uuid_compare(hp->uuid, uuid) == 0)
			return hp;
	}
	return NULL;
}

unsigned
house_pool_reactor(const struct house_pool *hp)
{
	for (unsigned i = 0; i < hp->house->reactor_count; i++) {
		if (hp->house->reactors[i] == hp->loop)
			return i;
	}
	assert(!"a reactor of the house");
	return 0;
}

const char *
house_level_word(int level)
{
	static const char *const words[] = {"normal", "warn", "stop", "full"};

	assert(level >= 0 && (size_t)level < ARRAY_SIZE(words));
	return words[level];
}

/* The reactor with the fewest pools. */
struct loop *
house_next_reactor(struct house *house)
{
	unsigned pools[CONFIG_REACTORS_MAX] = {0}, best = 0;
	struct house_pool *hp;

	list_for_each (hp, &house->pools, link)
		pools[house_pool_reactor(hp)]++;
	for (unsigned i = 1; i < house->reactor_count; i++) {
		if (pools[i] < pools[best])
			best = i;
	}
	return house->reactors[best];
}

int
house_pool_add_device(struct house_pool *hp, const char *path)
{
	char **devices =
	    reallocarray(hp->devices, hp->device_count + 1, sizeof(*devices));

	if (devices == NULL)
		return -ENOMEM;
	hp->devices = devices;
	devices[hp->device_count] = strdup(path);
	if (devices[hp->device_count] == NULL)
		return -ENOMEM;
	hp->device_count++;
	return 0;
}

void
house_pool_remove_device(struct house_pool *hp, unsigned index)
{
	unsigned left = --hp->device_count - index;

	free(hp->devices[index]);
	memmove(&hp->devices[index], &hp->devices[index + 1],
	    left * sizeof(hp->devices[0]));
	memmove(&hp->stores[index], &hp->stores[index + 1],
	    left * sizeof(hp->stores[0]));
	hp->stores[hp->device_count] = NULL;
}

static void
insert_by_name(struct house_pool *hp)
{
	struct house_pool *at;

	list_for_each (at, &hp->house->pools, link) {
		if (strcmp(at->name, hp->name) > 0)
			break;
	}
	list_insert_before(&at->link, &hp->link);
}

struct house_pool *
house_pool_add(
    struct house *house, const struct state_pool *row, struct loop *loop)
{
	struct house_pool *hp = calloc(1, sizeof(*hp));

	if (hp == NULL)
		return NULL;
	hp->copies = copy_manager_new();
	if (hp->copies == NULL) {
		free(hp);
		return NULL;
	}
	hp->house = house;
	hp->id = row->id;
	hp->loop = loop;
	snprintf(hp->name, sizeof(hp->name), "%s", row->name);
	snprintf(hp->problem, sizeof(hp->problem), "not opened yet");
	uuid_parse(row->uuid, hp->uuid);
	list_init(&hp->luns);
	insert_by_name(hp);
	if (state_samples(house->state, hp->id, &hp->forecast) < 0)
		log_error("%s: its samples of space are not read", hp->name);
	for (unsigned i = 0; i < row->device_count; i++) {
		if (house_pool_add_device(hp, row->devices[i]) < 0) {
			house_pool_forget(hp);
			return NULL;
		}
	}
	return hp;
}

void
house_pool_forget(struct house_pool *hp)
{
	assert(hp->pool == NULL && list_empty(&hp->luns));
	assert(hp->check == NULL);
	list_del(&hp->link);
	house_check_free(hp->checked);
	copy_manager_free(hp->copies);
	for (unsigned i = 0; i < hp->device_count; i++)
		free(hp->devices[i]);
	free(hp->devices);
	free(hp);
}

/* ---- what pools report ---- */

/* From the reactor to home with a copy of what is, then back for the unit
 * attentions: only home knows which LUNs there are. */
struct pool_news {
	struct call call;
	struct house *house;
	uuid_t uuid;
	enum pool_event what;
	struct pool_stat stat;
	struct lun **luns;
	unsigned count;
};

static void
attention_run(struct call *call)
{
	struct pool_news *news = container_of(call, struct pool_news, call);

	for (unsigned i = 0; i < news->count; i++)
		lun_threshold_reached(news->luns[i]);
	call_finish(call, 0);
}

static void
news_free(struct call *call)
{
	struct pool_news *news = container_of(call, struct pool_news, call);

	free(news->luns);
	free(news);
}

static bool
attention_start(struct pool_news *news, struct house_pool *hp)
{
	struct house_lun *hl;
	unsigned count = 0;

	list_for_each (hl, &hp->luns, link)
		count++;
	news->luns = calloc(count + 1, sizeof(struct lun *));
	if (news->luns == NULL)
		return false;
	list_for_each (hl, &hp->luns, link)
		news->luns[news->count++] = hl->lun;
	news->call.run = attention_run;
	news->call.done = news_free;
	call_start(&news->call, hp->house->home, hp->loop);
	return true;
}

static void
news_tell_level(const struct pool_news *news, const struct house_pool *hp)
{
	const struct pool_stat *stat = &news->stat;
	char free_text[SIZE_TEXT_MAX];

	event_tell(hp->house,
	    stat->level > hp->level ? LOG_WARNING : LOG_NOTICE, "pool.level",
	    hp->name,
	    json_pack("{s:s, s:s, s:o}", "pool", hp->name, "level",
		house_level_word(stat->level), "free", json_bytes(stat->free)),
	    "%s: space: %s (%s free)", hp->name, house_level_word(stat->level),
	    size_format(stat->free, free_text));
}

static void
news_tell_state(const struct pool_news *news, const struct house_pool *hp)
{
	const struct pool_stat *stat = &news->stat;
	bool online = stat->state == POOL_ONLINE;
	const char *word = online                        ? "online"
			   : stat->state == POOL_SUSPECT ? "suspect"
							 : "read-only";

	event_tell(hp->house, online ? LOG_NOTICE : LOG_ERR, "pool.state",
	    hp->name, json_pack("{s:s, s:s}", "pool", hp->name, "state", word),
	    "%s: %s%s%s", hp->name, word, online ? "" : ": ",
	    online ? "" : stat->problem);
}

static void
news_tell_quota(const struct pool_news *news, const struct house_pool *hp)
{
	char lun[2 * POOL_NAME_MAX + 2];

	snprintf(lun, sizeof(lun), "%s/%s", hp->name, news->stat.quota_name);
	event_tell(hp->house, LOG_WARNING, "lun.quota-reached", lun,
	    json_pack("{s:s, s:s}", "pool", hp->name, "lun", lun),
	    "%s: its quota is reached: writes that need more space fail", lun);
}

static void
news_tell(const struct pool_news *news, const struct house_pool *hp)
{
	switch (news->what) {
	case POOL_EVENT_LEVEL: news_tell_level(news, hp); return;
	case POOL_EVENT_STATE: news_tell_state(news, hp); return;
	case POOL_EVENT_QUOTA: news_tell_quota(news, hp); return;
	case POOL_EVENT_HOST_FULL:
		event_tell(hp->house, LOG_ERR, "pool.host-full", hp->name,
		    json_pack("{s:s}", "pool", hp->name),
		    "%s: the file system below it has no space", hp->name);
		return;
	}
}

static void
news_at_home(struct loop_task *task)
{
	struct call *call = container_of(task, struct call, task);
	struct pool_news *news = container_of(call, struct pool_news, call);
	struct house_pool *hp = house_pool_by_uuid(news->house, news->uuid);
	bool rises;

	if (hp == NULL || hp->pool == NULL) {
		news_free(call);
		return;
	}
	news_tell(news, hp);
	rises = news->stat.level > hp->level;
	hp->level = news->stat.level;
	if (news->what != POOL_EVENT_LEVEL || !rises ||
	    !attention_start(news, hp))
		news_free(call);
}

static void
pool_event_came(void *arg, struct pool *pool, enum pool_event what)
{
	struct house *house = arg;
	struct pool_news *news = calloc(1, sizeof(*news));

	if (news == NULL)
		return; /* health shows the level all the same */
	news->house = house;
	news->what = what;
	pool_stat_get(pool, &news->stat);
	uuid_copy(news->uuid, news->stat.uuid);
	news->call.task.run = news_at_home;
	loop_post(house->home, &news->call.task);
}

struct listen_call {
	struct call call;
	struct pool *pool;
	struct house *house;
};

static void
listen_run(struct call *call)
{
	struct listen_call *l = container_of(call, struct listen_call, call);

	pool_on_event(l->pool, pool_event_came, l->house);
	pool_set_background(l->pool, l->house->config->background_percent);
	call_finish(call, 0);
}

static void
listen_done(struct call *call)
{
	free(container_of(call, struct listen_call, call));
}

/* A pool that was made or imported was not known by its uuid before. */
static void
acks_keep(struct house_pool *hp, struct pool_work *work)
{
	char uuid[UUID_STR_LEN];
	int ret;

	hp->acks = work->acks;
	work->acks.memory = NULL;
	uuid_unparse_lower(hp->uuid, uuid);
	ret = ack_file_rename(&hp->acks, hp->house->config->run_dir, uuid);
	if (ret < 0)
		log_warn("%s: %s cannot be renamed: %s", hp->name,
		    hp->acks.path, strerror(-ret));
	hp->compares = ack_file_compares(&hp->acks, loop_now(hp->house->home));
}

void
house_pool_opened(struct house_pool *hp, struct pool_work *work)
{
	struct listen_call *l = calloc(1, sizeof(*l));

	assert(hp->pool == NULL && l != NULL);
	assert(work->opened_count == hp->device_count);
	memcpy(hp->stores, work->opened, sizeof(hp->stores));
	hp->pool = work->pool;
	acks_keep(hp, work);
	hp->problem[0] = '\0';
	hp->level = 0;
	l->pool = work->pool;
	l->house = hp->house;
	l->call.run = listen_run;
	l->call.done = listen_done;
	call_start(&l->call, hp->house->home, hp->loop);
	house_flattens_resume(hp);
}

/* ---- opening and closing ---- */

/* The locks of a varved that was killed are held until the kernel has taken
 * its rings down, which is after the process is gone; what they still wrote is
 * then written. */
#define LINGER_NS       (4 * NSEC_PER_SEC)
#define LINGER_RETRY_NS (10 * NSEC_PER_MSEC)

struct pool_step {
	struct house_pool *hp;
	void (*done)(void *arg);
	void *arg;
	struct loop_timer again;
	uint64_t first_try_ns;
};

static void
step_done(struct pool_step *step)
{
	void (*done)(void *) = step->done;
	void *arg = step->arg;

	free(step);
	done(arg);
}

static void
open_finished(void *arg)
{
	struct pool_step *step = arg;

	step->hp->opening = false;
	step_done(step);
}

__attribute__((format(printf, 2, 3))) static void
open_failed(struct house_pool *hp, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(hp->problem, sizeof(hp->problem), format, args);
	va_end(args);
	event_tell(hp->house, LOG_ERR, "pool.not-open", hp->name,
	    json_pack("{s:s}", "pool", hp->name), "%s: does not open: %s",
	    hp->name, hp->problem);
}

static void
opened_tell(const struct house_pool *hp, const struct pool_stat *stat)
{
	event_tell(hp->house, LOG_NOTICE, "pool.opened", hp->name,
	    json_pack("{s:s, s:o}", "pool", hp->name, "replayed",
		json_bytes(stat->replayed_records)),
	    "%s: open, %" PRIu64 " log records replayed, %llu ms", hp->name,
	    stat->replayed_records,
	    (unsigned long long)(stat->open_ns / NSEC_PER_MSEC));
}

static void
open_problem(struct house_pool *hp, const struct pool_work *work)
{
	_cleanup_json_ json_t *fault =
	    pool_work_fault(work, "it does not open");
	const char *why = json_string_value(json_object_get(fault, "why"));

	if (work->failed_path != NULL && why[0] == '\0')
		open_failed(hp, "there is no %s", work->failed_path);
	else if (work->failed_path != NULL)
		open_failed(hp, "%s: %s", work->failed_path, why);
	else
		open_failed(hp, "%s", why);
}

static void
stranger_closed(struct pool_work *work)
{
	struct pool_step *step = work->arg;

	open_failed(step->hp, "%s holds another pool, %s", step->hp->devices[0],
	    work->name);
	pool_work_free(work);
	open_finished(step);
}

static void
stranger_close(struct pool_step *step, struct pool_work *opened)
{
	struct pool_work *work = pool_work_new_close(opened);

	snprintf(work->name, sizeof(work->name), "%s", opened->stat.name);
	work->done = stranger_closed;
	work->arg = step;
	pool_work_start(work, step->hp->house->home, step->hp->loop);
}

static void
open_done(struct pool_work *work)
{
	struct pool_step *step = work->arg;
	struct house_pool *hp = step->hp;
	struct loop *home = hp->house->home;

	if (work->result == -EBUSY && work->failed_path != NULL &&
	    loop_now(home) < step->first_try_ns + LINGER_NS) {
		loop_timer_arm(home, &step->again, LINGER_RETRY_NS);
	} else if (work->result < 0) {
		open_problem(hp, work);
		open_finished(step);
	} else if (uuid_compare(work->stat.uuid, hp->uuid) != 0) {
		stranger_close(step, work);
	} else {
		opened_tell(hp, &work->stat);
		house_pool_opened(hp, work);
		house_luns_open(hp, open_finished, step);
	}
	pool_work_free(work);
}

static void
open_start(struct pool_step *step)
{
	struct house_pool *hp = step->hp;
	struct pool_work *work = pool_work_new(POOL_WORK_OPEN);
	char uuid[UUID_STR_LEN];

	for (unsigned i = 0; i < hp->device_count; i++) {
		int ret = pool_work_add_path(work, hp->devices[i]);
		assert(ret == 0);
	}
	work->limits = hp->house->config->pool;
	uuid_unparse_lower(hp->uuid, uuid);
	pool_work_add_acks(work, hp->house->config->run_dir, uuid);
	work->done = open_done;
	work->arg = step;
	pool_work_start(work, hp->house->home, hp->loop);
}

static void
open_again(struct loop_timer *timer)
{
	open_start(container_of(timer, struct pool_step, again));
}

void
house_pool_open(struct house_pool *hp, void (*done)(void *arg), void *arg)
{
	struct pool_step *step = calloc(1, sizeof(*step));

	assert(hp->pool == NULL && !hp->opening);
	assert(step != NULL);
	*step = (struct pool_step){.hp = hp, .done = done, .arg = arg};
	step->again.expire = open_again;
	step->first_try_ns = loop_now(hp->house->home);
	hp->opening = true;
	open_start(step);
}

static void
close_done(struct pool_work *work)
{
	struct pool_step *step = work->arg;

	if (work->result < 0)
		log_error("%s: closed, but its last checkpoint failed: %s; "
			  "the log has it all",
		    step->hp->name,
		    work->request.problem[0] != '\0' ? work->request.problem
						     : strerror(-work->result));
	pool_work_free(work);
	step_done(step);
}

static void
close_next(void *arg)
{
	struct pool_step *step = arg;
	struct house_pool *hp = step->hp;
	struct house_lun *hl = list_first(&hp->luns, struct house_lun, link);
	struct pool_work *work;

	if (hl != NULL) {
		house_lun_close(hl, close_next, step);
		return;
	}
	work = pool_work_new(POOL_WORK_CLOSE);
	work->pool = hp->pool;
	work->acks = hp->acks;
	hp->acks.memory = NULL;
	hp->pool = NULL;
	snprintf(hp->problem, sizeof(hp->problem), "closed");
	work->done = close_done;
	work->arg = step;
	pool_work_start(work, hp->house->home, hp->loop);
}

void
house_pool_close(struct house_pool *hp, void (*done)(void *arg), void *arg)
{
	struct pool_step *step = calloc(1, sizeof(*step));

	assert(hp->pool != NULL && !hp->opening);
	assert(step != NULL);
	*step = (struct pool_step){.hp = hp, .done = done, .arg = arg};
	if (hp->check != NULL)
		house_check_stop(hp, close_next, step);
	else
		close_next(step);
}
