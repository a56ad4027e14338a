/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/compare.h"
#include "base/zero.h"
#include <string.h>

/* A source one piece ahead; at its end the piece is behind every image. */
struct side {
	struct source *source;
	struct piece head;
};

static json_t *
side_fill(struct side *side)
{
	json_t *problem = NULL;

	if (side->head.length == 0)
		problem = side->source->next(side->source, &side->head);
	if (problem == NULL && side->head.length == 0)
		side->head.offset = IMAGE_MAX;
	return problem;
}

static bool
reads_as_zeros(const struct piece *piece, uint64_t length)
{
	return piece->data == NULL || is_zero(piece->data, length);
}

static bool
same(const struct piece *a, const struct piece *b, uint64_t length)
{
	if (a->data == NULL || b->data == NULL)
		return reads_as_zeros(a, length) && reads_as_zeros(b, length);
	return memcmp(a->data, b->data, length) == 0;
}

static uint64_t
min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The piece that begins first, up to where the other one begins or ends. */
static bool
step(struct piece *first, struct piece *other)
{
	uint64_t end = piece_end(first);
	bool equal;

	if (other->offset > first->offset) {
		end = min_of(end, other->offset);
		equal = reads_as_zeros(first, end - first->offset);
	} else {
		end = min_of(end, piece_end(other));
		equal = same(first, other, end - first->offset);
		piece_skip_to(other, end);
	}
	piece_skip_to(first, end);
	return equal;
}

json_t *
compare_images(struct source *a, struct source *b, uint64_t *ret_offset)
{
	struct side sides[2] = {{.source = a}, {.source = b}};

	for (;;) {
		struct piece *x = &sides[0].head, *y = &sides[1].head;
		json_t *problem = side_fill(&sides[0]);
		if (problem == NULL)
			problem = side_fill(&sides[1]);
		if (problem != NULL)
			return problem;
		*ret_offset = min_of(x->offset, y->offset);
		if (*ret_offset == IMAGE_MAX)
			return NULL;
		if (!(x->offset <= y->offset ? step(x, y) : step(y, x)))
			return NULL;
	}
}
