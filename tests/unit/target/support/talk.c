/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/support/talk.h"
#include <string.h>
#include <unistd.h>

struct served served;
int writer;
char code[64];
json_t *result;

bool
talk_start(void)
{
	if (!served_start(&served))
		return false;
	writer = served_client(&served, ROLE_WRITE);
	return true;
}

void
talk_stop(void)
{
	json_decref(result);
	result = NULL;
	close(writer);
	served_stop(&served);
}

void
talk_restart(void (*change)(struct config *config))
{
	close(writer);
	served_restart(&served, change);
	writer = served_client(&served, ROLE_WRITE);
}

const json_t *
call(const char *method, const char *params)
{
	json_decref(result);
	result = client_result(writer, method, params, code);
	return result;
}

const json_t *
done(const char *method, const char *params)
{
	call(method, params);
	if (code[0] != '\0')
		print_error("%s %s: %s\n", method, params, code);
	assert_string_equal(code, "");
	return result;
}

void
refused(const char *method, const char *params, const char *expected)
{
	call(method, params);
	if (strcmp(code, expected) != 0)
		print_error("%s %s\n", method, params);
	assert_string_equal(code, expected);
}

const char *
text_in(const json_t *item, const char *member)
{
	const char *value = json_string_value(json_object_get(item, member));

	return value != NULL ? value : "(none)";
}

const char *
text(const char *member)
{
	return text_in(result, member);
}

json_int_t
number(const char *member)
{
	return json_integer_value(json_object_get(result, member));
}

void
pool(const char *name)
{
	char params[256];

	snprintf(params, sizeof(params),
	    "{\"name\":\"%s\",\"devices\":[\"%s/%s.pool\"],"
	    "\"size\":134217728}",
	    name, served.directory, name);
	done("pool.create", params);
}

bool
has_finding(const char *expected)
{
	const json_t *row;
	size_t i;

	done("health", "{}");
	json_array_foreach(result, i, row)
	{
		if (strcmp(text_in(row, "code"), expected) == 0)
			return true;
	}
	return false;
}

/* ---- for cmocka ---- */

int
talk_setup(void **unused)
{
	(void)unused;
	return talk_start() ? 0 : -1;
}

int
talk_setup_luns(void **unused)
{
	if (talk_setup(unused) < 0)
		return -1;
	pool("vms");
	LUN("vms/a", 1048576);
	LUN("vms/b", 1048576);
	return 0;
}

int
talk_teardown(void **unused)
{
	(void)unused;
	talk_stop();
	return 0;
}
