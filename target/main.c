/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varved: options, then the loops, then the house in them.
 *
 *	varved --dir DIR [--portal ADDR:PORT]...     all below DIR
 *	varved                                       the system's
 *	varved --guard, --release                    after one that has ended
 */
#include "base/log.h"
#include "base/version.h"
#include "target/daemon.h"
#include "target/tcmu/release.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SYSTEM_CONFIG "/etc/varve/varve.conf"
#define EXIT_USAGE    2

struct options {
	const char *dir, *config_path, *log_level;
	bool check_config, guard, release;
};

static const char usage_text[] =
    "usage: varved [options]\n"
    "\n"
    "Serves the LUNs of varve's pools over iSCSI.  varve(1) tells it what to "
    "do.\n"
    "\n"
    "  --dir DIR           keep configuration, database, socket and log in "
    "DIR\n"
    "  --portal ADDR:PORT  serve there; once said it is remembered; port 0 "
    "takes\n"
    "                      a free one (may be given several times)\n"
    "  --config FILE       instead of " SYSTEM_CONFIG "\n"
    "  --check-config      read the configuration, say if it is good, and "
    "end\n"
    "  --guard             hold what the kernel's target exports until varved "
    "runs\n"
    "                      again, and end\n"
    "  --release           take it away, until varved runs again, and end\n"
    "  --log-level LEVEL   error, warning, notice, info or debug\n"
    "  --help, --version\n";

enum {
	OPT_DIR = 256,
	OPT_PORTAL,
	OPT_CONFIG,
	OPT_CHECK,
	OPT_GUARD,
	OPT_RELEASE,
	OPT_LEVEL
};

static const struct option long_options[] = {
    {"dir", required_argument, NULL, OPT_DIR},
    {"portal", required_argument, NULL, OPT_PORTAL},
    {"config", required_argument, NULL, OPT_CONFIG},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"guard", no_argument, NULL, OPT_GUARD},
    {"release", no_argument, NULL, OPT_RELEASE},
    {"log-level", required_argument, NULL, OPT_LEVEL},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void
fail(const char *what)
{
	fprintf(stderr, "varved: %s\n  see: varved --help\n", what);
	exit(EXIT_USAGE);
}

static void
take_portal(struct config *config, const char *text)
{
	char address[NAMING_ADDRESS_MAX];

	if (!naming_address(text, address))
		fail("--portal takes ADDR:PORT or [ADDR6]:PORT");
	if (config->portal_count == CONFIG_PORTAL_MAX)
		fail("too many portals");
	snprintf(config->portals[config->portal_count++],
	    sizeof(config->portals[0]), "%s", address);
}

static void
take_option(int option, struct options *options, struct config *config)
{
	switch (option) {
	case OPT_DIR: options->dir = optarg; return;
	case OPT_PORTAL: take_portal(config, optarg); return;
	case OPT_CONFIG: options->config_path = optarg; return;
	case OPT_CHECK: options->check_config = true; return;
	case OPT_GUARD: options->guard = true; return;
	case OPT_RELEASE: options->release = true; return;
	case OPT_LEVEL: options->log_level = optarg; return;
	case 'h': fputs(usage_text, stdout); exit(0);
	case 'V': puts("varved " VARVE_VERSION); exit(0);
	default: fputs("  see: varved --help\n", stderr); exit(EXIT_USAGE);
	}
}

static void
options_parse(
    int argc, char **argv, struct options *options, struct config *config)
{
	int option;

	while (
	    (option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
		take_option(option, options, config);
	if (optind < argc)
		fail("it takes options only");
}

/* DIR/varve.conf or the system's may be missing; one that was named may not. */
static void
config_read(const struct options *options, struct config *config)
{
	char path[PATH_MAX + 16], problem[CONFIG_PROBLEM_MAX];
	int ret;

	if (options->config_path != NULL)
		snprintf(path, sizeof(path), "%s", options->config_path);
	else if (options->dir != NULL)
		snprintf(path, sizeof(path), "%s/varve.conf", options->dir);
	else
		snprintf(path, sizeof(path), "%s", SYSTEM_CONFIG);
	ret = config_load(config, path, problem);
	if (ret == 0 || (ret == -ENOENT && options->config_path == NULL))
		return;
	fprintf(stderr, "varved: %s\n", problem);
	exit(EXIT_USAGE);
}

static void
config_make(const struct options *options, struct config *config)
{
	int ret;

	if (options->dir != NULL) {
		if (mkdir(options->dir, 0700) < 0 && errno != EEXIST)
			ret = -errno;
		else
			ret = config_private(config, options->dir);
		if (ret < 0) {
			fprintf(stderr, "varved: %s: %s\n", options->dir,
			    strerror(-ret));
			exit(1);
		}
	}
	config_read(options, config);
	if (options->log_level != NULL &&
	    config_level(options->log_level, &config->log_level) < 0)
		fail("--log-level takes error, warning, notice, info or debug");
}

/* Success also when something could not be blocked: systemd would call it a
 * failure of the unit, and there is nothing that it could do. */
static int
guard(void)
{
	struct lio *lio = lio_new(NULL);

	if (lio == NULL || lio_guard(lio) < 0)
		fprintf(stderr, "varved: %s\n",
		    lio != NULL ? lio_problem(lio) : "out of memory");
	lio_free(lio);
	return 0;
}

static int
release(void)
{
	struct lio *lio = lio_new(NULL);
	int ret = lio != NULL ? tcmu_release(lio) : -ENOMEM;

	if (ret < 0)
		fprintf(stderr, "varved: %s\n",
		    lio != NULL ? lio_problem(lio) : "out of memory");
	lio_free(lio);
	return ret < 0 ? 1 : 0;
}

int
main(int argc, char **argv)
{
	static struct config config;
	struct options options = {NULL};

	config_defaults(&config);
	options_parse(argc, argv, &options, &config);
	if (options.guard)
		return guard();
	if (options.release)
		return release();
	config_make(&options, &config);
	if (options.check_config) {
		puts("the configuration is good");
		return 0;
	}
	return daemon_run(&config, argv);
}
