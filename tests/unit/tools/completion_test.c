/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is offered for a half-typed line.  The shells' own side is covered by
 * tests/integration/completion.sh.
 */
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/completion.h"
#include <string.h>

static char asked[64], connect[64];

static void
names(void *arg, const char *noun,
    void (*offer)(void *offer_arg, const char *name), void *offer_arg)
{
	const struct completion *completion = arg;

	snprintf(asked, sizeof(asked), "%s", noun);
	snprintf(connect, sizeof(connect), "%s",
	    completion->connect ? completion->connect : "");
	if (strcmp(noun, "pool") == 0) {
		offer(offer_arg, "vms");
		offer(offer_arg, "lab");
	} else if (strcmp(noun, "snap") == 0) {
		offer(offer_arg, "vms/web01@mon");
		offer(offer_arg, "vms/web01@tue");
		offer(offer_arg, "vms/web02@mon");
	} else {
		offer(offer_arg, "vms/web01");
		offer(offer_arg, "vms/web02");
	}
}

/* line: words with blanks between; the last may be empty.  To be freed. */
static char *
offered(const char *line)
{
	char *copy = strdup(line), *words[16], *text = NULL;
	unsigned count = 0;
	size_t size;
	struct completion completion = {.names = names};

	asked[0] = '\0';
	completion.names_arg = &completion;
	completion.file = open_memstream(&text, &size);
	for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;)
		words[count++] = word;
	completion_words(&completion, words, count);
	fclose(completion.file);
	free(copy);
	return text;
}

static void
offers(const char *line, const char *expected)
{
	_cleanup_(freep) char *text = offered(line);

	assert_string_equal(text, expected);
}

/* candidate is the beginning of some line of the offer. */
static bool
has(const char *line, const char *candidate)
{
	_cleanup_(freep) char *text = offered(line);
	char *state;

	for (char *one = strtok_r(text, "\n", &state); one != NULL;
	     one = strtok_r(NULL, "\n", &state)) {
		size_t length = strlen(candidate);
		if (strncmp(one, candidate, length) == 0 &&
		    (one[length] == '\0' || one[length] == '\t'))
			return true;
	}
	return false;
}

static void
nouns_then_verbs(void **state)
{
	(void)state;
	assert_true(has("", "lun"));
	assert_true(has("", "health"));
	assert_true(has("", "help"));
	offers("lu", "lun\n");
	assert_true(has("lun ", "create"));
	assert_true(has("lun cr", "create"));
	assert_false(has("lun cr", "list"));
	assert_true(has("help lun ", "create"));
	assert_false(has("help ", "help"));
}

static void
names_by_the_type_of_the_argument(void **state)
{
	(void)state;
	offers("pool show ", "vms\nlab\n");
	offers("lun show vms/web02", "vms/web02\n");
	assert_string_equal(asked, "lun");
	offers("lun create ", "vms/\nlab/\n");
	offers("session drop ", "vms/web01\nvms/web02\n");
	assert_string_equal(asked, "session");
}

static void
snapshots_by_their_lun(void **state)
{
	(void)state;
	offers("snap show vms/", "vms/web01@mon\nvms/web01@tue\n"
				 "vms/web02@mon\n");
	offers("snap create vms/web02", "vms/web02@\n");
	/* those of the LUN that stands before, without it */
	offers("snap diff vms/web01@mon ", "@mon\n@tue\n");
	offers("snap diff vms/web02 @m", "@mon\n");
	offers("export add vms/web02", "vms/web02\nvms/web02@mon\n");
	offers("lun clone vms/web01@mon ", "vms/\nlab/\n");
	offers("snap delete vms/web02@mon --tr",
	    "--trash\tinto the trash, from "
	    "which it can come back\n");
}

static void
a_taken_argument_is_not_offered_again(void **state)
{
	(void)state;
	offers("lun show vms/web01 ", "");
	assert_string_equal(asked, "");
	/* the second argument of pool create is a device */
	offers("pool create vms ", ":files\n");
	offers("pool create vms /dev/a ", ":files\n");
}

static void
values_of_options(void **state)
{
	(void)state;
	offers("host connect kvm1 --for ",
	    "qemu\nopen-iscsi\nlibvirt\nproxmox\nmultipath\n");
	offers("host connect kvm1 --for=li", "--for=libvirt\n");
	offers("export add vms/web01 --host ", "vms/web01\nvms/web02\n");
	assert_string_equal(asked, "host");
	offers("host add h --chap-file ", ":files\n");
	offers("--color ", "auto\nalways\nnever\n");
	offers("lun create vms/a --size ", "");
}

static void
an_option_with_a_value_is_no_argument(void **state)
{
	(void)state;
	offers("--timeout 5s pool show ", "vms\nlab\n");
	offers("-o name pool show v", "vms\n");
	offers("lun resize --timeout 5 vms/web0", "vms/web01\nvms/web02\n");
}

static void
options_of_the_command_and_global_ones(void **state)
{
	(void)state;
	assert_true(has("lun create --", "--size"));
	assert_true(has("lun create --", "--json"));
	assert_false(has("lun list --", "--size"));
	assert_true(has("host add --chap", "--chap-file"));
	offers(
	    "lun create --si", "--size\twhat the host sees, up to 232 TiB\n");
}

static void
columns_one_after_the_other(void **state)
{
	(void)state;
	assert_true(has("lun list -o ", "name"));
	assert_true(has("lun list -o name,sn", "name,snap-held"));
	assert_true(has("lun list --sort si", "size"));
}

static void
the_daemon_is_the_one_on_the_line(void **state)
{
	(void)state;
	offers("--connect unix:/x pool show v", "vms\n");
	assert_string_equal(connect, "unix:/x");
	offers("--connect=unix:/y pool show v", "vms\n");
	assert_string_equal(connect, "unix:/y");
	offers("--connect ", "unix:\n");
}

static void
nonsense_offers_nothing(void **state)
{
	(void)state;
	offers("frobnicate ", "");
	offers("lun frobnicate ", "");
	offers("lun show --frob=", "");
	offers("lun show -- --", "");
}

static void
every_shell_has_its_script(void **state)
{
	(void)state;
	assert_non_null(
	    strstr(completion_script("bash"), "completion words --"));
	assert_non_null(
	    strstr(completion_script("zsh"), "completion words --"));
	assert_non_null(
	    strstr(completion_script("fish"), "completion words --"));
	assert_null(completion_script("tcsh"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nouns_then_verbs),
	    cmocka_unit_test(names_by_the_type_of_the_argument),
	    cmocka_unit_test(snapshots_by_their_lun),
	    cmocka_unit_test(a_taken_argument_is_not_offered_again),
	    cmocka_unit_test(values_of_options),
	    cmocka_unit_test(an_option_with_a_value_is_no_argument),
	    cmocka_unit_test(options_of_the_command_and_global_ones),
	    cmocka_unit_test(columns_one_after_the_other),
	    cmocka_unit_test(the_daemon_is_the_one_on_the_line),
	    cmocka_unit_test(nonsense_offers_nothing),
	    cmocka_unit_test(every_shell_has_its_script),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
