/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a fuzzer over files: the corpus in `make test`, or one input that a
 * fuzzing run found.  Built into each *_fuzz program that is not linked with
 * libFuzzer.
 *
 *	pdu_fuzz FILE-OR-DIRECTORY...
 */
#include "base/cleanup.h"
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs;

static int
replay_file(const char *path)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "rb");
	_cleanup_(freep) uint8_t *data = malloc(INPUT_MAX);
	if (f == NULL || data == NULL) {
		perror(path);
		return 1;
	}
	size_t size = fread(data, 1, INPUT_MAX, f);
	/* A copy of the exact size, so that ASan sees a read past its end. */
	_cleanup_(freep) uint8_t *exact = malloc(size > 0 ? size : 1);
	if (exact == NULL)
		return 1;
	memcpy(exact, data, size);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(exact, size);
	inputs++;
	return 0;
}

static int
replay_directory(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);
	int failed = count < 0;
	for (int i = 0; i < count; i++) {
		char file[4096];
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			failed |= replay_file(file);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return failed;
}

int
main(int argc, char **argv)
{
	int failed = 0;
	for (int i = 1; i < argc; i++) {
		struct stat st;
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			failed |= replay_directory(argv[i]);
		else
			failed |= replay_file(argv[i]);
	}
	if (inputs == 0) {
		fprintf(stderr, "no input\n");
		failed = 1;
	}
	printf("%u passed, %d failed\n", inputs, failed);
	return failed;
}
