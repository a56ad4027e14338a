/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The document of all that is configured: exported, compared, applied.
 */
#include "tests/unit/target/support/talk.h"
#include <stdlib.h>

static void
a_document_is_applied_and_is_then_what_is(void **unused)
{
	char *document, *params;
	json_t *exported;

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	HOST("h1");
	EXPORT("vms/a", "h1");
	done("config.export", "{}");
	exported = json_deep_copy(json_object_get(result, "document"));
	document = json_dumps(exported, 0);
	assert_true(asprintf(&params, "{\"document\":%s,\"prune\":true}",
			document) > 0);
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 0);
	/* away with it all, and something that is not in the document */
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h1\"}");
	done("host.remove", "{\"host\":\"h1\"}");
	done("lun.delete", "{\"lun\":\"vms/a\",\"now\":true}");
	HOST("h2");
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 4);
	done("config.apply", params);
	assert_int_equal(json_array_size(result), 4);
	done("config.export", "{}");
	assert_true(json_equal(exported, json_object_get(result, "document")));
	free(params);
	free(document);
	json_decref(exported);
}

/* Settings are the server's: the pool does not bring them along. */
static void
a_pool_that_comes_in_gets_its_luns_settings(void **unused)
{
	char *document, *params;
	json_t *exported;

	(void)unused;
	pool("vms");
	LUN("vms/a", 4096);
	LUN("vms/b", 4096);
	HOST("h1");
	done("lun.set", "{\"lun\":\"vms/a\",\"serial\":\"A1\",\"iops\":500,"
			"\"read_only\":\"on\"}");
	EXPORT("vms/a", "h1");
	done("config.export", "{}");
	exported = json_deep_copy(json_object_get(result, "document"));
	document = json_dumps(exported, 0);
	assert_true(asprintf(&params, "{\"document\":%s}", document) > 0);
	done("export.remove", "{\"name\":\"vms/a\",\"host\":\"h1\"}");
	done("pool.remove", "{\"pool\":\"vms\"}");
	done("config.apply", params);
	assert_int_equal(json_array_size(result), 3);
	assert_string_equal(
	    text_in(json_array_get(result, 1), "method"), "lun.set");
	assert_string_equal(
	    text_in(json_array_get(result, 2), "method"), "export.add");
	done("config.export", "{}");
	assert_true(json_equal(exported, json_object_get(result, "document")));
	free(params);
	free(document);
	json_decref(exported);
}

static void
a_document_says_where_portals_send_hosts(void **unused)
{
	char *document, *params, address[64], redirect[160];

	(void)unused;
	done("portal.add", "{\"address\":\"127.0.0.1:0\"}");
	snprintf(address, sizeof(address), "%s", text("address"));
	snprintf(redirect, sizeof(redirect),
	    "{\"address\":\"%s\",\"to\":\"192.0.2.9\",\"permanent\":true}",
	    address);
	done("portal.redirect", redirect);
	done("config.export", "{}");
	document = json_dumps(json_object_get(result, "document"), 0);
	assert_true(asprintf(&params, "{\"document\":%s}", document) > 0);
	done("config.diff", params);
	assert_int_equal(json_array_size(result), 0);
	snprintf(redirect, sizeof(redirect),
	    "{\"address\":\"%s\",\"off\":true}", address);
	done("portal.redirect", redirect);
	done("config.apply", params);
	assert_int_equal(json_array_size(result), 1);
	done("portal.list", "{}");
	const json_t *row = json_array_get(result, 0);
	assert_string_equal(json_string_value(json_object_get(row, "redirect")),
	    "192.0.2.9:3260");
	assert_true(json_is_true(json_object_get(row, "permanent")));
	/* what it does not name ends with prune alone */
	snprintf(redirect, sizeof(redirect),
	    "{\"document\":{\"varve\":1,\"portals\":[\"%s\"]}}", address);
	done("config.diff", redirect);
	assert_int_equal(json_array_size(result), 0);
	snprintf(redirect, sizeof(redirect),
	    "{\"document\":{\"varve\":1,\"portals\":[\"%s\"]},"
	    "\"prune\":true}",
	    address);
	done("config.apply", redirect);
	assert_int_equal(json_array_size(result), 1);
	done("portal.list", "{}");
	assert_true(json_is_null(
	    json_object_get(json_array_get(result, 0), "redirect")));
	free(params);
	free(document);
}

static void
a_document_that_is_not_understood_changes_nothing(void **unused)
{
	static const char *const documents[] = {
	    "{}",
	    "{\"varve\":2}",
	    "{\"varve\":1,\"surprise\":[]}",
	    "{\"varve\":1,\"hosts\":{}}",
	    "{\"varve\":1,\"hosts\":[1]}",
	    "{\"varve\":1,\"hosts\":[{\"name\":\"a\",\"auth\":\"none\"}]}",
	    "{\"varve\":1,\"hosts\":[{\"name\":\"a\",\"iqn\":"
	    "\"iqn.2026-01.x:1\",\"auth\":\"maybe\"}]}",
	    "{\"varve\":1,\"portals\":[\"nowhere\"]}",
	    "{\"varve\":1,\"exports\":[{\"name\":\"a/b\"}]}",
	};
	char params[256];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
		snprintf(
		    params, sizeof(params), "{\"document\":%s}", documents[i]);
		refused("config.apply", params, "config.invalid");
	}
	done("host.list", "{}");
	assert_int_equal(json_array_size(result), 0);
}

static void
an_apply_stops_at_the_first_step_that_fails(void **unused)
{
	(void)unused;
	pool("vms");
	refused("config.apply",
	    "{\"document\":{\"varve\":1,"
	    "\"hosts\":[{\"name\":\"a\",\"iqn\":\"iqn.2026-01.x:1\","
	    "\"auth\":\"none\"}],"
	    "\"luns\":[{\"name\":\"vms/x\",\"size\":4097}],"
	    "\"exports\":[{\"name\":\"vms/x\",\"host\":\"a\"}]}}",
	    "config.partial");
	done("host.show", "{\"host\":\"a\"}");
	done("lun.list", "{}");
	assert_int_equal(json_array_size(result), 0);
}

#define claim(test)                                                            \
	cmocka_unit_test_setup_teardown(test, talk_setup, talk_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(a_document_is_applied_and_is_then_what_is),
	    claim(a_pool_that_comes_in_gets_its_luns_settings),
	    claim(a_document_says_where_portals_send_hosts),
	    claim(a_document_that_is_not_understood_changes_nothing),
	    claim(an_apply_stops_at_the_first_step_that_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
