/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/snapshot/support/going.h"
#include "base/simloop.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdlib.h>
#include <string.h>

static void
io_done(struct bs_io *io, int result)
{
	struct going *g = container_of(io, struct going, io);

	g->waited.done = true;
	g->waited.result = result;
}

void
going_init(struct going *g)
{
	*g = (struct going){.waited = WAITED(g->waited)};
}

void
flatten_begin(struct going *g, struct volume *of)
{
	going_init(g);
	volume_flatten(rig.pool, of, &g->waited.request);
}

void
io_begin(struct going *g, struct backstore *store, enum bs_op op,
    uint64_t offset, uint64_t length, int byte)
{
	going_init(g);
	g->data = aligned_alloc(4096, (length + 4095) / 4096 * 4096);
	assert_non_null(g->data);
	memset(g->data, byte, length);
	g->iov = (struct iovec){g->data, length};
	bs_io_init(&g->io);
	g->io.op = op;
	g->io.offset = offset;
	g->io.length = length;
	g->io.may_unmap = op == BS_ZERO;
	if (op == BS_WRITE) {
		g->io.iov = &g->iov;
		g->io.iov_count = 1;
	}
	g->io.complete = io_done;
	bs_submit(store, &g->io);
}

bool
going_steps(unsigned count, const struct going *g)
{
	while (count-- > 0 && !g->waited.done)
		simloop_step(rig.loop);
	return !g->waited.done;
}

int
going_end(struct going *g)
{
	simloop_run_until(rig.loop, &g->waited.done);
	assert_true(g->waited.done);
	free(g->data);
	g->data = NULL;
	return g->waited.result;
}

int
flatten(struct volume *of)
{
	struct going g;
	int result;

	flatten_begin(&g, of);
	result = going_end(&g);
	memcpy(rig.problem, g.waited.request.problem, sizeof(rig.problem));
	return result;
}
