/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/findings.h"
#include "tools/problem.h"
#include <string.h>

bool
findings_are_table(const struct cli *cli)
{
	const struct globals *globals = &cli->invocation.globals;

	return globals->json || globals->plain || globals->quiet ||
	       globals->columns != NULL;
}

bool
findings_any(const json_t *items)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		const char *severity =
		    json_string_value(json_object_get(item, "severity"));
		if (severity == NULL || strcmp(severity, "note") != 0)
			return true;
	}
	return false;
}

static void
print_member(const json_t *item, const char *name)
{
	const char *text = json_string_value(json_object_get(item, name));

	if (text != NULL)
		print_safely(text, stdout);
}

/* warning: WHAT   [CODE]
 *   fix: ... */
static void
print_findings(const json_t *items)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		const char *fix =
		    json_string_value(json_object_get(item, "fix"));
		print_member(item, "severity");
		fputs(": ", stdout);
		print_member(item, "what");
		fputs("   [", stdout);
		print_member(item, "code");
		fputs("]\n", stdout);
		if (fix == NULL || fix[0] == '\0')
			continue;
		fputs("  fix: ", stdout);
		print_safely(fix, stdout);
		fputc('\n', stdout);
	}
}

static void
show_as(struct cli *cli, const struct api_command *command,
    const json_t *result, const char *none)
{
	const json_t *items = json_object_get(result, "items");

	if (findings_are_table(cli)) {
		cli_show_as(cli, command, result);
		return;
	}
	print_findings(items);
	if (json_array_size(items) == 0)
		puts(none);
}

void
findings_show(struct cli *cli, const json_t *result, const char *none)
{
	show_as(cli, cli->invocation.command, result, none);
}

long long
findings_number(const json_t *item, const char *name)
{
	return json_integer_value(json_object_get(item, name));
}

/* One line for each LUN with snapshots, and all that came of it. */
static void
print_families(const json_t *families)
{
	const json_t *family;
	size_t i;

	json_array_foreach(families, i, family)
	{
		if (findings_number(family, "snapshots") +
			findings_number(family, "hidden") ==
		    0)
			continue;
		fputs("  ", stdout);
		print_member(family, "name");
		printf(": %lld LUNs, %lld snapshots, %lld on their way out, "
		       "%lld pages, %lld data blocks\n",
		    findings_number(family, "volumes"),
		    findings_number(family, "snapshots"),
		    findings_number(family, "hidden"),
		    findings_number(family, "pages"),
		    findings_number(family, "data_blocks"));
	}
}

static void
print_checked(const json_t *item)
{
	printf("pool %s: %lld LUNs, %lld snapshots, %lld pages, "
	       "%lld data blocks, %lld leaked blocks, %lld log records\n",
	    json_string_value(json_object_get(item, "pool")),
	    findings_number(item, "volumes"),
	    findings_number(item, "snapshots"), findings_number(item, "pages"),
	    findings_number(item, "data_blocks"),
	    findings_number(item, "leaked_blocks"),
	    findings_number(item, "log_records"));
	print_families(json_object_get(item, "families"));
}

void
findings_show_checked(
    struct cli *cli, const json_t *result, enum api_exit *ret_exit)
{
	if (!findings_are_table(cli))
		print_checked(json_object_get(result, "item"));
	show_as(cli, api_find("rescue", "check"), result, "no findings");
	if (findings_any(json_object_get(result, "items")))
		*ret_exit = API_FINDINGS;
}
