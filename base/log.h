/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log to stderr, or to the journal when systemd started us (JOURNAL_STREAM).
 * Modules below target/ log only at debug level; who decides, logs once, with
 * its subject first: "iqn.../lun 3: ...".  A secret is never an argument.
 * Any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <syslog.h>

/* level is LOG_ERR .. LOG_DEBUG of syslog.h. */
void log_printf(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void log_set_level(int level);
/* Do lines go to the journal?  Who gives it one with fields of its own has only
 * to append it to the file. */
bool log_is_journal(void);
void log_file_printf(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int log_level(void);

/* Also append every line to this file (varved --dir DIR); NULL: stop. */
int log_open_file(const char *path);

#define log_error(...)  log_printf(LOG_ERR, __VA_ARGS__)
#define log_warn(...)   log_printf(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_printf(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)   log_printf(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                         \
	do {                                                                   \
		if (log_level() >= LOG_DEBUG)                                  \
			log_printf(LOG_DEBUG, __VA_ARGS__);                    \
	} while (0)

#endif
