/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was done: the audit log, and the answers given by request_id.
 */
#include "target/state_sql.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int
state_audit_add(struct state *state, const struct state_audit *audit)
{
	int ret = sql_run(state,
	    "INSERT INTO audit (at, who, method, params, result) "
	    "VALUES (?, ?, ?, ?, ?)",
	    NULL, NULL, "issss", (int64_t)time(NULL), audit->who, audit->method,
	    audit->params, audit->result);

	if (ret < 0)
		return ret;
	return sql_run(state, "DELETE FROM audit WHERE id <= ?", NULL, NULL,
	    "i", sql_inserted(state) - STATE_AUDIT_KEPT);
}

struct answer {
	const char *digest;
	json_t *json;
	int error;
};

static int
read_answer(sqlite3_stmt *stmt, void *arg)
{
	struct answer *answer = arg;
	const char *digest = (const char *)sqlite3_column_text(stmt, 0);
	const char *text = (const char *)sqlite3_column_text(stmt, 1);

	if (digest == NULL || strcmp(digest, answer->digest) != 0) {
		answer->error = -ESTALE;
		return 0;
	}
	answer->json = json_loads(text != NULL ? text : "", 0, NULL);
	answer->error = answer->json != NULL ? 0 : -EIO;
	return 0;
}

int
state_request_find(struct state *state, const char *id, const char *digest,
    json_t **ret_answer)
{
	struct answer answer = {digest, NULL, -ENOENT};
	int ret =
	    sql_run(state, "SELECT digest, answer FROM requests WHERE id = ?",
		read_answer, &answer, "s", id);

	*ret_answer = answer.json;
	return ret < 0 ? ret : answer.error;
}

int
state_request_add(struct state *state, const char *id, const char *digest,
    const json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);
	int ret;

	if (text == NULL)
		return -ENOMEM;
	ret = sql_run(state,
	    "INSERT INTO requests (id, digest, answer, at) "
	    "VALUES (?, ?, ?, ?)",
	    NULL, NULL, "sssi", id, digest, text, (int64_t)time(NULL));
	/* it may hold a secret that was shown this once */
	explicit_bzero(text, strlen(text));
	free(text);
	if (ret < 0)
		return ret;
	return sql_run(state, "DELETE FROM requests WHERE number <= ?", NULL,
	    NULL, "i", sql_inserted(state) - STATE_REQUESTS_KEPT);
}
