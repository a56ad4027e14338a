/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whole command lines against a fake varved: what is asked of it, what is
 * printed where, and the exit codes.  Terminals are not covered (see
 * tests/integration/confirm.sh), nor what the real varved answers.
 */
#include "base/version.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/tools/support/fake_varved.h"
#include "tools/cli.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LUN                                                                    \
	"{\"name\":\"vms/web01\",\"size\":107374182400,\"live\":4096,"         \
	"\"hosts\":[\"kvm1\"],\"state\":\"exported\"}"

static const struct fake_answer answers[] = {
    {"lun.list",
	"\"result\":{\"varve\":1,\"kind\":\"lun.list\",\"items\":[" LUN "]}"},
    {"lun.create", "\"result\":{\"item\":" LUN "}"},
    {"lun.create dry_run", "\"result\":{\"item\":" LUN "}"},
    {"lun.delete", "\"result\":{\"item\":" LUN "}"},
    {"lun.delete dry_run", "\"result\":{\"item\":" LUN "}"},
    {"snap.delete", "\"result\":{\"item\":{\"name\":\"vms/web01@mon\"}}"},
    {"snap.delete dry_run",
	"\"result\":{\"item\":{\"name\":\"vms/web01@mon\"}}"},
    {"snap.diff",
	"\"result\":{\"varve\":1,\"kind\":\"snap.diff\",\"cursor\":null,"
	"\"items\":[{\"offset\":0,\"length\":4096,\"kind\":\"data\"},"
	"{\"offset\":8192,\"length\":65536,\"kind\":\"zero\"}]}"},
    {"lun.flatten", "\"result\":{\"item\":{\"job\":\"flatten-1\","
		    "\"name\":\"vms/web01\",\"state\":\"running\"}}"},
    {"job.show flatten-1", "\"result\":{\"item\":{\"job\":\"flatten-1\","
			   "\"name\":\"vms/web01\",\"state\":\"done\"}}"},
    {"job.show flatten-3", "\"result\":{\"item\":{\"job\":\"flatten-3\","
			   "\"name\":\"vms/web01\",\"state\":\"running\","
			   "\"done\":4096,\"total\":8192}}"},
    {"job.show flatten-2", "\"result\":{\"item\":{\"job\":\"flatten-2\","
			   "\"name\":\"vms/web01\",\"state\":\"failed\","
			   "\"problem\":\"no room\"}}"},
    {"pool.check", "\"result\":{\"item\":{\"job\":\"check-1\","
		   "\"name\":\"vms\",\"state\":\"running\"}}"},
    {"job.show check-1",
	"\"result\":{\"item\":{\"job\":\"check-1\",\"name\":\"vms\","
	"\"state\":\"done\",\"report\":{\"varve\":1,\"kind\":\"pool.check\","
	"\"item\":{\"pool\":\"vms\",\"pages\":7},\"items\":["
	"{\"severity\":\"damage\",\"code\":\"meta.page\","
	"\"what\":\"a page is lost\"}]}}}"},
    {"job.show check-2",
	"\"result\":{\"item\":{\"job\":\"check-2\",\"name\":\"vms\","
	"\"state\":\"done\",\"report\":{\"item\":{\"pool\":\"vms\"},"
	"\"items\":[{\"severity\":\"note\",\"code\":\"label.copy\","
	"\"what\":\"a copy is gone\"}]}}}"},
    {"job.show check-3",
	"\"result\":{\"item\":{\"job\":\"check-3\",\"name\":\"vms\","
	"\"state\":\"failed\",\"problem\":\"given up\"}}"},
    {"lun.resize",
	"\"error\":{\"code\":-32000,\"message\":\"m\",\"data\":{"
	"\"code\":\"lun.in-use\",\"what\":\"cannot shrink vms/web01\","
	"\"why\":\"a session has it\",\"fix\":[\"first\",\"second\"],"
	"\"exit\":5}}"},
    {"pool.list", "\"result\":{\"items\":[{\"name\":\"vms\"},"
		  "{\"name\":\"lab\"}]}"},
    {"host.add", "\"result\":{\"item\":{\"name\":\"kvm1\"}}"},
    {"host.connect",
	"\"result\":{\"item\":{\"lines\":[\"line one\",\"  line two\"]}}"},
    {"config.export", "\"result\":{\"item\":{\"document\":{\"a\":1}}}"},
    {"config.diff", "\"result\":{\"items\":[]}"},
    {"health", "\"result\":{\"items\":[{\"severity\":\"warning\","
	       "\"code\":\"pool.level\",\"what\":\"vms is 83% full\","
	       "\"fix\":\"varve pool grow vms\"}]}"},
    {"version", "\"result\":{\"item\":{\"version\":\"9.9\",\"api\":1}}"},
    {"top", "\"result\":{\"items\":[{\"name\":\"vms/web01\"}]}"},
    {NULL, NULL},
};

static int
start(void **state)
{
	(void)state;
	fake_varved_start(answers);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	fake_varved_stop();
	return 0;
}

static const json_t *
request(size_t index)
{
	return json_array_get(fake_varved_requests(), index);
}

static const json_t *
param(size_t index, const char *name)
{
	return json_object_get(json_object_get(request(index), "params"), name);
}

static void
contains(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in:\n%s", part, text);
}

static void
a_list_is_a_table(void **state)
{
	(void)state;
	assert_int_equal(cli("lun", "list", "-o", "name,size,hosts", NULL), 0);
	assert_string_equal(cli_out, "NAME          SIZE  HOSTS\n"
				     "vms/web01  100 GiB  kvm1\n");
	assert_string_equal(cli_err, "");
}

static void
json_is_the_api_result_itself(void **state)
{
	(void)state;
	assert_int_equal(cli("--json", "lun", "list", NULL), 0);
	assert_string_equal(cli_out,
	    "{\"varve\":1,\"kind\":\"lun.list\",\"items\":[" LUN "]}\n");
}

static void
quiet_prints_nothing(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("-q", "lun", "create", "vms/a", "--size", "1G", NULL), 0);
	assert_string_equal(cli_out, "");
	assert_string_equal(cli_err, "");
}

static void
a_change_carries_a_request_id_of_its_own(void **state)
{
	const char *first, *second;

	(void)state;
	cli("lun", "create", "vms/a", "--size", "1G", NULL);
	cli("lun", "create", "vms/a", "--size", "1G", NULL);
	first = json_string_value(param(0, "request_id"));
	second = json_string_value(param(1, "request_id"));
	assert_int_equal(strlen(first), 36);
	assert_string_not_equal(first, second);
	assert_null(param(0, "dry_run"));
	cli("lun", "list", NULL);
	assert_null(param(2, "request_id"));
}

static void
a_dry_run_is_asked_of_varved(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("lun", "create", "vms/a", "--size", "1G", "-n", NULL), 0);
	assert_true(json_is_true(param(0, "dry_run")));
	assert_int_equal(json_integer_value(param(0, "size")), 1 << 30);
	contains(cli_err, "nothing was changed");
}

static void
reading_has_no_dry_run(void **state)
{
	(void)state;
	assert_int_equal(cli("lun", "list", "-n", NULL), API_USAGE);
	assert_int_equal(json_array_size(fake_varved_requests()), 0);
}

static void
an_error_says_what_why_fix_and_where(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("lun", "resize", "vms/web01", "1G", "--shrink", NULL), 5);
	assert_string_equal(cli_out, "");
	assert_string_equal(cli_err,
	    "error: cannot shrink vms/web01   [lun.in-use]\n"
	    "  why: a session has it\n"
	    "  fix: first\n"
	    "       second\n"
	    "  see: man varve-errors, lun.in-use\n");
}

static void
an_error_is_json_too(void **state)
{
	json_t *answer;

	(void)state;
	assert_int_equal(
	    cli("lun", "resize", "vms/web01", "1G", "--json", NULL), 5);
	assert_string_equal(cli_err, "");
	answer = json_loads(cli_out, 0, NULL);
	assert_string_equal(
	    json_string_value(json_object_get(answer, "kind")), "error");
	assert_string_equal(json_string_value(json_object_get(
				json_object_get(answer, "error"), "code")),
	    "lun.in-use");
	json_decref(answer);
}

static void
a_usage_error_is_json_too_wherever_json_stands(void **state)
{
	(void)state;
	assert_int_equal(cli("lun", "lits", "--json", NULL), API_USAGE);
	contains(cli_out, "\"usage.command\"");
	contains(cli_out, "varve lun list");
}

static void
destroying_without_terminal_needs_yes(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("lun", "delete", "vms/web01", "--now", NULL), API_CONFIRM);
	contains(cli_err, "[confirm.needed]");
	contains(cli_err, "varve lun delete vms/web01 --now --yes");
	/* varved was asked, but only to check */
	assert_int_equal(json_array_size(fake_varved_requests()), 1);
	assert_true(json_is_true(param(0, "dry_run")));
}

static void
yes_destroys_at_once(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("lun", "delete", "vms/web01", "--now", "-y", NULL), 0);
	assert_int_equal(json_array_size(fake_varved_requests()), 1);
	assert_null(param(0, "dry_run"));
}

static void
what_can_be_undone_is_not_asked(void **state)
{
	(void)state;
	assert_int_equal(cli("lun", "delete", "vms/web01", NULL), 0);
	assert_int_equal(json_array_size(fake_varved_requests()), 1);
	assert_null(param(0, "dry_run"));
}

static void
what_goes_to_the_trash_only_with_an_option_is_asked_without(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("snap", "delete", "vms/web01@mon", NULL), API_CONFIRM);
	contains(cli_err, "varve snap delete vms/web01@mon --yes");
	assert_int_equal(
	    cli("snap", "delete", "vms/web01@mon", "--trash", NULL), 0);
}

static void
a_job_is_followed_to_its_end(void **state)
{
	(void)state;
	assert_int_equal(cli("lun", "flatten", "vms/web01", NULL), 0);
	assert_int_equal(json_array_size(fake_varved_requests()), 2);
	assert_string_equal(json_string_value(param(1, "job")), "flatten-1");
	contains(cli_out, "done");
	assert_int_equal(
	    cli("lun", "flatten", "vms/web01", "--no-wait", NULL), 0);
	contains(cli_out, "running");
}

static void
a_job_that_failed_says_why(void **state)
{
	(void)state;
	assert_int_equal(cli("job", "watch", "flatten-1", "-v", NULL), 0);
	assert_int_equal(cli("job", "watch", "flatten-2", NULL), API_FAILED);
	contains(cli_err, "[job.failed]");
	contains(cli_err, "no room");
}

static void
who_waits_no_longer_than_a_time_leaves_the_job_alone(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("job", "watch", "flatten-3", "--timeout", "1s", NULL),
	    API_RUNNING);
	contains(cli_err, "[job.running]");
	contains(cli_err, "varve job watch flatten-3");
}

/* A file gets a line for each step, and the last line is the end. */
static void
a_job_is_followed_as_lines_of_json(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("job", "watch", "flatten-3", "--timeout", "1s", "--json", NULL),
	    API_RUNNING);
	contains(cli_out, "{\"varve\":1,\"kind\":\"job.progress\",\"item\":{");
	contains(cli_out, "\"kind\":\"error\"");
}

static void
a_check_shows_what_it_found(void **state)
{
	(void)state;
	assert_int_equal(cli("pool", "check", "vms", NULL), API_FINDINGS);
	contains(cli_out, "pool vms: 0 LUNs, 0 snapshots, 7 pages");
	contains(cli_out, "damage: a page is lost   [meta.page]\n");
	assert_int_equal(
	    cli("--plain", "job", "watch", "check-1", NULL), API_FINDINGS);
	assert_string_equal(cli_out, "damage\tmeta.page\ta page is lost\n");
	assert_int_equal(
	    cli("pool", "check", "vms", "--json", NULL), API_FINDINGS);
	contains(cli_out, "{\"varve\":1,\"kind\":\"pool.check\",\"item\":");
	assert_int_equal(cli("job", "watch", "check-1", "-o", "job", NULL), 0);
	contains(cli_out, "check-1");
}

static void
notes_of_a_check_are_no_findings(void **state)
{
	(void)state;
	assert_int_equal(cli("job", "watch", "check-2", NULL), 0);
	contains(cli_out, "note: a copy is gone");
	assert_int_equal(cli("job", "watch", "check-3", NULL), API_FAILED);
	contains(cli_err, "given up");
}

static void
a_difference_is_lines_or_one_object(void **state)
{
	(void)state;
	assert_int_equal(cli("snap", "diff", "vms/web01@mon", "@tue", NULL), 0);
	assert_string_equal(cli_out, "0 4096 data\n8192 65536 zero\n");
	assert_string_equal(json_string_value(param(0, "to")), "@tue");
	assert_int_equal(
	    cli("snap", "diff", "vms/web01@mon", "--plain", NULL), 0);
	assert_string_equal(cli_out, "0\t4096\tdata\n8192\t65536\tzero\n");
	assert_int_equal(
	    cli("snap", "diff", "vms/web01@mon", "--json", NULL), 0);
	assert_string_equal(cli_out,
	    "{\"varve\":1,\"kind\":\"snap.diff\",\"items\":["
	    "{\"offset\":0,\"length\":4096,\"kind\":\"data\"},"
	    "{\"offset\":8192,\"length\":65536,\"kind\":\"zero\"}]}\n");
	assert_int_equal(
	    cli("snap", "diff", "vms/web01", "--json", "--limit", "2", NULL),
	    0);
	contains(cli_out, "\"cursor\":null");
}

static void
a_column_that_is_not_there_is_found_before_the_change(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("lun", "create", "vms/a", "--size", "1G", "-o", "nmae", NULL),
	    API_USAGE);
	contains(cli_err, "did you mean name?");
	assert_int_equal(json_array_size(fake_varved_requests()), 0);
}

static void
a_secret_comes_from_a_file(void **state)
{
	char path[] = "/tmp/varve-secret-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "correct horse!\n", 15), 15);
	close(fd);
	assert_int_equal(cli("host", "add", "kvm1", "--iqn", "iqn.2026-01.x:y",
			     "--chap-file", path, NULL),
	    0);
	unlink(path);
	assert_string_equal(
	    json_string_value(param(0, "chap")), "correct horse!");
}

static void
a_secret_file_that_is_empty_or_missing_stops_it(void **state)
{
	(void)state;
	assert_int_equal(cli("host", "add", "kvm1", "--iqn", "iqn.2026-01.x:y",
			     "--chap-file", "/dev/null", NULL),
	    API_FAILED);
	contains(cli_err, "[secret.unreadable]");
	assert_int_equal(cli("host", "add", "kvm1", "--iqn", "iqn.2026-01.x:y",
			     "--chap-file", "/nowhere/x", NULL),
	    API_FAILED);
	assert_int_equal(json_array_size(fake_varved_requests()), 0);
}

static void
lines_to_paste_and_documents_are_printed_as_they_are(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("host", "connect", "kvm1", "--for", "qemu", NULL), 0);
	assert_string_equal(cli_out, "line one\n  line two\n");
	assert_int_equal(cli("config", "export", NULL), 0);
	assert_string_equal(cli_out, "{\n  \"a\": 1\n}\n");
}

static void
a_document_goes_along_whole(void **state)
{
	char path[] = "/tmp/varve-site-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "{\"hosts\":[]}", 12), 12);
	close(fd);
	assert_int_equal(cli("config", "diff", path, NULL), 0);
	unlink(path);
	assert_true(
	    json_is_array(json_object_get(param(0, "document"), "hosts")));
}

static void
findings_are_exit_9_each_with_its_mend(void **state)
{
	(void)state;
	assert_int_equal(cli("health", NULL), API_FINDINGS);
	assert_string_equal(cli_out, "warning: vms is 83% full   [pool.level]\n"
				     "  fix: varve pool grow vms\n");
	assert_int_equal(cli("health", "--json", NULL), API_FINDINGS);
	contains(cli_out, "\"pool.level\"");
}

static void
version_names_both(void **state)
{
	(void)state;
	assert_int_equal(cli("version", NULL), 0);
	contains(cli_out, "varve   ");
	contains(cli_out, "varved  9.9\n");
	assert_int_equal(cli("version", "--plain", NULL), 0);
	assert_string_equal(cli_out, "9.9\t1\n");
	assert_int_equal(cli("--version", NULL), 0);
	assert_string_equal(cli_out, "varve " VARVE_VERSION "\n");
}

static void
top_is_shown_once_without_a_terminal(void **state)
{
	(void)state;
	assert_int_equal(cli("top", "--by", "latency", "-o", "name", NULL), 0);
	assert_string_equal(cli_out, "NAME\nvms/web01\n");
	assert_string_equal(json_string_value(param(0, "by")), "latency");
}

static void
names_are_completed_from_varved(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("completion", "words", "--", "pool", "show", "", NULL), 0);
	assert_string_equal(cli_out, "vms\nlab\n");
	assert_int_equal(
	    cli("completion", "words", "--", "lun", "resize", "vms/", NULL), 0);
	assert_string_equal(cli_out, "vms/web01\n");
	assert_int_equal(
	    cli("completion", "words", "--", "lun", "create", "l", NULL), 0);
	assert_string_equal(cli_out, "lab/\n");
}

static void
a_daemon_that_hangs_up_is_lost(void **state)
{
	(void)state;
	assert_int_equal(cli("session", "list", NULL), API_UNREACHABLE);
	contains(cli_err, "[daemon.lost]");
}

static void
without_varved_it_says_how_to_start_it(void **state)
{
	(void)state;
	setenv("VARVE_CONNECT", "unix:/nowhere/of/mine/varve.sock", 1);
	assert_int_equal(cli("lun", "list", NULL), API_UNREACHABLE);
	contains(cli_err, "error: varved is not running");
	contains(cli_err, "fix: varved --dir /nowhere/of/mine");
	assert_int_equal(
	    cli("completion", "words", "--", "pool", "show", "", NULL), 0);
	assert_string_equal(cli_out, "");
	assert_string_equal(cli_err, "");
}

static void
connect_wins_over_the_environment(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("lun", "list", "--connect", "unix:/elsewhere/varve.sock", NULL),
	    API_UNREACHABLE);
	contains(cli_err, "/elsewhere");
}

static void
help_needs_no_varved(void **state)
{
	(void)state;
	assert_int_equal(cli("help", NULL), 0);
	contains(cli_out, "lun create");
	assert_int_equal(cli("lun", "--help", NULL), 0);
	contains(cli_out, "make a thin LUN");
	assert_int_equal(cli("lun", "create", "--help", NULL), 0);
	contains(cli_out, "varve lun create POOL/LUN --size SIZE");
	contains(cli_out, "Example:\n  varve lun create");
	contains(cli_out, "Exit codes:\n  4 ");
	assert_int_equal(cli("help", "lun", "create", NULL), 0);
	contains(cli_out, "--size SIZE");
	assert_int_equal(json_array_size(fake_varved_requests()), 0);
}

static void
no_command_at_all_is_a_usage_error(void **state)
{
	(void)state;
	assert_int_equal(cli(NULL, NULL), API_USAGE);
	assert_int_equal(cli("lun", NULL), API_USAGE);
	contains(cli_err, "varve lun --help");
}

static void
color_only_when_it_is_asked_for(void **state)
{
	(void)state;
	cli("lun", "lits", "--color", "always", NULL);
	contains(cli_err, "\033[1;31merror:");
	cli("lun", "lits", NULL);
	assert_null(strchr(cli_err, '\033'));
}

#define claim(f) cmocka_unit_test_setup_teardown(f, start, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(a_list_is_a_table),
	    claim(json_is_the_api_result_itself),
	    claim(quiet_prints_nothing),
	    claim(a_change_carries_a_request_id_of_its_own),
	    claim(a_dry_run_is_asked_of_varved),
	    claim(reading_has_no_dry_run),
	    claim(an_error_says_what_why_fix_and_where),
	    claim(an_error_is_json_too),
	    claim(a_usage_error_is_json_too_wherever_json_stands),
	    claim(destroying_without_terminal_needs_yes),
	    claim(yes_destroys_at_once),
	    claim(what_can_be_undone_is_not_asked),
	    claim(what_goes_to_the_trash_only_with_an_option_is_asked_without),
	    claim(a_job_is_followed_to_its_end),
	    claim(a_job_that_failed_says_why),
	    claim(who_waits_no_longer_than_a_time_leaves_the_job_alone),
	    claim(a_job_is_followed_as_lines_of_json),
	    claim(a_check_shows_what_it_found),
	    claim(notes_of_a_check_are_no_findings),
	    claim(a_difference_is_lines_or_one_object),
	    claim(a_column_that_is_not_there_is_found_before_the_change),
	    claim(a_secret_comes_from_a_file),
	    claim(a_secret_file_that_is_empty_or_missing_stops_it),
	    claim(lines_to_paste_and_documents_are_printed_as_they_are),
	    claim(a_document_goes_along_whole),
	    claim(findings_are_exit_9_each_with_its_mend),
	    claim(version_names_both),
	    claim(top_is_shown_once_without_a_terminal),
	    claim(names_are_completed_from_varved),
	    claim(a_daemon_that_hangs_up_is_lost),
	    claim(without_varved_it_says_how_to_start_it),
	    claim(connect_wins_over_the_environment),
	    claim(help_needs_no_varved),
	    claim(no_command_at_all_is_a_usage_error),
	    claim(color_only_when_it_is_asked_for),
	};

	/* the tests run without a terminal, wherever they are started */
	if (dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
