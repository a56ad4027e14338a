/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods of the control API, a file per noun, and what they share.
 */
#ifndef TARGET_METHOD_H
#define TARGET_METHOD_H

#include "target/params.h"
#include "target/request.h"

/* Each row of api_commands with a method has one here, and the reverse; a test
 * says so. */
#define METHODS(M)                                                             \
	M("pool.create", method_pool_create)                                   \
	M("pool.import", method_pool_import)                                   \
	M("pool.list", method_pool_list)                                       \
	M("pool.show", method_pool_show)                                       \
	M("pool.grow", method_pool_grow)                                       \
	M("pool.open", method_pool_open)                                       \
	M("pool.remove", method_pool_remove)                                   \
	M("lun.create", method_lun_create)                                     \
	M("lun.list", method_lun_list)                                         \
	M("lun.show", method_lun_show)                                         \
	M("lun.resize", method_lun_resize)                                     \
	M("lun.rename", method_lun_rename)                                     \
	M("lun.delete", method_lun_delete)                                     \
	M("host.add", method_host_add)                                         \
	M("host.list", method_host_list)                                       \
	M("host.show", method_host_show)                                       \
	M("host.set", method_host_set)                                         \
	M("host.connect", method_host_connect)                                 \
	M("host.remove", method_host_remove)                                   \
	M("export.add", method_export_add)                                     \
	M("export.list", method_export_list)                                   \
	M("export.remove", method_export_remove)                               \
	M("portal.add", method_portal_add)                                     \
	M("portal.list", method_portal_list)                                   \
	M("portal.remove", method_portal_remove)                               \
	M("session.list", method_session_list)                                 \
	M("session.drop", method_session_drop)                                 \
	M("config.export", method_config_export)                               \
	M("config.diff", method_config_diff)                                   \
	M("config.apply", method_config_apply)                                 \
	M("top", method_top)                                                   \
	M("health", method_health)                                             \
	M("api.schema", method_api_schema)                                     \
	M("version", method_version)

#define METHOD_DECLARE(name, function) void function(struct request *request);
METHODS(METHOD_DECLARE)
#undef METHOD_DECLARE

/* ---- finding what is named; each fails the request and says false ---- */

bool method_find_pool(
    struct request *request, const char *name, struct house_pool **ret_hp);
/* ... and it is open. */
bool method_find_open_pool(
    struct request *request, const char *name, struct house_pool **ret_hp);
bool method_find_host(
    struct request *request, const char *name, struct state_host *ret_host);

/* ---- surveys: next(request) when request->survey is there ---- */

void method_survey(
    struct request *request, void (*next)(struct request *request));
/* Of the LUN that the parameter names, which exists when next is called:
 * found by method_lun(). */
void method_survey_lun(struct request *request, const char *parameter,
    void (*next)(struct request *request));
/* Without LUNs; only "": all pools. */
void method_survey_pools(struct request *request, const char *only,
    void (*next)(struct request *request));
/* Answers with the one LUN, or the one pool, of the survey. */
void method_lun_answer(struct request *request);
void method_pool_answer(struct request *request);
struct survey_pool *method_pool(const struct request *request);
struct survey_lun *method_lun(const struct request *request);

/* ---- exports, as the state has them ---- */

struct exports {
	struct state_export *rows;
	unsigned count;
};
/* Fails the request and says false; free rows. */
bool method_exports(struct request *request, struct exports *ret_exports);
bool export_is_of_lun(const struct state_export *row, const uuid_t uuid);

/* ---- items of answers ---- */

json_t *pool_item(struct house *house, const struct survey_pool *sp);
json_t *lun_item(const struct survey *survey, const struct survey_pool *sp,
    const struct survey_lun *sl, const struct exports *exports);
json_t *host_item(const struct state_host *host, const struct exports *exports,
    const struct survey *survey);
json_t *export_item(struct house *house, const struct state_export *row);
json_t *portal_item(const struct house_portal *portal);
json_t *session_item(
    const struct iscsi_session_info *info, const struct exports *exports);

/* "cannot ...: it is in use by host kvm1 (10.0.0.21, session 12)", with both
 * ways out.  doing: "delete vms/web01". */
json_t *in_use_fault(const char *code, const char *doing,
    const struct iscsi_session_info *info, unsigned sessions, const char *why);

#endif
