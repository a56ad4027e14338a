/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/state_event.h"
#include "target/state_sql.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- events ---- */

struct addition {
	struct state_event *event;
	const char *data;
};

static int
add_step(struct state *state, void *arg)
{
	const struct addition *addition = arg;
	struct state_event *event = addition->event;
	int ret = sql_run(state,
	    "INSERT INTO events (at, level, kind, subject, text, data) "
	    "VALUES (?, ?, ?, ?, ?, ?)",
	    NULL, NULL, "iissss", event->at_unix, (int64_t)event->level,
	    event->kind, event->subject, event->text, addition->data);

	if (ret < 0)
		return ret;
	event->number = sql_inserted(state);
	return sql_run(state, "DELETE FROM events WHERE number <= ?", NULL,
	    NULL, "i", event->number - STATE_EVENTS_KEPT);
}

int
state_event_add(struct state *state, struct state_event *event)
{
	char *text = json_dumps(event->data, JSON_COMPACT);
	struct addition addition = {event, text != NULL ? text : "{}"};
	int ret = sql_in_one(state, add_step, &addition);

	free(text);
	return ret;
}

static char *
text_of(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	char *copy = strdup(text != NULL ? text : "");

	assert(copy != NULL);
	return copy;
}

static void
read_event(sqlite3_stmt *stmt, void *element)
{
	struct state_event *event = element;
	const char *data = (const char *)sqlite3_column_text(stmt, 6);

	*event = (struct state_event){
	    .number = sqlite3_column_int64(stmt, 0),
	    .at_unix = sqlite3_column_int64(stmt, 1),
	    .level = sqlite3_column_int(stmt, 2),
	    .kind = text_of(stmt, 3),
	    .subject = text_of(stmt, 4),
	    .text = text_of(stmt, 5),
	    .data = json_loads(data != NULL ? data : "", 0, NULL),
	};
	if (event->data == NULL)
		event->data = json_object();
}

static int
read_number(sqlite3_stmt *stmt, void *arg)
{
	*(int64_t *)arg = sqlite3_column_int64(stmt, 0);
	return 0;
}

#define EVENTS_WANTED                                                          \
	"SELECT number, at, level, kind, subject, text, data FROM events "     \
	"WHERE number > ?1 AND level <= ?2 "                                   \
	"AND (?3 IS NULL OR substr(kind, 1, length(?3)) = ?3) "                \
	"AND (?4 IS NULL OR subject = ?4) ORDER BY number "

int
state_events(struct state *state, const struct event_query *query,
    struct state_event **ret_events, unsigned *ret_count, int64_t *ret_reached)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_event), .read = read_event};
	int64_t newest = 0;
	int ret = sql_run(
	    state, "SELECT max(number) FROM events", read_number, &newest, "");

	if (ret == 0)
		ret = sql_run(state,
		    query->newest ? "SELECT * FROM (" EVENTS_WANTED
				    "DESC LIMIT ?5) ORDER BY number"
				  : EVENTS_WANTED "LIMIT ?5",
		    sql_collect, &rows, "iinnu",
		    query->newest ? INT64_C(-1) : query->after,
		    (int64_t)query->level,
		    query->kind != NULL ? query->kind : "",
		    query->subject != NULL ? query->subject : "", query->limit);
	*ret_events = rows.array;
	*ret_count = rows.count;
	if (ret < 0)
		return ret;
	if (!query->newest && rows.count == query->limit && rows.count > 0)
		newest = (*ret_events)[rows.count - 1].number;
	*ret_reached = newest > query->after ? newest : query->after;
	return 0;
}

void
state_events_free(struct state_event *events, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		free((char *)(uintptr_t)events[i].kind);
		free((char *)(uintptr_t)events[i].subject);
		free((char *)(uintptr_t)events[i].text);
		json_decref(events[i].data);
	}
	free(events);
}

/* ---- backups ---- */

static int
put_step(struct state *state, void *arg)
{
	const struct state_backup *backup = arg;
	int ret = sql_run(state,
	    "INSERT OR REPLACE INTO backups "
	    "(pool, lun_name, policy, stamp, at, bytes) "
	    "SELECT id, ?2, ?3, ?4, ?5, ?6 FROM pools WHERE name = ?1",
	    NULL, NULL, "sssiii", backup->pool, backup->lun, backup->policy,
	    backup->stamp_unix, backup->at_unix, (int64_t)backup->bytes);

	if (ret < 0)
		return ret;
	return sql_changed(state) > 0 ? 0 : -ENOENT;
}

int
state_backup_put(struct state *state, const struct state_backup *backup)
{
	struct state_backup copy = *backup;

	return sql_in_one(state, put_step, &copy);
}

static void
read_backup(sqlite3_stmt *stmt, void *element)
{
	struct state_backup *backup = element;

	sql_text(stmt, 0, backup->pool, sizeof(backup->pool));
	sql_text(stmt, 1, backup->lun, sizeof(backup->lun));
	sql_text(stmt, 2, backup->policy, sizeof(backup->policy));
	backup->stamp_unix = sqlite3_column_int64(stmt, 3);
	backup->at_unix = sqlite3_column_int64(stmt, 4);
	backup->bytes = (uint64_t)sqlite3_column_int64(stmt, 5);
}

int
state_backups(
    struct state *state, struct state_backup **ret_backups, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_backup), .read = read_backup};
	int ret = sql_run(state,
	    "SELECT pools.name, lun_name, policy, stamp, at, bytes "
	    "FROM backups JOIN pools ON pools.id = pool "
	    "ORDER BY pools.name, lun_name",
	    sql_collect, &rows, "");

	*ret_backups = rows.array;
	*ret_count = rows.count;
	return ret;
}

/* What another LUN of that name had left is not the one's that comes. */
int
state_backups_renamed(
    struct state *state, int64_t pool_id, const char *before, const char *after)
{
	assert(state->changing);
	return sql_run(state,
	    "UPDATE OR REPLACE backups SET lun_name = ?3 "
	    "WHERE pool = ?1 AND lun_name = ?2",
	    NULL, NULL, "iss", pool_id, before, after);
}
