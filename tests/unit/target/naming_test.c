/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does not cover: the quality of the random numbers. */
#include "base/assert.h"
#include "target/naming.h"
#include "tests/unit/base/support/cmocka.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static void
a_base_is_the_reversed_domain(void **unused)
{
	static const struct {
		const char *hostname, *base;
	} cases[] = {
	    {"nas1.lan", "iqn.2026-01.lan.nas1"},
	    {"a.b.example.com", "iqn.2026-01.com.example.b.a"},
	    {"NAS1.Lan", "iqn.2026-01.lan.nas1"},
	    {"nas1", "iqn.2026-01.local.nas1"},
	    {"", "iqn.2026-01.local.host"},
	    {"...", "iqn.2026-01.local.host"},
	    {"nas1.lan.", "iqn.2026-01.lan.nas1"},
	    {"nas_1.lan", "iqn.2026-01.lan.nas-1"},
	    {".lan", "iqn.2026-01.local.lan"},
	};
	char base[NAMING_IQN_MAX + 1];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		naming_base(cases[i].hostname, base);
		assert_string_equal(base, cases[i].base);
	}
}

/* The longest of everything still makes an iSCSI name. */
static void
the_longest_target_name_fits(void **unused)
{
	char hostname[256], part[64], base[NAMING_IQN_MAX + 1];
	char iqn[NAMING_IQN_MAX + 1];

	(void)unused;
	memset(hostname, 'h', sizeof(hostname) - 1);
	for (size_t i = 20; i < sizeof(hostname) - 1; i += 21)
		hostname[i] = '.';
	hostname[sizeof(hostname) - 1] = '\0';
	memset(part, 'p', 63);
	part[63] = '\0';
	naming_base(hostname, base);
	naming_target(base, part, part, 1000000, iqn);
	assert_true(strlen(iqn) <= NAMING_IQN_MAX);
	assert_non_null(strstr(iqn, "-1000000"));
}

static void
a_target_name_has_only_what_iscsi_names_may(void **unused)
{
	char iqn[NAMING_IQN_MAX + 1];

	(void)unused;
	naming_target("iqn.2026-01.local", "VMs_1", NULL, 1, iqn);
	assert_string_equal(iqn, "iqn.2026-01.local:vms-1");
	naming_target("iqn.2026-01.local", "vms", "Web_01", 1, iqn);
	assert_string_equal(iqn, "iqn.2026-01.local:vms:web-01");
	naming_target("iqn.2026-01.local", "vms", NULL, 2, iqn);
	assert_string_equal(iqn, "iqn.2026-01.local:vms-2");
}

static void
initiator_names_are_those_of_the_rfc(void **unused)
{
	static const struct {
		const char *text, *iqn; /* NULL: none */
	} cases[] = {
	    {"iqn.1993-08.org.debian:01:5f2a",
		"iqn.1993-08.org.debian:01:5f2a"},
	    {"IQN.1991-05.com.Microsoft:HOST",
		"iqn.1991-05.com.microsoft:host"},
	    {"iqn.2008-11.org.linux-kvm:my_vm",
		"iqn.2008-11.org.linux-kvm:my_vm"},
	    {"eui.02004567A425678D", "eui.02004567a425678d"},
	    {"naa.52004567BA64678D", "naa.52004567ba64678d"},
	    {"naa.62004567BA64678D0123456789ABCDEF",
		"naa.62004567ba64678d0123456789abcdef"},
	    {"", NULL},
	    {"iqn.", NULL},
	    {"iqn.1993-08", NULL},
	    {"iqn.1993-08.", NULL},
	    {"iqn.93-08.org", NULL},
	    {"eui.0200", NULL},
	    {"eui.02004567a425678d02004567a425678d", NULL},
	    {"naa.x2004567BA64678D", NULL},
	    {"host1", NULL},
	    {"iqn.1993-08.org.debian:a b", NULL},
	    {"iqn.1993-08.org.debian:\xc3\xa4", NULL},
	};
	char iqn[NAMING_IQN_MAX + 1];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
		    naming_initiator(cases[i].text, iqn), cases[i].iqn != NULL);
		if (cases[i].iqn != NULL)
			assert_string_equal(iqn, cases[i].iqn);
	}
}

static void
an_initiator_name_of_224_bytes_is_refused(void **unused)
{
	char text[NAMING_IQN_MAX + 2], iqn[NAMING_IQN_MAX + 1];

	(void)unused;
	memset(text, 'a', sizeof(text) - 1);
	memcpy(text, "iqn.1993-08.org:", 16);
	text[NAMING_IQN_MAX + 1] = '\0';
	assert_false(naming_initiator(text, iqn));
	text[NAMING_IQN_MAX] = '\0';
	assert_true(naming_initiator(text, iqn));
}

static void
addresses_have_one_form(void **unused)
{
	static const struct {
		const char *text, *address; /* NULL: none */
	} cases[] = {
	    {"10.0.0.10", "10.0.0.10:3260"},
	    {"10.0.0.10:1", "10.0.0.10:1"},
	    {"127.0.0.1:0", "127.0.0.1:0"},
	    {"[fd00::10]:860", "[fd00::10]:860"},
	    {"[fd00:0:0::10]", "[fd00::10]:3260"},
	    {"fd00::10", "[fd00::10]:3260"},
	    {"::", "[::]:3260"},
	    {"", NULL},
	    {":3260", NULL},
	    {"10.0.0", NULL},
	    {"10.0.0.10:", NULL},
	    {"10.0.0.10:65536", NULL},
	    {"10.0.0.10:-1", NULL},
	    {"10.0.0.10: 1", NULL},
	    {"10.0.0.10:1x", NULL},
	    {"[10.0.0.10]:1", NULL},
	    {"[fd00::10", NULL},
	    {"[fd00::10]3260", NULL},
	    {"localhost:3260", NULL},
	    {"10.0.0.10:99999999999999999999", NULL},
	};
	char address[NAMING_ADDRESS_MAX];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(naming_address(cases[i].text, address),
		    cases[i].address != NULL);
		if (cases[i].address != NULL)
			assert_string_equal(address, cases[i].address);
	}
}

static void
a_bound_address_reads_as_it_was_written(void **unused)
{
	struct sockaddr_storage sa;
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_port = htons(3260)};
	struct sockaddr_in6 in6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(1)};
	char address[NAMING_ADDRESS_MAX];

	(void)unused;
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(&sa, &in, sizeof(in));
	naming_sockaddr(&sa, address);
	assert_string_equal(address, "127.0.0.1:3260");
	assert_int_equal(naming_address_port(address), 3260);
	assert_false(naming_address_any(address));
	memcpy(&sa, &in6, sizeof(in6));
	naming_sockaddr(&sa, address);
	assert_string_equal(address, "[::]:1");
	assert_true(naming_address_any(address));
}

static void
secrets_have_12_to_255_printable_characters(void **unused)
{
	char text[NAMING_SECRET_MAX + 2];

	(void)unused;
	assert_false(naming_secret_valid("eleven-byte"));
	assert_true(naming_secret_valid("twelve bytes"));
	assert_false(naming_secret_valid("twelve bytes "));
	assert_false(naming_secret_valid(" welve bytes"));
	assert_false(naming_secret_valid("twelve\nbytes"));
	memset(text, 'x', sizeof(text) - 1);
	text[NAMING_SECRET_MAX + 1] = '\0';
	assert_false(naming_secret_valid(text));
	text[NAMING_SECRET_MAX] = '\0';
	assert_true(naming_secret_valid(text));
}

static void
secrets_made_are_valid_and_differ(void **unused)
{
	char a[NAMING_SECRET_MADE + 1], b[NAMING_SECRET_MADE + 1];

	(void)unused;
	assert_int_equal(naming_secret_make(a), 0);
	assert_int_equal(naming_secret_make(b), 0);
	assert_int_equal(strlen(a), 16);
	assert_true(naming_secret_valid(a));
	assert_true(naming_user_valid(a));
	assert_string_not_equal(a, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_base_is_the_reversed_domain),
	    cmocka_unit_test(the_longest_target_name_fits),
	    cmocka_unit_test(a_target_name_has_only_what_iscsi_names_may),
	    cmocka_unit_test(initiator_names_are_those_of_the_rfc),
	    cmocka_unit_test(an_initiator_name_of_224_bytes_is_refused),
	    cmocka_unit_test(addresses_have_one_form),
	    cmocka_unit_test(a_bound_address_reads_as_it_was_written),
	    cmocka_unit_test(secrets_have_12_to_255_printable_characters),
	    cmocka_unit_test(secrets_made_are_valid_and_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
