/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/list.h"
#include "tests/unit/base/support/cmocka.h"
#include <string.h>

struct item {
	struct list link;
	char name;
};

static struct list l, other;
static struct item a, b, c;
static char text[8];

static int
setup(void **state)
{
	(void)state;
	list_init(&l);
	list_init(&other);
	a = (struct item){.name = 'a'};
	b = (struct item){.name = 'b'};
	c = (struct item){.name = 'c'};
	return 0;
}

static const char *
spell(const struct list *from)
{
	struct item *item;
	size_t length = 0;

	list_for_each (item, from, link)
		text[length++] = item->name;
	text[length] = '\0';
	return text;
}

static void
elements_are_added_at_either_end_and_in_between(void **state)
{
	(void)state;
	assert_null(list_first(&l, struct item, link));
	list_add_tail(&l, &c.link);
	list_add_head(&l, &a.link);
	list_insert_before(&c.link, &b.link);
	assert_string_equal(spell(&l), "abc");
	assert_ptr_equal(list_first(&l, struct item, link), &a);
}

static void
a_removed_element_says_that_it_is_on_no_list(void **state)
{
	(void)state;
	list_add_tail(&l, &a.link);
	list_add_tail(&l, &b.link);
	list_del(&a.link);
	assert_true(list_empty(&a.link));
	assert_false(list_empty(&b.link));
	assert_string_equal(spell(&l), "b");
	list_del(&a.link); /* again: harmless */
	assert_string_equal(spell(&l), "b");
}

static void
pop_takes_from_the_front_until_empty(void **state)
{
	(void)state;
	list_add_tail(&l, &a.link);
	list_add_tail(&l, &b.link);
	assert_ptr_equal(list_pop(&l), &a.link);
	assert_true(list_empty(&a.link));
	assert_ptr_equal(list_pop(&l), &b.link);
	assert_null(list_pop(&l));
	assert_true(list_empty(&l));
}

static void
splice_appends_all_in_order_and_empties_the_source(void **state)
{
	(void)state;
	list_splice_tail(&l, &other);
	assert_true(list_empty(&l));
	list_add_tail(&l, &a.link);
	list_add_tail(&other, &b.link);
	list_add_tail(&other, &c.link);
	list_splice_tail(&l, &other);
	assert_string_equal(spell(&l), "abc");
	assert_true(list_empty(&other));
	list_splice_tail(&other, &l);
	assert_string_equal(spell(&other), "abc");
}

static void
the_safe_loop_survives_removal_of_each(void **state)
{
	struct item *item, *next;

	(void)state;
	list_add_tail(&l, &a.link);
	list_add_tail(&l, &b.link);
	list_add_tail(&l, &c.link);
	list_for_each_safe (item, next, &l, link)
		list_del(&item->link);
	assert_true(list_empty(&l));
}

#define list_test(f) cmocka_unit_test_setup(f, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    list_test(elements_are_added_at_either_end_and_in_between),
	    list_test(a_removed_element_says_that_it_is_on_no_list),
	    list_test(pop_takes_from_the_front_until_empty),
	    list_test(splice_appends_all_in_order_and_empties_the_source),
	    list_test(the_safe_loop_survives_removal_of_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
