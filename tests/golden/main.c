/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run verify VERSION...    tries the images of these versions
 * run play STORY STEM      plays a story and writes STEM.0 STEM.1 ...
 *
 * TOP says where the sources are.  Not here: images written by a version that
 * a power cut left in any odd state (tests/sim); reading newer images with
 * older versions.
 */
#include "tests/golden/golden.h"
#include <glob.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 1024
#define PIECE     (1u << 20)

void
golden_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void
verify_version(const char *version, unsigned *passed, unsigned *failed)
{
	const char *top = getenv("TOP");
	char pattern[PATH_SIZE];
	glob_t stories;

	snprintf(pattern, sizeof(pattern), "%s/tests/golden/%s/*.txt",
	    top != NULL ? top : ".", version);
	if (glob(pattern, 0, NULL, &stories) != 0)
		golden_die("no images in %s", pattern);
	for (size_t i = 0; i < stories.gl_pathc; i++)
		verify_image(stories.gl_pathv[i]) ? ++*passed : ++*failed;
	globfree(&stories);
}

static void
disk_write(struct backstore *disk, const char *path)
{
	uint8_t *piece = malloc(PIECE);
	FILE *file = fopen(path, "w");

	if (piece == NULL || file == NULL)
		golden_die("cannot write %s", path);
	for (uint64_t at = 0; at < disk->size; at += PIECE) {
		bs_powercut_peek(disk, at, piece, PIECE);
		fwrite(piece, 1, PIECE, file);
	}
	free(piece);
	if (fclose(file) != 0)
		golden_die("cannot write %s", path);
}

static void
play(const char *story, const char *stem)
{
	struct golden golden;

	story_play(&golden, story);
	for (unsigned i = 0; i < golden.disks; i++) {
		char path[PATH_SIZE];
		snprintf(path, sizeof(path), "%s.%u", stem, i);
		disk_write(golden.disk[i], path);
	}
}

int
main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	if (argc == 4 && strcmp(argv[1], "play") == 0) {
		play(argv[2], argv[3]);
		return 0;
	}
	if (argc < 3 || strcmp(argv[1], "verify") != 0)
		golden_die("usage: run verify VERSION... | play STORY STEM");
	for (int i = 2; i < argc; i++)
		verify_version(argv[i], &passed, &failed);
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0;
}
