/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/libvirt/pool.h"
#include "base/cleanup.h"
#include "pool-plugin/settings.h"

#define VIR_FROM_THIS VIR_FROM_STORAGE

VIR_LOG_INIT("varve.pool");

#define SETTINGS_SYSTEM "/etc/varve/libvirt.conf"
#define ISCSI_PORT      3260

/* ---- problems ---- */

static const struct {
	const char *code;
	int error;
} codes[] = {
    {"lun.exists", VIR_ERR_STORAGE_VOL_EXIST},
    {"lun.not-found", VIR_ERR_NO_STORAGE_VOL},
    {"snap.not-found", VIR_ERR_NO_STORAGE_VOL},
    {"daemon.timeout", VIR_ERR_OPERATION_TIMEOUT},
};

/* By class; others have failed. */
static const int classes[] = {
    [VARVE_USAGE] = VIR_ERR_INVALID_ARG,
    [VARVE_CONFLICT] = VIR_ERR_OPERATION_INVALID,
    [VARVE_NOT_ALLOWED] = VIR_ERR_OPERATION_DENIED,
    [VARVE_RUNNING] = 0,
};

static int
error_of(const json_t *problem)
{
	int error = classes[varve_problem_exit(problem)];

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		if (strcmp(varve_problem_code(problem), codes[i].code) == 0)
			return codes[i].error;
	}
	return error != 0 ? error : VIR_ERR_OPERATION_FAILED;
}

/* WHAT: WHY; FIX */
static char *
text_of(const json_t *problem)
{
	const char *why = varve_problem_why(problem);
	const char *fix = json_string_value(
	    json_array_get(json_object_get(problem, "fix"), 0));

	return g_strdup_printf("%s%s%s%s%s", varve_problem_what(problem),
	    *why != '\0' ? ": " : "", why, fix != NULL ? "; " : "",
	    fix != NULL ? fix : "");
}

int
pool_report(json_t *problem)
{
	g_autofree char *text = text_of(problem);

	virReportError(error_of(problem), "%s", text);
	json_decref(problem);
	return -1;
}

void
pool_warn(virStoragePoolObj *pool, const char *doing, json_t *problem)
{
	g_autofree char *text = text_of(problem);

	VIR_WARN("pool %s: %s: %s", virStoragePoolObjGetDef(pool)->name, doing,
	    text);
	json_decref(problem);
}

/* ---- whose it is ---- */

const unsigned char *
pool_uuid(virStoragePoolObj *pool)
{
	return virStoragePoolObjGetDef(pool)->uuid;
}

/* False: nothing that varve could have. */
static bool
share_of(virStoragePoolObj *pool, struct share *share)
{
	const virStoragePoolSource *source =
	    &virStoragePoolObjGetDef(pool)->source;
	const char *iqn = source->ndevice == 1 ? source->devices[0].path : NULL;
	const char *initiator = source->initiator.iqn;

	*share = (struct share){.pool = ""};
	return iqn != NULL && initiator != NULL &&
	       g_strlcpy(share->iqn, iqn, SHARE_IQN_MAX) < SHARE_IQN_MAX &&
	       g_strlcpy(share->initiator, initiator, SHARE_IQN_MAX) <
		   SHARE_IQN_MAX;
}

bool
pool_known(virStoragePoolObj *pool, struct book_page *ret_page)
{
	struct share share;

	return share_of(pool, &share) && book_read(pool_uuid(pool), ret_page) &&
	       strcmp(ret_page->share.iqn, share.iqn) == 0 &&
	       strcmp(ret_page->share.initiator, share.initiator) == 0;
}

/* A session's libvirtd is its user's, and so are its settings. */
static char *
settings_path(void)
{
	if (geteuid() == 0)
		return g_strdup(SETTINGS_SYSTEM);
	return g_build_filename(
	    g_get_user_config_dir(), "varve", "libvirt.conf", NULL);
}

/* False: not named in the settings, or those cannot be read. */
static bool
decide_by_settings(virStoragePoolObj *pool, struct book_page *page)
{
	g_autofree char *path = settings_path();
	_cleanup_(freep) char *url = NULL;
	json_t *problem = settings_find(path, page->share.iqn, &url);

	if (problem != NULL)
		pool_warn(pool, "it is treated as a stock pool", problem);
	return url != NULL &&
	       g_strlcpy(page->url, url, BOOK_URL_MAX) < BOOK_URL_MAX;
}

static bool
decide_by_varved(virStoragePoolObj *pool, struct book_page *page)
{
	struct share_space space;
	struct talk talk;
	bool found = false;
	json_t *problem;

	if (access(VARVE_PATH_DEFAULT, F_OK) < 0)
		return false;
	g_strlcpy(page->url, VARVE_URL_DEFAULT, BOOK_URL_MAX);
	problem = talk_open(&talk, page->url, TALK_SHORT_MS);
	if (problem == NULL)
		problem = share_find_pool(&talk, &page->share, &space, &found);
	talk_close(&talk);
	if (problem != NULL)
		pool_warn(pool, "it is treated as a stock pool", problem);
	return found;
}

bool
pool_decide(virStoragePoolObj *pool, struct book_page *ret_page)
{
	struct book_page page = {.url = ""};

	if (pool_known(pool, ret_page))
		return true;
	if (!share_of(pool, &page.share) ||
	    (!decide_by_settings(pool, &page) &&
		!decide_by_varved(pool, &page))) {
		book_tear(pool_uuid(pool));
		return false;
	}
	book_write(pool_uuid(pool), &page);
	*ret_page = page;
	return true;
}

/* ---- where it is ---- */

/* HOST:PORT, as libiscsi and paths have it. */
static char *
portal_of(const virStoragePoolSource *source)
{
	const virStoragePoolSourceHost *host = source->hosts;

	if (source->nhost != 1) {
		virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
		    "Expected exactly 1 host for the storage pool");
		return NULL;
	}
	return g_strdup_printf(
	    strchr(host->name, ':') != NULL ? "[%s]:%d" : "%s:%d", host->name,
	    host->port != 0 ? host->port : ISCSI_PORT);
}

char *
pool_path_prefix(virStoragePoolObj *pool)
{
	const virStoragePoolSource *source =
	    &virStoragePoolObjGetDef(pool)->source;
	g_autofree char *portal = portal_of(source);

	return portal != NULL ? g_strdup_printf("ip-%s-iscsi-%s/", portal,
				    source->devices[0].path)
			      : NULL;
}

/* ---- its data ---- */

/* What libvirt's error of this thread says. */
static json_t *
last_error(void)
{
	json_t *problem = problem_new(
	    VARVE_FAILED, "plugin.libvirt", "%s", virGetLastErrorMessage());

	virResetLastError();
	return problem;
}

/* *ret_secret: virSecureEraseString, g_free; NULL: without CHAP. */
static json_t *
secret_of(virStorageAuthDef *auth, char **ret_secret)
{
	VIR_IDENTITY_AUTORESTORE virIdentity *identity = NULL;
	g_autoptr(virConnect) connection = NULL;
	uint8_t *value = NULL;
	size_t size = 0;

	*ret_secret = NULL;
	if (auth == NULL || auth->authType == VIR_STORAGE_AUTH_TYPE_NONE)
		return NULL;
	identity = virIdentityElevateCurrent();
	connection = identity != NULL ? virGetConnectSecret() : NULL;
	if (connection == NULL ||
	    virSecretGetSecretString(connection, &auth->seclookupdef,
		VIR_SECRET_USAGE_TYPE_ISCSI, &value, &size) < 0)
		return last_error();
	*ret_secret = g_strndup((const char *)value, size);
	virSecureErase(value, size);
	g_free(value);
	return NULL;
}

json_t *
pool_disk(virStoragePoolObj *pool, unsigned number, struct disk **ret_disk)
{
	g_autofree char *portal = NULL, *iqn = NULL, *initiator = NULL;
	g_autofree char *user = NULL, *secret = NULL;
	const virStoragePoolSource *source;
	json_t *problem;

	virObjectLock(pool);
	source = &virStoragePoolObjGetDef(pool)->source;
	portal = portal_of(source);
	iqn = g_strdup(source->devices[0].path);
	initiator = g_strdup(source->initiator.iqn);
	user = g_strdup(source->auth != NULL ? source->auth->username : NULL);
	problem =
	    portal != NULL ? secret_of(source->auth, &secret) : last_error();
	virObjectUnlock(pool);
	if (problem == NULL)
		problem = disk_open(&(struct disk_address){.portal = portal,
					.iqn = iqn,
					.initiator = initiator,
					.user = secret != NULL ? user : NULL,
					.secret = secret,
					.number = number},
		    ret_disk);
	virSecureEraseString(secret);
	return problem;
}
