/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store in memory: a sparse mapping, and a bitmap of the 4 KiB pages that
 * were written, which answers EXTENTS.  Everything is done at once, by memcpy,
 * and completed from the loop.  Nothing survives bs_close().
 */
#include "backstores/sparse.h"
#include "backstores/stores.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE     4096ull
#define WORD     64ull
#define MAX_IO   (8u << 20)
#define MAX_SIZE (1ull << 46) /* half of x86-64's user address space */

struct mem {
	struct backstore bs; /* first */
	uint8_t *data;
	uint64_t *written; /* a bit per page */
};

static inline struct mem *
mem_of(struct backstore *bs)
{
	return container_of(bs, struct mem, bs);
}

/* Bytes, both whole pages for mmap. */
static uint64_t
data_bytes(uint64_t size)
{
	return (size + PAGE - 1) / PAGE * PAGE;
}

static uint64_t
bitmap_bytes(uint64_t size)
{
	return data_bytes(data_bytes(size) / PAGE / 8 + sizeof(uint64_t));
}

/* ---- which pages were written ---- */

static bool
page_written(const struct mem *mem, uint64_t page)
{
	return mem->written[page / WORD] >> (page % WORD) & 1;
}

static void
pages_mark(struct mem *mem, uint64_t offset, uint64_t length)
{
	uint64_t last = (offset + length - 1) / PAGE;

	for (uint64_t page = offset / PAGE; page <= last; page++)
		mem->written[page / WORD] |= 1ull << (page % WORD);
}

static void
pages_clear(struct mem *mem, uint64_t first, uint64_t end)
{
	for (uint64_t page = first; page < end; page++)
		mem->written[page / WORD] &= ~(1ull << (page % WORD));
}

/* The first page from page on whose bit differs from written, or end. */
static uint64_t
pages_run(const struct mem *mem, uint64_t page, uint64_t end, bool written)
{
	uint64_t same = written ? UINT64_MAX : 0;

	while (page < end) {
		uint64_t word = mem->written[page / WORD] ^ same;
		word >>= page % WORD;
		if (word != 0) {
			page += (unsigned)__builtin_ctzll(word);
			break;
		}
		page = (page / WORD + 1) * WORD;
	}
	return page < end ? page : end;
}

/* ---- operations ---- */

static int
mem_read(struct mem *mem, struct bs_io *io)
{
	sparse_scatter(mem->data + io->offset, io->iov, io->iov_count);
	return 0;
}

static int
mem_write(struct mem *mem, struct bs_io *io)
{
	sparse_gather(mem->data + io->offset, io->iov, io->iov_count);
	pages_mark(mem, io->offset, io->length);
	return 0;
}

/* Zeros, and whole pages given back. */
static int
mem_unmap(struct mem *mem, struct bs_io *io)
{
	uint64_t end = io->offset + io->length;
	uint64_t first_page = (io->offset + PAGE - 1) / PAGE;
	uint64_t end_page =
	    end == mem->bs.size ? data_bytes(end) / PAGE : end / PAGE;

	if (first_page >= end_page) {
		memset(mem->data + io->offset, 0, io->length);
		return 0;
	}
	memset(mem->data + io->offset, 0, first_page * PAGE - io->offset);
	if (end > end_page * PAGE)
		memset(mem->data + end_page * PAGE, 0, end - end_page * PAGE);
	/* private and anonymous: reads find zeros again */
	if (madvise(mem->data + first_page * PAGE,
		(end_page - first_page) * PAGE, MADV_DONTNEED) < 0)
		return -EIO;
	pages_clear(mem, first_page, end_page);
	return 0;
}

static int
mem_zero(struct mem *mem, struct bs_io *io)
{
	if (io->may_unmap)
		return mem_unmap(mem, io);
	memset(mem->data + io->offset, 0, io->length);
	pages_mark(mem, io->offset, io->length);
	return 0;
}

static int
mem_flush(struct mem *mem, struct bs_io *io)
{
	(void)mem, (void)io;
	return 0;
}

static int
mem_extents(struct mem *mem, struct bs_io *io)
{
	uint64_t at = io->offset, end = io->offset + io->length;

	while (at < end && io->extent_count < io->extent_max) {
		bool written = page_written(mem, at / PAGE);
		uint64_t page_end =
		    pages_run(mem, at / PAGE, (end + PAGE - 1) / PAGE, written);
		uint64_t until = page_end * PAGE < end ? page_end * PAGE : end;
		io->extents[io->extent_count++] = (struct bs_extent){
		    .offset = at,
		    .length = until - at,
		    .kind = written ? BS_EXTENT_DATA : BS_EXTENT_HOLE,
		};
		at = until;
	}
	return 0;
}

static int (*const handlers[BS_OP_COUNT])(struct mem *, struct bs_io *) = {
    [BS_READ] = mem_read,
    [BS_WRITE] = mem_write,
    [BS_FLUSH] = mem_flush,
    [BS_ZERO] = mem_zero,
    [BS_DISCARD] = mem_unmap,
    [BS_EXTENTS] = mem_extents,
};

static void
mem_submit(struct backstore *bs, struct bs_io *io)
{
	bs_complete_later(io, handlers[io->op](mem_of(bs), io));
}

static int
mem_remap(struct mem *mem, uint64_t size)
{
	uint64_t old = mem->bs.size;
	void *data, *written;

	written =
	    sparse_remap(mem->written, bitmap_bytes(old), bitmap_bytes(size));
	if (written == NULL)
		return -ENOMEM;
	mem->written = written;
	data = sparse_remap(mem->data, data_bytes(old), data_bytes(size));
	if (data == NULL) { /* cannot fail when it shrinks */
		assert(size > old);
		mem->written = sparse_remap(
		    written, bitmap_bytes(size), bitmap_bytes(old));
		assert(mem->written != NULL);
		return -ENOMEM;
	}
	mem->data = data;
	mem->bs.size = size;
	return 0;
}

static void
mem_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg)
{
	struct mem *mem = mem_of(bs);

	if (size > MAX_SIZE) {
		done(arg, -ENOMEM);
		return;
	}
	if (size < bs->size) { /* what comes back later is zeros */
		struct bs_io tail = {.offset = size, .length = bs->size - size};
		mem_unmap(mem, &tail);
	}
	done(arg, mem_remap(mem, size));
}

static void
mem_free(struct mem *mem)
{
	sparse_unmap(mem->data, data_bytes(mem->bs.size));
	sparse_unmap(mem->written, bitmap_bytes(mem->bs.size));
	free(mem);
}

static void
mem_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	mem_free(mem_of(bs));
	done(arg);
}

static const struct backstore_ops mem_ops = {
    .name = "mem",
    .submit = mem_submit,
    .resize = mem_resize,
    .close = mem_close,
};

int
bs_mem_new(struct loop *loop, uint64_t size, uint32_t block_size,
    struct backstore **ret_bs)
{
	struct mem *mem;

	assert(block_size >= 512);
	assert(block_size <= PAGE);
	assert((block_size & (block_size - 1)) == 0);
	if (size == 0 || size % block_size != 0 || size > MAX_SIZE)
		return -EINVAL;
	mem = calloc(1, sizeof(*mem));
	if (mem == NULL)
		return -ENOMEM;
	mem->bs = (struct backstore){
	    .ops = &mem_ops,
	    .loop = loop,
	    .name = "mem",
	    .size = size,
	    .block_size = block_size,
	    .physical_block_size = PAGE,
	    .mem_align = 1,
	    .max_io = MAX_IO,
	    .thin = true,
	};
	mem->data = sparse_map(data_bytes(size));
	mem->written = sparse_map(bitmap_bytes(size));
	if (mem->data == NULL || mem->written == NULL) {
		mem_free(mem);
		return -ENOMEM;
	}
	*ret_bs = &mem->bs;
	return 0;
}
