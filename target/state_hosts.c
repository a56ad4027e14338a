/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hosts and their credentials.  Copies of secrets are wiped when done with.
 */
#include "target/state_sql.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOST_SELECT                                                            \
	"SELECT h.id, h.name, h.iqn, h.created, i.user, i.secret, o.user, "    \
	"o.secret, h.expires FROM hosts h "                                    \
	"LEFT JOIN credentials i ON i.host = h.id AND i.direction = 'in' "     \
	"LEFT JOIN credentials o ON o.host = h.id AND o.direction = 'out' "

static void
read_host(sqlite3_stmt *stmt, void *element)
{
	struct state_host *host = element;

	host->id = sqlite3_column_int64(stmt, 0);
	sql_text(stmt, 1, host->name, sizeof(host->name));
	sql_text(stmt, 2, host->iqn, sizeof(host->iqn));
	host->created_unix = sqlite3_column_int64(stmt, 3);
	sql_text(stmt, 4, host->chap.user, sizeof(host->chap.user));
	sql_text(stmt, 5, host->chap.secret, sizeof(host->chap.secret));
	sql_text(stmt, 6, host->mutual.user, sizeof(host->mutual.user));
	sql_text(stmt, 7, host->mutual.secret, sizeof(host->mutual.secret));
	host->expires_unix = sqlite3_column_int64(stmt, 8);
}

void
state_hosts_free(struct state_host *hosts, unsigned count)
{
	if (hosts != NULL)
		explicit_bzero(hosts, count * sizeof(*hosts));
	free(hosts);
}

/* Not sql_collect: an array that moves would leave secrets behind. */
struct hosts {
	struct state_host *array;
	unsigned count, room;
};

static int
collect_host(sqlite3_stmt *stmt, void *arg)
{
	struct hosts *hosts = arg;

	if (hosts->count == hosts->room)
		return 0;
	read_host(stmt, &hosts->array[hosts->count++]);
	return 0;
}

static int
read_count(sqlite3_stmt *stmt, void *arg)
{
	*(unsigned *)arg = (unsigned)sqlite3_column_int(stmt, 0);
	return 0;
}

int
state_hosts(
    struct state *state, struct state_host **ret_hosts, unsigned *ret_count)
{
	struct hosts hosts = {NULL, 0, 0};
	int ret = sql_run(
	    state, "SELECT count(*) FROM hosts", read_count, &hosts.room, "");

	*ret_hosts = NULL;
	*ret_count = 0;
	if (ret < 0)
		return ret;
	hosts.array = calloc(hosts.room + 1, sizeof(*hosts.array));
	if (hosts.array == NULL)
		return -ENOMEM;
	ret = sql_run(
	    state, HOST_SELECT "ORDER BY h.name", collect_host, &hosts, "");
	if (ret < 0) {
		state_hosts_free(hosts.array, hosts.count);
		return ret;
	}
	*ret_hosts = hosts.array;
	*ret_count = hosts.count;
	return 0;
}

int
state_host_find(
    struct state *state, const char *name, struct state_host *ret_host)
{
	struct hosts hosts = {ret_host, 0, 1};
	int ret;

	*ret_host = (struct state_host){.id = 0};
	ret = sql_run(state, HOST_SELECT "WHERE h.name = ?", collect_host,
	    &hosts, "s", name);
	if (ret < 0)
		return ret;
	return hosts.count > 0 ? 0 : -ENOENT;
}

static int
credentials_set(struct state *state, int64_t host, const char *direction,
    const struct state_credentials *credentials)
{
	if (credentials->user[0] == '\0')
		return sql_run(state,
		    "DELETE FROM credentials WHERE host = ? AND direction = ?",
		    NULL, NULL, "is", host, direction);
	return sql_run(state,
	    "INSERT OR REPLACE INTO credentials "
	    "(host, direction, user, secret) VALUES (?, ?, ?, ?)",
	    NULL, NULL, "isss", host, direction, credentials->user,
	    credentials->secret);
}

/* Tells a name that is taken from an initiator name that is. */
static int
taken(struct state *state, const struct state_host *host)
{
	unsigned count = 0;
	int ret = sql_run(state,
	    "SELECT count(*) FROM hosts WHERE name = ? AND id <> ?", read_count,
	    &count, "si", host->name, host->id);

	if (ret < 0)
		return ret;
	return count > 0 ? -EEXIST : -EADDRINUSE;
}

static int
credentials_of(struct state *state, const struct state_host *host)
{
	int ret = credentials_set(state, host->id, "in", &host->chap);

	if (ret < 0)
		return ret;
	return credentials_set(state, host->id, "out", &host->mutual);
}

int
state_host_add(struct state *state, struct state_host *host)
{
	int ret;

	assert(state->changing);
	host->id = 0;
	host->created_unix = (int64_t)time(NULL);
	ret = sql_run(state,
	    "INSERT INTO hosts (name, iqn, created, expires) "
	    "VALUES (?, ?, ?, ?)",
	    NULL, NULL, "ssii", host->name, host->iqn, host->created_unix,
	    host->expires_unix);
	if (ret == -EEXIST)
		return taken(state, host);
	if (ret < 0)
		return ret;
	host->id = sql_inserted(state);
	return credentials_of(state, host);
}

int
state_host_update(struct state *state, const struct state_host *host)
{
	int ret;

	assert(state->changing);
	ret = sql_run(state, "UPDATE hosts SET name = ?, iqn = ? WHERE id = ?",
	    NULL, NULL, "ssi", host->name, host->iqn, host->id);
	if (ret == -EEXIST)
		return taken(state, host);
	if (ret < 0)
		return ret;
	if (sql_changed(state) == 0)
		return -ENOENT;
	return credentials_of(state, host);
}

int
state_host_remove(struct state *state, int64_t id)
{
	int ret;

	assert(state->changing);
	ret = sql_run(
	    state, "DELETE FROM hosts WHERE id = ?", NULL, NULL, "i", id);
	if (ret < 0)
		return ret;
	return sql_changed(state) > 0 ? 0 : -ENOENT;
}
