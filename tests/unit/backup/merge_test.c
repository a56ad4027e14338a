/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers over one another, by example and against an array of bytes. */
#include "backup/merge.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tests/unit/backup/support/pieces.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYERS_MAX 6

struct example {
	uint64_t size;
	const char *pieces;
};

static struct text_source texts[LAYERS_MAX];

static char *
merged(const struct example *examples, unsigned count, bool whole)
{
	struct merge_layer layers[LAYERS_MAX];
	struct merge *merge;
	char *text;

	for (unsigned i = 0; i < count; i++) {
		text_source_init(&texts[i], examples[i].pieces);
		layers[i] =
		    (struct merge_layer){&texts[i].source, examples[i].size};
	}
	merge = merge_new(layers, count, whole);
	text = pieces_text(merge_source(merge));
	merge_free(merge);
	return text;
}

#define is(whole, expected, ...)                                               \
	do {                                                                   \
		const struct example examples[] = {__VA_ARGS__};               \
		_cleanup_(freep) char *text =                                  \
		    merged(examples, ARRAY_SIZE(examples), whole);             \
		assert_string_equal(text, expected);                           \
	} while (0)

static void
one_layer_is_itself(void **unused)
{
	(void)unused;
	is(true, "0+4:a 8+2:0", {16, "0+4:a 8+2:0"});
	is(true, "", {16, ""});
}

static void
the_newest_is_right(void **unused)
{
	(void)unused;
	is(true, "0+2:a 2+2:b 4+4:a", {16, "0+8:a"}, {16, "2+2:b"});
	is(true, "0+8:b", {16, "2+2:a"}, {16, "0+8:b"});
	is(true, "0+2:a 2+2:b 4+2:c 6+2:b", {16, "0+4:a"}, {16, "2+6:b"},
	    {16, "4+2:c"});
}

static void
zeros_of_a_newer_layer_hide_data(void **unused)
{
	(void)unused;
	is(true, "0+2:a 2+4:0 6+2:a", {16, "0+8:a"}, {16, "2+4:0"});
	is(true, "0+2:0 2+2:b 4+4:0", {16, ""}, {16, "0+8:0"}, {16, "2+2:b"});
}

static void
what_was_cut_off_does_not_come_back(void **unused)
{
	(void)unused;
	/* the image was 16, then 4, then 16 again */
	is(true, "0+4:a", {16, "0+16:a"}, {4, ""}, {16, ""});
	is(true, "0+4:a 8+1:c", {16, "0+16:a"}, {4, ""}, {16, "8+1:c"});
	is(true, "0+2:a", {16, "0+2:a 10+4:a"}, {8, ""});
	is(true, "0+4:b", {16, "6+2:a"}, {4, "0+4:b"}, {16, ""});
}

/* In a difference it has to be said: its base may have something there. */
static void
what_was_cut_off_and_grew_again_is_zeros(void **unused)
{
	(void)unused;
	is(false, "0+2:a 4+12:0", {4, "0+2:a"}, {16, ""});
	is(false, "4+4:0 8+1:c 9+7:0", {16, "6+2:a"}, {4, ""}, {16, "8+1:c"});
	is(false, "0+2:a", {16, "0+2:a"}, {16, ""});
}

/* ---- against bytes ---- */

#define IMAGE  64u
#define ROUNDS 2000

struct model {
	uint8_t byte[IMAGE]; /* 0: zeros */
	bool said[IMAGE];
};

/* A layer made at random, written as text; what it does to the model. */
static void
layer_make(uint64_t size, char *text, struct model *model)
{
	uint64_t at = 0;
	int length = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < IMAGE; i++) {
		if (i >= size)
			model->byte[i] = 0, model->said[i] = true;
	}
	while (at < size) {
		uint64_t gap = (uint64_t)random() % 9;
		uint64_t run = 1 + (uint64_t)random() % 9;
		char letter = "0abc"[random() % 4];
		at += gap;
		if (at + run > size)
			break;
		length += sprintf(&text[length], "%llu+%llu:%c ",
		    (unsigned long long)at, (unsigned long long)run, letter);
		for (uint64_t i = at; i < at + run; i++) {
			model->byte[i] = letter == '0' ? 0 : (uint8_t)letter;
			model->said[i] = true;
		}
		at += run;
	}
}

static void
check_against(
    const struct model *model, struct source *source, bool whole, uint64_t size)
{
	struct model got = {{0}, {false}};
	struct piece piece;

	while (source->next(source, &piece) == NULL && piece.length > 0) {
		assert_true(piece_end(&piece) <= size);
		for (uint64_t i = 0; i < piece.length; i++) {
			assert_false(got.said[piece.offset + i]);
			got.said[piece.offset + i] = true;
			got.byte[piece.offset + i] =
			    piece.data != NULL ? piece.data[i] : 0;
		}
	}
	for (uint64_t i = 0; i < size; i++) {
		assert_int_equal(got.byte[i], model->byte[i]);
		if (!whole)
			assert_int_equal(got.said[i], model->said[i]);
	}
}

static void
layers_at_random_are_what_bytes_are(void **unused)
{
	(void)unused;
	srandom(7);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned count = 1 + (unsigned)random() % LAYERS_MAX;
		char text[LAYERS_MAX][1024];
		struct merge_layer layers[LAYERS_MAX];
		struct model model = {{0}, {false}};
		bool whole = random() % 2;
		uint64_t size = IMAGE;
		struct merge *merge;
		for (unsigned i = 0; i < count; i++) {
			size = random() % 3 ? IMAGE
					    : 1 + (uint64_t)random() % IMAGE;
			layer_make(size, text[i], &model);
			text_source_init(&texts[i], text[i]);
			layers[i] =
			    (struct merge_layer){&texts[i].source, size};
		}
		merge = merge_new(layers, count, whole);
		check_against(&model, merge_source(merge), whole, size);
		merge_free(merge);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_layer_is_itself),
	    cmocka_unit_test(the_newest_is_right),
	    cmocka_unit_test(zeros_of_a_newer_layer_hide_data),
	    cmocka_unit_test(what_was_cut_off_does_not_come_back),
	    cmocka_unit_test(what_was_cut_off_and_grew_again_is_zeros),
	    cmocka_unit_test(layers_at_random_are_what_bytes_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
