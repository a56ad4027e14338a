/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * zstd's own decoder takes the frames that are made here for what they hold.
 */
#include "backup/zstd_frame.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define LENGTH_MAX (3 * FRAME_BLOCK + 2)

static uint8_t data[LENGTH_MAX], out[LENGTH_MAX];
static uint8_t file[FRAME_ROOM(LENGTH_MAX) + 3 * 4096];

static int
setup(void **unused)
{
	(void)unused;
	srandom(5);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)random();
	return 0;
}

/* Puts data there, in parts; how long the frame is. */
static size_t
frame_of(size_t length)
{
	size_t at = 0, part;

	while (at < length) {
		uint8_t *to = frame_data(file, at, &part);
		if (part > length - at)
			part = length - at;
		if (part > 50000)
			part = 50000;
		memcpy(to, &data[at], part);
		at += part;
	}
	return frame_store(file, length);
}

static void
what_it_holds_comes_out(void **unused)
{
	static const size_t lengths[] = {1, 255, 256, 65791, 65792,
	    FRAME_BLOCK - 1, FRAME_BLOCK, FRAME_BLOCK + 1, 2 * FRAME_BLOCK,
	    LENGTH_MAX};

	(void)unused;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t length = frame_of(lengths[i]);
		assert_true(length <= FRAME_ROOM(lengths[i]));
		assert_int_equal(
		    ZSTD_findFrameCompressedSize(file, sizeof(file)), length);
		assert_int_equal(
		    ZSTD_getFrameContentSize(file, length), lengths[i]);
		assert_int_equal(
		    ZSTD_decompress(out, sizeof(out), file, length),
		    lengths[i]);
		assert_memory_equal(out, data, lengths[i]);
	}
}

static void
padding_is_nothing(void **unused)
{
	(void)unused;
	for (size_t align = 16; align <= 4096; align *= 16)
		for (size_t more = 1; more <= 2 * align; more++) {
			size_t length = frame_of(more);
			size_t pad = frame_pad(&file[length], length, align);
			assert_int_equal((length + pad) % align, 0);
			assert_true(pad <= align + 7);
			assert_int_equal(ZSTD_decompress(out, sizeof(out), file,
					     length + pad),
			    more);
		}
	assert_int_equal(frame_pad(file, 8192, 4096), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_it_holds_comes_out),
	    cmocka_unit_test(padding_is_nothing),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
