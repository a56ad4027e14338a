/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * health: what is not as it should be; here the server itself.
 */
#include "target/health.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

void
health_finding(struct health *f, const char *severity, const char *code,
    json_t *fix, const char *what, ...)
{
	char *text;
	va_list args;

	va_start(args, what);
	int length = vasprintf(&text, what, args);
	va_end(args);
	assert(length >= 0);
	json_array_append_new(
	    f->items, json_pack("{s:s, s:s, s:o, s:o}", "severity", severity,
			  "code", code, "what", json_text(text), "fix", fix));
	free(text);
}

/* ---- the server ---- */

static void
look_at_portals(struct health *f)
{
	struct house_portal *portal;

	if (list_empty(&f->house->portals))
		health_finding(f, "warning", "portal.none",
		    json_textf("varve portal add ADDRESS"),
		    "there is no portal: no initiator can connect");
	list_for_each (portal, &f->house->portals, link) {
		if (!portal->listening)
			health_finding(f, "error", "portal.not-listening",
			    json_textf("ip addr; ss -ltnp; varve portal "
				       "remove %s",
				portal->row.address),
			    "portal %s does not listen: %s",
			    portal->row.address, portal->problem);
	}
}

static void
look_at_paths(struct health *f)
{
	struct house_portal *portal,
	    *first = list_first(&f->house->portals, struct house_portal, link);
	unsigned paths = 0;

	list_for_each (portal, &f->house->portals, link) {
		if (port_access_is_active(
			house_ports_access(f->house, portal->row.tag)))
			paths++;
	}
	if (paths == 0 && first != NULL)
		health_finding(f, "warning", "portal.no-path",
		    json_textf("varve portal set %s --access optimized",
			first->row.address),
		    "no portal is active: hosts cannot use their LUNs");
}

/* CHAP needs no clock, but audit rows and times of LUNs do. */
static void
look_at_clock(struct health *f)
{
	const int64_t release = 1767225600; /* 2026-01-01 */
	int64_t now = (int64_t)time(NULL);

	if (now < release)
		health_finding(f, "warning", "clock.wrong",
		    json_textf("timedatectl set-ntp true"),
		    "the clock of this machine is before varve was written");
	else if (now < f->house->started_unix)
		health_finding(f, "warning", "clock.backwards",
		    json_textf("timedatectl status"),
		    "the clock of this machine went back to before varved "
		    "started");
}

json_t *
health_look(struct house *house, const struct survey *survey)
{
	struct health h = {.house = house, .survey = survey};

	if (state_exports(house->state, &h.exports.rows, &h.exports.count) < 0)
		return NULL;
	h.items = json_array();
	health_pools(&h);
	look_at_portals(&h);
	look_at_paths(&h);
	health_exports(&h);
	health_policies(&h);
	look_at_clock(&h);
	free(h.exports.rows);
	return h.items;
}

static void
health_answer(struct request *request)
{
	json_t *items = health_look(request->house, request->survey);

	if (items != NULL)
		request_answer_items(request, items);
	else
		request_fail(
		    request, fault_internal("the state cannot be read", -EIO));
}

void
method_health(struct request *request)
{
	method_survey_also(request, "", "", HEALTH_SURVEY, health_answer);
}
