/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backstores/sparse.h"
#include <string.h>

void
sparse_gather(void *to, const struct iovec *iov, unsigned count)
{
	char *p = to;

	for (unsigned i = 0; i < count; i++) {
		memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
}

void
sparse_scatter(const void *from, const struct iovec *iov, unsigned count)
{
	const char *p = from;

	for (unsigned i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, p, iov[i].iov_len);
		p += iov[i].iov_len;
	}
}

void
sparse_clear(void *p, uint64_t offset, uint64_t end)
{
	const uint64_t page = 4096;
	uint64_t whole = (offset + page - 1) / page * page;
	uint8_t *bytes = p;

	if (whole > end)
		whole = end;
	memset(bytes + offset, 0, whole - offset);
	if (whole < end)
		madvise(bytes + whole, end - whole, MADV_DONTNEED);
}
