/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stack that is fuzzed: one loop, two LUNs in memory, the second behind a
 * delay, both of them seen by two hosts.
 */
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "base/log.h"
#include "target/iscsi/conn.h"
#include "target/iscsi/login.h"
#include "target/iscsi/reactor.h"
#include "tests/fuzz/stack/stack.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUTS 1000 /* then a fresh server: LUNs have a memory */
#define LUNS   2
#define HOSTS  2

static struct {
	struct loop *loop;
	struct iscsi_server *server;
	struct backstore *stores[LUNS];
	struct lun *luns[LUNS];
	unsigned inputs, closed;
	bool read_only;
	struct loop_task call;
	void (*run)(void);
	int fd;
	sem_t done;
} s;

static void
call_run(struct loop_task *task)
{
	(void)task;
	s.run();
}

static void
call(void (*run)(void))
{
	s.call.run = call_run;
	s.run = run;
	loop_post(s.loop, &s.call);
	while (sem_wait(&s.done) < 0)
		continue;
}

static void
done(void *arg)
{
	(void)arg;
	sem_post(&s.done);
}

static void
luns_open(void)
{
	const struct bs_delay_params delay = {
	    .max_ns = 200 * NSEC_PER_USEC, .seed = 1};
	struct lun_params params = {.serial = "fuzz", .label = "fuzz"};

	for (unsigned i = 0; i < LUNS; i++) {
		int ret = bs_mem_new(s.loop, 1u << 20, 512, &s.stores[i]);
		if (ret == 0 && i == 1)
			ret = bs_delay_new(s.stores[i], &delay, &s.stores[i]);
		params.bs = s.stores[i];
		params.naa[0] = 0x30;
		params.naa[7] = (uint8_t)i;
		if (ret == 0)
			ret = lun_new(&params, &s.luns[i]);
		assert(ret == 0);
	}
}

/* Both hosts see both LUNs. */
static void
publish(void)
{
	struct iscsi_access *access = iscsi_access_new(HOSTS, 1);
	struct iscsi_target *target = &access->targets[0];
	const unsigned count = HOSTS * LUNS;

	strcpy(access->hosts[0].iqn, STACK_INITIATOR);
	strcpy(access->hosts[1].iqn, STACK_OTHER);
	strcpy(target->iqn, STACK_TARGET);
	target->loop = s.loop;
	target->export_count = count;
	target->exports = calloc(count, sizeof(*target->exports));
	for (unsigned i = 0; i < count; i++)
		target->exports[i] = (struct iscsi_export){.host = i / LUNS,
		    .number = i % LUNS,
		    .lun = s.luns[i % LUNS],
		    .read_only = s.read_only};
	iscsi_server_publish(s.server, access, done, NULL);
	iscsi_access_unref(access);
}

void
stack_publish(bool read_only)
{
	s.read_only = read_only;
	call(publish);
}

static void
server_open(void)
{
	/* others may wait for a peer that is silent, and we for the server */
	const struct iscsi_limits limits = {.commands = 16,
	    .data_bytes = 16u << 10,
	    .nop_interval_ms = 250,
	    .nop_timeout_ms = 250};

	luns_open();
	int ret = iscsi_server_new(s.loop, &s.loop, 1, &limits, &s.server);
	assert(ret == 0);
	publish();
}

static void
server_stop(void)
{
	iscsi_server_stop(s.server, 100, done, NULL);
}

static void
store_closed(void *arg)
{
	(void)arg;
	if (++s.closed == LUNS)
		sem_post(&s.done);
}

static void
lun_freed(void *arg)
{
	bs_close(arg, store_closed, NULL);
}

static void
server_close(void)
{
	iscsi_server_free(s.server);
	s.closed = 0;
	for (unsigned i = 0; i < LUNS; i++)
		lun_free(s.luns[i], lun_freed, s.stores[i]);
}

void
stack_new(void)
{
	const struct loop_params params = {
	    .buffer_bytes = 4u << 20, .name = "fuzz", .cpu = -1};

	if (s.inputs++ % INPUTS != 0)
		return;
	s.read_only = false;
	if (s.loop == NULL) {
		signal(SIGPIPE, SIG_IGN);
		if (getenv("FUZZ_DEBUG") != NULL)
			log_set_level(LOG_DEBUG);
		sem_init(&s.done, 0, 0);
		int ret = loop_new(&params, &s.loop);
		assert(ret == 0);
		ret = loop_start(s.loop);
		assert(ret == 0);
	} else {
		call(server_stop);
		call(server_close);
	}
	call(server_open);
}

static void
inject(void)
{
	struct iscsi_conn *conn = iscsi_conn_new(s.server, s.fd, 1);

	assert(conn != NULL);
	s.server->conn_count++;
	iscsi_login_start(conn);
	sem_post(&s.done);
}

int
stack_connect(void)
{
	int pair[2];
	int ret = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);

	assert(ret == 0);
	s.fd = pair[1];
	call(inject);
	return pair[0];
}

static bool quiet;

static void
look(void)
{
	quiet = s.server->conn_count == 0 && list_empty(&s.server->directory);
	sem_post(&s.done);
}

/* Nothing of this input is left to disturb the next one, or to be taken for a
 * leak: I/O in flight is known to the timers alone, which LSan does not see. */
void
stack_wait_until_quiet(void)
{
	for (call(look); !quiet; call(look))
		usleep(50);
}
