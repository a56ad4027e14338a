/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/simloop.h"
#include "snapshot/check.h"
#include "tests/golden/golden.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#define PIECE     (1u << 20)
#define PATH_SIZE 1024
#define HASH_SIZE 32

struct verify {
	struct golden golden;
	const char *story;
	char stem[PATH_SIZE]; /* of the images */
	unsigned luns, snaps;
	bool ok;
};

/* ---- images ---- */

static void
device_unpack(struct verify *verify, uint64_t size)
{
	unsigned n = verify->golden.disks;
	char command[PATH_SIZE + 32];
	uint8_t *piece = malloc(PIECE);
	uint64_t at = 0;
	size_t got;
	FILE *pipe;

	golden_disk(&verify->golden, size);
	snprintf(
	    command, sizeof(command), "xz -dc '%s.%u.xz'", verify->stem, n);
	pipe = popen(command, "r");
	if (piece == NULL || pipe == NULL)
		golden_die("cannot run %s", command);
	while ((got = fread(piece, 1, PIECE, pipe)) > 0) {
		if (got > size - at)
			golden_die("%s is larger than its story", command);
		bs_powercut_poke(verify->golden.disk[n], at, piece, got);
		at += got;
	}
	free(piece);
	if (pclose(pipe) != 0 || at != size)
		golden_die("%s failed", command);
}

static void
unpack_line(void *arg, const char *words[STORY_WORDS])
{
	if (strcmp(words[0], "device") == 0)
		device_unpack(arg, story_number(words[1]));
}

/* ---- check ---- */

static void
step(void *arg)
{
	if (!simloop_step(arg))
		golden_die("check never ends");
}

static void
finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct verify *verify = arg;

	if (severity == CHECK_NOTE)
		return;
	printf("%s: %s: %s\n", verify->story, code, text);
	verify->ok = false;
}

static void
verify_check(struct verify *verify)
{
	struct check_report report = {.finding = finding, .arg = verify};
	int result = pool_check(verify->golden.disk, verify->golden.disks, step,
	    verify->golden.loop, &report);

	if (result < 0)
		golden_die("%s: check: %s", verify->story, strerror(-result));
}

/* ---- contents ---- */

static void
lun_hash(struct verify *verify, const char *name, char hex[2 * HASH_SIZE + 1])
{
	struct backstore *bs = golden_lun_open(&verify->golden, name);
	uint8_t *piece = aligned_alloc(4096, PIECE);
	uint8_t hash[HASH_SIZE];
	gnutls_hash_hd_t sum;

	if (piece == NULL || gnutls_hash_init(&sum, GNUTLS_DIG_SHA256) < 0)
		golden_die("no SHA-256");
	for (uint64_t at = 0; at < bs->size; at += PIECE) {
		uint64_t part = bs->size - at < PIECE ? bs->size - at : PIECE;
		golden_io(&verify->golden, bs, BS_READ, at, piece, part);
		gnutls_hash(sum, piece, part);
	}
	gnutls_hash_deinit(sum, hash);
	golden_lun_close(&verify->golden, bs);
	free(piece);
	for (unsigned i = 0; i < HASH_SIZE; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", hash[i]);
}

static void
content_line(void *arg, const char *words[STORY_WORDS])
{
	struct verify *verify = arg;
	char hex[2 * HASH_SIZE + 1];

	if (strcmp(words[0], "sha256") != 0)
		return;
	if (strchr(words[1], '@') == NULL)
		verify->luns++;
	else
		verify->snaps++;
	lun_hash(verify, words[1], hex);
	if (strcmp(hex, words[2]) == 0)
		return;
	printf("%s: %s holds %s\n", verify->story, words[1], hex);
	verify->ok = false;
}

static void
verify_contents(struct verify *verify)
{
	unsigned luns = 0, snaps = 0;

	story_read(verify->story, content_line, verify);
	for (struct volume *v = NULL;
	     (v = volume_next(verify->golden.pool, v)) != NULL; luns++)
		for (struct volume *s = NULL;
		     (s = snapshot_next(v, s)) != NULL;)
			snaps++;
	if (luns == verify->luns && snaps == verify->snaps)
		return;
	printf("%s: %u LUNs of %u, %u snapshots of %u\n", verify->story, luns,
	    verify->luns, snaps, verify->snaps);
	verify->ok = false;
}

/* ---- bookmarks, groups, holds, the trash ---- */

static bool
has_bookmark(struct verify *verify, const char *snap, const char *name)
{
	struct bookmark bookmark;
	char lun[POOL_NAME_MAX + 1];

	/* the snapshot may be gone */
	snprintf(lun, sizeof(lun), "%.*s", (int)strcspn(snap, "@"), snap);
	for (unsigned i = 0;
	     bookmark_get(golden_find(&verify->golden, lun), i, &bookmark); i++)
		if (strcmp(bookmark.name, name) == 0)
			return true;
	return false;
}

static bool
has_group(struct verify *verify, const char *words[STORY_WORDS])
{
	for (unsigned i = 2; i < STORY_WORDS && words[i] != NULL; i++) {
		const char *group =
		    volume_group(golden_find(&verify->golden, words[i]));
		if (group == NULL || strcmp(group, words[1]) != 0)
			return false;
	}
	return true;
}

static bool
is_held(struct verify *verify, const char *snap)
{
	struct family_stat stat;

	family_stat_get(golden_find(&verify->golden, snap), &stat);
	return stat.hold;
}

static void
trash_line(void *arg, const char *words[STORY_WORDS])
{
	struct verify *verify = arg;

	if (strcmp(words[0], "trash") == 0)
		golden_restore(&verify->golden, words[1]);
}

static void
family_line(void *arg, const char *words[STORY_WORDS])
{
	struct verify *verify = arg;
	bool right = true;

	if (strcmp(words[0], "bookmark") == 0)
		right = has_bookmark(verify, words[1], words[2]);
	else if (strcmp(words[0], "group") == 0)
		right = has_group(verify, words);
	else if (strcmp(words[0], "hold") == 0)
		right = is_held(verify, words[1]);
	if (right)
		return;
	printf("%s: %s %s is not there\n", verify->story, words[0], words[1]);
	verify->ok = false;
}

/* ---- all of it ---- */

static void
disk_closed(void *arg)
{
	*(bool *)arg = true;
}

static void
verify_done(struct verify *verify)
{
	for (unsigned i = 0; i < verify->golden.disks; i++) {
		bool closed = false;
		bs_close(verify->golden.disk[i], disk_closed, &closed);
		simloop_run_until(verify->golden.loop, &closed);
	}
	simloop_free(verify->golden.loop);
}

bool
verify_image(const char *story)
{
	struct verify verify = {.story = story, .ok = true};
	const char *end = strrchr(story, '.');

	snprintf(verify.stem, sizeof(verify.stem), "%.*s", (int)(end - story),
	    story);
	golden_init(&verify.golden);
	story_read(story, unpack_line, &verify);
	verify_check(&verify);
	golden_open(&verify.golden);
	story_read(story, trash_line, &verify);
	story_read(story, family_line, &verify);
	verify_contents(&verify);
	/* what was begun (deletions) is done, and a checkpoint has all of it */
	golden_pause(&verify.golden, NSEC_PER_SEC);
	golden_checkpoint(&verify.golden);
	golden_cut(&verify.golden);
	verify_check(&verify);
	verify_done(&verify);
	return verify.ok;
}
