/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arguments as they are typed.
 */
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/problem.h"
#include "tools/value.h"
#include <errno.h>
#include <string.h>

static const char *const problem_usage = "usage.argument";

static json_t *
parsed(enum api_type type, const char *text)
{
	const struct api_arg arg = {
	    .name = "x", .type = type, .choices = "qemu|open-iscsi|libvirt"};
	json_t *value = NULL;
	json_t *problem = value_parse(&arg, text, &value);

	assert_null(problem);
	assert_non_null(value);
	return value;
}

static void
is_text(enum api_type type, const char *text, const char *expected)
{
	_cleanup_(json_decrefpp) json_t *value = parsed(type, text);

	assert_string_equal(json_string_value(value), expected);
}

static void
is_number(enum api_type type, const char *text, long long expected)
{
	_cleanup_(json_decrefpp) json_t *value = parsed(type, text);

	assert_true(json_is_integer(value));
	assert_int_equal(json_integer_value(value), expected);
}

/* fix: what the first line of it begins with; NULL: do not look. */
static void
refused(enum api_type type, const char *text, const char *code, const char *fix)
{
	const struct api_arg arg = {
	    .name = "x", .type = type, .choices = "qemu|open-iscsi|libvirt"};
	json_t *value = NULL;
	_cleanup_(json_decrefpp) json_t *problem =
	    value_parse(&arg, text, &value);
	const char *line;

	if (problem == NULL)
		fail_msg("'%s' was taken", text);
	assert_null(value);
	assert_string_equal(varve_problem_code(problem), code);
	assert_int_equal(varve_problem_exit(problem), API_USAGE);
	if (fix == NULL)
		return;
	line = json_string_value(
	    json_array_get(json_object_get(problem, "fix"), 0));
	assert_non_null(line);
	assert_string_equal(line, fix);
}

static void
names_have_their_characters(void **state)
{
	(void)state;
	is_text(API_POOL, "vms", "vms");
	is_text(API_NEW_HOST, "kvm-1.lan_x", "kvm-1.lan_x");
	refused(API_POOL, "", problem_usage, NULL);
	refused(API_POOL, ".hidden", problem_usage, NULL);
	refused(API_POOL, "a/b", problem_usage, NULL);
	refused(API_HOST, "kvm 1", problem_usage, NULL);
	refused(API_HOST, "kv\xc3\xa4", problem_usage, NULL);
}

static void
a_lun_has_its_pool(void **state)
{
	(void)state;
	is_text(API_LUN, "vms/web01", "vms/web01");
	refused(API_LUN, "web01", problem_usage, "POOL/LUN, as in vms/web01");
	refused(API_NEW_LUN, "vms/", problem_usage, NULL);
	refused(API_NEW_LUN, "/web01", problem_usage, NULL);
	refused(API_NEW_LUN, "vms/a/b", problem_usage, NULL);
}

static void
a_snapshot_has_its_lun_unless_that_is_clear(void **state)
{
	(void)state;
	is_text(API_SNAP, "vms/web01@mon", "vms/web01@mon");
	refused(API_SNAP, "vms/web01", problem_usage,
	    "POOL/LUN@SNAP, as in vms/web01@mon");
	refused(API_SNAP, "@mon", problem_usage, NULL);
	is_text(API_SNAP_AT, "@mon", "@mon");
	is_text(API_SNAP_AT, "vms/web01@mon", "vms/web01@mon");
	refused(API_SNAP_AT, "mon", problem_usage, NULL);
	is_text(API_NEW_SNAP, "vms/web01", "vms/web01");
	is_text(API_NEW_SNAP, "@mon", "@mon");
	refused(API_NEW_SNAP, "vms", problem_usage, NULL);
	is_text(API_LUN_OR_SNAP, "vms/web01@mon", "vms/web01@mon");
	is_text(API_LUN_OR_SNAP, "vms/web01", "vms/web01");
	refused(API_LUN_OR_SNAP, "@mon", problem_usage, NULL);
	refused(API_LUN, "vms/web01@mon", problem_usage, NULL);
}

static void
what_is_in_the_trash_has_a_name_or_a_uuid(void **state)
{
	(void)state;
	is_text(API_TRASHED, "vms/web01", "vms/web01");
	is_text(API_TRASHED, "vms/web01@mon", "vms/web01@mon");
	is_text(API_TRASHED, "405d5e5a-8d9f-4029-a3bc-1694a38a7836",
	    "405d5e5a-8d9f-4029-a3bc-1694a38a7836");
	refused(API_TRASHED, "web01", problem_usage, NULL);
}

static void
lengths_of_time_have_a_unit(void **state)
{
	(void)state;
	is_number(API_DURATION, "90s", 90);
	is_number(API_DURATION, "30m", 1800);
	is_number(API_DURATION, "4h", 14400);
	is_number(API_DURATION, "7d", 604800);
	refused(API_DURATION, "7", problem_usage, "30m, 4h, 7d");
	refused(API_DURATION, "0h", problem_usage, NULL);
	refused(API_DURATION, "h", problem_usage, NULL);
	refused(API_DURATION, "-1h", problem_usage, NULL);
	refused(API_DURATION, "9999999d", problem_usage, NULL);
}

static void
sizes_become_bytes(void **state)
{
	(void)state;
	is_number(API_SIZE, "100G", 107374182400);
	is_number(API_SIZE, "1.5T", 1649267441664);
	is_number(API_SIZE, "500GB", 500000000000);
}

static void
a_bare_number_is_no_size(void **state)
{
	(void)state;
	refused(API_SIZE, "100", "usage.size", "did you mean 100G?");
	refused(API_RESIZE, "+50", "usage.size", "did you mean +50G?");
	refused(API_SIZE, "big", "usage.size", "100G, 1.5T, 500GB");
	refused(API_SIZE, "-1G", "usage.size", NULL);
	refused(API_SIZE, "999999999P", "usage.size", NULL);
}

static void
resize_keeps_its_sign(void **state)
{
	(void)state;
	is_text(API_RESIZE, "+50G", "+53687091200");
	is_text(API_RESIZE, "50G", "53687091200");
	refused(API_RESIZE, "-50G", "usage.size", NULL);
	is_number(API_LIMIT, "50G", 53687091200);
	is_number(API_LIMIT, "none", 0);
	refused(API_LIMIT, "no", "usage.size", NULL);
	is_number(API_COUNT, "500", 500);
	is_number(API_COUNT, "none", 0);
	refused(API_COUNT, "many", "usage.argument", NULL);
	is_number(API_RESERVE, "50G", 53687091200);
	is_number(API_RESERVE, "none", 0);
	is_number(API_RESERVE, "all", 1ll << 60);
}

static void
percentages_and_numbers_have_bounds(void **state)
{
	(void)state;
	is_number(API_PERCENT, "80%", 80);
	is_number(API_PERCENT, "80", 80);
	is_number(API_INT, "4096", 4096);
	is_number(API_SESSION, "12", 12);
	refused(API_PERCENT, "101%", problem_usage, NULL);
	refused(API_PERCENT, "%", problem_usage, NULL);
	refused(API_INT, "0x10", problem_usage, NULL);
	refused(API_INT, "99999999999999999999", problem_usage, NULL);
	refused(API_INT, "-1", problem_usage, NULL);
}

static void
paths_become_absolute(void **state)
{
	char *directory = getcwd(NULL, 0), expected[4200];

	(void)state;
	snprintf(expected, sizeof(expected), "%s/lab.pool", directory);
	is_text(API_PATH, "./lab.pool", expected);
	is_text(API_PATH, "lab.pool", expected);
	is_text(API_PATH, "/dev/nvme1n1", "/dev/nvme1n1");
	refused(API_PATH, "", problem_usage, NULL);
	free(directory);
}

static void
a_choice_is_one_of_them(void **state)
{
	(void)state;
	is_text(API_CHOICE, "open-iscsi", "open-iscsi");
	refused(
	    API_CHOICE, "openiscsi", problem_usage, "did you mean open-iscsi?");
	refused(API_CHOICE, "qemu|libvirt", problem_usage, NULL);
}

static void
a_document_is_a_json_object_in_a_file(void **state)
{
	char path[] = "/tmp/varve-value-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	refused(API_DOCUMENT, "/nowhere/at/all", "usage.document", NULL);
	refused(API_DOCUMENT, path, "usage.document", NULL);
	assert_int_equal(write(fd, "[1]", 3), 3);
	refused(API_DOCUMENT, path, "usage.document", NULL);
	close(fd);
	unlink(path);
}

static void
options_are_named_as_people_type_them(void **state)
{
	const struct api_arg secret = {.name = "chap", .type = API_SECRET};
	const struct api_arg size = {.name = "block_size", .type = API_SIZE};
	const struct api_arg devices = {.name = "devices",
	    .type = API_PATH,
	    .positional = true,
	    .repeated = true};
	char buf[64], option[OPTION_NAME_MAX];

	(void)state;
	assert_string_equal(value_option(&secret, option), "chap-file");
	assert_string_equal(value_option(&size, option), "block-size");
	assert_string_equal(value_placeholder(&size, buf, sizeof(buf)), "SIZE");
	assert_string_equal(
	    value_placeholder(&devices, buf, sizeof(buf)), "DEVICE");
}

static void
durations_have_units(void **state)
{
	unsigned ms = 0;

	(void)state;
	assert_int_equal(duration_parse("90", &ms), 0);
	assert_int_equal(ms, 90000);
	assert_int_equal(duration_parse("90s", &ms), 0);
	assert_int_equal(ms, 90000);
	assert_int_equal(duration_parse("2m", &ms), 0);
	assert_int_equal(ms, 120000);
	assert_int_equal(duration_parse("1h", &ms), 0);
	assert_int_equal(ms, 3600000);
	assert_int_equal(duration_parse("25h", &ms), -ERANGE);
	assert_int_equal(duration_parse("soon", &ms), -EINVAL);
	assert_int_equal(duration_parse("", &ms), -EINVAL);
	assert_int_equal(duration_parse("1d", &ms), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_have_their_characters),
	    cmocka_unit_test(a_lun_has_its_pool),
	    cmocka_unit_test(a_snapshot_has_its_lun_unless_that_is_clear),
	    cmocka_unit_test(what_is_in_the_trash_has_a_name_or_a_uuid),
	    cmocka_unit_test(lengths_of_time_have_a_unit),
	    cmocka_unit_test(sizes_become_bytes),
	    cmocka_unit_test(a_bare_number_is_no_size),
	    cmocka_unit_test(resize_keeps_its_sign),
	    cmocka_unit_test(percentages_and_numbers_have_bounds),
	    cmocka_unit_test(paths_become_absolute),
	    cmocka_unit_test(a_choice_is_one_of_them),
	    cmocka_unit_test(a_document_is_a_json_object_in_a_file),
	    cmocka_unit_test(options_are_named_as_people_type_them),
	    cmocka_unit_test(durations_have_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
