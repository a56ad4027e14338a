/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One row per key: where it goes and what it may be.  inih tells a handler no
 * line numbers as Debian builds it, so the lines are counted where they are
 * read; a value and the line just read belong together.
 */
#include "target/config.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/size.h"
#include "target/naming.h"
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum kind {
	KIND_PATH,    /* absolute */
	KIND_NAME,    /* of a group */
	KIND_COUNT,   /* unsigned, low..high */
	KIND_SECONDS, /* to milliseconds */
	KIND_DAYS,    /* to seconds */
	KIND_NSEC,    /* seconds to nanoseconds */
	KIND_MSEC,    /* milliseconds to nanoseconds */
	KIND_SIZE,    /* uint64_t, low..high */
	KIND_SIZE32,  /* uint32_t */
	KIND_LEVEL,
	KIND_PORTALS, /* lio_portals, and their count */
	KIND_DRIVER,
};

struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset;
	uint64_t low, high;
};

#define AT(member) offsetof(struct config, member)
#define KIB        (1ull << 10)
#define MIB        (1ull << 20)
#define GIB        (1ull << 30)

#define DAY_SECONDS 86400u

/* clang-format off */
static const struct key keys[] = {
	{ "paths", "state",              KIND_PATH,    AT(state_dir), 0, 0 },
	{ "paths", "socket",             KIND_PATH,    AT(socket_path), 0, 0 },
	{ "paths", "quiesce",            KIND_PATH,    AT(quiesce_dir), 0, 0 },
	{ "log", "level",                KIND_LEVEL,   AT(log_level), 0, 0 },
	{ "log", "file",                 KIND_PATH,    AT(log_file), 0, 0 },
	{ "threads", "reactors",         KIND_COUNT,   AT(reactors), 1, CONFIG_REACTORS_MAX },
	{ "threads", "buffers",          KIND_SIZE,    AT(buffer_bytes), 16 * MIB, 64 * GIB },
	{ "control", "write_group",      KIND_NAME,    AT(group_write), 0, 0 },
	{ "control", "read_group",       KIND_NAME,    AT(group_read), 0, 0 },
	{ "control", "stop_seconds",     KIND_COUNT,   AT(stop_seconds), 0, 600 },
	{ "pool", "cache",               KIND_SIZE,    AT(pool.cache_bytes), 4 * MIB, 1024 * GIB },
	{ "pool", "dirty",               KIND_SIZE,    AT(pool.dirty_bytes), MIB, 64 * GIB },
	{ "pool", "commit_milliseconds", KIND_MSEC,    AT(pool.commit_interval_ns), 1, 10000 },
	{ "pool", "checkpoint_seconds",  KIND_NSEC,    AT(pool.idle_checkpoint_ns), 1, 3600 },
	{ "pool", "io_max",              KIND_COUNT,   AT(pool.io_max), 16, 65536 },
	{ "pool", "background_percent",  KIND_COUNT,   AT(background_percent), 1, 100 },
	{ "trash", "keep_days",          KIND_DAYS,    AT(trash_seconds), 0, 3650 },
	{ "iscsi", "connections",        KIND_COUNT,   AT(iscsi.connections), 1, 65536 },
	{ "iscsi", "unauthenticated",    KIND_COUNT,   AT(iscsi.unauthenticated), 1, 65536 },
	{ "iscsi", "sessions_per_host",  KIND_COUNT,   AT(iscsi.sessions_per_host), 1, 65536 },
	{ "iscsi", "login_seconds",      KIND_SECONDS, AT(iscsi.login_timeout_ms), 1, 600 },
	{ "iscsi", "nop_seconds",        KIND_SECONDS, AT(iscsi.nop_interval_ms), 1, 3600 },
	{ "iscsi", "nop_timeout_seconds",KIND_SECONDS, AT(iscsi.nop_timeout_ms), 1, 3600 },
	{ "iscsi", "commands",           KIND_COUNT,   AT(iscsi.commands), 1, 4096 },
	{ "iscsi", "connection_buffers", KIND_SIZE,    AT(iscsi.data_bytes), 2 * MIB, GIB },
	{ "iscsi", "MaxConnections",     KIND_COUNT,   AT(iscsi.session_connections), 1, ISCSI_CONNS_MAX },
	{ "lio", "portals",              KIND_PORTALS, AT(lio_portals), 0, 0 },
	{ "lio", "ring",                 KIND_DRIVER,  AT(lio_ring), 0, 0 },
	/* RFC 7143 13.12 to 13.14: 512 to 2^24-1 */
	{ "iscsi", "MaxRecvDataSegmentLength", KIND_SIZE32, AT(iscsi.max_recv_segment), 512, 16 * MIB - 1 },
	{ "iscsi", "MaxBurstLength",     KIND_SIZE32,  AT(iscsi.max_burst), 512, 16 * MIB - 1 },
	{ "iscsi", "FirstBurstLength",   KIND_SIZE32,  AT(iscsi.first_burst), 512, 16 * MIB - 1 },
};

static const struct { const char *word; int level; } levels[] = {
	{ "error", LOG_ERR }, { "warning", LOG_WARNING },
	{ "notice", LOG_NOTICE }, { "info", LOG_INFO },
	{ "debug", LOG_DEBUG },
};
/* clang-format on */

void
config_defaults(struct config *ret_config)
{
	*ret_config = (struct config){
	    .state_dir = "/var/lib/varve",
	    .socket_path = "/run/varve/varve.sock",
	    .quiesce_dir = "/etc/varve/quiesce.d",
	    .run_dir = "/run/varve",
	    .log_level = LOG_INFO,
	    .stop_seconds = 5,
	    .trash_seconds = 7 * DAY_SECONDS,
	    .group_write = "varve",
	    .group_read = "varve-ro",
	    /* our own target has 3260 */
	    .lio_portal_count = 1,
	    .lio_portals = {"0.0.0.0:3261"},
	    .lio_ring = TCMU_NATIVE,
	};
}

int
config_private(struct config *config, const char *dir)
{
	char real[PATH_MAX];
	int length = 0;

	if (realpath(dir, real) == NULL)
		return -errno;
	length |= snprintf(config->state_dir, PATH_MAX, "%s", real);
	length |=
	    snprintf(config->socket_path, PATH_MAX, "%s/varve.sock", real);
	length |= snprintf(config->run_dir, PATH_MAX, "%s", real);
	length |= snprintf(config->log_file, PATH_MAX, "%s/varved.log", real);
	length |= snprintf(config->quiesce_dir, PATH_MAX, "%s/quiesce.d", real);
	config->private_dir = true;
	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* ---- values ---- */

static int
path_set(const struct key *key, const char *value, char *member)
{
	(void)key;
	if (value[0] != '/' || strlen(value) >= PATH_MAX)
		return -EINVAL;
	strcpy(member, value);
	return 0;
}

static int
name_set(const struct key *key, const char *value, char *member)
{
	const size_t length = strlen(value);

	(void)key;
	if (length == 0 || length >= sizeof(((struct config *)0)->group_read))
		return -EINVAL;
	strcpy(member, value);
	return 0;
}

static int
number_parse(const struct key *key, const char *value, uint64_t *ret_number)
{
	char *end;

	if (!isdigit((unsigned char)value[0]))
		return -EINVAL;
	errno = 0;
	*ret_number = strtoull(value, &end, 10);
	if (errno != 0 || *end != '\0')
		return -EINVAL;
	return *ret_number < key->low || *ret_number > key->high ? -ERANGE : 0;
}

static int
number_set(const struct key *key, const char *value, char *member)
{
	uint64_t number;
	int ret = number_parse(key, value, &number);
	unsigned small = (unsigned)number;

	if (ret < 0)
		return ret;
	if (key->kind == KIND_SECONDS)
		small *= 1000;
	if (key->kind == KIND_DAYS)
		small *= DAY_SECONDS;
	memcpy(member, &small, sizeof(small));
	return 0;
}

static int
nsec_set(const struct key *key, const char *value, char *member)
{
	uint64_t number;
	int ret = number_parse(key, value, &number);

	if (ret < 0)
		return ret;
	number *= key->kind == KIND_NSEC ? NSEC_PER_SEC : NSEC_PER_MSEC;
	memcpy(member, &number, sizeof(number));
	return 0;
}

static int
size_set(const struct key *key, const char *value, char *member)
{
	uint64_t bytes;
	int ret = size_parse(value, &bytes);

	if (ret < 0)
		return ret;
	if (bytes < key->low || bytes > key->high)
		return -ERANGE;
	if (key->kind == KIND_SIZE32) {
		uint32_t small = (uint32_t)bytes;
		memcpy(member, &small, sizeof(small));
		return 0;
	}
	memcpy(member, &bytes, sizeof(bytes));
	return 0;
}

int
config_level(const char *word, int *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(levels[i].word, word) == 0) {
			*ret_level = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

static int
level_set(const struct key *key, const char *value, char *member)
{
	int level, ret = config_level(value, &level);

	(void)key;
	if (ret == 0)
		memcpy(member, &level, sizeof(level));
	return ret;
}

/* In the form that the kernel has them in.  A port must be said: the usual one
 * is that of our own target. */
static bool
portal_parse(const char *word, char ret_portal[NAMING_ADDRESS_MAX])
{
	char end[8];
	size_t length = strlen(word), end_length;

	if (!naming_address(word, ret_portal))
		return false;
	end_length = (size_t)snprintf(
	    end, sizeof(end), ":%u", naming_address_port(ret_portal));
	return length > end_length &&
	       strcmp(word + length - end_length, end) == 0;
}

/* Separated by blanks or commas. */
static int
portals_set(const struct key *key, const char *value, char *member)
{
	struct config *config = (struct config *)(member - key->offset);
	const char *at = value + strspn(value, ", ");
	char word[NAMING_ADDRESS_MAX];

	config->lio_portal_count = 0;
	while (*at != '\0') {
		size_t length = strcspn(at, ", ");
		if (config->lio_portal_count == CONFIG_PORTAL_MAX ||
		    length >= sizeof(word))
			return -EINVAL;
		snprintf(word, sizeof(word), "%.*s", (int)length, at);
		if (!portal_parse(
			word, config->lio_portals[config->lio_portal_count++]))
			return -EINVAL;
		at += length;
		at += strspn(at, ", ");
	}
	return config->lio_portal_count > 0 ? 0 : -EINVAL;
}

static int
driver_set(const struct key *key, const char *value, char *member)
{
	enum tcmu_driver driver;
	int ret = tcmu_driver_parse(value, &driver);

	(void)key;
	if (ret == 0)
		memcpy(member, &driver, sizeof(driver));
	return ret;
}

/* clang-format off */
static const struct {
	int (*set)(const struct key *key, const char *value, char *member);
	const char *form; /* what a value has to be */
} kinds[] = {
	[KIND_PATH]    = { path_set,   "an absolute path" },
	[KIND_NAME]    = { name_set,   "a group's name" },
	[KIND_COUNT]   = { number_set, "a number" },
	[KIND_SECONDS] = { number_set, "a number of seconds" },
	[KIND_DAYS]    = { number_set, "a number of days" },
	[KIND_NSEC]    = { nsec_set,   "a number of seconds" },
	[KIND_MSEC]    = { nsec_set,   "a number of milliseconds" },
	[KIND_SIZE]    = { size_set,   "a size with a unit, as 64M" },
	[KIND_SIZE32]  = { size_set,   "a size with a unit, as 256K" },
	[KIND_LEVEL]   = { level_set,  "error, warning, notice, info or debug" },
	[KIND_PORTALS] = { portals_set, "ADDRESS:PORT, several with commas" },
	[KIND_DRIVER]  = { driver_set, "native or libtcmu" },
};
/* clang-format on */

/* ---- the file ---- */

struct loading {
	struct config *config;
	const char *path;
	FILE *file;
	char *problem;
	unsigned line;
	int result;
};

__attribute__((format(printf, 2, 3))) static int
loading_fail(struct loading *loading, const char *format, ...)
{
	va_list args;
	int used;

	if (loading->result < 0)
		return 0; /* the first problem is told */
	used = snprintf(loading->problem, CONFIG_PROBLEM_MAX,
	    "%s:%u: ", loading->path, loading->line);
	if (used > 0 && used < CONFIG_PROBLEM_MAX) {
		va_start(args, format);
		vsnprintf(loading->problem + used,
		    (size_t)(CONFIG_PROBLEM_MAX - used), format, args);
		va_end(args);
	}
	loading->result = -EINVAL;
	return 0;
}

static char *
read_line(char *buf, int size, void *arg)
{
	struct loading *loading = arg;
	char *line = fgets(buf, size, loading->file);

	if (line == NULL)
		return NULL;
	loading->line++;
	if (strchr(line, '\n') == NULL && !feof(loading->file)) {
		loading_fail(loading, "the line is too long");
		return NULL;
	}
	return line;
}

static void
range_text(const struct key *key, char *buf, size_t size)
{
	char low[SIZE_TEXT_MAX], high[SIZE_TEXT_MAX];

	if (key->kind == KIND_SIZE || key->kind == KIND_SIZE32)
		snprintf(buf, size, "%s to %s", size_format(key->low, low),
		    size_format(key->high, high));
	else
		snprintf(
		    buf, size, "%" PRIu64 " to %" PRIu64, key->low, key->high);
}

static int
value_set(struct loading *loading, const struct key *key, const char *value)
{
	char *member = (char *)loading->config + key->offset;
	int ret = kinds[key->kind].set(key, value, member);
	char range[2 * SIZE_TEXT_MAX + 8];

	if (ret == 0)
		return 1;
	if (ret == -ENOSYS)
		return loading_fail(loading,
		    "%s = %s: this varved was built without it", key->name,
		    value);
	if (ret == -ERANGE) {
		range_text(key, range, sizeof(range));
		return loading_fail(loading, "%s = %s: it has to be %s",
		    key->name, value, range);
	}
	return loading_fail(loading, "%s = %s: it has to be %s", key->name,
	    value, kinds[key->kind].form);
}

/* inih: 1 goes on, 0 is an error. */
static int
handle(void *arg, const char *section, const char *name, const char *value)
{
	struct loading *loading = arg;
	bool section_known = false;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].section, section) != 0)
			continue;
		section_known = true;
		if (strcmp(keys[i].name, name) == 0)
			return value_set(loading, &keys[i], value);
	}
	if (!section_known)
		return loading_fail(
		    loading, "there is no section [%s]", section);
	return loading_fail(
	    loading, "there is no key '%s' in section [%s]", name, section);
}

int
config_load(
    struct config *config, const char *path, char problem[CONFIG_PROBLEM_MAX])
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	struct loading loading = {
	    .config = config, .path = path, .problem = problem};
	int bad_line;

	problem[0] = '\0';
	if (file == NULL) {
		int error = errno;
		snprintf(problem, CONFIG_PROBLEM_MAX, "%s: %s", path,
		    strerror(error));
		return -error;
	}
	loading.file = file;
	bad_line = ini_parse_stream(read_line, &loading, handle, &loading);
	if (loading.result == 0 && ferror(file)) {
		loading_fail(&loading, "cannot be read");
	} else if (loading.result == 0 && bad_line != 0) {
		loading.line = (unsigned)bad_line;
		loading_fail(&loading, "the line is neither [section] nor "
				       "key = value");
	}
	return loading.result;
}
