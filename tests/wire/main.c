/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plays transcripts (wire.h has the language) and prints what failed where.
 *
 *	run [FILE.wire | CASE]...    all of tests/wire by default
 */
#include "base/log.h"
#include "tests/wire/play.h"
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
play_begin(struct play *p)
{
	memset(p, 0, sizeof(*p));
	p->config.buffer_bytes = 8u << 20;
	p->config.limits.nop_interval_ms = 60000;
	p->config.limits.login_timeout_ms = 60000;
}

static void
play_end(struct play *p)
{
	for (unsigned i = 0; i < p->client_count; i++) {
		if (p->clients[i].fd >= 0)
			close(p->clients[i].fd);
	}
	if (p->service != NULL)
		service_stop(p->service);
}

struct totals {
	unsigned passed, failed;
	int argc;
	char **argv;
};

static bool
is_wanted(const struct totals *t, const char *file, const char *name)
{
	for (int i = 1; i < t->argc; i++) {
		if (strstr(file, t->argv[i]) != NULL ||
		    strstr(name, t->argv[i]) != NULL)
			return true;
	}
	return t->argc < 2;
}

static void
case_end(struct play *p, const char *name, bool ran, bool ok, struct totals *t)
{
	if (!ran)
		return;
	play_end(p);
	if (!ok)
		t->failed++;
	else
		t->passed++;
	printf("%s %s\n", ok ? "ok    " : "FAILED", name);
	fflush(stdout);
}

static void
file_run(const char *path, struct totals *t)
{
	static struct play p;
	char line[4096], name[256] = "", copy[4096];
	bool ran = false, ok = true;
	unsigned number = 0;
	FILE *f = fopen(path, "re");

	if (f == NULL) {
		perror(path);
		t->failed++;
		return;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		const char *wrong;
		number++;
		if (line[strspn(line, " \t\n")] == '\0' || line[0] == '#')
			continue;
		if (strncmp(line, "case ", 5) == 0) {
			case_end(&p, name, ran, ok, t);
			line[strcspn(line, "\n")] = '\0';
			snprintf(name, sizeof(name), "%.250s", line + 5);
			ran = is_wanted(t, path, name);
			ok = true;
			play_begin(&p);
			continue;
		}
		if (!ran || !ok)
			continue;
		strcpy(copy, line);
		wrong = play_line(&p, line);
		if (wrong != NULL) {
			printf("%s:%u: %s\n    %s", path, number, wrong, copy);
			ok = false;
		}
	}
	case_end(&p, name, ran, ok, t);
	fclose(f);
}

int
main(int argc, char **argv)
{
	struct totals t = {.argc = argc, .argv = argv};
	const char *level = getenv("WIRE_DEBUG");
	const char *top = getenv("TOP");
	char pattern[4096];
	glob_t files;

	signal(SIGPIPE, SIG_IGN);
	if (level != NULL)
		log_set_level(LOG_DEBUG);
	snprintf(pattern, sizeof(pattern), "%s/tests/wire/*.wire",
	    top != NULL ? top : ".");
	if (glob(pattern, 0, NULL, &files) != 0) {
		fprintf(stderr, "no %s; TOP is the checkout\n", pattern);
		return 1;
	}
	for (size_t i = 0; i < files.gl_pathc; i++)
		file_run(files.gl_pathv[i], &t);
	globfree(&files);
	printf("%u passed, %u failed\n", t.passed, t.failed);
	return t.failed > 0 || t.passed == 0;
}
