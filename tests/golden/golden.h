/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Golden images: pools that a released version wrote, kept for ever, so that
 * every later version is tried on them.  Each is a story in a text file,
 * one step a line, with the images of its devices beside it:
 *
 *	v0.1/NAME.txt  NAME.0.xz  NAME.1.xz ...
 *
 *	device BYTES                        one or more; then the pool is made
 *	lun NAME BYTES BLOCK-BYTES [COW-UNIT-BYTES]
 *	write LUN OFFSET LENGTH SEED        a pattern, see pattern_fill()
 *	zero LUN OFFSET LENGTH              UNMAP
 *	resize LUN BYTES
 *	flush LUN
 *	snap LUN NAME                       it is called LUN@NAME from then on
 *	hold LUN@NAME
 *	clone LUN@NAME LUN
 *	rollback LUN@NAME NAME              what LUN was is LUN@NAME
 *	bookmark LUN@NAME NAME
 *	group NAME LUN...
 *	trash LUN                           with its snapshots; to the end
 *	delete LUN                          or LUN@NAME
 *	checkpoint
 *	reopen                              after power went
 *	pause NANOSECONDS
 *	sha256 LUN HEX                      what it (or LUN@NAME) holds at the
 *	                                    end
 *
 * The story is played once, with the version of the directory's name
 * (make.sh), and power goes at its end.  The sums in it are computed from the
 * story alone, by hash.py.  What is tried afterwards, with every version, is
 * that the images open and hold what the sums say, that what is in the trash
 * comes back, and that bookmarks, groups and holds are there.
 */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "backstores/testing.h"
#include "snapshot/family.h"
#include "tests/waited.h"
#include <stdio.h>

#define GOLDEN_DEVICES 4

struct golden {
	struct loop *loop;
	struct backstore *disk[GOLDEN_DEVICES];
	unsigned disks;
	struct pool *pool;
};

/* Stops the program with a sentence. */
void golden_die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* ---- drive.c: a pool on simulated disks ---- */
/* Runs until it is done; what failed ends the program. */
void golden_wait(struct golden *golden, struct waited *wait, const char *what);
/* call(..., request), which has to succeed. */
#define GOLDEN_ASK(golden, call, ...)                                          \
	do {                                                                   \
		struct waited asked = WAITED(asked);                           \
		call(__VA_ARGS__, &asked.request);                             \
		golden_wait(golden, &asked, #call);                            \
	} while (0)

void golden_init(struct golden *golden);
void golden_disk(struct golden *golden, uint64_t size);
void golden_create(struct golden *golden);
void golden_open(struct golden *golden);
/* Power goes: the pool's memory is lost, the disks stay. */
void golden_cut(struct golden *golden);
/* Closes the pool, and the disks with it. */
void golden_close(struct golden *golden);

void golden_pause(struct golden *golden, uint64_t ns);
void golden_checkpoint(struct golden *golden);
void golden_lun(struct golden *golden, const char *name, uint64_t size,
    uint32_t block_size, uint32_t cow_unit);
/* "LUN" or "LUN@SNAP". */
struct volume *golden_find(struct golden *golden, const char *name);
void golden_delete(struct golden *golden, const char *name);
void golden_resize(struct golden *golden, const char *name, uint64_t size);
struct backstore *golden_lun_open(struct golden *golden, const char *name);
void golden_lun_close(struct golden *golden, struct backstore *bs);
void golden_io(struct golden *golden, struct backstore *bs, enum bs_op op,
    uint64_t offset, void *data, uint64_t length);

/* ---- family.c ---- */
void golden_snap(struct golden *golden, const char *lun, const char *name);
void golden_hold(struct golden *golden, const char *snap);
void golden_clone(struct golden *golden, const char *snap, const char *name);
void golden_rollback(struct golden *golden, const char *snap, const char *keep);
void golden_bookmark(struct golden *golden, const char *snap, const char *name);
void golden_group(struct golden *golden, const char *name,
    const char *const *luns, unsigned count);
void golden_trash(struct golden *golden, const char *lun);
void golden_restore(struct golden *golden, const char *lun);

/* ---- story.c ---- */
/* Calls line for each line of the file that says something, cut into words. */
#define STORY_WORDS 6
void story_read(const char *path,
    void (*line)(void *arg, const char *words[STORY_WORDS]), void *arg);
uint64_t story_number(const char *word);
/* Plays it up to the loss of power. */
void story_play(struct golden *golden, const char *path);

/* ---- verify.c ---- */
/* Unpacks, checks, opens, compares, closes and checks again: true, or false
 * and a sentence on stdout. */
bool verify_image(const char *story);

#endif
