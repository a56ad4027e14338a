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
	M("pool.set", method_pool_set)                                         \
	M("pool.open", method_pool_open)                                       \
	M("pool.remove", method_pool_remove)                                   \
	M("pool.check", method_pool_check)                                     \
	M("device.list", method_device_list)                                   \
	M("device.evacuate", method_device_evacuate)                           \
	M("device.remove", method_device_remove)                               \
	M("lun.create", method_lun_create)                                     \
	M("lun.list", method_lun_list)                                         \
	M("lun.show", method_lun_show)                                         \
	M("lun.stats", method_lun_stats)                                       \
	M("lun.resize", method_lun_resize)                                     \
	M("lun.set", method_lun_set)                                           \
	M("lun.rename", method_lun_rename)                                     \
	M("lun.clone", method_lun_clone)                                       \
	M("lun.rollback", method_lun_rollback)                                 \
	M("lun.flatten", method_lun_flatten)                                   \
	M("lun.delete", method_lun_delete)                                     \
	M("lun.reservations", method_lun_reservations)                         \
	M("lun.release", method_lun_release)                                   \
	M("snap.create", method_snap_create)                                   \
	M("snap.list", method_snap_list)                                       \
	M("snap.show", method_snap_show)                                       \
	M("snap.rename", method_snap_rename)                                   \
	M("snap.set", method_snap_set)                                         \
	M("snap.hold", method_snap_hold)                                       \
	M("snap.release", method_snap_release)                                 \
	M("snap.delete", method_snap_delete)                                   \
	M("snap.diff", method_snap_diff)                                       \
	M("bookmark.create", method_bookmark_create)                           \
	M("bookmark.list", method_bookmark_list)                               \
	M("bookmark.delete", method_bookmark_delete)                           \
	M("group.create", method_group_create)                                 \
	M("group.list", method_group_list)                                     \
	M("group.show", method_group_show)                                     \
	M("group.add", method_group_add)                                       \
	M("group.remove", method_group_remove)                                 \
	M("group.delete", method_group_delete)                                 \
	M("trash.list", method_trash_list)                                     \
	M("trash.restore", method_trash_restore)                               \
	M("trash.delete", method_trash_delete)                                 \
	M("trash.empty", method_trash_empty)                                   \
	M("job.list", method_job_list)                                         \
	M("job.show", method_job_show)                                         \
	M("host.add", method_host_add)                                         \
	M("host.list", method_host_list)                                       \
	M("host.show", method_host_show)                                       \
	M("host.set", method_host_set)                                         \
	M("host.connect", method_host_connect)                                 \
	M("host.remove", method_host_remove)                                   \
	M("export.add", method_export_add)                                     \
	M("export.list", method_export_list)                                   \
	M("export.set", method_export_set)                                     \
	M("export.remove", method_export_remove)                               \
	M("policy.create", method_policy_create)                               \
	M("policy.list", method_policy_list)                                   \
	M("policy.show", method_policy_show)                                   \
	M("policy.set", method_policy_set)                                     \
	M("policy.add", method_policy_add)                                     \
	M("policy.remove", method_policy_remove)                               \
	M("policy.run", method_policy_run)                                     \
	M("policy.history", method_policy_history)                             \
	M("policy.simulate", method_policy_simulate)                           \
	M("policy.delete", method_policy_delete)                               \
	M("portal.add", method_portal_add)                                     \
	M("portal.list", method_portal_list)                                   \
	M("portal.set", method_portal_set)                                     \
	M("portal.remove", method_portal_remove)                               \
	M("portal.redirect", method_portal_redirect)                           \
	M("session.list", method_session_list)                                 \
	M("session.stats", method_session_stats)                               \
	M("session.drop", method_session_drop)                                 \
	M("config.export", method_config_export)                               \
	M("config.diff", method_config_diff)                                   \
	M("config.apply", method_config_apply)                                 \
	M("top", method_top)                                                   \
	M("health", method_health)                                             \
	M("events", method_events)                                             \
	M("metrics", method_metrics)                                           \
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
/* The one at the address that the parameters have. */
bool method_find_portal(
    struct request *request, struct house_portal **ret_portal);
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
/* Of the snapshot that the parameter names, or of the LUN when it may and does
 * name one: found by method_surveyed(). */
void method_survey_version(struct request *request, const char *parameter,
    void (*next)(struct request *request));
/* Of one LUN, of a pool (lun ""), or of all (pool ""), with what `also` says;
 * fails the request when there is no such pool, or it is not open. */
void method_survey_also(struct request *request, const char *pool,
    const char *lun, unsigned also, void (*next)(struct request *request));
/* ... of the POOL or POOL/LUN that a parameter may name. */
void method_survey_of(struct request *request, const char *parameter,
    unsigned also, void (*next)(struct request *request));
/* A survey of its own shape: fill in what is given, then the same. */
struct survey *method_survey_new(struct request *request);
void method_survey_run(
    struct request *request, void (*next)(struct request *request));

/* Answers with the one LUN, the one snapshot, or the one pool, of the survey.
 */
void method_lun_answer(struct request *request);
void method_snap_answer(struct request *request);
void method_pool_answer(struct request *request);
/* The LUN's item; NULL: the request has failed. */
json_t *method_lun_item(struct request *request);
struct survey_pool *method_pool(const struct request *request);
/* May a pool warn and stop there, in percent?  False: the request has failed.
 */
bool method_levels_fit(
    struct request *request, unsigned warn_at, unsigned stop_at);
struct survey_lun *method_lun(const struct request *request);
/* Paths of the pool's devices that are being emptied, or are empty. */
json_t *devices_leaving(
    const struct survey_pool *sp, const struct house_pool *hp);
/* "flatten-5f2a9c01": the id of a job; JOB_ID_MAX with its 0. */
#define JOB_ID_MAX 24
void job_id(const struct house_job *job, char id[JOB_ID_MAX]);
/* Of the snapshots of the LUN that was surveyed, or NULL. */
struct survey_lun *method_snap_find(
    const struct request *request, const char *snap);
json_t *snap_missing(const char *pool, const char *lun, const char *snap);
struct survey_lun *method_surveyed(const struct request *request);
struct house_pool *method_house_pool(const struct request *request);

/* Answers with what the LUN or snapshot is like now; with request->item if it
 * is gone already. */
void method_look(struct request *request, const struct ref *ref);
/* ... that the parameter names now. */
void method_look_at(struct request *request, const char *parameter);
/* ... that the parameter "name" gave its name. */
void method_named_answer(struct request *request);
struct ref method_ref(const struct request *request, const char *parameter);
/* "vms/web01" or "vms/web01@mon" */
json_t *version_name(const struct survey_pool *sp, const struct survey_lun *sl);

/* ---- exports, as the state has them ---- */

struct exports {
	struct state_export *rows;
	unsigned count;
};
/* Fails the request and says false; free rows. */
bool method_exports(struct request *request, struct exports *ret_exports);
bool export_is_of_lun(const struct state_export *row, const uuid_t uuid);

/* ---- lists ---- */

/* Answers with items, which were read from the state: error is what that came
 * to, and fails the request when it is not 0.  Takes items. */
void method_answer_read(struct request *request, json_t *items, int error);

/* Appends to items what a list has of one pool. */
typedef void method_pool_items(const struct request *request,
    const struct survey_pool *sp, const struct exports *exports, json_t *items);
/* Those of all pools of the survey; exports are for add, and may be NULL. */
json_t *method_list(const struct request *request,
    const struct exports *exports, method_pool_items *add);
/* Answers with those; add gets the exports. */
void method_answer_list(struct request *request, method_pool_items *add);

/* ---- items of answers ---- */

json_t *pool_item(struct house *house, const struct survey_pool *sp);
json_t *lun_item(const struct survey *survey, const struct survey_pool *sp,
    const struct survey_lun *sl, const struct exports *exports);
json_t *snap_item(const struct survey_pool *sp, const struct survey_lun *sl,
    const struct exports *exports);
json_t *trash_item(const struct house *house, const struct survey_pool *sp,
    const struct survey_lun *sl);
json_t *job_item(const struct house_job *job);
json_t *host_item(const struct state_host *host, const struct exports *exports,
    const struct survey *survey);
void export_iqn(
    const struct state_export *row, char ret_iqn[NAMING_IQN_MAX + 8]);
#define EXPORT_DISK_MAX 48
/* A disk of this machine (carrier tcmu-loop), as udev calls it by the
 * identifier that VPD 83h has. */
void export_disk_path(
    const struct state_export *row, char ret_disk[EXPORT_DISK_MAX]);
json_t *export_item(struct house *house, const struct state_export *row);
/* The one of the parameters name and host, and all there are, whose rows are
 * the caller's.  False: the request has failed. */
bool export_find(struct request *request, struct exports *ret_all,
    struct state_export *ret_row);
/* Of that LUN and that host?  NULL: of any. */
bool export_is_of(
    const struct state_export *row, const char *lun, const char *host);
json_t *portal_item(const struct house_portal *portal);
json_t *session_item(
    const struct iscsi_session_info *info, const struct exports *exports);

/* p50, p99, p999, max. */
void latency_item(json_t *item, const struct latency_figures *figures);
json_t *session_missing(const struct request *request);

/* By GROUP or POOL/GROUP; NULL, or why not. */
json_t *group_find(const struct survey *survey, const char *text,
    const struct survey_pool **ret_sp, const char **ret_name);

/* uuid, serial, naa, created, of a LUN or a snapshot. */
void version_identity(json_t *item, const struct volume_stat *v);

/* Fails the request when a LUN cannot have that size. */
bool lun_size_check(struct request *request, uint64_t size);

/* ---- in use (method_in_use.c); doing: "delete vms/web01" ---- */

/* "cannot ...: it is in use by host kvm1 (10.0.0.21, session 12)", with one way
 * out. */
json_t *in_use_fault(const char *code, const char *doing,
    const struct iscsi_session_info *info, unsigned sessions, const char *why);
/* NULL: no session has it.  other_way: another way out, or NULL; to take the
 * export away is always one. */
json_t *session_fault(struct request *request, const struct survey_lun *sl,
    const char *doing, const char *why, const char *other_way);
/* NULL: it is not exported. */
json_t *exported_fault(struct request *request, const struct survey_lun *sl,
    const char *code, const char *doing);
/* NULL: not held.  name: "vms/web01@mon" */
json_t *held_fault(const struct survey_lun *snap, const char *code,
    const char *doing, const char *name);

#endif
