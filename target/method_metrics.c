/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics: the figures of the server itself, and those of all the rest.
 */
#include "base/version.h"
#include "target/health.h"
#include "target/metrics.h"
#include <string.h>

/* ---- the server ---- */

static void
server_write(struct exposition *e, const struct house *house)
{
	const struct label version[] = {
	    {"version", VARVE_VERSION}, {NULL, NULL}};

	exposition_family(e, &(struct metric){"varve_build_info", METRIC_GAUGE,
				 "1, with the version of varved."});
	exposition_count(e, version, 1);
	exposition_family(
	    e, &(struct metric){"varve_start_time_seconds", METRIC_GAUGE,
		   "When varved started, in seconds since 1970."});
	exposition_count(e, NULL, (uint64_t)house->started_unix);
}

/* clang-format off */
#define I(field, name, type, help) \
	FIGURE(iscsi_server_stat, field, "varve_iscsi_" name, type, help)
static const struct figure iscsi_figures[] = {
	I(connections,     "connections",          METRIC_GAUGE,   "Connections of initiators."),
	I(sessions,        "sessions",             METRIC_GAUGE,   "Sessions of initiators."),
	I(logins,          "logins_total",         METRIC_COUNTER, "Logins that came to a session."),
	I(login_failures,  "login_failures_total", METRIC_COUNTER, "Logins that were refused or given up."),
	I(chap_failures,   "chap_failures_total",  METRIC_COUNTER, "Logins that were refused for their CHAP answer."),
	I(rejects,         "rejects_total",        METRIC_COUNTER, "PDUs that were rejected."),
	I(digest_errors,   "digest_errors_total",  METRIC_COUNTER, "PDUs with a wrong digest."),
	I(timeouts,        "timeouts_total",       METRIC_COUNTER, "Connections that were dropped because they did not answer."),
	I(refused,         "refused_total",        METRIC_COUNTER, "Connections that were refused, as there are as many as may be."),
};
#undef I
/* clang-format on */

static void
iscsi_write(struct exposition *e, const struct house *house)
{
	struct iscsi_server_stat stat;

	iscsi_server_stat_get(house->server, &stat);
	for (size_t i = 0; i < ARRAY_SIZE(iscsi_figures); i++) {
		exposition_family(e, &iscsi_figures[i].metric);
		exposition_count(e, NULL, figure_get(&iscsi_figures[i], &stat));
	}
}

/* ---- health ---- */

static uint64_t
findings_of(const json_t *items, const char *severity)
{
	uint64_t count = 0;
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item) count +=
	    strcmp(param_text(item, "severity"), severity) == 0;
	return count;
}

static void
health_write(
    struct exposition *e, struct house *house, const struct survey *survey)
{
	static const char *const severities[] = {"error", "warning", "note"};
	_cleanup_json_ json_t *items = health_look(house, survey);

	exposition_family(e, &(struct metric){"varve_health_findings",
				 METRIC_GAUGE, "What varve health finds."});
	for (size_t i = 0; i < ARRAY_SIZE(severities) && items != NULL; i++) {
		const struct label labels[] = {
		    {"severity", severities[i]}, {NULL, NULL}};
		exposition_count(e, labels, findings_of(items, severities[i]));
	}
}

/* ---- all of them ---- */

static void
metrics_answer(struct request *request)
{
	struct exposition e;

	exposition_init(&e);
	server_write(&e, request->house);
	iscsi_write(&e, request->house);
	health_write(&e, request->house, request->survey);
	metrics_pools(&e, request->survey);
	metrics_policies(&e, request->house);
	metrics_backups(&e, request->house, request->survey);
	request_answer(
	    request, json_pack("{s:o}", "lines", exposition_end(&e)));
}

void
method_metrics(struct request *request)
{
	method_survey_also(
	    request, "", "", HEALTH_SURVEY | METRICS_SURVEY, metrics_answer);
}
