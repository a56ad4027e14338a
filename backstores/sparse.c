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
