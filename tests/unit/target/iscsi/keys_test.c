/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about the negotiation of keys (keys.def).  Not covered: stages and
 * continuation, which are the login's (tests/wire/login.wire).
 */
#include "target/iscsi/keys.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct iscsi_negotiation n;
	struct iscsi_text text;
	char data[256];
};

static int
setup(void **state)
{
	const struct iscsi_limits limits = {.max_recv_segment = 262144,
	    .max_burst = 1u << 20,
	    .first_burst = 262144,
	    .session_connections = 4};
	struct fixture *f = calloc(1, sizeof(*f));

	iscsi_negotiation_init(&f->n, &limits);
	f->text.data = f->data;
	f->text.size = sizeof(f->data);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	free(*state);
	return 0;
}

/* The answer as "Key=Value", "" if there is none, or an errno. */
static int
offer(struct fixture *f, enum iscsi_key_when when, const char *key,
    const char *value)
{
	enum iscsi_key which;

	f->text.length = 0;
	memset(f->data, 0, sizeof(f->data));
	return iscsi_negotiate(&f->n, when, key, value, &f->text, &which);
}

#define OFFER(key, value, answer)                                              \
	do {                                                                   \
		assert_int_equal(                                              \
		    offer(f, ISCSI_WHEN_OPERATIONAL, key, value), 0);          \
		assert_string_equal(f->data, answer);                          \
	} while (0)

static void
numbers_take_the_smaller_or_the_larger(void **state)
{
	struct fixture *f = *state;

	OFFER("MaxBurstLength", "0x40000", "MaxBurstLength=262144");
	OFFER("FirstBurstLength", "16777215", "FirstBurstLength=262144");
	OFFER("DefaultTime2Wait", "7", "DefaultTime2Wait=7");
	OFFER("DefaultTime2Retain", "7", "DefaultTime2Retain=0");
	OFFER("ErrorRecoveryLevel", "2", "ErrorRecoveryLevel=0");
	OFFER("MaxConnections", "8", "MaxConnections=4");
	OFFER("MaxOutstandingR2T", "65535", "MaxOutstandingR2T=8");
	assert_int_equal(ISCSI_PARAM(&f->n.result, MaxBurstLength), 262144);
}

static void
booleans_are_ored_or_anded(void **state)
{
	struct fixture *f = *state;

	OFFER("InitialR2T", "No", "InitialR2T=No");
	OFFER("ImmediateData", "No", "ImmediateData=No");
	OFFER("DataPDUInOrder", "No", "DataPDUInOrder=Yes");
	OFFER("DataSequenceInOrder", "Yes", "DataSequenceInOrder=Yes");
	assert_int_equal(ISCSI_PARAM(&f->n.result, InitialR2T), 0);
	assert_int_equal(ISCSI_PARAM(&f->n.result, ImmediateData), 0);
}

static void
a_list_gives_its_first_that_we_can(void **state)
{
	struct fixture *f = *state;

	OFFER("HeaderDigest", "SHA9,CRC32C,None", "HeaderDigest=CRC32C");
	OFFER("DataDigest", "None,CRC32C", "DataDigest=None");
	OFFER("TaskReporting", "ResponseFence", "TaskReporting=ResponseFence");
}

static void
a_value_out_of_range_is_rejected_and_changes_nothing(void **state)
{
	struct fixture *f = *state;

	OFFER("MaxBurstLength", "511", "MaxBurstLength=Reject");
	OFFER("FirstBurstLength", "16777216", "FirstBurstLength=Reject");
	OFFER("InitialR2T", "yes", "InitialR2T=Reject");
	OFFER("HeaderDigest", "", "HeaderDigest=Reject");
	OFFER(
	    "MaxRecvDataSegmentLength", "1", "MaxRecvDataSegmentLength=Reject");
	assert_int_equal(ISCSI_PARAM(&f->n.result, MaxBurstLength), 262144);
	assert_int_equal(ISCSI_PARAM(&f->n.result, InitialR2T), 1);
	assert_int_equal(
	    ISCSI_PARAM(&f->n.result, MaxRecvDataSegmentLength), 8192);
}

static void
a_declaration_has_no_answer(void **state)
{
	struct fixture *f = *state;

	OFFER("MaxRecvDataSegmentLength", "65536", "");
	OFFER("InitiatorName", "iqn.1", "");
	OFFER("InitiatorAlias", "me", "");
	assert_int_equal(
	    ISCSI_PARAM(&f->n.result, MaxRecvDataSegmentLength), 65536);
	assert_string_equal(f->n.initiator_name, "iqn.1");
}

static void
in_discovery_much_is_irrelevant(void **state)
{
	struct fixture *f = *state;

	OFFER("SessionType", "Discovery", "");
	assert_true(f->n.discovery);
	OFFER("MaxBurstLength", "65536", "MaxBurstLength=Irrelevant");
	OFFER("InitialR2T", "Yes", "InitialR2T=Irrelevant");
	OFFER("DefaultTime2Wait", "1", "DefaultTime2Wait=1");
}

static void
what_the_leading_connection_settled_is_irrelevant_to_one_that_joins(
    void **state)
{
	struct fixture *f = *state;
	struct iscsi_params session = f->n.result, params;

	f->n.joining = true;
	OFFER("MaxBurstLength", "512", "MaxBurstLength=Irrelevant");
	OFFER("MaxConnections", "9", "MaxConnections=Irrelevant");
	OFFER("ErrorRecoveryLevel", "0", "ErrorRecoveryLevel=Irrelevant");
	OFFER("SessionType", "Normal", "");
	OFFER("HeaderDigest", "CRC32C", "HeaderDigest=CRC32C");
	OFFER("MaxRecvDataSegmentLength", "512", "");
	ISCSI_PARAM(&session, MaxBurstLength) = 4096;
	ISCSI_PARAM(&session, MaxConnections) = 2;
	params = f->n.result;
	iscsi_params_join(&params, &session);
	assert_int_equal(ISCSI_PARAM(&params, MaxBurstLength), 4096);
	assert_int_equal(ISCSI_PARAM(&params, MaxConnections), 2);
	assert_int_equal(ISCSI_PARAM(&params, HeaderDigest), 1);
	assert_int_equal(ISCSI_PARAM(&params, MaxRecvDataSegmentLength), 512);
}

static void
first_burst_is_irrelevant_when_nothing_is_unsolicited(void **state)
{
	struct fixture *f = *state;

	OFFER("InitialR2T", "Yes", "InitialR2T=Yes");
	OFFER("ImmediateData", "No", "ImmediateData=No");
	OFFER("FirstBurstLength", "4096", "FirstBurstLength=Irrelevant");
}

static void
keys_nobody_knows_and_obsolete_ones(void **state)
{
	struct fixture *f = *state;

	OFFER("X-org.example.key", "1", "X-org.example.key=NotUnderstood");
	OFFER("maxburstlength", "1", "maxburstlength=NotUnderstood");
	OFFER("IFMarker", "Yes", "IFMarker=No");
	OFFER("OFMarkInt", "1~2", "OFMarkInt=Reject");
}

static void
what_ends_a_negotiation(void **state)
{
	struct fixture *f = *state;
	char name[300];

	OFFER("MaxBurstLength", "65536", "MaxBurstLength=65536");
	assert_int_equal(
	    offer(f, ISCSI_WHEN_OPERATIONAL, "MaxBurstLength", "65536"),
	    -EPROTO);
	assert_int_equal(
	    offer(f, ISCSI_WHEN_SECURITY, "HeaderDigest", "None"), -EPROTO);
	assert_int_equal(
	    offer(f, ISCSI_WHEN_OPERATIONAL, "CHAP_A", "5"), -EPROTO);
	assert_int_equal(
	    offer(f, ISCSI_WHEN_OPERATIONAL, "TargetAlias", "x"), -EPROTO);
	assert_int_equal(
	    offer(f, ISCSI_WHEN_OPERATIONAL, "InitialR2T", "Irrelevant"),
	    -EPROTO);
	memset(name, 'n', sizeof(name));
	name[ISCSI_NAME_MAX + 1] = '\0';
	assert_int_equal(
	    offer(f, ISCSI_WHEN_OPERATIONAL, "InitiatorName", name), -EPROTO);
	assert_int_equal(
	    offer(f, ISCSI_WHEN_OPERATIONAL, "TargetName", ""), -EPROTO);
}

static void
in_full_feature_phase_most_is_fixed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
	    offer(f, ISCSI_WHEN_FULL_FEATURE, "HeaderDigest", "CRC32C"), 0);
	assert_string_equal(f->data, "HeaderDigest=Reject");
	assert_int_equal(offer(f, ISCSI_WHEN_FULL_FEATURE,
			     "MaxRecvDataSegmentLength", "512"),
	    0);
	assert_string_equal(f->data, "");
	assert_int_equal(ISCSI_PARAM(&f->n.result, HeaderDigest), 0);
	assert_int_equal(
	    ISCSI_PARAM(&f->n.result, MaxRecvDataSegmentLength), 512);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(numbers_take_the_smaller_or_the_larger),
	    TEST(booleans_are_ored_or_anded),
	    TEST(a_list_gives_its_first_that_we_can),
	    TEST(a_value_out_of_range_is_rejected_and_changes_nothing),
	    TEST(a_declaration_has_no_answer),
	    TEST(in_discovery_much_is_irrelevant),
	    TEST(
		what_the_leading_connection_settled_is_irrelevant_to_one_that_joins),
	    TEST(first_burst_is_irrelevant_when_nothing_is_unsolicited),
	    TEST(keys_nobody_knows_and_obsolete_ones),
	    TEST(what_ends_a_negotiation),
	    TEST(in_full_feature_phase_most_is_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
