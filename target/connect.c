/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/connect.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void
line(struct lines *lines, const char *format, ...)
{
	char *text;
	va_list args;

	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	assert(length >= 0);
	json_array_append_new(lines->array, json_text(text));
	free(text);
}

bool
is_connected(const struct lines *lines, const struct state_export *row)
{
	return row->host_id == lines->host->id &&
	       row->carrier != CARRIER_TCMU_LOOP;
}

bool
first_of_target(const struct lines *lines, unsigned index)
{
	const struct state_export *rows = lines->exports->rows;

	for (unsigned i = 0; i < index; i++) {
		if (is_connected(lines, &rows[i]) &&
		    rows[i].target_id == rows[index].target_id &&
		    rows[i].carrier == rows[index].carrier)
			return false;
	}
	return is_connected(lines, &rows[index]);
}

void
take_row(struct lines *lines, const struct state_export *row)
{
	lines->portal = lines->portals[row->carrier];
	export_iqn(row, lines->iqn);
}

unsigned
exports_of(const struct lines *lines)
{
	unsigned count = 0;

	for (unsigned i = 0; i < lines->exports->count; i++)
		count += is_connected(lines, &lines->exports->rows[i]);
	return count;
}

void
storage_name(const struct state_export *row, char name[NAMING_IQN_MAX])
{
	snprintf(name, NAMING_IQN_MAX, "%.200s%s",
	    row->own_target ? row->lun_name : row->pool,
	    row->carrier == CARRIER_TCMU ? "-tcmu" : "");
}

void
shell_quote(const char *text, char *buf, size_t size)
{
	size_t used = 0;

	assert(size > 3);
	buf[used++] = '\'';
	for (; *text != '\0' && used + 6 < size; text++) {
		if (*text == '\'') {
			memcpy(buf + used, "'\\''", 4);
			used += 4;
		} else {
			buf[used++] = *text;
		}
	}
	buf[used++] = '\'';
	buf[used] = '\0';
}

void
secret_word(const struct lines *lines, const char *secret, const char *suffix,
    char word[SECRET_WORD_MAX])
{
	if (lines->show_secret)
		shell_quote(secret, word, SECRET_WORD_MAX);
	else
		snprintf(word, SECRET_WORD_MAX, "\"$(cat %s.%s)\"",
		    lines->host->name, suffix);
}
