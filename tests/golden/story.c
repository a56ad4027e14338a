/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/endian.h"
#include "tests/golden/golden.h"
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 256
#define SECTOR         512u

/* ---- reading ---- */

uint64_t
story_number(const char *word)
{
	char *end;
	unsigned long long number;

	if (word == NULL)
		golden_die("a number is missing");
	number = strtoull(word, &end, 10);
	if (*end != '\0')
		golden_die("%s is no number", word);
	return number;
}

void
story_read(const char *path,
    void (*line)(void *arg, const char *words[STORY_WORDS]), void *arg)
{
	char text[LINE_MAX_BYTES];
	FILE *file = fopen(path, "r");

	if (file == NULL)
		golden_die("cannot read %s", path);
	while (fgets(text, sizeof(text), file) != NULL) {
		const char *words[STORY_WORDS] = {NULL};
		char *save = NULL, *word = strtok_r(text, " \n", &save);
		for (unsigned i = 0; i < STORY_WORDS && word != NULL; i++) {
			words[i] = word;
			word = strtok_r(NULL, " \n", &save);
		}
		if (words[0] != NULL && words[0][0] != '#')
			line(arg, words);
	}
	fclose(file);
}

/* ---- the steps ---- */

/* Each sector is its number on the LUN and the seed, again and again. */
static void
pattern_fill(uint8_t *data, uint64_t offset, uint64_t length, uint64_t seed)
{
	for (uint64_t at = 0; at < length; at += 16) {
		store_le64(data + at, seed);
		store_le64(data + at + 8, (offset + at) / SECTOR);
	}
}

static void
step_device(struct golden *golden, const char **word)
{
	golden_disk(golden, story_number(word[1]));
}

static void
step_lun(struct golden *golden, const char **word)
{
	uint32_t unit = word[4] != NULL ? (uint32_t)story_number(word[4]) : 0;

	golden_lun(golden, word[1], story_number(word[2]),
	    (uint32_t)story_number(word[3]), unit);
}

static void
step_snap(struct golden *golden, const char **word)
{
	golden_snap(golden, word[1], word[2]);
}

static void
step_hold(struct golden *golden, const char **word)
{
	golden_hold(golden, word[1]);
}

static void
step_clone(struct golden *golden, const char **word)
{
	golden_clone(golden, word[1], word[2]);
}

static void
step_rollback(struct golden *golden, const char **word)
{
	golden_rollback(golden, word[1], word[2]);
}

static void
step_bookmark(struct golden *golden, const char **word)
{
	golden_bookmark(golden, word[1], word[2]);
}

static void
step_group(struct golden *golden, const char **word)
{
	unsigned count = 0;

	while (count + 2 < STORY_WORDS && word[2 + count] != NULL)
		count++;
	golden_group(golden, word[1], word + 2, count);
}

static void
step_trash(struct golden *golden, const char **word)
{
	golden_trash(golden, word[1]);
}

static void
step_write(struct golden *golden, const char **word)
{
	uint64_t offset = story_number(word[2]), length = story_number(word[3]);
	struct backstore *bs = golden_lun_open(golden, word[1]);
	uint8_t *data = aligned_alloc(4096, (length + 4095) / 4096 * 4096);

	if (data == NULL)
		golden_die("no memory");
	pattern_fill(data, offset, length, story_number(word[4]));
	golden_io(golden, bs, BS_WRITE, offset, data, length);
	golden_lun_close(golden, bs);
	free(data);
}

static void
step_zero(struct golden *golden, const char **word)
{
	struct backstore *bs = golden_lun_open(golden, word[1]);

	golden_io(golden, bs, BS_ZERO, story_number(word[2]), NULL,
	    story_number(word[3]));
	golden_lun_close(golden, bs);
}

static void
step_resize(struct golden *golden, const char **word)
{
	golden_resize(golden, word[1], story_number(word[2]));
}

static void
step_flush(struct golden *golden, const char **word)
{
	struct backstore *bs = golden_lun_open(golden, word[1]);

	golden_io(golden, bs, BS_FLUSH, 0, NULL, 0);
	golden_lun_close(golden, bs);
}

static void
step_delete(struct golden *golden, const char **word)
{
	golden_delete(golden, word[1]);
}

static void
step_checkpoint(struct golden *golden, const char **word)
{
	(void)word;
	golden_checkpoint(golden);
}

static void
step_reopen(struct golden *golden, const char **word)
{
	(void)word;
	golden_cut(golden);
	golden_open(golden);
}

static void
step_pause(struct golden *golden, const char **word)
{
	golden_pause(golden, story_number(word[1]));
}

static void
step_sha256(struct golden *golden, const char **word)
{
	(void)golden, (void)word; /* see verify.c */
}

static const struct {
	const char *word;
	bool before_pool;
	void (*step)(struct golden *golden, const char **word);
} steps[] = {
    {"device", true, step_device},
    {"lun", false, step_lun},
    {"write", false, step_write},
    {"zero", false, step_zero},
    {"resize", false, step_resize},
    {"flush", false, step_flush},
    {"snap", false, step_snap},
    {"hold", false, step_hold},
    {"clone", false, step_clone},
    {"rollback", false, step_rollback},
    {"bookmark", false, step_bookmark},
    {"group", false, step_group},
    {"trash", false, step_trash},
    {"delete", false, step_delete},
    {"checkpoint", false, step_checkpoint},
    {"reopen", false, step_reopen},
    {"pause", false, step_pause},
    {"sha256", false, step_sha256},
};

static void
play_line(void *arg, const char *words[STORY_WORDS])
{
	struct golden *golden = arg;

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		if (strcmp(steps[i].word, words[0]) != 0)
			continue;
		if (!steps[i].before_pool && golden->pool == NULL)
			golden_create(golden);
		steps[i].step(golden, words);
		return;
	}
	golden_die("no such step: %s", words[0]);
}

void
story_play(struct golden *golden, const char *path)
{
	golden_init(golden);
	story_read(path, play_line, golden);
	if (golden->pool == NULL)
		golden_create(golden);
	golden_cut(golden);
}
