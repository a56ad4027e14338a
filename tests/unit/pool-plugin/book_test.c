/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/book.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <string.h>

static const unsigned char one[BOOK_UUID_BYTES] = {1};
static const unsigned char two[BOOK_UUID_BYTES] = {2};
static bool taken[SHARE_NUMBER_MAX + 1];

static struct book_page
page_of(const char *url)
{
	struct book_page page = {.url = ""};

	snprintf(page.url, sizeof(page.url), "%s", url);
	return page;
}

static void
see(const unsigned char *uuid, const char *name, unsigned number)
{
	struct share_volume volume = {.number = number};
	const struct share_view view = {.volumes = &volume, .count = 1};

	snprintf(volume.name, sizeof(volume.name), "%s", name);
	book_set_view(uuid, &view);
}

static size_t
count_of(const unsigned char *uuid)
{
	struct share_view view;
	size_t count;

	book_view(uuid, &view);
	count = view.count;
	share_view_done(&view);
	return count;
}

static int
clean(void **state)
{
	struct book_page page = page_of("");
	const struct share_view nothing = {.count = 0};

	(void)state;
	memset(taken, 0, sizeof(taken));
	book_write(one, &page);
	book_write(two, &page);
	book_set_view(one, &nothing);
	book_set_view(two, &nothing);
	book_tear(one);
	book_tear(two);
	return 0;
}

static void
a_page_is_read_until_it_is_torn(void **state)
{
	struct book_page page = page_of("unix:///a"), read;

	(void)state;
	assert_false(book_read(one, &read));
	book_write(one, &page);
	assert_true(book_read(one, &read));
	assert_string_equal(read.url, "unix:///a");
	assert_false(book_read(two, &read));
	see(one, "web01", 0);
	book_tear(one);
	assert_false(book_read(one, &read));
	assert_int_equal(count_of(one), 0);
}

static void
a_view_changes_with_what_is_made_and_deleted(void **state)
{
	const struct share_volume made = {.name = "web02", .number = 1};

	(void)state;
	see(one, "web01", 0);
	book_keep(one, &made);
	assert_int_equal(count_of(one), 2);
	book_keep(one, &made);
	assert_int_equal(count_of(one), 2);
	book_drop(one, "web01");
	book_drop(one, "nobody");
	assert_int_equal(count_of(one), 1);
}

static void
a_name_of_another_pool_is_known_while_that_is_active(void **state)
{
	struct book_page page = page_of("");

	(void)state;
	book_write(one, &page);
	book_write(two, &page);
	see(one, "web01", 0);
	assert_true(book_is_elsewhere(two, "web01"));
	assert_false(book_is_elsewhere(one, "web01"));
	assert_false(book_is_elsewhere(two, "web02"));
	assert_int_equal(book_promise(one, "web02", -1, taken), 1);
	assert_true(book_is_elsewhere(two, "web02"));
	book_forget(one, "web02");
	assert_false(book_is_elsewhere(two, "web02"));
	book_tear(one);
	assert_false(book_is_elsewhere(two, "web01"));
}

static void
nobody_gets_a_number_twice(void **state)
{
	(void)state;
	taken[0] = taken[2] = true;
	assert_int_equal(book_promise(one, "a", -1, taken), 1);
	assert_int_equal(book_promise(one, "b", -1, taken), 3);
	assert_int_equal(book_promise(one, "c", 2, taken), -EEXIST);
	assert_int_equal(book_promise(one, "c", 3, taken), -EEXIST);
	assert_int_equal(book_promise(one, "c", 7, taken), 7);
	assert_int_equal(book_promise(two, "a", -1, taken), 1);
	book_forget(one, "a");
	assert_int_equal(book_promise(one, "d", -1, taken), 1);
	book_forget(one, "b");
	book_forget(one, "c");
	book_forget(one, "d");
	book_forget(two, "a");
}

static void
what_was_kept_since_it_was_asked_is_taken(void **state)
{
	const struct share_volume made = {.name = "a", .number = 0};

	(void)state;
	assert_int_equal(book_promise(one, "a", -1, taken), 0);
	book_keep(one, &made);
	assert_int_equal(book_promise(one, "b", -1, taken), 1);
	book_forget(one, "b");
	book_drop(one, "a");
	assert_int_equal(book_promise(one, "b", -1, taken), 0);
	book_forget(one, "b");
}

static void
nor_a_name(void **state)
{
	const struct share_volume made = {.name = "a"};

	(void)state;
	assert_int_equal(book_promise(one, "a", -1, taken), 0);
	assert_int_equal(book_promise(one, "a", -1, taken), -EEXIST);
	book_keep(one, &made);
	/* varved knows that it has one of that name */
	assert_int_equal(book_promise(one, "a", -1, taken), 1);
	book_forget(one, "a");
}

static void
numbers_end(void **state)
{
	(void)state;
	memset(taken, 1, sizeof(taken));
	assert_int_equal(book_promise(one, "a", -1, taken), -ENOSPC);
	taken[SHARE_NUMBER_MAX] = false;
	assert_int_equal(book_promise(one, "a", -1, taken), SHARE_NUMBER_MAX);
	assert_int_equal(
	    book_promise(one, "b", SHARE_NUMBER_MAX + 1, taken), -EEXIST);
	book_forget(one, "a");
}

static void
what_was_broken_is_said_once(void **state)
{
	(void)state;
	assert_false(book_was_broken(one, "a"));
	assert_int_equal(book_promise(one, "a", -1, taken), 0);
	assert_false(book_was_broken(one, "a"));
	book_break(one, "a");
	/* its number is free, its name is not yet */
	assert_int_equal(book_promise(one, "b", -1, taken), 0);
	assert_int_equal(book_promise(one, "a", -1, taken), -EEXIST);
	assert_true(book_was_broken(one, "a"));
	assert_false(book_was_broken(one, "a"));
	book_forget(one, "b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_page_is_read_until_it_is_torn, clean),
	    cmocka_unit_test_setup(
		a_view_changes_with_what_is_made_and_deleted, clean),
	    cmocka_unit_test_setup(
		a_name_of_another_pool_is_known_while_that_is_active, clean),
	    cmocka_unit_test_setup(nobody_gets_a_number_twice, clean),
	    cmocka_unit_test_setup(
		what_was_kept_since_it_was_asked_is_taken, clean),
	    cmocka_unit_test_setup(nor_a_name, clean),
	    cmocka_unit_test_setup(numbers_end, clean),
	    cmocka_unit_test_setup(what_was_broken_is_said_once, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
