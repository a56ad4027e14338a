/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VARVED_HANDOVER="name=fd name=fd ..."
 */
#include "target/handover.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "VARVED_HANDOVER"

static void
append(struct handover *handover, const char *name, size_t length, int fd)
{
	struct handed *more = realloc(
	    handover->files, (handover->count + 1) * sizeof(*handover->files));

	assert(more != NULL); /* as everywhere on the control path */
	handover->files = more;
	more += handover->count++;
	*more = (struct handed){.fd = fd};
	memcpy(more->name, name, length);
}

/* What is no open file of ours is not taken. */
static void
receive_one(struct handover *handover, const char *word)
{
	const char *equals = strchr(word, '=');
	char *end;
	long fd;

	if (equals == NULL || equals == word ||
	    equals - word >= HANDOVER_NAME_MAX)
		return;
	fd = strtol(equals + 1, &end, 10);
	if (*end != '\0' || fd <= STDERR_FILENO || fd > 1 << 20 ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return;
	append(handover, word, (size_t)(equals - word), (int)fd);
}

void
handover_receive(struct handover *handover)
{
	const char *value = getenv(VARIABLE);
	char *words, *word, *rest;

	if (value == NULL)
		return;
	words = strdup(value);
	assert(words != NULL);
	for (word = strtok_r(words, " ", &rest); word != NULL;
	     word = strtok_r(NULL, " ", &rest))
		receive_one(handover, word);
	free(words);
	unsetenv(VARIABLE);
}

int
handover_find(struct handover *handover, const char *name)
{
	for (unsigned i = 0; i < handover->count; i++) {
		int fd = handover->files[i].fd;
		if (strcmp(handover->files[i].name, name) != 0)
			continue;
		handover->files[i] = handover->files[--handover->count];
		return fd;
	}
	return -1;
}

int
handover_add(struct handover *handover, const char *name, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	assert(strlen(name) < HANDOVER_NAME_MAX && strpbrk(name, "= ") == NULL);
	if (copy < 0)
		return -errno;
	append(handover, name, strlen(name), copy);
	return 0;
}

int
handover_send(const struct handover *handover)
{
	char *value = NULL;
	size_t size;
	FILE *text = open_memstream(&value, &size);
	int ret = 0;

	assert(text != NULL);
	for (unsigned i = 0; i < handover->count; i++)
		fprintf(text, "%s%s=%d", i > 0 ? " " : "",
		    handover->files[i].name, handover->files[i].fd);
	fclose(text);
	for (unsigned i = 0; i < handover->count && ret == 0; i++)
		if (fcntl(handover->files[i].fd, F_SETFD, 0) < 0)
			ret = -errno;
	if (ret == 0 && setenv(VARIABLE, value, 1) < 0)
		ret = -errno;
	free(value);
	return ret;
}

void
handover_drop(struct handover *handover)
{
	for (unsigned i = 0; i < handover->count; i++)
		close(handover->files[i].fd);
	free(handover->files);
	*handover = (struct handover){.files = NULL};
}
