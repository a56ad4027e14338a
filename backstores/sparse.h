/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that takes none until it is written: reads of what was never written
 * find the kernel's page of zeros.
 */
#ifndef BACKSTORES_SPARSE_H
#define BACKSTORES_SPARSE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>

static inline void *
sparse_map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* For what will be written all over: huge pages, if there are any. */
static inline void
sparse_dense(void *p, uint64_t bytes)
{
	madvise(p, bytes, MADV_HUGEPAGE);
}

/* NULL: no address space; what was there stays. */
static inline void *
sparse_remap(void *p, uint64_t bytes, uint64_t new_bytes)
{
	p = mremap(p, bytes, new_bytes, MREMAP_MAYMOVE);
	return p == MAP_FAILED ? NULL : p;
}

/* Zeros from offset to end, which is the end of the mapping: its whole pages
 * are given back. */
void sparse_clear(void *p, uint64_t offset, uint64_t end);

static inline void
sparse_unmap(void *p, uint64_t bytes)
{
	if (p != NULL)
		munmap(p, bytes);
}

/* All elements from one run of memory, or into it. */
void sparse_gather(void *to, const struct iovec *iov, unsigned count);
void sparse_scatter(const void *from, const struct iovec *iov, unsigned count);

#endif
