/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/simloop.h"
#include "tests/unit/snapshot/support/image.h"
#include <stdlib.h>
#include <string.h>

/* Sums are right whatever lies there, so that what is behind them is met. */
static void
seal_as_it_is(struct image *image)
{
	for (unsigned n = 0; n < image->pages; n++)
		if (n != PAGE_BITMAP)
			fmt_page_seal(&image->page[n]);
	for (unsigned i = 0; i < FMT_SUPER_SLOTS; i++)
		fmt_super_seal(&image->super[i]);
	for (unsigned i = 0; i < FMT_LABELS; i++)
		fmt_label_seal(&image->label[i]);
	fmt_log_seal(&image->log.head);
}

static void
scribble(struct image *image, uint64_t *random)
{
	const struct {
		void *bytes;
		size_t size;
	} places[] = {
	    {image->page, image->pages * sizeof(image->page[0])},
	    {&image->page[PAGE_VERSIONS], 512},
	    {&image->page[PAGE_LEAF], 512},
	    {image->super, 1200},
	    {&image->log, 512},
	    {image->label, sizeof(image->label)},
	};
	unsigned n = (unsigned)sim_below(random, ARRAY_SIZE(places));
	uint8_t *bytes = places[n].bytes;
	size_t at = sim_below(random, places[n].size);
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	if (sim_below(random, 2) == 0)
		bytes[at] = (uint8_t)sim_random(random);
	else
		bytes[at] = values[sim_below(random, sizeof(values))];
}

void
image_scribble(
    struct image *fresh, unsigned seeds, void (*each)(struct image *image))
{
	struct image *image = malloc(sizeof(*image));

	assert(image != NULL);
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		uint64_t random = seed * 0x9e3779b97f4a7c15ull;

		*image = *fresh;
		for (uint64_t n = 1 + sim_below(&random, 8); n > 0; n--)
			scribble(image, &random);
		/* what is sealed must be in memory */
		if (le32_get(&image->log.head.length) - 8 > FMT_BLOCK - 8)
			le32_set(&image->log.head.length, FMT_BLOCK);
		if (sim_below(&random, 2) == 0)
			image_seal(image);
		else
			seal_as_it_is(image);
		image_write(image);
		each(image);
	}
	free(image);
}
