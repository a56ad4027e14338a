/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/backup/support/pieces.h"
#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *
text_next(struct source *source, struct piece *ret_piece)
{
	struct text_source *text =
	    container_of(source, struct text_source, source);
	unsigned long long offset, length;
	char letter;
	int taken;

	*ret_piece = (struct piece){.length = 0};
	if (sscanf(text->rest, " %llu+%llu:%c%n", &offset, &length, &letter,
		&taken) != 3)
		return NULL;
	text->rest += taken;
	assert(length <= sizeof(text->data));
	memset(text->data, letter, length);
	*ret_piece =
	    (struct piece){offset, length, letter == '0' ? NULL : text->data};
	return NULL;
}

void
text_source_init(struct text_source *text, const char *pieces)
{
	text->source.next = text_next;
	text->rest = pieces;
}

/* All of a piece is one letter. */
static char
letter_of(const struct piece *piece)
{
	if (piece->data == NULL)
		return '0';
	for (uint64_t i = 1; i < piece->length; i++)
		assert(piece->data[i] == piece->data[0]);
	return (char)piece->data[0];
}

char *
pieces_text(struct source *source)
{
	uint64_t begin = 0, end = 0;
	char *text, last = 0;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct piece piece;

	assert(file != NULL);
	for (;;) {
		json_t *problem = source->next(source, &piece);
		assert(problem == NULL);
		if (piece.length > 0 && last != 0 && piece.offset == end &&
		    letter_of(&piece) == last) {
			end += piece.length;
			continue;
		}
		assert(piece.length == 0 || piece.offset >= end);
		if (last != 0)
			fprintf(file, "%s%llu+%llu:%c", ftell(file) ? " " : "",
			    (unsigned long long)begin,
			    (unsigned long long)(end - begin), last);
		if (piece.length == 0)
			break;
		begin = piece.offset;
		end = piece_end(&piece);
		last = letter_of(&piece);
	}
	fclose(file);
	return text;
}
