/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Order of the start, each undone in reverse at the end:
 *
 *	log, limits, lock of the directory, state, reactors, home loop;
 *	on the home loop: house, control socket, pools and portals; READY=1
 *
 * SIGTERM, SIGINT  log sessions out, drain, checkpoint, exit 0; the second
 *                  one exits at once, which loses nothing acknowledged
 * SIGHUP           opens the log file anew (logrotate)
 * SIGUSR2          stops, and the varved that is installed now goes on in our
 *                  process, with what we leave open (upgrade.h, handover.h)
 */
#include "target/daemon.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/version.h"
#include "target/control.h"
#include "target/event.h"
#include "target/house.h"
#include "target/upgrade.h"
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define REACTORS_DEFAULT_MAX 8
#define HOME_BUFFER_BYTES    (1ull << 20)
#define DEFAULT_PORTAL       "0.0.0.0:3260"

struct daemon;

struct ping {
	struct call call;
	struct daemon *daemon;
};

struct daemon {
	struct config *config;
	struct loop *home;
	struct loop *reactors[CONFIG_REACTORS_MAX];
	unsigned reactor_count;
	struct state *state;
	struct house *house;
	struct control *control;
	struct loop_task boot;
	bool started, stop_asked, ending;
	int status, stop_signal;

	struct upgrade upgrade;
	struct loop_work upgrade_check;
	char upgrade_problem[UPGRADE_PROBLEM_MAX];
	int upgrade_result;
	bool checking, upgrading;
	struct handover inherited, bequest;

	int signal_fd;
	struct loop_io signal_io;

	/* systemd's watchdog hears of us while every reactor answers */
	struct loop_timer watchdog;
	uint64_t watchdog_ns;
	struct ping pings[CONFIG_REACTORS_MAX];
	unsigned pings_out;
};

/* ---- one varved per directory ---- */

static int
lock_take(const char *dir, int *ret_fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX + 16], pid[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/varved.lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_error("%s: %s", path, strerror(errno));
		return -errno;
	}
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		ssize_t length = read(fd, pid, sizeof(pid) - 1);
		pid[length > 0 ? strcspn(pid, "\n") : 0] = '\0';
		log_error("another varved (pid %s) runs on %s",
		    pid[0] != '\0' ? pid : "?", dir);
		close(fd);
		return -EBUSY;
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
		log_warn("%s: %s", path, strerror(errno));
	*ret_fd = fd;
	return 0;
}

static void
limits_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* ---- systemd ---- */

static void
ping_run(struct call *call)
{
	call_finish(call, 0);
}

static void
ping_done(struct call *call)
{
	struct ping *ping = container_of(call, struct ping, call);

	if (--ping->daemon->pings_out == 0)
		sd_notify(0, "WATCHDOG=1");
}

static void
watchdog_expired(struct loop_timer *timer)
{
	struct daemon *daemon = container_of(timer, struct daemon, watchdog);

	loop_timer_arm(daemon->home, timer, daemon->watchdog_ns);
	if (daemon->pings_out > 0)
		return;
	for (unsigned i = 0; i < daemon->reactor_count; i++) {
		struct ping *ping = &daemon->pings[i];
		ping->daemon = daemon;
		ping->call.run = ping_run;
		ping->call.done = ping_done;
		daemon->pings_out++;
		call_start(&ping->call, daemon->home, daemon->reactors[i]);
	}
}

static void
watchdog_start(struct daemon *daemon)
{
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	daemon->watchdog_ns = usec * NSEC_PER_USEC / 3;
	daemon->watchdog.expire = watchdog_expired;
	loop_timer_arm(daemon->home, &daemon->watchdog, 0);
}

/* ---- stop ---- */

static void
control_stopped(void *arg)
{
	struct daemon *daemon = arg;

	loop_timer_disarm(daemon->home, &daemon->watchdog);
	daemon->ending = true;
	loop_cancel(daemon->home, &daemon->signal_io);
}

static void
house_stopped(void *arg)
{
	struct daemon *daemon = arg;

	control_stop(daemon->control, control_stopped, daemon);
}

static void
stop_begin(struct daemon *daemon)
{
	sd_notify(0, daemon->upgrading ? "RELOADING=1" : "STOPPING=1");
	house_stop(daemon->house, daemon->upgrading ? &daemon->bequest : NULL,
	    house_stopped, daemon);
}

/* ---- signals ---- */

static void
stop_asked(struct daemon *daemon, int number)
{
	if (daemon->stop_asked) {
		log_warn("a second signal: exit at once");
		_exit(1);
	}
	log_notice("stopping (%s)", strsignal(number));
	daemon->stop_asked = true;
	daemon->stop_signal = number;
	if (daemon->started && !daemon->checking && !daemon->upgrading)
		stop_begin(daemon);
}

static void
upgrade_check_run(struct loop_work *work)
{
	struct daemon *daemon =
	    container_of(work, struct daemon, upgrade_check);

	daemon->upgrade_result =
	    upgrade_check(&daemon->upgrade, daemon->upgrade_problem);
}

static void
upgrade_check_done(struct loop_work *work)
{
	struct daemon *daemon =
	    container_of(work, struct daemon, upgrade_check);

	daemon->checking = false;
	if (daemon->stop_asked) {
		stop_begin(daemon);
		return;
	}
	if (daemon->upgrade_result < 0) {
		log_error("%s does not take over: %s", daemon->upgrade.path,
		    daemon->upgrade_problem);
		return;
	}
	log_notice("%s takes over", daemon->upgrade.path);
	daemon->upgrading = true;
	stop_begin(daemon);
}

static void
upgrade_asked(struct daemon *daemon)
{
	if (!daemon->started || daemon->stop_asked || daemon->checking ||
	    daemon->upgrading)
		return;
	daemon->checking = true;
	daemon->upgrade_check.run = upgrade_check_run;
	daemon->upgrade_check.done = upgrade_check_done;
	loop_offload(daemon->home, &daemon->upgrade_check);
}

static void
log_reopen(const struct daemon *daemon)
{
	int ret = 0;

	if (daemon->config->log_file[0] != '\0')
		ret = log_open_file(daemon->config->log_file);
	if (ret < 0)
		log_error("%s: %s", daemon->config->log_file, strerror(-ret));
}

static void
signals_watch(struct daemon *daemon)
{
	struct io_uring_sqe *sqe = loop_sqe(daemon->home, &daemon->signal_io);

	io_uring_prep_poll_add(sqe, daemon->signal_fd, POLLIN);
}

static void
signals_came(struct loop_io *io, int result, uint32_t flags)
{
	struct daemon *daemon = container_of(io, struct daemon, signal_io);
	struct signalfd_siginfo info;

	(void)flags;
	(void)result;
	if (daemon->ending) {
		loop_stop(daemon->home);
		return;
	}
	while (read(daemon->signal_fd, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			log_reopen(daemon);
		else if (info.ssi_signo == SIGUSR2)
			upgrade_asked(daemon);
		else
			stop_asked(daemon, (int)info.ssi_signo);
	}
	signals_watch(daemon);
}

/* Before any thread starts: they all inherit the mask. */
static int
signals_take(struct daemon *daemon)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	daemon->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return daemon->signal_fd < 0 ? -errno : 0;
}

/* ---- start, on the home loop ---- */

static void
house_started(void *arg)
{
	struct daemon *daemon = arg;

	daemon->started = true;
	sd_notifyf(0, "READY=1\nSTATUS=serving\nMAINPID=%d", (int)getpid());
	event_tell(daemon->house, LOG_NOTICE, "server.started", "server",
	    json_pack("{s:s, s:i}", "version", VARVE_VERSION, "reactors",
		(int)daemon->reactor_count),
	    "varved " VARVE_VERSION " serves, %u reactors",
	    daemon->reactor_count);
	watchdog_start(daemon);
	if (daemon->stop_asked)
		stop_begin(daemon);
}

static void
boot_failed(struct daemon *daemon, const char *what, int error)
{
	log_error("%s: %s", what, strerror(-error));
	daemon->status = 1;
	loop_stop(daemon->home);
}

static void
boot(struct loop_task *task)
{
	struct daemon *daemon = container_of(task, struct daemon, boot);
	int ret;

	ret = house_new(daemon->home, daemon->reactors, daemon->reactor_count,
	    daemon->config, daemon->state, &daemon->house);
	if (ret < 0) {
		boot_failed(daemon, "iSCSI server", ret);
		return;
	}
	daemon->house->inherited = daemon->inherited;
	ret = control_new(
	    daemon->house, daemon->config->socket_path, &daemon->control);
	if (ret < 0) {
		boot_failed(daemon, daemon->config->socket_path, ret);
		return;
	}
	loop_io_init(&daemon->signal_io, signals_came);
	signals_watch(daemon);
	house_start(daemon->house, house_started, daemon);
}

/* ---- before and after ---- */

static unsigned
reactors_wanted(const struct config *config)
{
	cpu_set_t set;
	unsigned count = 1;

	if (config->reactors > 0)
		return config->reactors;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = (unsigned)CPU_COUNT(&set);
	return count < REACTORS_DEFAULT_MAX ? count : REACTORS_DEFAULT_MAX;
}

static int
reactor_add(struct daemon *daemon)
{
	unsigned index = daemon->reactor_count;
	char name[16];
	struct loop_params params = {.index = index + 1,
	    .buffer_bytes = daemon->config->buffer_bytes,
	    .name = name,
	    .cpu = -1};
	int ret;

	snprintf(name, sizeof(name), "reactor%u", index % 1000);
	ret = loop_new(&params, &daemon->reactors[index]);
	if (ret < 0)
		return ret;
	ret = loop_start(daemon->reactors[index]);
	if (ret < 0) {
		loop_free(daemon->reactors[index]);
		return ret;
	}
	daemon->reactor_count++;
	return 0;
}

static const char *
loop_problem(int error)
{
	if (error == -ENOSYS)
		return "this kernel has no io_uring, or one before Linux 5.13";
	if (error == -EPERM)
		return "io_uring is not allowed here: see sysctl "
		       "kernel.io_uring_disabled, and the container's seccomp "
		       "profile";
	return strerror(-error);
}

static int
loops_start(struct daemon *daemon)
{
	const struct loop_params params = {
	    .name = "varved", .buffer_bytes = HOME_BUFFER_BYTES, .cpu = -1};
	unsigned wanted = reactors_wanted(daemon->config);
	int ret = loop_new(&params, &daemon->home);

	while (ret == 0 && daemon->reactor_count < wanted)
		ret = reactor_add(daemon);
	if (ret < 0)
		log_error("reactors: %s", loop_problem(ret));
	return ret;
}

static void
loops_stop(struct daemon *daemon)
{
	for (unsigned i = 0; i < daemon->reactor_count; i++)
		loop_stop(daemon->reactors[i]);
	for (unsigned i = 0; i < daemon->reactor_count; i++)
		loop_join(daemon->reactors[i]);
}

static void
loops_free(struct daemon *daemon)
{
	for (unsigned i = 0; i < daemon->reactor_count; i++)
		loop_free(daemon->reactors[i]);
	if (daemon->home != NULL)
		loop_free(daemon->home);
}

static int
state_prepare(struct daemon *daemon)
{
	struct config *config = daemon->config;
	char path[PATH_MAX + 16], problem[STATE_PROBLEM_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/varve.db", config->state_dir);
	ret = state_open(path, &daemon->state, problem);
	if (ret < 0) {
		log_error("%s", problem);
		return ret;
	}
	if (state_is_new(daemon->state) && !config->private_dir &&
	    config->portal_count == 0)
		snprintf(config->portals[config->portal_count++],
		    sizeof(config->portals[0]), DEFAULT_PORTAL);
	return 0;
}

static int
log_prepare(const struct config *config)
{
	int ret = 0;

	log_set_level(config->log_level);
	if (config->log_file[0] != '\0')
		ret = log_open_file(config->log_file);
	if (ret < 0)
		log_error("%s: %s", config->log_file, strerror(-ret));
	return ret;
}

/* Without it all is served but what the kernel is to export: each such LUN says
 * why not. */
static void
ring_driver_load(const struct config *config)
{
	const char *problem;

	if (tcmu_driver_load(config->lio_ring, &problem) < 0)
		log_error(
		    "the ring driver of [lio] cannot be used: %s", problem);
}

static int
daemon_prepare(struct daemon *daemon, int *ret_lock)
{
	const char *dir = daemon->config->state_dir;
	int ret = log_prepare(daemon->config);

	if (ret < 0)
		return ret;
	limits_raise();
	umask(0077);
	ring_driver_load(daemon->config);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		log_error("%s: %s", dir, strerror(errno));
		return -errno;
	}
	ret = lock_take(dir, ret_lock);
	if (ret == 0)
		ret = signals_take(daemon);
	if (ret == 0)
		ret = state_prepare(daemon);
	return ret < 0 ? ret : loops_start(daemon);
}

/* A signal that came meanwhile is the next one's: it is blocked, and waits. */
static int
take_over(struct daemon *daemon)
{
	int ret;

	if (daemon->stop_asked)
		kill(getpid(), daemon->stop_signal);
	ret = upgrade_exec(&daemon->upgrade, &daemon->bequest);
	log_error("%s: %s", daemon->upgrade.path, strerror(-ret));
	return 1;
}

/* It is installed beside varved. */
static void
policy_program_find(struct daemon *daemon)
{
	const char *slash = strrchr(daemon->upgrade.path, '/');
	int length = slash != NULL ? (int)(slash - daemon->upgrade.path) : 0;

	if (snprintf(daemon->config->policy_program, PATH_MAX,
		"%.*s/varve-policy", length, daemon->upgrade.path) >= PATH_MAX)
		daemon->config->policy_program[0] = '\0';
}

int
daemon_run(struct config *config, char **arguments)
{
	static struct daemon daemon;
	_cleanup_(closep) int lock = -1;

	daemon.config = config;
	daemon.signal_fd = -1;
	upgrade_init(&daemon.upgrade, arguments);
	policy_program_find(&daemon);
	handover_receive(&daemon.inherited);
	if (daemon_prepare(&daemon, &lock) < 0) {
		loops_stop(&daemon);
		loops_free(&daemon);
		state_close(daemon.state);
		return 1;
	}
	daemon.boot.run = boot;
	loop_post(daemon.home, &daemon.boot);
	loop_run(daemon.home);
	/* nothing is in flight any more: the reactors are idle */
	if (daemon.control != NULL)
		control_free(daemon.control);
	loops_stop(&daemon);
	if (daemon.house != NULL)
		house_free(daemon.house);
	loops_free(&daemon);
	state_close(daemon.state);
	if (daemon.upgrading)
		return take_over(&daemon);
	if (daemon.status == 0)
		log_notice("stopped");
	return daemon.status;
}
