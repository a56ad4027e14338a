/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "tests/unit/base/support/cmocka.h"

/* RFC 3720 B.4, "CRC Examples"; also RFC 7143 A.4.  The RFC prints the bytes
 * of the digest in the order of the wire, which is least significant first. */
struct vector {
	const char *name;
	uint8_t data[48];
	size_t length;
	uint8_t wire[4];
};

static struct vector vectors[] = {
    {"32 bytes of zeros", {0}, 32, {0xaa, 0x36, 0x91, 0x8a}},
    {"32 bytes of ones", {0}, 32, {0x43, 0xab, 0xa8, 0x62}},
    {"32 bytes of incrementing 00..1f", {0}, 32, {0x4e, 0x79, 0xdd, 0x46}},
    {"32 bytes of decrementing 1f..00", {0}, 32, {0x5c, 0xdb, 0x3f, 0x11}},
    {"an iSCSI SCSI Read (10) command PDU",
	{0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04,
	    0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00},
	48, {0x56, 0x3a, 0x96, 0xd9}},
};

static int
setup(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 32; i++) {
		vectors[1].data[i] = 0xff;
		vectors[2].data[i] = i;
		vectors[3].data[i] = 31 - i;
	}
	return 0;
}

static void
the_examples_of_the_rfc_come_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		assert_int_equal(
		    crc32c(v->data, v->length), load_le32(v->wire));
	}
}

/* The check value by which catalogues of CRCs name this one. */
static void
the_check_value_is_e3069283(void **state)
{
	(void)state;
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(crc32c("", 0), 0);
}

static void
a_sum_of_pieces_is_the_sum_of_the_whole(void **state)
{
	const struct vector *v = &vectors[4];

	(void)state;
	for (size_t cut = 0; cut <= v->length; cut++) {
		uint32_t crc = CRC32C_SEED;
		crc = crc32c_add(crc, v->data, cut);
		crc = crc32c_add(crc, v->data + cut, v->length - cut);
		assert_int_equal(crc32c_end(crc), load_le32(v->wire));
	}
}

/* Long enough for the library's folding code, at every alignment; the other
 * opinion is the definition, a bit at a time. */
static uint32_t
crc32c_by_definition(const uint8_t *data, size_t length)
{
	uint32_t crc = 0xffffffff;

	while (length-- > 0) {
		crc ^= *data++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void
long_and_unaligned_data_agree_with_the_definition(void **state)
{
	static uint8_t data[9000];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 131 + i / 256);
	for (size_t from = 0; from < 17; from++) {
		size_t length = sizeof(data) - 37 * from;
		assert_int_equal(crc32c(data + from, length - from),
		    crc32c_by_definition(data + from, length - from));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_examples_of_the_rfc_come_out),
	    cmocka_unit_test(the_check_value_is_e3069283),
	    cmocka_unit_test(a_sum_of_pieces_is_the_sum_of_the_whole),
	    cmocka_unit_test(long_and_unaligned_data_agree_with_the_definition),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
