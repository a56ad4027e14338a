/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions to the kernel's target.  On the home loop; done follows there, once
 * and not from inside.
 */
#ifndef TARGET_KERNEL_ASK_H
#define TARGET_KERNEL_ASK_H

#include <stdint.h>
#include <uuid/uuid.h>

struct loop;

/* answer: a text, valid until done returns. */
typedef void kernel_answer(void *arg, int result, const char *answer);

/* Can LUNs be exported by it?  0, or -errno and the problem (lio_check). */
void kernel_ask_usable(struct loop *home, kernel_answer *done, void *arg);
/* Is the disk of this machine that the LUN is mounted, or part of another
 * device?  1 and its name, or 0 (lio_loop_in_use). */
void kernel_ask_disk(
    struct loop *home, const uuid_t uuid, kernel_answer *done, void *arg);
/* Is the initiator logged in to the target?  1 or 0, and "". */
void kernel_ask_session(struct loop *home, const char *iqn,
    const char *initiator, kernel_answer *done, void *arg);

#endif
