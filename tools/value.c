/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/value.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/size.h"
#include "target/ref.h"
#include "tools/problem.h"
#include "tools/suggest.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NAME_RULE                                                              \
	"a name has 1 to 63 characters of A-Z a-z 0-9 . _ - and does not "     \
	"start with . or -"

typedef json_t *(*value_parser)(
    const struct api_arg *arg, const char *text, json_t **ret_value);

static json_t *
not_a(const char *what, const char *text)
{
	return problem_new(
	    API_USAGE, "usage.argument", "'%s' is not %s", text, what);
}

static json_t *
parse_text(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	*ret_value = json_string(text);
	if (*ret_value == NULL)
		return problem_new(API_USAGE, "usage.argument",
		    "%s is not valid UTF-8", arg->name);
	return NULL;
}

static json_t *
parse_name(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	static const char *const what[] = {
	    [API_POOL] = "a pool's name",
	    [API_NEW_POOL] = "a pool's name",
	    [API_HOST] = "a host's name",
	    [API_NEW_HOST] = "a host's name",
	    [API_POLICY] = "a policy's name",
	    [API_NEW_POLICY] = "a policy's name",
	    [API_NEW_GROUP] = "a group's name",
	    [API_BOOKMARK] = "a bookmark's name",
	    [API_NEW_NAME] = "a name",
	    [API_JOB] = "a job's id",
	};

	if (!pool_name_valid(text))
		return problem_why(not_a(what[arg->type], text), NAME_RULE);
	return parse_text(arg, text, ret_value);
}

/* What a name of that type looks like. */
static const struct {
	const char *what, *form;
} refs[] = {
    [API_LUN] = {"a LUN's name", "POOL/LUN, as in vms/web01"},
    [API_NEW_LUN] = {"a LUN's name", "POOL/LUN, as in vms/web01"},
    [API_SNAP] = {"a snapshot's name", "POOL/LUN@SNAP, as in vms/web01@mon"},
    [API_NEW_SNAP] = {"a snapshot's name, or a part of one",
	"POOL/LUN@SNAP, as in vms/web01@mon; or POOL/LUN; or @SNAP"},
    [API_SNAP_AT] = {"a snapshot's name",
	"@SNAP, as in @mon, or POOL/LUN@SNAP"},
    [API_LUN_OR_SNAP] = {"a LUN's or a snapshot's name",
	"POOL/LUN or POOL/LUN@SNAP, as in vms/web01@mon"},
    [API_POOL_OR_LUN] = {"a pool's or a LUN's name", "POOL or POOL/LUN"},
    [API_TRASHED] = {"what something in the trash is called",
	"POOL/LUN, POOL/LUN@SNAP or a uuid, as varve trash list shows them"},
    [API_GROUP] = {"a group's name", "GROUP or POOL/GROUP"},
};

static json_t *
parse_ref(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	struct ref ref;
	json_t *problem;

	if ((ref_parse(text, &ref) & ref_forms(arg->type)) != 0)
		return parse_text(arg, text, ret_value);
	problem = not_a(refs[arg->type].what, text);
	problem_why(problem, NAME_RULE);
	return problem_fix(problem, "%s", refs[arg->type].form);
}

static json_t *
parse_trashed(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	uuid_t uuid;

	if (uuid_parse(text, uuid) == 0)
		return parse_text(arg, text, ret_value);
	return parse_ref(arg, text, ret_value);
}

static json_t *
size_problem(int error, const char *text)
{
	json_t *problem =
	    problem_new(API_USAGE, "usage.size", "'%s' is not a size", text);

	if (error == -ENOMSG) {
		problem_why(problem, "a bare number could be bytes, megabytes "
				     "or gigabytes");
		return problem_fix(problem, "did you mean %sG?", text);
	}
	if (error == -ERANGE)
		return problem_why(problem, "it is negative or too large");
	problem_why(problem, "a size is a number with a unit: K M G T P are "
			     "powers of 1024, KB MB GB TB PB powers of 1000");
	return problem_fix(problem, "100G, 1.5T, 500GB");
}

static json_t *
parse_size(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	uint64_t bytes;
	int ret = size_parse(text, &bytes);

	(void)arg;
	if (ret < 0)
		return size_problem(ret, text);
	*ret_value = json_integer((json_int_t)bytes);
	return NULL;
}

static json_t *
parse_limit(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	if (strcmp(text, "none") != 0)
		return parse_size(arg, text, ret_value);
	*ret_value = json_integer(0);
	return NULL;
}

static json_t *
parse_reserve(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	if (strcmp(text, "all") != 0)
		return parse_limit(arg, text, ret_value);
	*ret_value = json_integer((json_int_t)API_ALL);
	return NULL;
}

static json_t *
parse_resize(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	bool grows = text[0] == '+';
	uint64_t bytes;
	int ret = size_parse(text + grows, &bytes);

	(void)arg;
	if (ret < 0)
		return size_problem(ret, text);
	*ret_value = json_sprintf("%s%" PRIu64, grows ? "+" : "", bytes);
	return NULL;
}

/* All of text is a decimal number in [0, max]; suffix may follow. */
static int
number_parse(
    const char *text, const char *suffix, long long max, long long *ret_number)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	if (errno != 0 || *ret_number > max)
		return -ERANGE;
	return *end == '\0' || strcmp(end, suffix) == 0 ? 0 : -EINVAL;
}

static json_t *
parse_percent(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	long long number;

	(void)arg;
	if (number_parse(text, "%", 100, &number) < 0)
		return not_a("a percentage from 0% to 100%", text);
	*ret_value = json_integer(number);
	return NULL;
}

static json_t *
parse_duration(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	static const struct {
		const char *suffix;
		json_int_t seconds;
	} units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400},
	    {"w", 7 * 86400}, {"y", 365 * 86400}};
	const char *given = text;
	size_t digits;
	long long number;

	(void)arg;
	text += text[0] == '+'; /* from now */
	digits = strspn(text, "0123456789");
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(text + digits, units[i].suffix) != 0 ||
		    number_parse(text, units[i].suffix, 999999, &number) < 0 ||
		    number == 0)
			continue;
		*ret_value = json_integer(number * units[i].seconds);
		return NULL;
	}
	return problem_fix(not_a("a length of time", given), "30m, 4h, 7d");
}

static json_t *
parse_int(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	long long number;

	(void)arg;
	if (number_parse(text, "", INT64_MAX, &number) < 0)
		return not_a("a number", text);
	*ret_value = json_integer(number);
	return NULL;
}

/* The daemon has another working directory. */
static json_t *
parse_path(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	_cleanup_(freep) char *directory = NULL;
	_cleanup_(freep) char *path = NULL;
	int length;

	if (text[0] == '\0')
		return not_a("a path", text);
	if (text[0] == '/')
		return parse_text(arg, text, ret_value);
	while (strncmp(text, "./", 2) == 0)
		text += 2;
	directory = getcwd(NULL, 0);
	if (directory == NULL)
		return problem_new(API_FAILED, "usage.argument",
		    "cannot tell the working directory, which '%s' starts "
		    "from: %s",
		    text, strerror(errno));
	length = asprintf(&path, "%s/%s", directory, text);
	assert(length >= 0);
	return parse_text(arg, path, ret_value);
}

static json_t *
parse_choice(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	_cleanup_(freep) char *choices = strdup(arg->choices);
	struct suggest suggest;
	json_t *problem;
	char *state;

	assert(choices != NULL);
	suggest_init(&suggest, text);
	for (char *word = strtok_r(choices, "|", &state); word != NULL;
	     word = strtok_r(NULL, "|", &state)) {
		if (strcmp(word, text) == 0)
			return parse_text(arg, text, ret_value);
		suggest_offer(&suggest, word);
	}
	problem = problem_new(API_USAGE, "usage.argument", "'%s' is none of %s",
	    text, arg->choices);
	if (suggest.nearest != NULL)
		problem_fix(problem, "did you mean %s?", suggest.nearest);
	return problem;
}

/* A file that is here and not where varved is, so its contents go. */
static json_t *
parse_document(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	json_error_t error;
	json_t *problem;

	(void)arg;
	if (strcmp(text, "-") == 0)
		*ret_value = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
	else
		*ret_value =
		    json_load_file(text, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(*ret_value))
		return NULL;
	problem = problem_new(API_USAGE, "usage.document",
	    "'%s' is not a file with a JSON object", text);
	if (*ret_value != NULL)
		problem_why(problem, "it holds another JSON value");
	else if (error.line > 0)
		problem_why(problem, "line %d, column %d: %s", error.line,
		    error.column, error.text);
	else
		problem_why(problem, "%s", error.text);
	json_decref(*ret_value);
	*ret_value = NULL;
	return problem;
}

static json_t *
parse_count(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	if (strcmp(text, "none") != 0)
		return parse_int(arg, text, ret_value);
	*ret_value = json_integer(0);
	return NULL;
}

/* clang-format off */
static const struct {
	value_parser parse;
	const char *placeholder; /* NULL: the argument's name in capitals */
} types[] = {
	[API_POOL]     = { parse_name,    "POOL" },
	[API_LUN]      = { parse_ref,     "POOL/LUN" },
	[API_NEW_POOL] = { parse_name,    "POOL" },
	[API_NEW_LUN]  = { parse_ref,     "POOL/LUN" },
	[API_SNAP]     = { parse_ref,     "POOL/LUN@SNAP" },
	[API_NEW_SNAP] = { parse_ref,     "POOL/LUN@SNAP" },
	[API_SNAP_AT]  = { parse_ref,     "@SNAP" },
	[API_LUN_OR_SNAP] = { parse_ref,  "POOL/LUN[@SNAP]" },
	[API_POOL_OR_LUN] = { parse_ref,  "POOL[/LUN]" },
	[API_TRASHED]  = { parse_trashed, "NAME" },
	[API_GROUP]    = { parse_ref,     "GROUP" },
	[API_NEW_GROUP]= { parse_name,    "GROUP" },
	[API_BOOKMARK] = { parse_name,    "BOOKMARK" },
	[API_NEW_NAME] = { parse_name,    "NAME" },
	[API_JOB]      = { parse_name,    "JOB" },
	[API_HOST]     = { parse_name,    "HOST" },
	[API_NEW_HOST] = { parse_name,    "HOST" },
	[API_POLICY]     = { parse_name,  "POLICY" },
	[API_NEW_POLICY] = { parse_name,  "POLICY" },
	[API_IQN]      = { parse_text,    "IQN" },
	[API_SIZE]     = { parse_size,    "SIZE" },
	[API_RESIZE]   = { parse_resize,  "[+]SIZE" },
	[API_LIMIT]    = { parse_limit,   "SIZE|none" },
	[API_RESERVE]  = { parse_reserve, "SIZE|all|none" },
	[API_COUNT]    = { parse_count,   "N|none" },
	[API_PERCENT]  = { parse_percent, "PERCENT" },
	[API_INT]      = { parse_int,     "N" },
	[API_DURATION] = { parse_duration, "TIME" },
	[API_PATH]     = { parse_path,    NULL },
	[API_ADDRESS]  = { parse_text,    "ADDRESS" },
	[API_CHOICE]   = { parse_choice,  NULL },
	[API_TEXT]     = { parse_text,    NULL },
	[API_SECRET]   = { NULL,          "FILE" },
	[API_SESSION]  = { parse_int,     "SESSION" },
	[API_DOCUMENT] = { parse_document, "FILE" },
};
/* clang-format on */

json_t *
value_parse(const struct api_arg *arg, const char *text, json_t **ret_value)
{
	assert(arg->type < ARRAY_SIZE(types));
	assert(types[arg->type].parse != NULL);
	return types[arg->type].parse(arg, text, ret_value);
}

static void
upper_case(const char *name, char *buf, size_t size)
{
	size_t i;

	for (i = 0; name[i] != '\0' && i + 1 < size; i++)
		buf[i] = name[i] == '_' ? '-'
					: (char)toupper((unsigned char)name[i]);
	buf[i] = '\0';
}

const char *
value_placeholder(const struct api_arg *arg, char *buf, size_t size)
{
	if (arg->type == API_CHOICE && !arg->positional)
		return arg->choices;
	if (types[arg->type].placeholder != NULL)
		return types[arg->type].placeholder;
	if (arg->type == API_PATH && !arg->positional)
		return "PATH";
	upper_case(arg->name, buf, size);
	if (arg->repeated && buf[0] != '\0' && buf[strlen(buf) - 1] == 'S')
		buf[strlen(buf) - 1] = '\0'; /* DEVICE..., from "devices" */
	return buf;
}

char *
value_option(const struct api_arg *arg, char buf[OPTION_NAME_MAX])
{
	int length = snprintf(buf, OPTION_NAME_MAX, "%s%s", arg->name,
	    arg->type == API_SECRET ? "-file" : "");

	assert(length < OPTION_NAME_MAX);
	for (char *p = buf; *p != '\0'; p++) {
		if (*p == '_')
			*p = '-';
	}
	return buf;
}

int
duration_parse(const char *text, unsigned *ret_ms)
{
	static const struct {
		const char *suffix;
		unsigned ms;
	} units[] = {{"s", 1000}, {"m", 60000}, {"h", 3600000}};
	long long number;
	int ret = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		ret = number_parse(text, units[i].suffix, 86400, &number);
		if (ret == -ERANGE)
			return ret;
		if (ret < 0)
			continue;
		if (number * units[i].ms > 86400000)
			return -ERANGE;
		*ret_ms = (unsigned)number * units[i].ms;
		return 0;
	}
	return ret;
}
