/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/manifest.h"
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <string.h>

#define UUID(digit) digit "0000000-0000-4000-8000-00000000000" digit

static struct backup_point
example(void)
{
	struct backup_point point = {
	    .number = 2,
	    .set = UUID("1"),
	    .name = "tue",
	    .lun = "vms/web01",
	    .lun_uuid = UUID("2"),
	    .uuid = UUID("3"),
	    .created = 1772000000,
	    .epoch = 17,
	    .consistency = "fs",
	    .base = "mon",
	    .base_uuid = UUID("4"),
	    .base_epoch = 16,
	    .bookmark = "backup-10000000-2",
	    .bookmark_uuid = UUID("5"),
	    .block_size = 512,
	    .size = 107374182400,
	    .covers = 107374182400,
	    .data = 1048576,
	    .file = "000002-tue.since-000001.rbd-diff.zst",
	    .file_bytes = 1000,
	    .stream_bytes = 1048700,
	    .finished = 1772000060,
	};

	memset(point.sha256, 'a', sizeof(point.sha256) - 1);
	return point;
}

static void
it_is_read_as_it_is_written(void **unused)
{
	struct backup_point point = example(), read;
	_cleanup_(freep) char *text = manifest_write(&point), *again = NULL;

	(void)unused;
	assert_null(manifest_read(text, strlen(text), &read));
	again = manifest_write(&read);
	assert_string_equal(again, text);
	assert_string_equal(read.lun, "vms/web01");
	assert_string_equal(read.base_uuid, UUID("4"));
	assert_string_equal(read.consistency, "fs");
	assert_int_equal(read.size, 107374182400);
	assert_int_equal(read.finished, 1772000060);
}

/* Whatever bit of it: what is in a string, a number, a space, its sum. */
static void
every_flipped_bit_is_found(void **unused)
{
	struct backup_point point = example(), read;
	_cleanup_(freep) char *text = manifest_write(&point);
	size_t length = strlen(text);

	(void)unused;
	for (size_t bit = 0; bit < 8 * length; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		if (manifest_read(text, length, &read) == NULL)
			fail_msg("bit %zu of %s", bit, text);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_null(manifest_read(text, length, &read));
}

static void
one_that_was_cut_off_is_found(void **unused)
{
	struct backup_point point = example(), read;
	_cleanup_(freep) char *text = manifest_write(&point);

	(void)unused;
	for (size_t length = 0; length < strlen(text); length++)
		assert_non_null(manifest_read(text, length, &read));
}

/* With a sum that is right, as somebody else could make it. */
static void
what_cannot_be_is_refused(void **unused)
{
	struct backup_point read;
#define REFUSED(change)                                                        \
	do {                                                                   \
		struct backup_point point = example();                         \
		_cleanup_(freep) char *text = NULL;                            \
		change;                                                        \
		text = manifest_write(&point);                                 \
		assert_non_null(manifest_read(text, strlen(text), &read));     \
	} while (0)
	(void)unused;
	REFUSED(strcpy(point.file, "../../etc/passwd"));
	REFUSED(strcpy(point.file, ".."));
	REFUSED(strcpy(point.name, "a/b"));
	REFUSED(strcpy(point.name, ""));
	REFUSED(strcpy(point.uuid, "no uuid"));
	REFUSED(strcpy(point.sha256, "abc"));
	REFUSED(strcpy(point.lun, "vms/\033[2J"));
	REFUSED(strcpy(point.consistency, "warm"));
	REFUSED(point.base[0] = '\0');
	REFUSED(point.base_uuid[0] = '\0');
	REFUSED(point.size = UINT64_MAX);
	REFUSED(point.block_size = 513);
}

/* What a later version adds is under the sum too, and does not disturb. */
static void
a_member_that_is_not_known_is_let_be(void **unused)
{
	struct backup_point point = example(), read;
	_cleanup_(freep) char *text = manifest_write(&point), *more = NULL;
	char *sum = strstr(text, "  \"sum\": \"") + strlen("  \"sum\": \"");
	char *line = sum - strlen("  \"sum\": \"");
	char *behind = strchr(sum, '\n') + 1;
	struct sha256 *sha256 = sha256_new();

	(void)unused;
	sha256_add(sha256, text, (size_t)(line - text));
	sha256_add(sha256, "  \"a\": 1,\n", 10);
	sha256_add(sha256, behind, strlen(behind));
	sha256_text(sha256, sum);
	sha256_free(sha256);
	sum[SHA256_TEXT - 1] = '"';
	assert_true(
	    asprintf(&more, "%.*s%.*s  \"a\": 1,\n%s", (int)(line - text), text,
		(int)(behind - line), line, behind) > 0);
	assert_null(manifest_read(more, strlen(more), &read));
	assert_string_equal(read.name, "tue");
}

/* Takes a line out of a manifest, and makes its sum anew. */
static void
line_remove(char *text, const char *member)
{
	char *line = strstr(text, member), *sum, *behind;
	struct sha256 *sha256 = sha256_new();

	assert_non_null(line);
	memmove(line, line + strlen(member), strlen(line + strlen(member)) + 1);
	line = strstr(text, "  \"sum\": \"");
	sum = line + strlen("  \"sum\": \"");
	behind = strchr(sum, '\n') + 1;
	sha256_add(sha256, text, (size_t)(line - text));
	sha256_add(sha256, behind, strlen(behind));
	sha256_text(sha256, sum);
	sha256_free(sha256);
	sum[SHA256_TEXT - 1] = '"';
}

/* As those from before snapshots knew what had been frozen, or said their
 * epoch. */
static void
one_of_before_is_read_still(void **unused)
{
	struct backup_point point = example(), read;
	_cleanup_(freep) char *text = manifest_write(&point);

	(void)unused;
	assert_null(manifest_read(text, strlen(text), &read));
	assert_int_equal(read.epoch, 17);
	assert_int_equal(read.base_epoch, 16);
	line_remove(text, "  \"consistency\": \"fs\",\n");
	line_remove(text, "  \"epoch\": 17,\n");
	line_remove(text, "  \"base_epoch\": 16,\n");
	assert_null(manifest_read(text, strlen(text), &read));
	assert_string_equal(read.consistency, "crash");
	assert_int_equal(read.epoch, 0);
	assert_int_equal(read.base_epoch, 0);
	line_remove(text, "  \"size\": 107374182400,\n");
	assert_non_null(manifest_read(text, strlen(text), &read));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_read_as_it_is_written),
	    cmocka_unit_test(every_flipped_bit_is_found),
	    cmocka_unit_test(one_that_was_cut_off_is_found),
	    cmocka_unit_test(what_cannot_be_is_refused),
	    cmocka_unit_test(a_member_that_is_not_known_is_let_be),
	    cmocka_unit_test(one_of_before_is_read_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
