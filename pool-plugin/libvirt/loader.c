/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The module that libvirt loads as its iscsi-direct storage backend: it loads
 * the stock module, and then varve's backend for exactly this libvirt.
 *
 * A module that libvirt cannot load stops libvirtd, so this one needs nothing
 * but libc: no symbol of libvirt's, public or private, is linked.  And its
 * register function never fails: without the stock module there is no
 * iscsi-direct, without ours there is the stock one, and a line in the log says
 * so.
 *
 * Where things are: the stock module beside this file's name, with ".stock"
 * after it (packaging diverts it there); ours beside the file that this one
 * really is, as varve-pool-VERSION.so.
 */
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define STOCK_REGISTER "virStorageBackendISCSIDirectRegister"
#define OURS_REGISTER  "varve_pool_register"

__attribute__((visibility("default"))) int virStorageBackendISCSIDirectRegister(
    void);

/* To where libvirtd's own first lines go, whatever its log settings: systemd
 * keeps standard error; without it, syslog may. */
__attribute__((format(printf, 1, 2))) static void
say(const char *format, ...)
{
	char text[PATH_MAX + 512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "varve's libvirt plugin: %s\n", text);
	if (getenv("JOURNAL_STREAM") == NULL)
		syslog(LOG_DAEMON | LOG_WARNING, "varve's libvirt plugin: %s",
		    text);
}

/* The name by which libvirt has loaded this file. */
static const char *
own_name(void)
{
	static const char here;
	Dl_info info;

	return dladdr(&here, &info) != 0 ? info.dli_fname : NULL;
}

/* As libvirt loads its modules, so that ours finds what they have. */
static void *
load(const char *path)
{
	return dlopen(path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
}

/* 0: it is there. */
static int
register_stock(const char *name)
{
	char path[PATH_MAX];
	void *module;
	int (*stock)(void);

	snprintf(path, sizeof(path), "%s.stock", name);
	module = load(path);
	if (module == NULL) {
		say("no iscsi-direct pools: the stock module cannot be loaded: "
		    "%s",
		    dlerror());
		return -1;
	}
	*(void **)&stock = dlsym(module, STOCK_REGISTER);
	if (stock == NULL || stock == virStorageBackendISCSIDirectRegister) {
		say("no iscsi-direct pools: %s is not the stock module", path);
		return -1;
	}
	if (stock() < 0) {
		say("no iscsi-direct pools: the stock module %s does not "
		    "register itself",
		    path);
		return -1;
	}
	return 0;
}

/* libvirt's version, as its public API says it: 0 when it does not. */
static unsigned long
libvirt_version(void)
{
	int (*get)(unsigned long *, const char *, unsigned long *);
	unsigned long version = 0;

	*(void **)&get = dlsym(RTLD_DEFAULT, "virGetVersion");
	if (get == NULL || get(&version, NULL, NULL) < 0)
		return 0;
	return version;
}

static void
register_ours(const char *name)
{
	unsigned long version = libvirt_version();
	char real[PATH_MAX], path[2 * PATH_MAX];
	const char *(*ours)(void), *refusal;
	void *module;

	if (version == 0 || realpath(name, real) == NULL) {
		say("not used: it cannot find out libvirt's version");
		return;
	}
	snprintf(path, sizeof(path), "%s/varve-pool-%lu.%lu.%lu.so",
	    dirname(real), version / 1000000, version / 1000 % 1000,
	    version % 1000);
	module = load(path);
	if (module == NULL) {
		say("not used, stock iscsi-direct pools go on: %s", dlerror());
		return;
	}
	*(void **)&ours = dlsym(module, OURS_REGISTER);
	refusal = ours != NULL ? ours() : "it has no " OURS_REGISTER;
	if (refusal != NULL)
		say("not used, stock iscsi-direct pools go on: %s: %s", path,
		    refusal);
}

int
virStorageBackendISCSIDirectRegister(void)
{
	const char *name = own_name();

	if (name == NULL)
		say("no iscsi-direct pools: it does not know its own name");
	else if (register_stock(name) == 0)
		register_ours(name);
	return 0;
}
