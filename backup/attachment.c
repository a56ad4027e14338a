/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/attachment.h"
#include "backup/manifest.h"
#include "backup/problem.h"
#include "backup/sha256.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>

#define RENEW_SECONDS (ATTACHMENT_TTL_SECONDS / 3)
#define HOST_PREFIX   "backup-"
#define IQN_PREFIX    "iqn.2026-01.local:"
#define NUMBER_TEXT   9 /* 8 digits and a 0 */
#define PREFIX_TEXT   (sizeof(HOST_PREFIX) + NUMBER_TEXT)

struct attachment {
	struct varve *varve;
	const char *name;
	char host[32], iqn[64];
	char portal[128];
	json_t *credentials, *export; /* items; NULL: it has none */
	struct initiator *initiator;
	time_t renew_at;
	char
	    boot[POINT_UUID_MAX]; /* its machine's, when it came; "": unknown */
};

/* ---- asking ---- */

static json_t *
answer_of(struct varve *varve, const char *method, const char *first,
    const char *value, const char *member, json_t **ret_value)
{
	_cleanup_(json_decrefpp) json_t *params = json_object(), *result = NULL;
	json_t *problem;

	json_object_set_new(params, first, json_string_lossy(value));
	problem = varve_ask(varve, method, params, &result);
	if (problem != NULL)
		return problem;
	*ret_value = json_incref(json_object_get(result, member));
	return *ret_value != NULL
		   ? NULL
		   : problem_new(VARVE_FAILED, "daemon.protocol",
			 "varved's answer to %s has no %s", method, member);
}

json_t *
varve_item(struct varve *varve, const char *method, const char *first,
    const char *value, json_t **ret_item)
{
	return answer_of(varve, method, first, value, "item", ret_item);
}

json_t *
varve_items(struct varve *varve, const char *method, const char *first,
    const char *value, json_t **ret_items)
{
	return answer_of(varve, method, first, value, "items", ret_items);
}

const char *
item_text(const json_t *item, const char *member)
{
	const char *text = json_string_value(json_object_get(item, member));

	return text != NULL ? text : "";
}

uint64_t
item_number(const json_t *item, const char *member)
{
	json_int_t number = json_integer_value(json_object_get(item, member));

	return number > 0 ? (uint64_t)number : 0;
}

/* Takes params. */
static json_t *
change(struct varve *varve, const char *method, json_t *params,
    json_t **ret_result)
{
	json_t *result = NULL, *problem;

	assert(params != NULL);
	problem = varve_change(varve, method, params, &result);
	json_decref(params);
	if (problem == NULL && ret_result != NULL)
		*ret_result = result;
	else
		json_decref(result);
	return problem;
}

/* ---- going ---- */

/* Whatever cannot be taken away ends by itself. */
static void
export_remove(struct varve *varve, const char *name, const char *host)
{
	json_decref(change(varve, "export.remove",
	    json_pack(
		"{s:s, s:s, s:b}", "name", name, "host", host, "force", 1),
	    NULL));
}

static void
host_remove(struct varve *varve, const char *host)
{
	json_decref(change(
	    varve, "host.remove", json_pack("{s:s}", "host", host), NULL));
}

/* ---- coming ---- */

/* The same for the same tag on the same machine. */
static void
number_of_tag(const char *tag, char ret_number[NUMBER_TEXT])
{
	struct sha256 *sha256 = sha256_new();
	char text[SHA256_TEXT];
	struct utsname machine;

	if (uname(&machine) == 0)
		sha256_add(sha256, machine.nodename, strlen(machine.nodename));
	sha256_add(sha256, tag, strlen(tag));
	sha256_text(sha256, text);
	sha256_free(sha256);
	snprintf(ret_number, NUMBER_TEXT, "%.8s", text);
}

/* "backup-5f2a9c01-": what the hosts of a tag begin with. */
static void
prefix_of_tag(const char *tag, char ret_prefix[PREFIX_TEXT])
{
	char number[NUMBER_TEXT];

	number_of_tag(tag, number);
	snprintf(ret_prefix, PREFIX_TEXT, HOST_PREFIX "%s-", number);
}

/* Two of one tag have two names: who was ended by his successor takes nothing
 * of his away. */
static void
name_choose(struct attachment *attachment, const char *tag)
{
	char prefix[PREFIX_TEXT] = HOST_PREFIX;
	uint32_t random;
	ssize_t got = getrandom(&random, sizeof(random), 0);

	assert(got == (ssize_t)sizeof(random));
	if (tag != NULL)
		prefix_of_tag(tag, prefix);
	snprintf(attachment->host, sizeof(attachment->host), "%s%08" PRIx32,
	    prefix, random);
	snprintf(attachment->iqn, sizeof(attachment->iqn), IQN_PREFIX "%s",
	    attachment->host);
}

/* Where one listens on all addresses, this machine is one of them. */
static void
portal_of(const char *address, char *ret_portal, size_t room)
{
	if (strncmp(address, "0.0.0.0:", 8) == 0)
		snprintf(ret_portal, room, "127.0.0.1:%s", &address[8]);
	else if (strncmp(address, "[::]:", 5) == 0)
		snprintf(ret_portal, room, "[::1]:%s", &address[5]);
	else
		snprintf(ret_portal, room, "%s", address);
}

static json_t *
portal_choose(struct attachment *attachment, const char *portal)
{
	const char *said = json_string_value(
	    json_array_get(json_object_get(attachment->export, "portals"), 0));

	if (portal == NULL && said == NULL)
		return problem_fix(
		    backup_problem(BACKUP_LUN_IO,
			"cannot log in for %s: varved listens nowhere",
			attachment->name),
		    "varve portal add ADDRESS");
	portal_of(portal != NULL ? portal : said, attachment->portal,
	    sizeof(attachment->portal));
	return NULL;
}

json_t *
attachment_log_in(struct attachment *attachment)
{
	const struct session_params params = {
	    .portal = attachment->portal,
	    .target = item_text(attachment->export, "iqn"),
	    .lun = (int)item_number(attachment->export, "lun"),
	    .name = attachment->iqn,
	    .user = item_text(attachment->credentials, "chap_user"),
	    .secret = item_text(attachment->credentials, "secret"),
	    .what = attachment->name,
	    .patience_ms = varve_timeout(attachment->varve),
	};

	assert(attachment->initiator == NULL);
	return initiator_new(&params, &attachment->initiator);
}

void
attachment_log_out(struct attachment *attachment)
{
	initiator_free(attachment->initiator);
	attachment->initiator = NULL;
}

/* What varved answers to a change is kept. */
static json_t *
make(struct attachment *attachment, const char *method, json_t *params,
    json_t **ret_item)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = change(attachment->varve, method, params, &result);

	*ret_item = json_incref(json_object_get(result, "item"));
	return problem;
}

static json_t *
boot_ask(struct varve *varve, char ret_boot[POINT_UUID_MAX])
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = varve_ask(varve, "version", NULL, &result);

	snprintf(ret_boot, POINT_UUID_MAX, "%s",
	    item_text(json_object_get(result, "item"), "boot"));
	return problem;
}

static json_t *
come(struct attachment *attachment, const char *portal)
{
	json_t *problem = boot_ask(attachment->varve, attachment->boot);

	if (problem != NULL)
		return problem;
	problem = make(attachment, "host.add",
	    json_pack("{s:s, s:s, s:b, s:i}", "name", attachment->host, "iqn",
		attachment->iqn, "chap_generate", 1, "ttl",
		ATTACHMENT_TTL_SECONDS),
	    &attachment->credentials);

	if (problem != NULL)
		return problem;
	problem = make(attachment, "export.add",
	    json_pack("{s:s, s:s, s:i}", "name", attachment->name, "host",
		attachment->host, "ttl", ATTACHMENT_TTL_SECONDS),
	    &attachment->export);
	attachment->renew_at = time(NULL) + RENEW_SECONDS;
	return problem == NULL ? portal_choose(attachment, portal) : problem;
}

/* A host of ours, with what it is exported. */
static void
host_end(struct varve *varve, const char *host)
{
	_cleanup_(json_decrefpp) json_t *items = NULL;
	const json_t *item;
	size_t i;

	json_decref(varve_items(varve, "export.list", "host", host, &items));
	json_array_foreach(items, i, item)
	    export_remove(varve, item_text(item, "name"), host);
	host_remove(varve, host);
}

void
attachment_clear(struct varve *varve, const char *tag)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	char prefix[PREFIX_TEXT];
	const json_t *host;
	size_t i;

	prefix_of_tag(tag, prefix);
	json_decref(varve_ask(varve, "host.list", NULL, &result));
	json_array_foreach(json_object_get(result, "items"), i, host)
	{
		const char *name = item_text(host, "name");
		if (strncmp(name, prefix, strlen(prefix)) == 0)
			host_end(varve, name);
	}
}

json_t *
attachment_new(
    const struct attachment_params *params, struct attachment **ret_attachment)
{
	struct attachment *attachment = calloc(1, sizeof(*attachment));
	json_t *problem;

	assert(attachment != NULL);
	attachment->varve = params->varve;
	attachment->name = params->name;
	name_choose(attachment, params->tag);
	if (params->tag != NULL)
		attachment_clear(params->varve, params->tag);
	problem = come(attachment, params->portal);
	if (problem == NULL && !params->log_in_later)
		problem = attachment_log_in(attachment);
	if (problem == NULL)
		*ret_attachment = attachment;
	else
		attachment_free(attachment);
	return problem;
}

void
attachment_free(struct attachment *attachment)
{
	if (attachment == NULL)
		return;
	attachment_log_out(attachment);
	if (attachment->export != NULL)
		export_remove(
		    attachment->varve, attachment->name, attachment->host);
	if (attachment->credentials != NULL)
		host_remove(attachment->varve, attachment->host);
	json_decref(attachment->credentials);
	json_decref(attachment->export);
	free(attachment);
}

struct initiator *
attachment_initiator(struct attachment *attachment)
{
	return attachment->initiator;
}

bool
attachment_is_lost(struct attachment *attachment)
{
	_cleanup_(json_decrefpp) json_t *items = NULL;
	json_t *problem = varve_items(
	    attachment->varve, "export.list", "host", attachment->host, &items);
	bool lost = problem != NULL
			? varve_problem_exit(problem) == VARVE_NOT_FOUND
			: json_array_size(items) == 0;

	json_decref(problem);
	return lost;
}

json_t *
attachment_check(struct attachment *attachment)
{
	char boot[POINT_UUID_MAX];
	json_t *problem = boot_ask(attachment->varve, boot);

	if (problem != NULL || strcmp(boot, attachment->boot) == 0)
		return problem;
	return problem_fix(
	    problem_why(backup_problem(BACKUP_LUN_IO,
			    "what was written to %s may not all be there",
			    attachment->name),
		"the machine of its varved was started anew meanwhile, and had "
		"not made all of it durable"),
	    "give the same command again");
}

json_t *
attachment_renew(struct attachment *attachment)
{
	json_t *problem;

	if (time(NULL) < attachment->renew_at)
		return NULL;
	problem = change(attachment->varve, "export.set",
	    json_pack("{s:s, s:s, s:i}", "name", attachment->name, "host",
		attachment->host, "ttl", ATTACHMENT_TTL_SECONDS),
	    NULL);
	/* a varved that is being restarted is asked again soon */
	attachment->renew_at =
	    time(NULL) + (problem == NULL ? RENEW_SECONDS : 10);
	if (problem != NULL &&
	    varve_problem_exit(problem) == VARVE_UNREACHABLE) {
		json_decref(problem);
		problem = NULL;
	}
	return problem;
}
