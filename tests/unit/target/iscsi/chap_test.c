/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about CHAP: the four hashes (expected values computed with Python's
 * hashlib), the steps, and who is refused.  Whole logins: tests/wire/chap.wire.
 */
#include "target/iscsi/chap.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *code, *response;
} vectors[] = {
    {"5", "0xd1737ca6a525e46fd6983e4b5baeba9a"},
    {"6", "0x81d9304ce7b4bd32f3c621d0fc1662287d7960e4"},
    {"7", "0x86c9e5adf934bde974524f18b149786d"
	  "33eac205702be49ec7fdf8d37d93c42e"},
    {"8", "0xcfe3b9d252ccc7dd7a66bc495bd4f302"
	  "b348bc4964f9c3dabfd27ed3470281bd"},
};

static const uint8_t challenge[16] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static const struct iscsi_host host = {
    .chap = {.user = "joe", .secret = "open sesame"},
    .mutual = {.user = "varve", .secret = "another one"},
};

struct login {
	struct chap chap;
	struct iscsi_text text;
	char data[1024];
};

static void
login_init(struct login *l)
{
	memset(l, 0, sizeof(*l));
	l->text.data = l->data;
	l->text.size = sizeof(l->data);
}

static void
the_four_hashes_are_right(void **state)
{
	uint8_t got[CHAP_DIGEST_MAX], want[CHAP_DIGEST_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct chap_algorithm *a =
		    chap_algorithm_choose(vectors[i].code);
		assert_non_null(a);
		assert_int_equal(chap_response(a, 0x2a, "open sesame",
				     challenge, sizeof(challenge), got),
		    0);
		assert_int_equal(
		    iscsi_text_binary(vectors[i].response, want, sizeof(want)),
		    a->length);
		assert_memory_equal(got, want, a->length);
	}
}

static void
the_initiators_order_decides(void **state)
{
	(void)state;
	assert_int_equal(chap_algorithm_choose("7,5")->code, 7);
	assert_int_equal(chap_algorithm_choose("5,7")->code, 5);
	assert_int_equal(chap_algorithm_choose("1,99,x,8")->code, 8);
	assert_null(chap_algorithm_choose("1,2,3"));
	assert_null(chap_algorithm_choose(""));
}

static void
challenge_it(struct login *l, const char *code)
{
	login_init(l);
	chap_take(&l->chap, ISCSI_KEY_CHAP_A, code);
	assert_int_equal(chap_step(&l->chap, &host, &l->text), 0);
	assert_int_equal(l->chap.step, CHAP_WANT_RESPONSE);
}

/* The right answer to l's challenge under a secret. */
static void
answer_it(struct login *l, const char *user, const char *secret, char *text)
{
	const unsigned length = l->chap.algorithm->length;
	uint8_t digest[CHAP_DIGEST_MAX];

	chap_response(l->chap.algorithm, l->chap.id, secret, l->chap.challenge,
	    length, digest);
	strcpy(text, "0x");
	for (unsigned i = 0; i < length; i++)
		sprintf(text + 2 + 2 * i, "%02x", digest[i]);
	chap_take(&l->chap, ISCSI_KEY_CHAP_N, user);
	chap_take(&l->chap, ISCSI_KEY_CHAP_R, text);
}

static void
who_knows_the_secret_gets_in(void **state)
{
	char text[80];
	struct login l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		challenge_it(&l, vectors[i].code);
		answer_it(&l, "joe", "open sesame", text);
		assert_int_equal(chap_step(&l.chap, &host, &l.text), 0);
		assert_int_equal(l.chap.step, CHAP_DONE);
	}
}

static void
who_does_not_stays_out(void **state)
{
	char text[80];
	struct login l;

	(void)state;
	challenge_it(&l, "7");
	answer_it(&l, "joe", "open sesami", text);
	assert_int_equal(chap_step(&l.chap, &host, &l.text), -EACCES);
	assert_int_equal(l.chap.step, CHAP_FAILED);
	challenge_it(&l, "7");
	answer_it(&l, "jim", "open sesame", text);
	assert_int_equal(chap_step(&l.chap, &host, &l.text), -EACCES);
	challenge_it(&l, "7");
	answer_it(&l, "joe", "open sesame", text);
	text[strlen(text) - 2] = '\0'; /* one byte short */
	assert_int_equal(chap_step(&l.chap, &host, &l.text), -EACCES);
	challenge_it(&l, "7");
	answer_it(&l, "joe", "open sesame", text);
	chap_take(&l.chap, ISCSI_KEY_CHAP_R, "rubbish");
	assert_int_equal(chap_step(&l.chap, &host, &l.text), -EACCES);
}

static void
keys_out_of_order_are_a_protocol_error(void **state)
{
	struct login l;

	(void)state;
	challenge_it(&l, "7");
	chap_take(&l.chap, ISCSI_KEY_CHAP_N, "joe");
	assert_int_equal(chap_step(&l.chap, &host, &l.text), -EPROTO);
	challenge_it(&l, "7");
	assert_int_equal(chap_step(&l.chap, &host, &l.text), -EPROTO);
}

static void
each_challenge_is_new(void **state)
{
	struct login a, b;

	(void)state;
	challenge_it(&a, "8");
	challenge_it(&b, "8");
	assert_memory_not_equal(a.chap.challenge, b.chap.challenge, 32);
}

static void
a_challenge_reflected_is_not_answered(void **state)
{
	char response[80], reflected[80] = "0x";
	struct login l;

	(void)state;
	challenge_it(&l, "7");
	answer_it(&l, "joe", "open sesame", response);
	for (unsigned i = 0; i < 32; i++)
		sprintf(reflected + 2 + 2 * i, "%02x", l.chap.challenge[i]);
	chap_take(&l.chap, ISCSI_KEY_CHAP_I, "1");
	chap_take(&l.chap, ISCSI_KEY_CHAP_C, reflected);
	l.text.length = 0;
	assert_int_equal(chap_step(&l.chap, &host, &l.text), -EACCES);
	assert_int_equal(l.text.length, 0);
}

static void
mutual_proof_needs_its_own_secret(void **state)
{
	struct iscsi_host same = host, none = host;
	char response[80];
	struct login l;

	(void)state;
	strcpy(same.mutual.secret, same.chap.secret);
	none.mutual.user[0] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		challenge_it(&l, "7");
		answer_it(&l, "joe", "open sesame", response);
		chap_take(&l.chap, ISCSI_KEY_CHAP_I, "200");
		chap_take(&l.chap, ISCSI_KEY_CHAP_C, "0bAAECAwQFBgc=");
		assert_int_equal(chap_step(&l.chap,
				     i == 0   ? &host
				     : i == 1 ? &same
					      : &none,
				     &l.text),
		    i == 0 ? 0 : -EACCES);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_four_hashes_are_right),
	    cmocka_unit_test(the_initiators_order_decides),
	    cmocka_unit_test(who_knows_the_secret_gets_in),
	    cmocka_unit_test(who_does_not_stays_out),
	    cmocka_unit_test(keys_out_of_order_are_a_protocol_error),
	    cmocka_unit_test(each_challenge_is_new),
	    cmocka_unit_test(a_challenge_reflected_is_not_answered),
	    cmocka_unit_test(mutual_proof_needs_its_own_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
