/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes through a pipe comes out of it; one that is cut off anywhere, or
 * has a bit flipped anywhere, is never taken for a whole one, and is marked
 * only as far as it was right.
 */
#include "backup/pipe.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/varve.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE 65536u
#define UUID(digit)                                                            \
#digit #digit #digit #digit #digit #digit #digit #digit                \
	    "-1111-4111-8111-111111111111"

/* ---- a receiver in memory ---- */

struct memory {
	struct receiver receiver;
	struct agreed says;
	uint8_t image[SIZE];
	uint64_t put, marked; /* up to there */
	bool finished;
};

static json_t *
memory_agree(struct receiver *receiver, const struct offer *offer,
    struct agreed *ret_agreed)
{
	struct memory *memory = container_of(receiver, struct memory, receiver);

	*ret_agreed = memory->says;
	if (offer->since[0] != '\0')
		ret_agreed->base = *offer_find(offer, offer->since);
	return NULL;
}

static json_t *
memory_put(struct sink *sink, const struct piece *piece)
{
	struct memory *memory =
	    container_of(sink, struct memory, receiver.sink);

	assert_true(piece_end(piece) <= SIZE);
	if (piece->data != NULL)
		memcpy(
		    memory->image + piece->offset, piece->data, piece->length);
	else
		memset(memory->image + piece->offset, 0, piece->length);
	memory->put = piece_end(piece);
	return NULL;
}

static json_t *
memory_mark(struct receiver *receiver)
{
	struct memory *memory = container_of(receiver, struct memory, receiver);

	memory->marked = memory->put;
	return NULL;
}

static json_t *
memory_finish(struct receiver *receiver)
{
	container_of(receiver, struct memory, receiver)->finished = true;
	return NULL;
}

static struct memory memory;

/* ---- both ends ---- */

static struct offer_snap snaps[] = {{"mon", UUID(1)}, {"tue", UUID(2)}};
static struct offer offer;
static uint8_t image[SIZE], sent[4 * SIZE];
static size_t sent_length, head_length;

static int
setup(void **unused)
{
	(void)unused;
	offer = (struct offer){.lun = "vms/web01",
	    .snap = snaps[1],
	    .size = SIZE,
	    .block_size = 512,
	    .snaps = snaps,
	    .count = 2,
	    .one_way = true};
	strcpy(offer.since, snaps[0].uuid);
	memory = (struct memory){.receiver = {.sink.put = memory_put,
				     .agree = memory_agree,
				     .mark = memory_mark,
				     .finish = memory_finish}};
	memset(memory.image, 'b', SIZE);
	memset(image, 'b', SIZE);
	return 0;
}

static int
file_of(const uint8_t *data, size_t length)
{
	int fd = memfd_create("pipe", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, length), length);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
put(struct receiver *receiver, uint64_t offset, uint64_t length, int byte)
{
	uint8_t data[SIZE];
	const struct piece piece = {offset, length, byte != 0 ? data : NULL};

	memset(data, byte, length);
	memset(image + offset, byte, length);
	assert_null(receiver->sink.put(&receiver->sink, &piece));
}

/* Three pieces, with a mark behind the second; what it came to is `sent`. */
static void
send_it(void)
{
	int fd = memfd_create("pipe", MFD_CLOEXEC);
	const struct pipe_params params = {
	    .out = dup(fd), .in = -1, .name = "it", .level = 1};
	struct receiver *receiver = pipe_new(&params);
	struct agreed agreed;

	assert_null(receiver->agree(receiver, &offer, &agreed));
	assert_string_equal(agreed.base.name, "mon");
	put(receiver, 4096, 8192, 'x');
	put(receiver, 16384, 4096, 0);
	assert_null(receiver->mark(receiver));
	put(receiver, 40960, 4096, 'y');
	assert_null(receiver->finish(receiver));
	receiver->free(receiver);
	sent_length = (size_t)pread(fd, sent, sizeof(sent), 0);
	assert_true(sent_length > 0 && sent_length < sizeof(sent));
	memcpy(&head_length, sent + 4, 4);
	head_length += 8;
	close(fd);
}

/* "": all is well. */
static const char *
receive(const uint8_t *data, size_t length)
{
	static char code[64];
	_cleanup_(closep) int in = file_of(data, length);
	struct pipe_end end = {
	    .in = in, .out = -1, .receiver = &memory.receiver};
	json_t *problem = pipe_receive(&end);

	snprintf(code, sizeof(code), "%s",
	    problem != NULL ? varve_problem_code(problem) : "");
	json_decref(problem);
	offer_done(&end.offer);
	return code;
}

/* ---- claims ---- */

static void
what_goes_in_comes_out(void **unused)
{
	(void)unused;
	send_it();
	assert_string_equal(receive(sent, sent_length), "");
	assert_true(memory.finished);
	assert_memory_equal(memory.image, image, SIZE);
	assert_int_equal(memory.marked, 20480);
}

static void
what_is_cut_off_anywhere_is_not_whole(void **unused)
{
	(void)unused;
	send_it();
	for (size_t length = 0; length < sent_length; length++) {
		memory.marked = memory.put = 0;
		assert_string_equal(receive(sent, length), "backup.pipe");
		assert_false(memory.finished);
		assert_true(memory.marked == 0 || memory.marked == 20480);
	}
	assert_int_equal(memory.marked, 20480);
}

static void
a_bit_that_is_flipped_anywhere_is_found(void **unused)
{
	(void)unused;
	send_it();
	for (size_t bit = 8 * head_length; bit < 8 * sent_length; bit++) {
		memory.marked = memory.put = 0;
		memset(memory.image, 'b', SIZE);
		sent[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_string_not_equal(receive(sent, sent_length), "");
		sent[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(memory.finished);
		if (memory.marked > 0)
			assert_memory_equal(memory.image, image, 20480);
	}
}

static void
what_was_there_need_not_be_sent(void **unused)
{
	(void)unused;
	memory.says.there = true;
	send_it();
	assert_string_equal(receive(sent, head_length), "");
	assert_false(memory.finished);
}

/* Each of them would be another snapshot, or none. */
static void
an_offer_that_cannot_be_is_refused(void **unused)
{
	static const struct {
		const char *member;
		const char *value;
	} wrong[] = {
	    {"lun", "7"},
	    {"snap", "{\"name\":\"../tue\",\"uuid\":\"" UUID(2) "\"}"},
	    {"snap", "{\"name\":\"tue\",\"uuid\":\"2\"}"},
	    {"snap", "null"},
	    {"consistency", "\"none\""},
	    {"consistency", "null"},
	    {"size", "0"},
	    {"size", "-4096"},
	    {"size", "4097"},
	    {"size", "\"4096\""},
	    {"size", "9223372036854771712"},
	    {"block_size", "1024"},
	    {"snaps", "{}"},
	    {"snaps", "[{\"name\":\"mon\"}]"},
	    {"since", "\"" UUID(3) "\""},
	    {"since", "null"},
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		json_t *json = offer_write(&offer);
		struct offer read;
		assert_null(offer_read(json, &read));
		offer_done(&read);
		json_object_set_new(json, wrong[i].member,
		    json_loads(wrong[i].value, JSON_DECODE_ANY, NULL));
		assert_non_null(offer_read(json, &read));
		offer_done(&read);
		json_decref(json);
	}
}

static void
an_answer_that_was_not_offered_is_refused(void **unused)
{
	struct agreed agreed = {
	    .base = snaps[0], .offset = 8192, .resumed = true};
	struct agreed read;
	json_t *json = agreed_write(&agreed);

	(void)unused;
	assert_null(agreed_read(json, &offer, &read));
	assert_string_equal(read.base.name, "mon");
	assert_int_equal(read.offset, 8192);
	json_object_set_new(json, "offset", json_integer(SIZE + 4096));
	assert_non_null(agreed_read(json, &offer, &read));
	json_object_set_new(json, "offset", json_integer(1));
	assert_non_null(agreed_read(json, &offer, &read));
	json_decref(json);
	strcpy(agreed.base.name, "sun");
	json = agreed_write(&agreed);
	assert_non_null(agreed_read(json, &offer, &read));
	json_decref(json);
}

int
main(void)
{
#define claim(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
	    claim(what_goes_in_comes_out),
	    claim(what_is_cut_off_anywhere_is_not_whole),
	    claim(a_bit_that_is_flipped_anywhere_is_found),
	    claim(what_was_there_need_not_be_sent),
	    claim(an_offer_that_cannot_be_is_refused),
	    claim(an_answer_that_was_not_offered_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
