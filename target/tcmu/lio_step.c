/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/tcmu/lio_step.h"
#include "base/assert.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lio_path
lio_path(const char *format, ...)
{
	struct lio_path path;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(path.text, sizeof(path.text), format, args);
	va_end(args);
	/* names were checked (lio_apply, lio_device_make), roots are ours */
	assert(length >= 0 && (size_t)length < sizeof(path.text));
	return path;
}

void
lio_begin(struct lio *lio)
{
	lio->result = 0;
	lio->waited = 0;
	lio->problem[0] = '\0';
}

int
lio_fail(struct lio *lio, int ret, const char *format, ...)
{
	va_list args;

	assert(ret < 0);
	if (lio->result < 0)
		return ret;
	lio->result = ret;
	va_start(args, format);
	vsnprintf(lio->problem, sizeof(lio->problem), format, args);
	va_end(args);
	return ret;
}

static int
fail_at(struct lio *lio, int ret, const char *what, const char *path)
{
	return lio_fail(
	    lio, ret, "cannot %s %s: %s", what, path, strerror(-ret));
}

int
lio_get(struct lio *lio, const char *path, char *ret, size_t size)
{
	int error = lio->files->read(lio->arg, path, ret, size);
	size_t length;

	if (error < 0) {
		ret[0] = '\0';
		return error;
	}
	length = strlen(ret);
	while (length > 0 && ret[length - 1] == '\n')
		ret[--length] = '\0';
	return 0;
}

int
lio_write(struct lio *lio, const char *path, const char *text)
{
	int ret = lio->files->write(lio->arg, path, text);

	/* never the text: it may be a secret */
	return ret < 0 ? fail_at(lio, ret, "write", path) : 0;
}

int
lio_set(struct lio *lio, const char *path, const char *value)
{
	char now[LIO_TEXT_MAX];
	bool same;

	same = lio_get(lio, path, now, sizeof(now)) == 0 &&
	       strcmp(now, value) == 0;
	explicit_bzero(now, sizeof(now));
	return same ? 0 : lio_write(lio, path, value);
}

int
lio_make_dir(struct lio *lio, const char *path)
{
	int ret = lio->files->make_dir(lio->arg, path);

	if (ret == -EEXIST)
		return 0;
	return ret < 0 ? fail_at(lio, ret, "make", path) : 0;
}

int
lio_remove_dir(struct lio *lio, const char *path)
{
	int ret = lio->files->remove_dir(lio->arg, path);

	if (ret == -ENOENT)
		return 0;
	return ret < 0 ? fail_at(lio, ret, "remove", path) : 0;
}

int
lio_make_link(struct lio *lio, const char *target, const char *path)
{
	int ret = lio->files->make_link(lio->arg, target, path);

	return ret < 0 ? fail_at(lio, ret, "make", path) : 0;
}

int
lio_remove_link(struct lio *lio, const char *path)
{
	int ret = lio->files->remove_link(lio->arg, path);

	if (ret == -ENOENT)
		return 0;
	return ret < 0 ? fail_at(lio, ret, "remove", path) : 0;
}

int
lio_read_dir(struct lio *lio, const char *path, struct lio_list *ret)
{
	int error = lio->files->list(lio->arg, path, ret);

	if (error == 0)
		return 0;
	*ret = (struct lio_list){NULL, 0};
	return error == -ENOENT ? 0 : fail_at(lio, error, "read", path);
}

/* The kernel asks modprobe itself; whatever it answers then (ENOENT, EINVAL,
 * ENODEV), the likely reason is that there is no such module. */
int
lio_make_with_module(struct lio *lio, const char *path, const char *module)
{
	int ret = lio->files->make_dir(lio->arg, path);

	if (ret == 0 || ret == -EEXIST)
		return 0;
	if (ret == -EACCES || ret == -EPERM || ret == -EROFS)
		return fail_at(lio, ret, "make", path);
	return lio_fail(lio, ret,
	    "module %s is not loaded (modprobe %s); cannot make %s: %s", module,
	    module, path, strerror(-ret));
}

bool
lio_lun_number(const char *name, unsigned *ret_number)
{
	char rest;

	return sscanf(name, "lun_%u%c", ret_number, &rest) == 1;
}

void
lio_find_link(struct lio *lio, const char *path, char ret_name[LIO_ENTRY_MAX])
{
	struct lio_list list;

	ret_name[0] = '\0';
	if (lio_read_dir(lio, path, &list) < 0)
		return;
	for (unsigned i = 0; i < list.count; i++)
		if (list.entries[i].link)
			memcpy(ret_name, list.entries[i].name, LIO_ENTRY_MAX);
	lio_list_done(&list);
}
