/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Portals through the control API: the ports they keep, where they send hosts,
 * their groups and how good the paths by them are.  Does not cover: what hosts
 * are told (tests/integration/paths.py, redirect.sh).
 */
#include "tests/unit/target/support/talk.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A new portal's address. */
static const char *
add(unsigned group, char address[64])
{
	char params[96];

	snprintf(params, sizeof(params),
	    "{\"address\":\"127.0.0.1:0\",\"group\":%u}", group);
	done("portal.add", params);
	assert_int_equal(number("group"), group);
	snprintf(address, 64, "%s", text("address"));
	return address;
}

static const char *
set_params(const char *address, const char *access, const char *more)
{
	static char params[192];

	snprintf(params, sizeof(params),
	    "{\"address\":\"%s\",\"access\":\"%s\"%s}", address, access, more);
	return params;
}

static void
set(const char *address, const char *access)
{
	done("portal.set", set_params(address, access, ""));
	assert_string_equal(text("access"), access);
}

static void
access_is(unsigned row, const char *access)
{
	done("portal.list", "{}");
	assert_string_equal(
	    text_in(json_array_get(result, row), "access"), access);
}

static void
a_groups_access_is_that_of_all_its_portals_and_lasts(void **unused)
{
	char a[64], b[64], c[64];

	(void)unused;
	add(1, a);
	add(2, b);
	add(2, c);
	access_is(0, "optimized");
	set(b, "non-optimized");
	set(c, "standby");
	done("portal.set", set_params(c, "unavailable", ",\"dry_run\":true"));
	talk_restart(NULL);
	access_is(0, "optimized");
	access_is(1, "standby");
	access_is(2, "standby");
	refused("portal.set", set_params("127.0.0.1:1", "standby", ""),
	    "portal.not-found");
	refused("portal.set", set_params(a, "transitioning", ""),
	    "request.argument");
}

static void
the_last_path_is_taken_by_force_only_and_health_says_so(void **unused)
{
	char a[64], b[64];

	(void)unused;
	add(1, a);
	refused("portal.set", set_params(a, "standby", ""), "portal.last-path");
	add(1, b); /* the same group is no other path */
	refused("portal.set", set_params(a, "standby", ""), "portal.last-path");
	access_is(0, "optimized");
	add(2, b);
	set(a, "unavailable");
	refused("portal.set", set_params(b, "standby", ""), "portal.last-path");
	assert_false(has_finding("portal.no-path"));
	done("portal.set", set_params(b, "standby", ",\"force\":true"));
	assert_true(has_finding("portal.no-path"));
	set(a, "non-optimized");
	assert_false(has_finding("portal.no-path"));
}

static void
a_portal_that_sends_hosts_away_is_no_path(void **unused)
{
	char a[64], b[64], params[160];

	(void)unused;
	add(1, a);
	add(2, b);
	snprintf(params, sizeof(params),
	    "{\"address\":\"%s\",\"to\":\"192.0.2.9\"}", b);
	done("portal.redirect", params);
	refused("portal.set", set_params(a, "standby", ""), "portal.last-path");
	snprintf(
	    params, sizeof(params), "{\"address\":\"%s\",\"off\":true}", b);
	done("portal.redirect", params);
	set(a, "standby");
}

static void
a_group_that_comes_again_is_as_new_ones_are(void **unused)
{
	char a[64], b[64], params[96];

	(void)unused;
	add(1, a);
	add(2, b);
	set(b, "standby");
	snprintf(params, sizeof(params), "{\"address\":\"%s\"}", b);
	done("portal.remove", params);
	add(2, b);
	access_is(1, "optimized");
}

static void
there_are_eight_groups_at_most(void **unused)
{
	char address[64];

	(void)unused;
	for (unsigned group = 1; group <= 8; group++)
		add(group, address);
	refused("portal.add", "{\"address\":\"127.0.0.1:0\",\"group\":9}",
	    "portal.groups");
	refused("portal.add", "{\"address\":\"127.0.0.1:0\",\"group\":0}",
	    "request.argument");
	refused("portal.add", "{\"address\":\"127.0.0.1:0\",\"group\":65536}",
	    "request.argument");
	add(8, address);
}

static void
one_that_was_removed_can_come_again_at_once(void **unused)
{
	char address[64], params[128];

	(void)unused;
	add(1, address);
	snprintf(params, sizeof(params), "{\"address\":\"%s\"}", address);
	for (unsigned i = 0; i < 200; i++) {
		done("portal.remove", params);
		done("portal.add", params);
	}
	done("portal.list", "{}");
	assert_int_equal(json_array_size(result), 1);
}

static void
a_document_has_groups(void **unused)
{
	char a[64], b[64], wanted[256];
	json_t *document;

	(void)unused;
	add(1, a);
	add(3, b);
	done("config.export", "{}");
	document = json_incref(json_object_get(result, "document"));
	snprintf(wanted, sizeof(wanted), "%s,3", b);
	const json_t *portals = json_object_get(document, "portals");
	assert_string_equal(json_string_value(json_array_get(portals, 0)), a);
	assert_string_equal(
	    json_string_value(json_array_get(portals, 1)), wanted);
	json_decref(document);
	/* the second into another group, the first not there any more */
	snprintf(wanted, sizeof(wanted),
	    "{\"prune\":true,\"document\":{\"varve\":1,\"portals\":[\"%s,4\"]}"
	    "}",
	    b);
	done("config.apply", wanted);
	done("portal.list", "{}");
	assert_int_equal(json_array_size(result), 1);
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(text_in(row, "address"), b);
	assert_int_equal(json_integer_value(json_object_get(row, "group")), 4);
	done("config.diff", wanted);
	refused("config.apply",
	    "{\"document\":{\"varve\":1,\"portals\":[\"127.0.0.1:1,x\"]}}",
	    "config.invalid");
	refused("config.apply",
	    "{\"document\":{\"varve\":1,\"portals\":[\"127.0.0.1:1,0\"]}}",
	    "config.invalid");
}

/* Steps of the document of that portal and that redirect, with prune. */
static size_t
steps_of(const char *portal, const char *redirect)
{
	char params[1024];

	snprintf(params, sizeof(params),
	    "{\"prune\":true,\"document\":{\"varve\":1,\"portals\":[%s],"
	    "\"redirects\":[%s]}}",
	    portal, redirect);
	done("config.diff", params);
	return json_array_size(result);
}

static void
a_document_may_say_an_address_in_several_ways(void **unused)
{
	char a[64], b[64], portals[192], redirect[300];

	(void)unused;
	add(1, a);
	add(2, b);
	snprintf(portals, sizeof(portals), "\"%s,1\",\"%s,02\"", a, b);
	assert_int_equal(steps_of(portals, ""), 0);
	snprintf(redirect, sizeof(redirect),
	    "{\"address\":\"%s\",\"to\":\"192.0.2.9\"}", b);
	done("portal.redirect", redirect);
	/* of another group than the first, it ends with prune as well */
	assert_int_equal(steps_of(portals, ""), 1);
	snprintf(redirect, sizeof(redirect),
	    "{\"name\":\"%s\",\"to\":\"192.0.2.9:3260\"}", b);
	assert_int_equal(steps_of(portals, redirect), 0);
	snprintf(portals, sizeof(portals), "\"%s\",\"%s,3\"", a, a);
	snprintf(redirect, sizeof(redirect),
	    "{\"document\":{\"varve\":1,\"portals\":[%s]}}", portals);
	refused("config.diff", redirect, "config.invalid");
	refused("config.diff",
	    "{\"document\":{\"varve\":1,\"portals\":"
	    "[\"127.0.0.1:1,65538\"]}}",
	    "config.invalid");
	refused("config.diff",
	    "{\"document\":{\"varve\":1,\"redirects\":"
	    "[{\"name\":\"127.0.0.1:1\",\"to\":\"there\"}]}}",
	    "config.invalid");
}

static const char *
moved_params(const char *address, unsigned group, const char *more)
{
	static char params[512];

	snprintf(params, sizeof(params),
	    "{\"document\":{\"varve\":1,\"portals\":[\"%s,%u\"]}%s}", address,
	    group, more);
	return params;
}

static void
group_and_redirect_are(unsigned group, const char *redirect)
{
	const json_t *row;

	done("portal.list", "{}");
	assert_int_equal(json_array_size(result), 1);
	row = json_array_get(result, 0);
	assert_int_equal(
	    json_integer_value(json_object_get(row, "group")), group);
	assert_string_equal(text_in(row, "redirect"), redirect);
}

/* With prune and without: it is a change.  What the document does not say of
 * where it sends hosts ends with prune alone. */
static void
a_portal_goes_into_another_group_with_its_redirect(void **unused)
{
	const char *prune = ",\"prune\":true";
	char a[64], params[160];

	(void)unused;
	add(1, a);
	snprintf(params, sizeof(params),
	    "{\"address\":\"%s\",\"to\":\"192.0.2.9\"}", a);
	done("portal.redirect", params);
	done("config.apply", moved_params(a, 2, ""));
	assert_int_equal(json_array_size(result), 3);
	group_and_redirect_are(2, "192.0.2.9:3260");
	done("config.diff", moved_params(a, 2, ""));
	assert_int_equal(json_array_size(result), 0);
	snprintf(params, sizeof(params),
	    ",\"redirects\":[{\"name\":\"%s\",\"to\":\"192.0.2.9\"}]},"
	    "\"prune\":true",
	    a);
	char *document = NULL;
	assert_true(asprintf(&document,
			"{\"document\":{\"varve\":1,\"portals\":[\"%s\"]%s}", a,
			params) > 0);
	done("config.apply", document);
	free(document);
	assert_int_equal(json_array_size(result), 3);
	group_and_redirect_are(1, "192.0.2.9:3260");
	done("config.apply", moved_params(a, 2, prune));
	assert_int_equal(json_array_size(result), 2);
	group_and_redirect_are(2, "(none)");
}

/* The default port, in documents only: nothing has to listen at it. */
static void
an_address_without_a_port_has_the_usual_one(void **unused)
{
	(void)unused;
	assert_int_equal(steps_of("\"192.0.2.8\"", ""), 1);
	assert_string_equal(
	    text_in(json_array_get(result, 0), "name"), "192.0.2.8:3260");
	assert_int_equal(
	    steps_of("", "{\"name\":\"192.0.2.8\",\"to\":\"192.0.2.9\"}"), 1);
	assert_string_equal(
	    text_in(json_array_get(result, 0), "name"), "192.0.2.8:3260");
}

static void
portals_keep_the_port_they_got(void **unused)
{
	char address[64], params[128];

	(void)unused;
	refused("portal.add", "{\"address\":\"nowhere\"}", "portal.address");
	refused(
	    "portal.add", "{\"address\":\"192.0.2.1:3260\"}", "portal.failed");
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	snprintf(address, sizeof(address), "%s", text("address"));
	snprintf(params, sizeof(params), "{\"address\":\"%s\"}", address);
	refused("portal.add", params, "portal.exists");
	talk_restart(NULL);
	done("portal.list", "{}");
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(
	    json_string_value(json_object_get(row, "address")), address);
	assert_string_equal(
	    json_string_value(json_object_get(row, "state")), "listening");
	done("portal.remove", params);
	refused("portal.remove", params, "portal.not-found");
}

static void
a_portal_sends_hosts_where_it_is_told_also_after_a_restart(void **unused)
{
	char address[64], params[160];

	(void)unused;
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	snprintf(address, sizeof(address), "%s", text("address"));
#define REDIRECT(more)                                                         \
	(snprintf(                                                             \
	     params, sizeof(params), "{\"address\":\"%s\"" more "}", address), \
	    params)
	refused("portal.redirect", REDIRECT(""), "portal.redirect");
	refused(
	    "portal.redirect", REDIRECT(",\"to\":\"here\""), "portal.redirect");
	refused(
	    "portal.redirect", REDIRECT(",\"to\":\"[::]\""), "portal.redirect");
	refused("portal.redirect", REDIRECT(",\"off\":true,\"permanent\":true"),
	    "portal.redirect");
	refused("portal.redirect", "{\"address\":\"127.0.0.1:1\",\"off\":true}",
	    "portal.not-found");
	done("portal.redirect",
	    REDIRECT(",\"to\":\"192.0.2.9\",\"dry_run\":true"));
	done("portal.list", "{}");
	assert_true(json_is_null(
	    json_object_get(json_array_get(result, 0), "redirect")));
	done("portal.redirect",
	    REDIRECT(",\"to\":\"192.0.2.9\",\"permanent\":true"));
	assert_string_equal(text("redirect"), "192.0.2.9:3260");
	talk_restart(NULL);
	done("portal.list", "{}");
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(json_string_value(json_object_get(row, "redirect")),
	    "192.0.2.9:3260");
	assert_true(json_is_true(json_object_get(row, "permanent")));
	done("portal.redirect", REDIRECT(",\"off\":true"));
#undef REDIRECT
	talk_restart(NULL);
	done("portal.list", "{}");
	assert_true(json_is_null(
	    json_object_get(json_array_get(result, 0), "redirect")));
}

static const char *
redirect_params(const char *from, const char *to)
{
	static char params[192];

	snprintf(params, sizeof(params), "{\"address\":\"%s\",\"to\":\"%s\"}",
	    from, to);
	return params;
}

/* An initiator would follow it for ever. */
static void
no_portal_sends_hosts_back_to_itself(void **unused)
{
	char a[64], b[64], c[64], any[64], self[64];

	(void)unused;
	add(1, a);
	add(1, b);
	add(1, c);
	done("portal.redirect", redirect_params(a, b));
	refused("portal.redirect", redirect_params(b, a), "portal.redirect");
	done("portal.redirect", redirect_params(b, c));
	refused("portal.redirect", redirect_params(c, a), "portal.redirect");
	done("portal.redirect", redirect_params(c, "192.0.2.9"));
	done("portal.add", "{\"address\":\"0.0.0.0:0\"}");
	snprintf(any, sizeof(any), "%s", text("address"));
	snprintf(self, sizeof(self), "127.0.0.9%s", strrchr(any, ':'));
	refused(
	    "portal.redirect", redirect_params(any, self), "portal.redirect");
	done("portal.redirect", redirect_params(c, self));
	refused("portal.redirect", redirect_params(any, a), "portal.redirect");
	/* the port is the portal's, the address another machine's */
	snprintf(self, sizeof(self), "192.0.2.9%s", strrchr(any, ':'));
	done("portal.redirect", redirect_params(any, self));
}

int
main(void)
{
#define claim(f) cmocka_unit_test_setup_teardown(f, talk_setup, talk_teardown)
	const struct CMUnitTest tests[] = {
	    claim(a_groups_access_is_that_of_all_its_portals_and_lasts),
	    claim(the_last_path_is_taken_by_force_only_and_health_says_so),
	    claim(a_portal_that_sends_hosts_away_is_no_path),
	    claim(a_group_that_comes_again_is_as_new_ones_are),
	    claim(there_are_eight_groups_at_most),
	    claim(one_that_was_removed_can_come_again_at_once),
	    claim(a_document_has_groups),
	    claim(a_document_may_say_an_address_in_several_ways),
	    claim(a_portal_goes_into_another_group_with_its_redirect),
	    claim(an_address_without_a_port_has_the_usual_one),
	    claim(portals_keep_the_port_they_got),
	    claim(a_portal_sends_hosts_where_it_is_told_also_after_a_restart),
	    claim(no_portal_sends_hosts_back_to_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
