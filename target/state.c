/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The database as a whole: opening, its version, transactions, statements.
 * The schema stands in state_schema.c, its tables in state_rows.c and
 * state_log.c.
 */
#include "target/state.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "target/state_schema.h"
#include "target/state_sql.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* ---- statements ---- */

static int
sql_error(const struct state *state, int code)
{
	switch (code) {
	case SQLITE_NOMEM: return -ENOMEM;
	case SQLITE_FULL: return -ENOSPC;
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY: return -EEXIST;
	case SQLITE_CONSTRAINT_FOREIGNKEY: return -EBUSY;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT: return -EBADMSG;
	default:
		log_error("state: %s (%d)", sqlite3_errmsg(state->db), code);
		return -EIO;
	}
}

static void
sql_bind(sqlite3_stmt *stmt, const char *types, va_list args)
{
	const char *text;
	int ret = SQLITE_OK;

	for (int i = 1; *types != '\0'; i++, types++) {
		switch (*types) {
		case 's':
		case 'n':
			text = va_arg(args, const char *);
			if (*types == 'n' && text[0] == '\0')
				text = NULL;
			ret = sqlite3_bind_text(
			    stmt, i, text, -1, SQLITE_TRANSIENT);
			break;
		case 'i':
			ret =
			    sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
			break;
		case 'u':
			ret =
			    sqlite3_bind_int64(stmt, i, va_arg(args, unsigned));
			break;
		case 'b':
			ret = sqlite3_bind_int(stmt, i, va_arg(args, int));
			break;
		default: assert(!"a known type");
		}
		assert(ret == SQLITE_OK || ret == SQLITE_NOMEM);
	}
}

int
sql_run(struct state *state, const char *sql,
    int (*row)(sqlite3_stmt *stmt, void *arg), void *arg, const char *types,
    ...)
{
	sqlite3_stmt *stmt;
	int ret = sqlite3_prepare_v2(state->db, sql, -1, &stmt, NULL);
	int stop = 0;
	va_list args;

	if (ret != SQLITE_OK)
		return sql_error(state, ret);
	va_start(args, types);
	sql_bind(stmt, types, args);
	va_end(args);
	while ((ret = sqlite3_step(stmt)) == SQLITE_ROW && stop == 0) {
		if (row != NULL)
			stop = row(stmt, arg);
	}
	if (stop == 0 && ret != SQLITE_DONE)
		stop = sql_error(state, sqlite3_extended_errcode(state->db));
	sqlite3_finalize(stmt);
	return stop;
}

int
sql_collect(sqlite3_stmt *stmt, void *arg)
{
	struct sql_rows *rows = arg;
	void *array;

	/* doubled whenever the count is a power of two */
	if ((rows->count & (rows->count - 1)) == 0) {
		size_t room = rows->count > 0 ? 2 * (size_t)rows->count : 1;
		array = reallocarray(rows->array, room, rows->size);
		if (array == NULL)
			return -ENOMEM;
		rows->array = array;
	}
	void *element = (char *)rows->array + rows->count * rows->size;
	memset(element, 0, rows->size);
	rows->read(stmt, element);
	rows->count++;
	return 0;
}

int64_t
sql_inserted(const struct state *state)
{
	return sqlite3_last_insert_rowid(state->db);
}

int
sql_changed(const struct state *state)
{
	return sqlite3_changes(state->db);
}

void
sql_text(sqlite3_stmt *stmt, int column, char *buf, size_t size)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	snprintf(buf, size, "%s", text != NULL ? (const char *)text : "");
}

/* ---- transactions ---- */

int
state_begin(struct state *state)
{
	int ret;

	assert(!state->changing);
	ret = sql_run(state, "BEGIN IMMEDIATE", NULL, NULL, "");
	state->changing = ret == 0;
	return ret;
}

int
sql_commit(struct state *state)
{
	int ret;

	assert(state->changing);
	ret = sql_run(state, "COMMIT", NULL, NULL, "");
	if (ret < 0)
		state_rollback(state);
	else
		state->changing = false;
	return ret;
}

int
state_commit(struct state *state)
{
	int ret;

	assert(state->changing);
	ret = sql_run(state,
	    "INSERT OR REPLACE INTO meta (key, value) VALUES "
	    "('generation', ?)",
	    NULL, NULL, "i", state->generation + 1);
	if (ret < 0) {
		state_rollback(state);
		return ret;
	}
	ret = sql_commit(state);
	if (ret == 0)
		state->generation++;
	return ret;
}

void
state_rollback(struct state *state)
{
	assert(state->changing);
	state->changing = false;
	/* some errors have rolled back already */
	if (!sqlite3_get_autocommit(state->db))
		sql_run(state, "ROLLBACK", NULL, NULL, "");
}

int
sql_in_one(
    struct state *state, int (*step)(struct state *state, void *arg), void *arg)
{
	int ret;

	if (state->changing)
		return step(state, arg);
	ret = state_begin(state);
	if (ret < 0)
		return ret;
	ret = step(state, arg);
	if (ret == 0)
		ret = sql_commit(state);
	else
		state_rollback(state);
	return ret;
}

int64_t
state_generation(const struct state *state)
{
	return state->generation;
}

bool
state_is_new(const struct state *state)
{
	return state->is_new;
}

/* ---- opening ---- */

static int
row_int(sqlite3_stmt *stmt, void *arg)
{
	*(int64_t *)arg = sqlite3_column_int64(stmt, 0);
	return 0;
}

static int
row_text(sqlite3_stmt *stmt, void *arg)
{
	sql_text(stmt, 0, arg, STATE_PROBLEM_MAX);
	return 0;
}

__attribute__((format(printf, 3, 4))) static int
refuse(int error, char *problem, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(problem, STATE_PROBLEM_MAX, format, args);
	va_end(args);
	return error;
}

static int
settings(struct state *state)
{
	static const char *const pragmas[] = {
	    "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL",
	    "PRAGMA foreign_keys = ON", "PRAGMA trusted_schema = OFF",
	    "PRAGMA secure_delete = ON", /* secrets do not stay in free pages */
	};
	int ret = 0;

	sqlite3_extended_result_codes(state->db, 1);
	sqlite3_busy_timeout(state->db, 2000);
	sqlite3_db_config(state->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(pragmas) && ret == 0; i++)
		ret = sql_run(state, pragmas[i], NULL, NULL, "");
	return ret;
}

static int
damaged(char *problem, const char *path, const char *verdict)
{
	return refuse(-EBADMSG, problem,
	    "the database %s is damaged: %.200s; restore it from a backup, or "
	    "move it away and import the pools anew (varve pool import)",
	    path, verdict);
}

static int
integrity(struct state *state, const char *path, char *problem)
{
	char verdict[STATE_PROBLEM_MAX] = "";
	int ret =
	    sql_run(state, "PRAGMA quick_check(1)", row_text, verdict, "");

	if (ret < 0 || strcmp(verdict, "ok") == 0)
		return ret;
	return damaged(problem, path, verdict);
}

static int
migrate(struct state *state, const char *path, char *problem)
{
	int64_t version = 0;
	int ret = sql_run(state, "PRAGMA user_version", row_int, &version, "");

	if (ret < 0)
		return ret;
	if (version < 0 || version > STATE_VERSION)
		return refuse(-EPROTO, problem,
		    "the database %s is of version %" PRId64 ", and this "
		    "varved knows up to %d: it was written by a newer varve; "
		    "install that one again",
		    path, version, STATE_VERSION);
	state->is_new = version == 0;
	return schema_migrate(state, (unsigned)version);
}

static int
prepare(struct state *state, const char *path, char *problem)
{
	int ret = settings(state);

	if (ret == 0)
		ret = integrity(state, path, problem);
	if (ret == 0)
		ret = migrate(state, path, problem);
	if (ret == 0)
		ret = sql_run(state,
		    "SELECT value FROM meta WHERE key = 'generation'", row_int,
		    &state->generation, "");
	return ret;
}

/* SQLite makes its files with the mode of the first: made by us, 0600. */
static int
make_private(const char *path)
{
	_cleanup_(closep) int fd = -1;

	if (strcmp(path, ":memory:") == 0)
		return 0;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	return fchmod(fd, 0600) < 0 ? -errno : 0;
}

int
state_open(
    const char *path, struct state **ret_state, char problem[STATE_PROBLEM_MAX])
{
	struct state *state = calloc(1, sizeof(*state));
	int ret = state != NULL ? make_private(path) : -ENOMEM;

	problem[0] = '\0';
	if (ret == 0 &&
	    sqlite3_open_v2(path, &state->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
		ret = -EIO;
	if (ret == 0)
		ret = prepare(state, path, problem);
	if (ret == 0) {
		*ret_state = state;
		return 0;
	}
	if (problem[0] == '\0' && ret == -EBADMSG)
		damaged(problem, path, "it cannot be read");
	if (problem[0] == '\0')
		refuse(ret, problem, "the database %s cannot be used: %s", path,
		    strerror(-ret));
	state_close(state);
	return ret;
}

void
state_close(struct state *state)
{
	if (state == NULL)
		return;
	assert(!state->changing);
	sqlite3_close(state->db);
	free(state);
}
