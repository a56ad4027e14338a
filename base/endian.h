/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Wire and disk integers as byte arrays: alignment 1, no packing, and no
 * arithmetic on a raw field.  SCSI and iSCSI are big endian (be), varve's own
 * disk format is little endian (le).  CDBs are read by offset with load_be*.
 */
#ifndef BASE_ENDIAN_H
#define BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define ENDIAN_DEFINE(order, bits)                                             \
	struct order##bits {                                                   \
		uint8_t byte[bits / 8];                                        \
	};                                                                     \
	static inline uint##bits##_t load_##order##bits(const void *p)         \
	{                                                                      \
		uint##bits##_t v;                                              \
		memcpy(&v, p, sizeof(v));                                      \
		return order##bits##toh(v);                                    \
	}                                                                      \
	static inline void store_##order##bits(void *p, uint##bits##_t v)      \
	{                                                                      \
		v = hto##order##bits(v);                                       \
		memcpy(p, &v, sizeof(v));                                      \
	}                                                                      \
	static inline uint##bits##_t order##bits##_get(                        \
	    const struct order##bits *f)                                       \
	{                                                                      \
		return load_##order##bits(f->byte);                            \
	}                                                                      \
	static inline void order##bits##_set(                                  \
	    struct order##bits *f, uint##bits##_t v)                           \
	{                                                                      \
		store_##order##bits(f->byte, v);                               \
	}                                                                      \
	_Static_assert(sizeof(struct order##bits) == bits / 8, "no padding")

ENDIAN_DEFINE(be, 16);
ENDIAN_DEFINE(be, 32);
ENDIAN_DEFINE(be, 64);
ENDIAN_DEFINE(le, 16);
ENDIAN_DEFINE(le, 32);
ENDIAN_DEFINE(le, 64);

#undef ENDIAN_DEFINE

struct be24 {
	uint8_t byte[3];
};

static inline uint32_t
load_be24(const void *p)
{
	const uint8_t *b = p;
	return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static inline void
store_be24(void *p, uint32_t v)
{
	uint8_t *b = p;
	b[0] = (uint8_t)(v >> 16);
	b[1] = (uint8_t)(v >> 8);
	b[2] = (uint8_t)v;
}

static inline uint32_t
be24_get(const struct be24 *f)
{
	return load_be24(f->byte);
}

static inline void
be24_set(struct be24 *f, uint32_t v)
{
	store_be24(f->byte, v);
}

#endif
