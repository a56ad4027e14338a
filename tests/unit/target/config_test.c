/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does not cover: what the values do. */
#include "base/cleanup.h"
#include "base/log.h"
#include "target/config.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static char directory[] = "/tmp/varve-config-XXXXXX";
static char path[64];
static char problem[CONFIG_PROBLEM_MAX];
static struct config config;

static int
load(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	config_defaults(&config);
	return config_load(&config, path, problem);
}

static void
an_empty_file_changes_nothing(void **unused)
{
	struct config before;

	(void)unused;
	config_defaults(&before);
	assert_int_equal(load("# nothing\n\n[log]\n"), 0);
	assert_memory_equal(&before, &config, sizeof(config));
	assert_string_equal(config.state_dir, "/var/lib/varve");
}

static void
every_kind_of_value_is_read(void **unused)
{
	(void)unused;
	assert_int_equal(load("[paths]\n"
			      "state = /srv/varve\n"
			      "[log]\n"
			      "level = debug\n"
			      "[threads]\n"
			      "reactors = 3 ; a comment\n"
			      "buffers = 32M\n"
			      "[control]\n"
			      "write_group = storage\n"
			      "[pool]\n"
			      "commit_milliseconds = 50\n"
			      "checkpoint_seconds = 10\n"
			      "background_percent = 50\n"
			      "[trash]\n"
			      "keep_days = 14\n"
			      "[iscsi]\n"
			      "login_seconds = 20\n"
			      "MaxConnections = 2\n"
			      "MaxBurstLength = 512K\n"
			      "[lio]\n"
			      "portals = 10.0.0.10:3261, [FD00::10]:3261\n"),
	    0);
	assert_string_equal(config.state_dir, "/srv/varve");
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config.reactors, 3);
	assert_int_equal(config.buffer_bytes, 32 << 20);
	assert_string_equal(config.group_write, "storage");
	assert_int_equal(config.pool.commit_interval_ns, 50000000);
	assert_int_equal(config.pool.idle_checkpoint_ns, 10000000000);
	assert_int_equal(config.background_percent, 50);
	assert_int_equal(config.trash_seconds, 14 * 86400);
	assert_int_equal(config.iscsi.login_timeout_ms, 20000);
	assert_int_equal(config.iscsi.session_connections, 2);
	assert_int_equal(config.iscsi.max_burst, 512 << 10);
	assert_int_equal(config.lio_portal_count, 2);
	assert_string_equal(config.lio_portals[0], "10.0.0.10:3261");
	assert_string_equal(config.lio_portals[1], "[fd00::10]:3261");
}

static void
what_is_wrong_is_told_with_its_line(void **unused)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *told;
	} cases[] = {
	    {"[log]\nlevle = info\n", 2, "no key 'levle'"},
	    {"\n\n[logs]\nlevel = info\n", 4, "no section [logs]"},
	    {"level = info\n", 1, "no section []"},
	    {"[log]\nlevel = loud\n", 2, "error, warning, notice"},
	    {"[threads]\nreactors = 0\n", 2, "1 to 64"},
	    {"[lio]\nportals = 10.0.0.10\n", 2, "ADDRESS:PORT"},
	    {"[lio]\nportals = nas1:3261\n", 2, "ADDRESS:PORT"},
	    {"[lio]\nring = tcmulib\n", 2, "native or libtcmu"},
	    {"[threads]\nreactors = 65\n", 2, "1 to 64"},
	    {"[trash]\nkeep_days = 3651\n", 2, "0 to 3650"},
	    {"[trash]\nkeep_days = 1w\n", 2, "a number of days"},
	    {"[threads]\nreactors = -1\n", 2, "a number"},
	    {"[threads]\nreactors = two\n", 2, "a number"},
	    {"[threads]\nbuffers = 64\n", 2, "a size with a unit"},
	    {"[threads]\nbuffers = 1M\n", 2, "16 MiB to 64 GiB"},
	    {"[paths]\nstate = varve\n", 2, "an absolute path"},
	    {"[control]\nread_group =\n", 2, "a group's name"},
	    {"[iscsi]\nMaxBurstLength = 16M\n", 2, "512 B to 16 MiB"},
	    {"[iscsi]\nMaxConnections = 17\n", 2, "1 to 16"},
	    {"[log]\nlevel = info\nnonsense\n", 3, "neither"},
	};
	char where[128];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(load(cases[i].text), -EINVAL);
		snprintf(where, sizeof(where), "%s:%u: ", path, cases[i].line);
		assert_memory_equal(problem, where, strlen(where));
		assert_non_null(strstr(problem, cases[i].told));
	}
}

static void
a_ring_driver_has_to_be_in_the_build(void **unused)
{
	enum tcmu_driver driver;

	(void)unused;
	assert_int_equal(load("[lio]\nring = native\n"), 0);
	assert_int_equal(config.lio_ring, TCMU_NATIVE);
	if (tcmu_driver_parse("libtcmu", &driver) == 0) {
		assert_int_equal(load("[lio]\nring = libtcmu\n"), 0);
		assert_int_equal(config.lio_ring, TCMU_LIBTCMU);
	} else {
		assert_int_equal(load("[lio]\nring = libtcmu\n"), -EINVAL);
		assert_non_null(strstr(problem, "built without it"));
	}
}

static void
the_first_of_two_problems_is_told(void **unused)
{
	(void)unused;
	assert_int_equal(load("[log]\na = 1\nb = 2\n"), -EINVAL);
	assert_non_null(strstr(problem, ":2: "));
}

static void
a_line_that_is_too_long_is_refused(void **unused)
{
	char text[4096];

	(void)unused;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "[paths]\nstate = /", 17);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(load(text), -EINVAL);
	assert_non_null(strstr(problem, "too long"));
}

static void
a_missing_file_is_told_apart(void **unused)
{
	(void)unused;
	assert_int_equal(
	    config_load(&config, "/nonexistent/varve.conf", problem), -ENOENT);
}

static void
a_private_instance_has_all_below_its_directory(void **unused)
{
	(void)unused;
	config_defaults(&config);
	assert_int_equal(config_private(&config, directory), 0);
	assert_string_equal(config.state_dir, directory);
	assert_non_null(strstr(config.socket_path, "/varve.sock"));
	assert_true(config.private_dir);
	assert_int_equal(config_private(&config, "/nonexistent"), -ENOENT);
}

static int
make_directory(void **unused)
{
	(void)unused;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/varve.conf", directory);
	return 0;
}

static int
remove_directory(void **unused)
{
	(void)unused;
	unlink(path);
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_file_changes_nothing),
	    cmocka_unit_test(every_kind_of_value_is_read),
	    cmocka_unit_test(what_is_wrong_is_told_with_its_line),
	    cmocka_unit_test(a_ring_driver_has_to_be_in_the_build),
	    cmocka_unit_test(the_first_of_two_problems_is_told),
	    cmocka_unit_test(a_line_that_is_too_long_is_refused),
	    cmocka_unit_test(a_missing_file_is_told_apart),
	    cmocka_unit_test(a_private_instance_has_all_below_its_directory),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
