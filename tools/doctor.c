/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/doctor.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "target/naming.h"
#include "tools/cli.h"
#include "tools/findings.h"
#include "tools/problem.h"
#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_CONFIG "/etc/varve/varve.conf"

void
doctor_say(struct doctor *doctor, enum doctor_severity severity,
    const char *code, const char *fix, const char *what, ...)
{
	static const char *const words[] = {
	    [DOCTOR_NOTE] = "note",
	    [DOCTOR_WARNING] = "warning",
	    [DOCTOR_ERROR] = "error",
	};
	json_t *item;
	char *text;
	va_list args;

	va_start(args, what);
	int length = vasprintf(&text, what, args);
	va_end(args);
	assert(length >= 0);
	item = json_pack("{s:s, s:s, s:o, s:o}", "severity", words[severity],
	    "code", code, "what", json_string_lossy(text), "fix",
	    json_string_lossy(fix));
	assert(item != NULL);
	json_array_append_new(doctor->items, item);
	free(text);
}

bool
doctor_proc(const struct doctor *doctor, const char *name, const char *key,
    char *ret, size_t size)
{
	char path[64], *line = NULL;
	size_t line_size = 0;
	bool found = false;
	FILE *file;

	if (doctor->pid == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)doctor->pid, name);
	file = fopen(path, "re");
	while (file != NULL && !found && getline(&line, &line_size, file) > 0) {
		found = strncmp(line, key, strlen(key)) == 0;
		if (found)
			snprintf(ret, size, "%s", line + strlen(key));
	}
	if (file != NULL)
		fclose(file);
	free(line);
	return found;
}

/* ---- varved ---- */

static void
say_problem(struct doctor *doctor, const json_t *problem)
{
	const char *fix = json_string_value(
	    json_array_get(json_object_get(problem, "fix"), 0));
	const char *what = json_string_value(json_object_get(problem, "what"));

	doctor_say(doctor, DOCTOR_ERROR, varve_problem_code(problem),
	    fix != NULL ? fix : "", "%s", what);
}

/* The rows of a list; an empty array if it cannot be had. */
static json_t *
ask_items(struct cli *cli, const char *method)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *items;

	json_decref(cli_call(cli, method, NULL, &result));
	items = json_object_get(result, "items");
	return json_is_array(items) ? json_incref(items) : json_array();
}

static void
note_carriers(struct doctor *doctor, const json_t *exports)
{
	const json_t *row;
	size_t i;

	json_array_foreach(exports, i, row)
	{
		const char *carrier =
		    json_string_value(json_object_get(row, "carrier"));
		if (carrier == NULL)
			continue;
		doctor->wants_tcmu |= strcmp(carrier, "tcmu") == 0;
		doctor->wants_loop |= strcmp(carrier, "tcmu-loop") == 0;
	}
}

static void
check_varved(struct doctor *doctor, struct cli *cli)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	_cleanup_(json_decrefpp) json_t *exports = NULL;
	_cleanup_(json_decrefpp) json_t *problem =
	    cli_call(cli, "version", NULL, &result);
	const json_t *item = json_object_get(result, "item");
	const char *state =
	    json_string_value(json_object_get(item, "directory"));

	if (problem != NULL) {
		say_problem(doctor, problem);
		return;
	}
	doctor->pid = (pid_t)json_integer_value(json_object_get(item, "pid"));
	if (state != NULL)
		snprintf(doctor->config.state_dir,
		    sizeof(doctor->config.state_dir), "%s", state);
	doctor->portals = ask_items(cli, "portal.list");
	exports = ask_items(cli, "export.list");
	note_carriers(doctor, exports);
	doctor_say(doctor, DOCTOR_NOTE, "daemon.running", "",
	    "varved answers at %s", doctor->socket);
}

/* ---- its state ---- */

/* Who should own it; -1: not known. */
static uid_t
varved_user(const struct doctor *doctor)
{
	const struct passwd *user;
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d", (int)doctor->pid);
	if (doctor->pid != 0 && stat(path, &st) == 0)
		return st.st_uid;
	user = getpwnam("varve");
	return user != NULL ? user->pw_uid : (uid_t)-1;
}

static void
check_database(struct doctor *doctor, const char *dir)
{
	char path[PATH_MAX + 16], fix[PATH_MAX + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/varve.db", dir);
	if (stat(path, &st) < 0 || (st.st_mode & 077) == 0)
		return;
	snprintf(fix, sizeof(fix), "chmod 600 %s", path);
	doctor_say(doctor, DOCTOR_ERROR, "state.rights", fix,
	    "%s has CHAP secrets, and others than varved may open it", path);
}

static void
state_missing(struct doctor *doctor, const char *dir, int error)
{
	char fix[PATH_MAX + 64];

	if (error == EACCES) {
		doctor_say(doctor, DOCTOR_WARNING, "state.rights",
		    "sudo varve doctor", "you may not look at %s", dir);
		return;
	}
	snprintf(
	    fix, sizeof(fix), "install -d -o varve -g varve -m 750 %s", dir);
	doctor_say(doctor, DOCTOR_WARNING, "state.missing", fix,
	    "there is no %s yet: its unit makes it, a varved that is started "
	    "otherwise does not",
	    dir);
}

static void
check_state(struct doctor *doctor)
{
	const char *dir = doctor->config.state_dir;
	uid_t user = varved_user(doctor);
	char fix[PATH_MAX + 64];
	struct stat st;

	if (stat(dir, &st) < 0) {
		state_missing(doctor, dir, errno);
		return;
	}
	if (user != (uid_t)-1 && st.st_uid != user && user != 0) {
		snprintf(fix, sizeof(fix), "chown -R %u %s", user, dir);
		doctor_say(doctor, DOCTOR_ERROR, "state.rights", fix,
		    "%s is not varved's: it belongs to user %u", dir,
		    st.st_uid);
	} else if (st.st_mode & 027) {
		snprintf(fix, sizeof(fix), "chmod g-w,o-rwx %s", dir);
		doctor_say(doctor, DOCTOR_WARNING, "state.rights", fix,
		    "%s is open to others than varved", dir);
	} else {
		doctor_say(doctor, DOCTOR_NOTE, "state.rights", "",
		    "%s is varved's alone", dir);
	}
	check_database(doctor, dir);
}

/* ---- ports ---- */

/* A socket that listens, by /proc/net/tcp: its state is 0A. */
static bool
port_is_taken(const char *table, unsigned port)
{
	char line[512];
	unsigned local, state;
	bool found = false;
	FILE *file = fopen(table, "re");

	while (file != NULL && !found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %*[^:]: %*[^:]:%x %*[^:]:%*x %x", &local,
			&state) == 2)
			found = local == port && state == 0x0a;
	}
	if (file != NULL)
		fclose(file);
	return found;
}

static bool
varved_has(const struct doctor *doctor, unsigned port)
{
	const json_t *row;
	size_t i;

	json_array_foreach(doctor->portals, i, row)
	{
		const char *address =
		    json_string_value(json_object_get(row, "address"));
		const char *state =
		    json_string_value(json_object_get(row, "state"));
		if (address != NULL && state != NULL &&
		    strcmp(state, "listening") == 0 &&
		    naming_address_port(address) == port)
			return true;
	}
	return false;
}

static bool
kernel_has(unsigned port)
{
	char pattern[96];
	glob_t found;
	bool any;

	snprintf(pattern, sizeof(pattern),
	    "/sys/kernel/config/target/iscsi/*/tpgt_*/np/*:%u", port);
	any = glob(pattern, 0, NULL, &found) == 0;
	if (any)
		globfree(&found);
	return any;
}

/* kernels: it is one that the kernel's target is to listen at. */
static void
check_port(struct doctor *doctor, unsigned port, bool kernels)
{
	bool taken = port_is_taken("/proc/net/tcp", port) ||
		     port_is_taken("/proc/net/tcp6", port);
	char fix[128];

	snprintf(fix, sizeof(fix),
	    kernels ? "ss -ltnp sport = :%u; or another in varve.conf, [lio] "
		      "portals"
		    : "ss -ltnp sport = :%u; or another: varve portal add "
		      "ADDRESS:PORT",
	    port);
	if (!taken)
		doctor_say(doctor, DOCTOR_NOTE, "port.free", "",
		    "port %u is free", port);
	else if (varved_has(doctor, port))
		doctor_say(doctor,
		    kernels && doctor->wants_tcmu ? DOCTOR_ERROR : DOCTOR_NOTE,
		    "port.varved", kernels ? fix : "",
		    "varved listens at port %u", port);
	else if (kernel_has(port))
		doctor_say(doctor, kernels ? DOCTOR_NOTE : DOCTOR_WARNING,
		    "port.kernel", kernels ? "" : fix,
		    "the kernel's target listens at port %u", port);
	else
		doctor_say(doctor,
		    kernels && !doctor->wants_tcmu ? DOCTOR_NOTE
						   : DOCTOR_WARNING,
		    "port.taken", fix,
		    "another program than varved listens at port %u", port);
}

/* The usual one of each, whatever portals there are. */
static void
check_ports(struct doctor *doctor)
{
	unsigned port, last = 0;

	check_port(doctor, NAMING_PORT, false);
	for (unsigned i = 0; i < doctor->config.lio_portal_count; i++) {
		port = naming_address_port(doctor->config.lio_portals[i]);
		if (port != last)
			check_port(doctor, port, true);
		last = port;
	}
}

/* ---- the run ---- */

/* A private varved has all in the directory of its socket. */
static void
find_config(struct doctor *doctor, const struct globals *globals)
{
	const char *address = cli_address(globals);
	char path[PATH_MAX + 16], dir[PATH_MAX];
	char problem[CONFIG_PROBLEM_MAX];
	int ret;

	config_defaults(&doctor->config);
	if (strncmp(address, "unix:", 5) == 0)
		address += 5;
	doctor->socket = address;
	snprintf(path, sizeof(path), SYSTEM_CONFIG);
	snprintf(dir, sizeof(dir), "%s", address);
	if (strcmp(address, doctor->config.socket_path) != 0 &&
	    strrchr(dir, '/') != NULL) {
		*strrchr(dir, '/') = '\0';
		snprintf(path, sizeof(path), "%s/varve.conf", dir);
		snprintf(doctor->config.state_dir,
		    sizeof(doctor->config.state_dir), "%s", dir);
	}
	ret = config_load(&doctor->config, path, problem);
	if (ret < 0 && ret != -ENOENT)
		doctor_say(doctor, DOCTOR_ERROR, "config.wrong",
		    "varved --check-config", "%s", problem);
}

static void
take_carrier(struct doctor *doctor, const char *carrier)
{
	if (carrier == NULL)
		return;
	doctor->wants_tcmu = strcmp(carrier, "tcmu") == 0;
	doctor->wants_loop = strcmp(carrier, "tcmu-loop") == 0;
}

json_t *
run_doctor(struct cli *cli, enum api_exit *ret_exit)
{
	static struct doctor doctor; /* its paths are long */
	_cleanup_(json_decrefpp) json_t *result = NULL;

	doctor = (struct doctor){.items = json_array()};
	result = json_pack("{s:i, s:s, s:o}", "varve", 1, "kind", "doctor",
	    "items", doctor.items);
	assert(result != NULL);
	find_config(&doctor, &cli->invocation.globals);
	check_varved(&doctor, cli);
	take_carrier(&doctor, json_string_value(json_object_get(
				  cli->invocation.params, "carrier")));
	check_state(&doctor);
	check_ports(&doctor);
	doctor_kernel(&doctor);
	doctor_memory(&doctor);
	doctor_target(&doctor);
	json_decref(doctor.portals);
	findings_show(cli, result, "all is well");
	if (findings_any(doctor.items))
		*ret_exit = API_FINDINGS;
	return NULL;
}
