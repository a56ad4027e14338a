/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/exposition.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "target/fault.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void
exposition_init(struct exposition *exposition)
{
	*exposition =
	    (struct exposition){.lines = json_array(), .begun = json_object()};
}

json_t *
exposition_end(struct exposition *exposition)
{
	json_decref(exposition->begun);
	return exposition->lines;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length &&
	       strcmp(text + length - end_length, end) == 0;
}

void
exposition_family(struct exposition *exposition, const struct metric *metric)
{
	assert(strncmp(metric->name, "varve_", 6) == 0);
	assert(ends_with(metric->name, "_total") ==
	       (metric->type == METRIC_COUNTER));
	assert(json_object_get(exposition->begun, metric->name) == NULL);
	exposition->metric = *metric;
}

/* Once for each family. */
static void
head_write(struct exposition *exposition)
{
	static const char *const types[] = {
	    [METRIC_GAUGE] = "gauge",
	    [METRIC_COUNTER] = "counter",
	    [METRIC_HISTOGRAM] = "histogram",
	};
	const struct metric *metric = &exposition->metric;

	if (json_object_get(exposition->begun, metric->name) != NULL)
		return;
	json_object_set_new(exposition->begun, metric->name, json_true());
	json_array_append_new(exposition->lines,
	    json_textf("# HELP %s %s", metric->name, metric->help));
	json_array_append_new(exposition->lines,
	    json_textf("# TYPE %s %s", metric->name, types[metric->type]));
}

/* In a value: \\, \" and \n. */
static void
escaped_write(const char *value, FILE *file)
{
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			fputs("\\n", file);
			continue;
		}
		if (*value == '\\' || *value == '"')
			fputc('\\', file);
		fputc(*value, file);
	}
}

static void
labels_write(const struct label *labels, FILE *file)
{
	const char *separator = "{";

	for (; labels != NULL && labels->name != NULL; labels++) {
		fprintf(file, "%s%s=\"", separator, labels->name);
		escaped_write(labels->value, file);
		fputc('"', file);
		separator = ",";
	}
	if (separator[0] == ',')
		fputc('}', file);
}

static void
sample_write(struct exposition *exposition, const char *suffix,
    const struct label *labels, const char *value)
{
	_cleanup_(freep) char *line = NULL;
	size_t size;
	FILE *file = open_memstream(&line, &size);

	assert(file != NULL && exposition->metric.name != NULL);
	head_write(exposition);
	fprintf(file, "%s%s", exposition->metric.name, suffix);
	labels_write(labels, file);
	fprintf(file, " %s", value);
	fclose(file);
	json_array_append_new(exposition->lines, json_text(line));
}

void
exposition_count(
    struct exposition *exposition, const struct label *labels, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	sample_write(exposition, "", labels, text);
}

void
exposition_number(struct exposition *exposition, const char *suffix,
    const struct label *labels, double value)
{
	char text[40];

	snprintf(text, sizeof(text), "%.15g", value);
	sample_write(exposition, suffix, labels, text);
}
