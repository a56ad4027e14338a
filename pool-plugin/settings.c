/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/settings.h"
#include "base/cleanup.h"
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

static json_t *
settings_problem(const char *path, const char *why)
{
	return problem_why(problem_new(VARVE_FAILED, "plugin.settings",
			       "cannot read the settings in %s", path),
	    "%s", why);
}

/* Without what is around it. */
static char *
strip(char *text)
{
	char *end;

	text += strspn(text, " \t\r\n");
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

static bool
fits(const char *pattern, const char *iqn)
{
	size_t length = strlen(pattern);

	if (length > 0 && pattern[length - 1] == '*')
		return strncmp(pattern, iqn, length - 1) == 0;
	return strcmp(pattern, iqn) == 0;
}

/* True: a setting, "" of both in an empty line. */
static bool
line_split(char *line, char **ret_iqn, char **ret_url)
{
	char *equals;

	line[strcspn(line, "#")] = '\0';
	equals = strchr(line, '=');
	if (equals == NULL) {
		*ret_iqn = *ret_url = strip(line);
		return **ret_iqn == '\0';
	}
	*equals = '\0';
	*ret_iqn = strip(line);
	*ret_url = strip(equals + 1);
	return **ret_iqn != '\0' && **ret_url != '\0';
}

/* All lines are looked at, so that a mistake is found whatever is asked for. */
json_t *
settings_find(const char *path, const char *iqn, char **ret_url)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "re");
	_cleanup_(freep) char *line = NULL;
	_cleanup_(freep) char *found = NULL;
	char why[64], *line_iqn, *line_url;
	size_t size = 0;

	*ret_url = NULL;
	if (file == NULL)
		return errno == ENOENT
			   ? NULL
			   : settings_problem(path, strerror(errno));
	for (unsigned number = 1; getline(&line, &size, file) >= 0; number++) {
		if (!line_split(line, &line_iqn, &line_url)) {
			snprintf(why, sizeof(why),
			    "line %u is not of the form IQN = URL", number);
			return settings_problem(path, why);
		}
		if (found == NULL && *line_iqn != '\0' && fits(line_iqn, iqn))
			found = strdup(line_url);
	}
	if (ferror(file))
		return settings_problem(path, strerror(errno));
	*ret_url = found;
	found = NULL;
	return NULL;
}
