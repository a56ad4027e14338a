/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server under test: the door on one loop, the target on another, so that
 * every session changes threads.
 */
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "target/iscsi/conn.h"
#include "tests/wire/wire.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LUNS     2
#define DELAY_NS (300 * NSEC_PER_MSEC)

struct service {
	struct service_config config;
	struct loop *loops[2]; /* the door and home; the target's */
	struct iscsi_server *server;
	struct backstore *stores[LUNS];
	struct lun *luns[LUNS];
	unsigned closed;
	struct sockaddr_storage addresses[PORTALS_MORE + 1];
	/* one call at a time, run on a loop, waited for */
	struct loop_task call;
	void (*run)(struct service *service);
	sem_t done;
	enum service_view view;
	unsigned portal;
	const char *redirect;
	bool permanent;
	uint16_t tsih;
	unsigned throttled;
	struct lun_limits limits;
	int result;
	unsigned listed; /* connections */
};

static void
call_run(struct loop_task *task)
{
	struct service *s = container_of(task, struct service, call);

	s->run(s);
}

static void
call(struct service *s, unsigned loop, void (*run)(struct service *service))
{
	s->call.run = call_run;
	s->run = run;
	loop_post(s->loops[loop], &s->call);
	while (sem_wait(&s->done) < 0)
		continue;
}

static void
call_done(void *arg)
{
	struct service *s = arg;

	sem_post(&s->done);
}

/* ---- LUNs, on the target's loop ---- */

static void
luns_open(struct service *s)
{
	const struct bs_delay_params delay = {
	    .min_ns = DELAY_NS, .max_ns = DELAY_NS, .seed = 1};
	const struct port_groups groups = {
	    .count = 2, .list = {{1, ACCESS_OPTIMIZED}, {2, s->config.access}}};
	struct lun_params params = {.serial = "wire",
	    .label = "wire",
	    .ports = s->config.two_groups ? &groups : NULL};
	int ret = 0;

	for (unsigned i = 0; i < LUNS && ret == 0; i++) {
		ret = bs_mem_new(s->loops[1], 16u << 20, 512, &s->stores[i]);
		if (ret == 0 && i == 1)
			ret = bs_delay_new(s->stores[i], &delay, &s->stores[i]);
		s->stores[i]->atomic_max = 1u << 20;
		s->stores[i]->atomic_unit = 4096;
		params.bs = s->stores[i];
		params.naa[0] = 0x30;
		params.naa[7] = (uint8_t)i;
		if (ret == 0)
			ret = lun_new(&params, &s->luns[i]);
	}
	assert(ret == 0);
	sem_post(&s->done);
}

static void
store_closed(void *arg)
{
	struct service *s = arg;

	if (++s->closed == LUNS)
		sem_post(&s->done);
}

static void
lun_freed(void *arg)
{
	struct service *s = arg;

	if (++s->closed < LUNS)
		return;
	s->closed = 0;
	for (unsigned i = 0; i < LUNS; i++)
		bs_close(s->stores[i], store_closed, s);
}

static void
luns_close(struct service *s)
{
	s->closed = 0;
	for (unsigned i = 0; i < LUNS; i++)
		lun_free(s->luns[i], lun_freed, s);
}

/* ---- The server, from home ---- */

static struct iscsi_access *
access_make(const struct service *s)
{
	struct iscsi_access *access = iscsi_access_new(1, 2);
	struct iscsi_host *host = &access->hosts[0];
	struct iscsi_target *target = &access->targets[0];

	snprintf(host->iqn, sizeof(host->iqn), WIRE_INITIATOR);
	snprintf(host->name, sizeof(host->name), "host");
	host->chap = s->config.chap;
	host->mutual = s->config.mutual;
	snprintf(target->iqn, sizeof(target->iqn), WIRE_TARGET);
	target->loop = s->loops[1];
	target->exports = calloc(LUNS, sizeof(*target->exports));
	if (s->view == VIEW_GONE)
		strcat(target->iqn, "-gone");
	target->export_count = s->view == VIEW_NONE ? 0 : LUNS;
	for (unsigned i = 0; i < LUNS; i++)
		target->exports[i] = (struct iscsi_export){.number = i,
		    .lun = s->luns[i],
		    .read_only = s->view == VIEW_READ_ONLY};
	/* one that the host has nothing on */
	snprintf(
	    access->targets[1].iqn, sizeof(target->iqn), WIRE_TARGET "-other");
	access->targets[1].loop = s->loops[1];
	access->discovery_chap = s->config.chap.user[0] != '\0';
	return access;
}

static void
publish_run(struct service *s)
{
	struct iscsi_access *access = access_make(s);

	iscsi_server_publish(s->server, access, call_done, s);
	iscsi_access_unref(access);
}

static void
server_start_run(struct service *s)
{
	int ret = iscsi_server_new(
	    s->loops[0], s->loops, 2, &s->config.limits, &s->server);

	assert(ret == 0);
	ret = iscsi_portal_add(s->server, "127.0.0.1:0", 1, &s->addresses[0]);
	assert(ret == 0);
	for (unsigned i = 0; i < s->config.portal_count; i++) {
		ret = iscsi_portal_add(s->server, s->config.portals[i].address,
		    s->config.portals[i].tag, &s->addresses[i + 1]);
		assert(ret == 0);
	}
	publish_run(s);
}

static void
server_stop_run(struct service *s)
{
	iscsi_server_stop(s->server, 300, call_done, s);
}

static void
server_free_run(struct service *s)
{
	iscsi_server_free(s->server);
	sem_post(&s->done);
}

static void
drop_done(void *arg, int result)
{
	struct service *s = arg;

	s->result = result;
	sem_post(&s->done);
}

static void
drop_run(struct service *s)
{
	iscsi_session_drop(s->server, s->tsih, drop_done, s);
}

static void
list_done(void *arg, const struct iscsi_session_info *infos, unsigned count)
{
	struct service *s = arg;

	s->listed = 0;
	for (unsigned i = 0; i < count; i++) {
		assert(strcmp(infos[i].initiator, "") != 0);
		for (unsigned c = 0; c < infos[i].connections; c++)
			assert(strchr(infos[i].conns[c].peer, ':') != NULL);
		s->listed += infos[i].connections;
	}
	s->result = (int)count;
	sem_post(&s->done);
}

static void
list_run(struct service *s)
{
	iscsi_sessions_list(s->server, list_done, s);
}

/* ---- For the transcripts ---- */

struct service *
service_start(const struct service_config *config)
{
	struct service *s = calloc(1, sizeof(*s));
	struct loop_params params = {
	    .buffer_bytes = config->buffer_bytes, .name = "wire", .cpu = -1};

	s->config = *config;
	sem_init(&s->done, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		params.index = i;
		int ret = loop_new(&params, &s->loops[i]);
		if (ret == 0)
			ret = loop_start(s->loops[i]);
		if (ret < 0) {
			fprintf(stderr, "loop: %s\n", strerror(-ret));
			exit(1);
		}
	}
	call(s, 1, luns_open);
	call(s, 0, server_start_run);
	return s;
}

void
service_stop(struct service *s)
{
	call(s, 0, server_stop_run);
	call(s, 0, server_free_run);
	call(s, 1, luns_close);
	for (unsigned i = 0; i < 2; i++) {
		loop_stop(s->loops[i]);
		loop_join(s->loops[i]);
		loop_free(s->loops[i]);
	}
	sem_destroy(&s->done);
	free(s);
}

unsigned
service_port(const struct service *s, unsigned portal)
{
	char address[64];

	iscsi_address_format(&s->addresses[portal], address);
	return (unsigned)atoi(strrchr(address, ':') + 1);
}

int
service_connect(struct service *s, unsigned portal)
{
	const struct sockaddr_storage *to = &s->addresses[portal];
	int fd = socket(to->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert(fd >= 0);
	if (connect(fd, (const struct sockaddr *)to,
		to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					  : sizeof(struct sockaddr_in)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void
service_publish(struct service *s, enum service_view view)
{
	s->view = view;
	call(s, 0, publish_run);
}

static void
redirect_run(struct service *s)
{
	char address[64];

	s->result = iscsi_portal_redirect(s->server,
	    iscsi_address_format(&s->addresses[s->portal], address),
	    s->redirect, s->permanent);
	sem_post(&s->done);
}

static void
nothing_run(struct service *s)
{
	sem_post(&s->done);
}

int
service_redirect(
    struct service *s, unsigned portal, const char *to, bool permanent)
{
	s->portal = portal;
	s->redirect = to;
	s->permanent = permanent;
	call(s, 0, redirect_run);
	/* the door has its message when it has the next one */
	call(s, 0, nothing_run);
	return s->result;
}

int
service_drop(struct service *s, uint16_t tsih)
{
	s->tsih = tsih;
	call(s, 0, drop_run);
	return s->result;
}

unsigned
service_sessions(struct service *s, unsigned *ret_connections)
{
	call(s, 0, list_run);
	*ret_connections = s->listed;
	return (unsigned)s->result;
}

static void
throttle_run(struct service *s)
{
	lun_limits_set(s->luns[s->throttled], &s->limits);
	sem_post(&s->done);
}

void
service_throttle(
    struct service *s, unsigned lun, const struct lun_limits *limits)
{
	assert(lun < LUNS);
	s->throttled = lun;
	s->limits = *limits;
	call(s, 1, throttle_run);
}

void
service_stat(struct service *s, struct iscsi_server_stat *ret)
{
	iscsi_server_stat_get(s->server, ret);
}
