/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line is one write(2), so lines of threads do not mix.  Under systemd the
 * line begins with "<N>", its priority as sd-daemon(3) defines it, and the
 * journal adds the time; anywhere else it begins with the time and a word.
 */
#include "base/log.h"
#include "base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *const level_words[] = {
    [LOG_EMERG] = "emergency",
    [LOG_ALERT] = "alert",
    [LOG_CRIT] = "critical",
    [LOG_ERR] = "error",
    [LOG_WARNING] = "warning",
    [LOG_NOTICE] = "notice",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

static atomic_int log_threshold = LOG_INFO;
static pthread_once_t journal_once = PTHREAD_ONCE_INIT;
static bool to_journal;
static pthread_mutex_t file_mutex = PTHREAD_MUTEX_INITIALIZER;
static int file_fd = -1; /* under file_mutex */

struct line {
	size_t length;
	char text[LINE_MAX_BYTES];
};

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of the journal's socket.
 * It is inherited by everyone; only a match says that stderr is that socket. */
static void
journal_detect(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return;
	if (sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return;
	to_journal = device == st.st_dev && inode == st.st_ino;
}

__attribute__((format(printf, 2, 0))) static void
line_vprintf(struct line *line, const char *format, va_list args)
{
	/* one byte is kept for the newline */
	size_t room = sizeof(line->text) - 1 - line->length;
	int length = vsnprintf(line->text + line->length, room, format, args);

	if (length > 0)
		line->length +=
		    (size_t)length < room ? (size_t)length : room - 1;
}

__attribute__((format(printf, 2, 3))) static void
line_printf(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_vprintf(line, format, args);
	va_end(args);
}

/* 2025-01-31T23:59:59.123Z warning: */
static void
line_stamp(struct line *line, int level)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	line->length +=
	    strftime(line->text, sizeof(line->text), "%Y-%m-%dT%H:%M:%S", &tm);
	line_printf(
	    line, ".%03ldZ %s: ", now.tv_nsec / 1000000, level_words[level]);
}

/* Names come from peers: one of them must not begin a line of its own, nor
 * speak to the reader's terminal. */
static void
line_finish(struct line *line, size_t from)
{
	for (size_t i = from; i < line->length; i++) {
		unsigned char c = (unsigned char)line->text[i];
		if (c < 0x20 || c == 0x7f)
			line->text[i] = '?';
	}
	line->text[line->length++] = '\n';
}

__attribute__((format(printf, 4, 0))) static void
line_make(struct line *line, int level, bool journal, const char *format,
    va_list args)
{
	size_t from;

	line->length = 0;
	if (journal)
		line_printf(line, "<%d>", level);
	else
		line_stamp(line, level);
	from = line->length;
	line_vprintf(line, format, args);
	line_finish(line, from);
}

/* There is nobody to tell when the log itself fails. */
static void
line_write(const struct line *line, int fd)
{
	size_t done = 0;

	while (done < line->length) {
		ssize_t ret = write(fd, line->text + done, line->length - done);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			return;
		done += (size_t)ret;
	}
}

bool
log_is_journal(void)
{
	pthread_once(&journal_once, journal_detect);
	return to_journal;
}

__attribute__((format(printf, 2, 0))) static void
log_to_stderr(int level, const char *format, va_list args)
{
	struct line line;

	line_make(&line, level, log_is_journal(), format, args);
	line_write(&line, STDERR_FILENO);
}

__attribute__((format(printf, 2, 0))) static void
log_to_file(int level, const char *format, va_list args)
{
	struct line line;

	pthread_mutex_lock(&file_mutex);
	if (file_fd >= 0) {
		line_make(&line, level, false, format, args);
		line_write(&line, file_fd);
	}
	pthread_mutex_unlock(&file_mutex);
}

void
log_printf(int level, const char *format, ...)
{
	int saved_errno = errno;
	va_list args;

	assert(level >= LOG_EMERG && level <= LOG_DEBUG);
	if (level > log_level())
		return;
	va_start(args, format);
	log_to_stderr(level, format, args);
	va_end(args);
	va_start(args, format);
	log_to_file(level, format, args);
	va_end(args);
	errno = saved_errno;
}

void
log_file_printf(int level, const char *format, ...)
{
	va_list args;

	if (level > log_level())
		return;
	va_start(args, format);
	log_to_file(level, format, args);
	va_end(args);
}

void
log_set_level(int level)
{
	assert(level >= LOG_EMERG && level <= LOG_DEBUG);
	atomic_store_explicit(&log_threshold, level, memory_order_relaxed);
}

int
log_level(void)
{
	return atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

int
log_open_file(const char *path)
{
	int fd = -1, before;

	if (path != NULL) {
		fd = open(path,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
		if (fd < 0)
			return -errno;
	}
	pthread_mutex_lock(&file_mutex);
	before = file_fd;
	file_fd = fd;
	pthread_mutex_unlock(&file_mutex);
	if (before >= 0)
		close(before);
	return 0;
}
