/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varve-backup VERB ... is varve backup VERB ...: for a backup host, which has
 * no pool and no varved, and reaches one through a socket that ssh forwards.
 */
#include "base/assert.h"
#include "tools/cli.h"
#include <stdlib.h>
#include <string.h>

static bool
is_plain(const char *word)
{
	return strcmp(word, "--version") == 0 || strcmp(word, "help") == 0 ||
	       strcmp(word, "completion") == 0;
}

int
main(int argc, char **argv)
{
	char noun[] = "backup", **words;
	int code;

	if (argc > 1 && is_plain(argv[1]))
		return cli_main(argc, argv);
	words = calloc((size_t)argc + 2, sizeof(*words));
	assert(words != NULL);
	words[0] = argv[0];
	words[1] = noun;
	for (int i = 1; i < argc; i++)
		words[i + 1] = argv[i];
	code = cli_main(argc > 0 ? argc + 1 : 2, words);
	free(words);
	return code;
}
