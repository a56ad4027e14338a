/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intrusive circular doubly linked list.  A list is a node that is not part of
 * an element; a node that is on no list points to itself after list_init or
 * list_del, so list_empty(&element->link) says "not queued".
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/assert.h"
#include <stdbool.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name)                                                        \
	{                                                                      \
		&(name), &(name)                                               \
	}

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void
list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void
list_add_tail(struct list *l, struct list *node)
{
	list_insert_before(l, node);
}

static inline void
list_add_head(struct list *l, struct list *node)
{
	list_insert_before(l->next, node);
}

static inline void
list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves every element of from to the tail of to; from is left empty. */
static inline void
list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(l, type, member)                                            \
	(list_empty(l) ? NULL : list_entry((l)->next, type, member))

/* Removes and returns the first element, or NULL. */
static inline struct list *
list_pop(struct list *l)
{
	if (list_empty(l))
		return NULL;
	struct list *node = l->next;
	list_del(node);
	return node;
}

#define list_for_each(pos, l, member)                                          \
	for (pos = list_entry((l)->next, __typeof__(*pos), member);            \
	     &pos->member != (l);                                              \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

#define list_for_each_safe(pos, tmp, l, member)                                \
	for (pos = list_entry((l)->next, __typeof__(*pos), member),            \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);      \
	     &pos->member != (l); pos = tmp,                                   \
	    tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
