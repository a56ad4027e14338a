/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An iSCSI target without a pool or a control socket: LUNs in memory or in
 * files, served through the real stack, to any initiator name.  For trying
 * initiators, conformance and speed; not for storing anything.
 *
 *	run --portal 127.0.0.1:0 --initiator IQN --size 128M --block 4096
 *	    [--file PATH]... [--luns N] [--chap USER:SECRETFILE] [--delay USEC]
 *
 * Prints "portal ADDRESS" when it listens and stops on SIGTERM or SIGINT.
 */
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "base/log.h"
#include "base/size.h"
#include "target/iscsi/conn.h"
#include "target/iscsi/server.h"
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define TARGET_IQN    "iqn.2026-01.io.varve:test"
#define INITIATOR_IQN "iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-test"
#define LUNS_MAX      16
#define HOSTS_MAX     16

struct options {
	const char *portals[8];
	unsigned portal_count;
	const char *hosts[HOSTS_MAX];
	unsigned host_count;
	const char *files[LUNS_MAX];
	unsigned luns, files_count;
	uint64_t size;
	uint32_t block;
	uint64_t delay_us;
	struct iscsi_credentials chap;
	struct iscsi_limits limits;
};

struct service {
	struct options options;
	struct loop *loop;
	struct iscsi_server *server;
	struct backstore *stores[LUNS_MAX];
	struct lun *luns[LUNS_MAX];
	unsigned closed;
	int result;
	struct loop_task start, stop;
	sem_t ready;
};

static struct service service;

static void
die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	exit(1);
}

/* ---- Options ---- */

static void
read_chap(char *text, struct iscsi_credentials *chap)
{
	char *colon = strchr(text, ':');
	FILE *f;

	if (colon == NULL)
		die("--chap USER:FILE", -EINVAL);
	*colon = '\0';
	snprintf(chap->user, sizeof(chap->user), "%s", text);
	f = fopen(colon + 1, "re");
	if (f == NULL || fgets(chap->secret, sizeof(chap->secret), f) == NULL)
		die(colon + 1, -errno);
	chap->secret[strcspn(chap->secret, "\n")] = '\0';
	fclose(f);
}

static uint64_t
read_size(const char *text)
{
	uint64_t size;
	int ret = size_parse(text, &size);

	if (ret < 0)
		die(text, ret);
	return size;
}

static const struct option long_options[] = {
    {"portal", required_argument, NULL, 'p'},
    {"initiator", required_argument, NULL, 'i'},
    {"size", required_argument, NULL, 's'},
    {"block", required_argument, NULL, 'b'},
    {"file", required_argument, NULL, 'f'},
    {"luns", required_argument, NULL, 'n'},
    {"chap", required_argument, NULL, 'c'},
    {"delay", required_argument, NULL, 'd'},
    {"verbose", no_argument, NULL, 'v'},
    {NULL, 0, NULL, 0},
};

static void
take_option(struct options *o, int letter)
{
	switch (letter) {
	case 'p': o->portals[o->portal_count++ % 8] = optarg; break;
	case 'i': o->hosts[o->host_count++ % HOSTS_MAX] = optarg; break;
	case 's': o->size = read_size(optarg); break;
	case 'b': o->block = (uint32_t)atoi(optarg); break;
	case 'f': o->files[o->files_count++ % LUNS_MAX] = optarg; break;
	case 'n': o->luns = (unsigned)atoi(optarg) % (LUNS_MAX + 1); break;
	case 'c': read_chap(optarg, &o->chap); break;
	case 'd': o->delay_us = (uint64_t)atoll(optarg); break;
	case 'v': log_set_level(LOG_DEBUG); break;
	default: exit(2);
	}
}

static void
options_parse(struct options *o, int argc, char **argv)
{
	int letter;

	*o = (struct options){.size = 128u << 20, .block = 512, .luns = 1};
	while (
	    (letter = getopt_long(argc, argv, "v", long_options, NULL)) != -1)
		take_option(o, letter);
	if (o->portal_count == 0)
		o->portals[o->portal_count++] = "127.0.0.1:0";
	if (o->host_count == 0) {
		o->hosts[o->host_count++] = INITIATOR_IQN;
		o->hosts[o->host_count++] = INITIATOR_IQN "-2";
	}
	if (o->files_count > o->luns)
		o->luns = o->files_count;
}

/* ---- Start, on the loop ---- */

static int
store_open(struct service *s, unsigned i, struct backstore **ret)
{
	const struct options *o = &s->options;
	struct bs_file_params file = {.path = o->files[i]};
	const struct bs_delay_params delay = {
	    .min_ns = o->delay_us * NSEC_PER_USEC,
	    .max_ns = o->delay_us * NSEC_PER_USEC};
	int result;

	if (i < o->files_count)
		result = bs_file_open(s->loop, &file, ret);
	else
		result = bs_mem_new(s->loop, o->size, o->block, ret);
	if (result == 0 && o->delay_us > 0)
		result = bs_delay_new(*ret, &delay, ret);
	return result;
}

static int
lun_open(struct service *s, unsigned i)
{
	char serial[16], label[32];
	struct lun_params params = {
	    .naa = {0x30, 0, 0, 0, 0, 0, 0, (uint8_t)i},
	    .serial = serial,
	    .label = label,
	    .write_cache = true,
	};
	int result = store_open(s, i, &s->stores[i]);

	if (result < 0)
		return result;
	snprintf(serial, sizeof(serial), "test%04u", i);
	snprintf(label, sizeof(label), "test/%u", i);
	params.bs = s->stores[i];
	return lun_new(&params, &s->luns[i]);
}

static struct iscsi_access *
access_make(struct service *s)
{
	const struct options *o = &s->options;
	struct iscsi_access *access = iscsi_access_new(o->host_count, 1);
	struct iscsi_target *target = &access->targets[0];
	const unsigned exports = o->host_count * o->luns;

	snprintf(target->iqn, sizeof(target->iqn), TARGET_IQN);
	target->loop = s->loop;
	target->exports = calloc(exports, sizeof(*target->exports));
	target->export_count = exports;
	for (unsigned h = 0; h < o->host_count; h++) {
		snprintf(access->hosts[h].iqn, sizeof(access->hosts[h].iqn),
		    "%s", o->hosts[h]);
		access->hosts[h].chap = o->chap;
		for (unsigned i = 0; i < o->luns; i++)
			target->exports[h * o->luns + i] =
			    (struct iscsi_export){
				.host = h, .number = i, .lun = s->luns[i]};
	}
	return access;
}

static void
published(void *arg)
{
	struct service *s = arg;

	sem_post(&s->ready);
}

static int
portals_open(struct service *s)
{
	struct sockaddr_storage bound;
	char text[64];
	int ret;

	for (unsigned i = 0; i < s->options.portal_count; i++) {
		ret = iscsi_portal_add(
		    s->server, s->options.portals[i], 1, &bound);
		if (ret < 0)
			return ret;
		printf("portal %s\n", iscsi_address_format(&bound, text));
	}
	fflush(stdout);
	return 0;
}

static void
start_run(struct loop_task *task)
{
	struct service *s = container_of(task, struct service, start);
	struct iscsi_access *access;
	int ret = 0;

	for (unsigned i = 0; i < s->options.luns && ret == 0; i++)
		ret = lun_open(s, i);
	if (ret == 0)
		ret = iscsi_server_new(
		    s->loop, &s->loop, 1, &s->options.limits, &s->server);
	if (ret == 0)
		ret = portals_open(s);
	if (ret < 0)
		die("start", ret);
	access = access_make(s);
	iscsi_server_publish(s->server, access, published, s);
	iscsi_access_unref(access);
}

/* ---- Stop ---- */

static void
store_closed(void *arg)
{
	struct service *s = arg;

	if (++s->closed == s->options.luns)
		loop_stop(s->loop);
}

static void
lun_freed(void *arg)
{
	struct backstore **store = arg;

	bs_close(*store, store_closed, &service);
}

static void
stopped(void *arg)
{
	struct service *s = arg;

	iscsi_server_free(s->server);
	for (unsigned i = 0; i < s->options.luns; i++)
		lun_free(s->luns[i], lun_freed, &s->stores[i]);
}

static void
stop_run(struct loop_task *task)
{
	struct service *s = container_of(task, struct service, stop);

	iscsi_server_stop(s->server, 1000, stopped, s);
}

int
main(int argc, char **argv)
{
	struct loop_params params = {.name = "iscsi", .cpu = -1};
	sigset_t signals;
	int ret, number;

	options_parse(&service.options, argc, argv);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	sem_init(&service.ready, 0, 0);
	ret = loop_new(&params, &service.loop);
	if (ret == 0)
		ret = loop_start(service.loop);
	if (ret < 0)
		die("loop", ret);
	service.start.run = start_run;
	loop_post(service.loop, &service.start);
	sem_wait(&service.ready);
	sigwait(&signals, &number);
	service.stop.run = stop_run;
	loop_post(service.loop, &service.stop);
	loop_join(service.loop);
	loop_free(service.loop);
	return 0;
}
