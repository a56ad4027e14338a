/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TransportIDs of iSCSI: both formats, both ways, and what is none. */
#include "base/endian.h"
#include "target/scsi/transport_id.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME "iqn.2026-01.x:kvm1"
#define PORT NAME ",i,0x00023d0000aa"

static uint8_t id[TRANSPORT_ID_MAX];

/* An ID of that text, as an initiator would send it. */
static size_t
make(unsigned format, const char *text)
{
	size_t length = 4 + (strlen(text) + 4) / 4 * 4;

	if (length < TRANSPORT_ID_MIN)
		length = TRANSPORT_ID_MIN;
	memset(id, 0, sizeof(id));
	id[0] = (uint8_t)(format << 6 | 5);
	store_be16(&id[2], (uint16_t)(length - 4));
	memcpy(id + 4, text, strlen(text));
	return length;
}

static void
takes(unsigned format, const char *text, const char *port)
{
	size_t length = make(format, text);
	struct transport_id taken;

	assert_int_equal(transport_id_decode(id, length, &taken), length);
	assert_string_equal(taken.port, port);
	assert_int_equal(taken.device_only, format == 0);
}

static void
refuses(unsigned format, const char *text)
{
	struct transport_id taken;

	assert_int_equal(
	    transport_id_decode(id, make(format, text), &taken), -EINVAL);
}

static void
a_port_goes_both_ways(void **unused)
{
	struct transport_id taken;
	size_t length;

	(void)unused;
	length = transport_id_encode(PORT, id);
	assert_int_equal(length % 4, 0);
	assert_int_equal(id[0], 0x45);
	assert_int_equal(load_be16(&id[2]), length - 4);
	assert_int_equal(id[length - 1], 0);
	assert_int_equal(transport_id_decode(id, length, &taken), length);
	assert_string_equal(taken.port, PORT);
	assert_false(taken.device_only);
	/* what follows is not its business */
	assert_int_equal(transport_id_decode(id, sizeof(id), &taken), length);
}

static void
a_device_goes_both_ways(void **unused)
{
	(void)unused;
	assert_int_equal(transport_id_encode("eui.1", id), TRANSPORT_ID_MIN);
	assert_int_equal(id[0], 0x05);
	takes(0, NAME, NAME);
	takes(0, "eui.02004567A425678D", "eui.02004567A425678D");
}

static void
names_of_any_length_fit(void **unused)
{
	char name[TRANSPORT_NAME_MAX + 2], port[TRANSPORT_PORT_MAX + 1];
	struct transport_id taken;

	(void)unused;
	for (size_t n = 1; n <= TRANSPORT_NAME_MAX; n++) {
		memset(name, 'n', n);
		name[n] = '\0';
		takes(0, name, name);
		snprintf(port, sizeof(port), "%s,i,0x00000000000a", name);
		takes(1, port, port);
		assert_true(transport_id_encode(port, id) <= sizeof(id));
	}
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	size_t length = make(0, name);
	assert_int_equal(transport_id_decode(id, length, &taken), -EINVAL);
}

static void
an_isid_is_twelve_small_digits(void **unused)
{
	(void)unused;
	takes(1, NAME ",i,0xAB", NAME ",i,0x0000000000ab");
	takes(1, NAME ",i,0x00023D0000AA", PORT);
	refuses(1, NAME ",i,0x");
	refuses(1, NAME ",i,0x0000000000001");
	refuses(1, NAME ",i,0x12g4");
	refuses(1, NAME ",i,0x12,3");
}

static void
what_is_no_name_is_refused(void **unused)
{
	(void)unused;
	refuses(0, "");
	refuses(0, "a,b");
	refuses(0, PORT);
	refuses(0, "a b");
	refuses(0, "a\x7f");
	refuses(1, NAME);
	refuses(1, ",i,0x000000000001");
	refuses(2, NAME);
	refuses(3, NAME);
}

static void
what_is_cut_off_is_refused(void **unused)
{
	struct transport_id taken;
	size_t length = transport_id_encode(PORT, id);

	(void)unused;
	for (size_t cut = 0; cut < length; cut++)
		assert_int_equal(transport_id_decode(id, cut, &taken), -EINVAL);
	/* no NUL */
	memset(id + 4, 'x', length - 4);
	assert_int_equal(transport_id_decode(id, length, &taken), -EINVAL);
	/* an odd length, one too small, another protocol */
	length = make(1, PORT);
	store_be16(&id[2], (uint16_t)(length - 5));
	assert_int_equal(transport_id_decode(id, length, &taken), -EINVAL);
	store_be16(&id[2], 16);
	assert_int_equal(transport_id_decode(id, length, &taken), -EINVAL);
	make(1, PORT);
	id[0] = 0x46;
	assert_int_equal(transport_id_decode(id, length, &taken), -EINVAL);
}

static void
ports_belong_to_devices(void **unused)
{
	(void)unused;
	assert_true(transport_is_port_of(PORT, NAME));
	assert_true(transport_is_port_of(NAME, NAME));
	assert_true(transport_is_port_of("IQN.2026-01.X:KVM1,i,0x1", NAME));
	assert_false(transport_is_port_of(NAME "0,i,0x1", NAME));
	assert_false(transport_is_port_of("iqn.2026-01.x:kvm", NAME));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_port_goes_both_ways),
	    cmocka_unit_test(a_device_goes_both_ways),
	    cmocka_unit_test(names_of_any_length_fit),
	    cmocka_unit_test(an_isid_is_twelve_small_digits),
	    cmocka_unit_test(what_is_no_name_is_refused),
	    cmocka_unit_test(what_is_cut_off_is_refused),
	    cmocka_unit_test(ports_belong_to_devices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
