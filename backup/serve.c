/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parent listens, holds the export, and counts its children and the time;
 * it reads nothing of a client.  A child serves one client and ends.
 */
#include "backup/serve.h"
#include "backup/attachment.h"
#include "backup/problem.h"
#include "backup/serve_wire.h"
#include "backup/snap_disk.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define LOOK_MS     500
#define TICKET_TEXT 33 /* 128 bits, with its 0 */
#define NAME_ROOM   512

struct serving {
	const struct serve_params *params;
	struct attachment *attachment;
	struct serve_socket socket;
	gnutls_certificate_credentials_t credentials;
	uint64_t size;
	time_t until;
	char lun[NAME_ROOM], base[NAME_ROOM]; /* of snap.diff */
	char bookmark[NAME_ROOM];             /* "": none */
	char bitmap[NAME_ROOM];               /* "": none */
	char ticket[TICKET_TEXT];
	const char *name; /* of the export */
	pid_t children[SERVE_CLIENTS_MAX];
};

/* ---- a client ---- */

static void
admitted(const struct nbd_export *export)
{
	(void)export;
	alarm(0);
}

/* Its own connection to varved: the parent's is the parent's. */
static json_t *
child_talk(struct serving *serving, int fd)
{
	_cleanup_(varve_closep) struct varve *varve = NULL;
	struct extents_params maps[2];
	struct snap_disk disk;
	struct serve_wire wire;
	const struct nbd_export export = {
	    .name = serving->name,
	    .listed = serving->ticket[0] == '\0',
	    .bitmap = serving->bitmap[0] != '\0' ? serving->bitmap : NULL,
	    .tls_required = serving->credentials != NULL,
	    .disk = &disk.disk,
	    .admitted = admitted,
	};
	json_t *problem = varve_open(varve_url(serving->params->varve), &varve);

	if (problem == NULL)
		problem = attachment_log_in(serving->attachment);
	if (problem != NULL)
		return problem;
	maps[NBD_MAP_DATA] = (struct extents_params){
	    .varve = varve, .from = serving->lun, .to = serving->params->snap};
	maps[NBD_MAP_DIRTY] = maps[NBD_MAP_DATA];
	maps[NBD_MAP_DIRTY].from = serving->base;
	maps[NBD_MAP_DIRTY].bookmark = serving->bookmark;
	snap_disk_init(&disk, attachment_initiator(serving->attachment),
	    serving->size, maps);
	serve_wire_init(
	    &wire, fd, serving->credentials, serving->params->tls_verify);
	nbd_talk(&export, &wire.wire);
	serve_wire_done(&wire);
	snap_disk_done(&disk);
	attachment_log_out(serving->attachment);
	return NULL;
}

static void
child_run(struct serving *serving, int fd)
{
	json_t *problem;

	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(serving->socket.fd);
	/* who has not said what he wants by then is sent away */
	alarm(SERVE_ADMISSION_SECONDS);
	problem = child_talk(serving, fd);
	if (problem != NULL)
		fprintf(stderr, "a client was not served: %s\n",
		    varve_problem_what(problem));
	json_decref(problem);
	_exit(0);
}

/* ---- the parent ---- */

static pid_t *
child_slot(struct serving *serving, pid_t pid)
{
	for (unsigned i = 0; i < SERVE_CLIENTS_MAX; i++) {
		if (serving->children[i] == pid)
			return &serving->children[i];
	}
	return NULL;
}

static void
children_reap(struct serving *serving)
{
	for (unsigned i = 0; i < SERVE_CLIENTS_MAX; i++) {
		pid_t *child = &serving->children[i];
		if (*child > 0 && waitpid(*child, NULL, WNOHANG) == *child)
			*child = 0;
	}
}

static void
children_end(struct serving *serving)
{
	for (unsigned i = 0; i < SERVE_CLIENTS_MAX; i++) {
		pid_t child = serving->children[i];
		if (child <= 0)
			continue;
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

static void
client_take(struct serving *serving)
{
	_cleanup_(closep) int fd =
	    accept4(serving->socket.fd, NULL, NULL, SOCK_CLOEXEC);
	pid_t *slot = child_slot(serving, 0);

	if (fd < 0 || slot == NULL)
		return;
	*slot = fork();
	if (*slot == 0)
		child_run(serving, fd);
	if (*slot < 0)
		*slot = 0;
}

static json_t *
serve_until(struct serving *serving)
{
	struct pollfd pollfd = {.fd = serving->socket.fd, .events = POLLIN};
	json_t *problem = NULL;

	while (problem == NULL && time(NULL) < serving->until &&
	       !*serving->params->stop) {
		children_reap(serving);
		/* no more than there are slots: others wait to be accepted */
		pollfd.fd =
		    child_slot(serving, 0) != NULL ? serving->socket.fd : -1;
		if (poll(&pollfd, 1, LOOK_MS) > 0)
			client_take(serving);
		problem = attachment_renew(serving->attachment);
	}
	children_end(serving);
	return problem;
}

/* ---- before that ---- */

static void
ticket_make(struct serving *serving)
{
	uint8_t bytes[(TICKET_TEXT - 1) / 2];
	ssize_t got = getrandom(bytes, sizeof(bytes), 0);

	assert(got == (ssize_t)sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(&serving->ticket[2 * i], 3, "%02x", bytes[i]);
	serving->name = serving->ticket;
}

/* "@mon", "POOL/LUN@mon" are snapshots, else it is a bookmark. */
static json_t *
since_settle(struct serving *serving)
{
	const char *since = serving->params->since, *at;
	const struct extents_params params = {.varve = serving->params->varve,
	    .from = serving->base,
	    .to = serving->params->snap,
	    .bookmark = serving->bookmark};
	struct extents *extents;
	struct extent extent;
	json_t *problem;

	snprintf(serving->base, NAME_ROOM, "%s", serving->lun);
	if (since == NULL)
		return NULL;
	at = strchr(since, '@');
	if (at == NULL)
		snprintf(serving->bookmark, NAME_ROOM, "%s", since);
	else if (at == since)
		snprintf(serving->base, NAME_ROOM, "%.200s%.200s", serving->lun,
		    since);
	else
		snprintf(serving->base, NAME_ROOM, "%s", since);
	snprintf(serving->bitmap, NAME_ROOM, "since-%s",
	    at != NULL ? at + 1 : since);
	extents = extents_new(&params);
	problem = extents_next(extents, &extent);
	extents_free(extents);
	return problem;
}

static json_t *
snap_settle(struct serving *serving)
{
	const struct serve_params *params = serving->params;
	_cleanup_(json_decrefpp) json_t *snap = NULL;
	json_t *problem =
	    varve_item(params->varve, "snap.show", "snap", params->snap, &snap);

	if (problem != NULL)
		return problem;
	serving->size = item_number(snap, "size");
	snprintf(serving->lun, NAME_ROOM, "%.*s",
	    (int)strcspn(params->snap, "@"), params->snap);
	return since_settle(serving);
}

/* A secret name where others could connect, and nothing in the clear. */
static json_t *
socket_settle(struct serving *serving)
{
	const struct serve_params *params = serving->params;
	json_t *problem = NULL;

	serving->name = params->snap;
	if (params->tls != NULL)
		problem = serve_tls_load(
		    params->tls, params->tls_verify, &serving->credentials);
	if (problem == NULL)
		problem = serve_socket_open(params->listen, &serving->socket);
	if (problem != NULL || serving->socket.path[0] != '\0')
		return problem;
	ticket_make(serving);
	if (serving->socket.local || serving->credentials != NULL)
		return NULL;
	return problem_fix(
	    problem_why(
		backup_problem(BACKUP_TLS, "%s is not served without TLS",
		    serving->socket.address),
		"other machines can connect there, and would get data and "
		"name in the clear"),
	    "--tls DIR, with server-cert.pem and server-key.pem; or on "
	    "127.0.0.1, by ssh -L");
}

/* By the NBD project's form of URIs. */
static void
say_ready(const struct serving *serving)
{
	const struct serve_params *params = serving->params;
	const char *scheme = params->tls != NULL ? "nbds" : "nbd";
	_cleanup_(freep) char *uri = NULL;
	int length;

	if (serving->socket.path[0] != '\0')
		length = asprintf(&uri, "%s+unix:///%s?socket=%s", scheme,
		    serving->name, serving->socket.path);
	else
		length = asprintf(&uri, "%s://%s/%s", scheme,
		    serving->socket.address, serving->name);
	assert(length > 0);
	params->ready(params->arg, uri);
}

static json_t *
serve(struct serving *serving)
{
	const struct attachment_params attachment = {
	    .varve = serving->params->varve,
	    .name = serving->params->snap,
	    .portal = serving->params->portal,
	    .log_in_later = true};
	json_t *problem = snap_settle(serving);

	if (problem == NULL)
		problem = socket_settle(serving);
	if (problem == NULL)
		problem = attachment_new(&attachment, &serving->attachment);
	if (problem != NULL)
		return problem;
	say_ready(serving);
	return serve_until(serving);
}

json_t *
snap_serve(const struct serve_params *params)
{
	struct serving serving = {.params = params,
	    .socket.fd = -1,
	    .until = time(NULL) + params->ttl_seconds};
	json_t *problem = serve(&serving);

	serve_socket_close(&serving.socket);
	if (serving.credentials != NULL)
		gnutls_certificate_free_credentials(serving.credentials);
	attachment_free(serving.attachment);
	return problem;
}
