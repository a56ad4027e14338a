/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pieces written as text: "0+4:a 8+2:0 10+1:b" are four bytes a at 0, two zeros
 * at 8, one b at 10.
 */
#ifndef TESTS_UNIT_BACKUP_SUPPORT_PIECES_H
#define TESTS_UNIT_BACKUP_SUPPORT_PIECES_H

#include "backup/piece.h"

struct text_source {
	struct source source;
	const char *rest;
	uint8_t data[PIECE_MAX];
};

void text_source_init(struct text_source *text, const char *pieces);

/* What a source says, joined where it is adjacent and the same; to be freed. */
char *pieces_text(struct source *source);

#endif
