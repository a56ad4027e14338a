/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What appears on stderr and in the file.  Each test logs in a child process
 * whose stderr is a pipe, since the journal is looked for only once.
 */
#include "base/log.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[1 << 20];

static void
set_journal_stream(int fd, ino_t off)
{
	struct stat st;
	char text[64];

	fstat(fd, &st);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)(st.st_ino + off));
	setenv("JOURNAL_STREAM", text, 1);
}

enum journal { NO_JOURNAL, OUR_JOURNAL, ANOTHER_JOURNAL };

static void
child_main(int fd, enum journal journal, void (*speak)(void))
{
	unsetenv("JOURNAL_STREAM");
	if (journal != NO_JOURNAL)
		set_journal_stream(fd, journal == ANOTHER_JOURNAL ? 1 : 0);
	dup2(fd, STDERR_FILENO);
	speak();
	_exit(0);
}

/* What speak() logged. */
static const char *
hear(enum journal journal, void (*speak)(void))
{
	size_t length = 0;
	ssize_t got;
	int fds[2], status;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0)
		child_main(fds[1], journal, speak);
	close(fds[1]);
	while ((got = read(
		    fds[0], output + length, sizeof(output) - 1 - length)) > 0)
		length += (size_t)got;
	output[length] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return output;
}

static void
assert_matches(const char *text, const char *pattern)
{
	regex_t regex;

	assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED), 0);
	if (regexec(&regex, text, 0, NULL, 0) != 0)
		fail_msg("\"%s\" is not %s", text, pattern);
	regfree(&regex);
}

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z "

static void
speak_once(void)
{
	log_warn("pool %s: %d%% full", "vm", 91);
}

static void
speak_every_level(void)
{
	log_set_level(LOG_DEBUG);
	log_error("e");
	log_warn("w");
	log_notice("n");
	log_info("i");
	log_debug("d");
}

static void
a_line_on_a_terminal_begins_with_time_and_level(void **state)
{
	(void)state;
	assert_matches(hear(NO_JOURNAL, speak_once),
	    "^" STAMP "warning: pool vm: 91% full\n$");
}

static void
a_line_in_the_journal_begins_with_its_priority_only(void **state)
{
	(void)state;
	assert_string_equal(hear(OUR_JOURNAL, speak_every_level),
	    "<3>e\n<4>w\n<5>n\n<6>i\n<7>d\n");
}

static void
a_journal_that_is_not_our_stderr_does_not_count(void **state)
{
	(void)state;
	assert_matches(hear(ANOTHER_JOURNAL, speak_once), "^" STAMP);
}

static int evaluated;

static int
evaluate(void)
{
	return ++evaluated;
}

static void
speak_below_the_level(void)
{
	log_debug("%d", evaluate());
	log_set_level(LOG_ERR);
	log_warn("not this");
	log_error("level %d, evaluated %d", log_level(), evaluated);
}

static void
lines_below_the_level_are_left_out_unevaluated(void **state)
{
	(void)state;
	assert_string_equal(hear(OUR_JOURNAL, speak_below_the_level),
	    "<3>level 3, evaluated 0\n");
}

static void
speak_with_control_characters(void)
{
	log_info("name \"%s\"", "a\n<3>forged\r\x1b[2J\x7f\xc3\xa4");
}

static void
a_name_from_a_peer_cannot_forge_a_line(void **state)
{
	(void)state;
	assert_string_equal(hear(OUR_JOURNAL, speak_with_control_characters),
	    "<6>name \"a?<3>forged??[2J?\xc3\xa4\"\n");
}

static void
speak_too_long(void)
{
	static char text[10000];

	memset(text, 'x', sizeof(text) - 1);
	log_info("%s", text);
	log_info("next");
}

static void
an_endless_line_is_cut_and_the_next_one_is_whole(void **state)
{
	const char *heard = hear(OUR_JOURNAL, speak_too_long);

	(void)state;
	assert_matches(heard, "^<6>x+\n<6>next\n$");
	assert_in_range(strlen(heard), 2000, 2100);
}

static void
speak_with_errno(void)
{
	errno = EPIPE;
	log_info("x");
	log_info("%s", errno == EPIPE ? "kept" : "lost");
}

static void
errno_is_kept(void **state)
{
	(void)state;
	assert_string_equal(
	    hear(OUR_JOURNAL, speak_with_errno), "<6>x\n<6>kept\n");
}

#define THREADS 4
#define LINES   500

static void *
thread_main(void *argument)
{
	for (int i = 0; i < LINES; i++)
		log_info(
		    "thread %s line %d of some length", (char *)argument, i);
	return NULL;
}

static void
speak_from_threads(void)
{
	static char names[THREADS][2] = {"a", "b", "c", "d"};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread_main, names[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void
lines_of_threads_do_not_mix(void **state)
{
	const char *at = hear(OUR_JOURNAL, speak_from_threads);
	int next[THREADS] = {0}, lines = 0;

	(void)state;
	for (; *at != '\0'; at = strchr(at, '\n') + 1, lines++) {
		char name;
		int number;
		assert_int_equal(
		    2, sscanf(at, "<6>thread %c line %d of some length\n",
			   &name, &number));
		assert_int_equal(next[name - 'a']++, number);
	}
	assert_int_equal(lines, THREADS * LINES);
}

/* ---- the file ---- */

static char directory[] = "/tmp/log_test.XXXXXX";
static char path[64], moved[64];

static void
speak_into_a_file(void)
{
	if (log_open_file(path) < 0)
		abort();
	log_warn("first");
	if (rename(path, moved) < 0 || log_open_file(path) < 0)
		abort();
	log_warn("second");
	log_open_file(NULL);
	log_warn("third");
}

static void
read_file(const char *name, char *text, size_t size)
{
	FILE *f = fopen(name, "r");

	assert_non_null(f);
	text[fread(text, 1, size - 1, f)] = '\0';
	fclose(f);
}

static void
lines_also_go_to_the_file_which_can_be_rotated(void **state)
{
	char text[256];

	(void)state;
	assert_string_equal(hear(OUR_JOURNAL, speak_into_a_file),
	    "<4>first\n<4>second\n<4>third\n");
	read_file(moved, text, sizeof(text));
	assert_matches(text, "^" STAMP "warning: first\n$");
	read_file(path, text, sizeof(text));
	assert_matches(text, "^" STAMP "warning: second\n$");
}

static void
a_file_that_cannot_be_opened_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(log_open_file("/nonexistent/file"), -ENOENT);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/log", directory);
	snprintf(moved, sizeof(moved), "%s/log.1", directory);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(moved);
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_on_a_terminal_begins_with_time_and_level),
	    cmocka_unit_test(
		a_line_in_the_journal_begins_with_its_priority_only),
	    cmocka_unit_test(a_journal_that_is_not_our_stderr_does_not_count),
	    cmocka_unit_test(lines_below_the_level_are_left_out_unevaluated),
	    cmocka_unit_test(a_name_from_a_peer_cannot_forge_a_line),
	    cmocka_unit_test(an_endless_line_is_cut_and_the_next_one_is_whole),
	    cmocka_unit_test(errno_is_kept),
	    cmocka_unit_test(lines_of_threads_do_not_mix),
	    cmocka_unit_test(lines_also_go_to_the_file_which_can_be_rotated),
	    cmocka_unit_test(a_file_that_cannot_be_opened_is_an_error),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
