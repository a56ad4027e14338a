/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SANITIZED: by what maps memory of its own, so that RLIMIT_AS says nothing of
 * the program's. */
#ifndef TESTS_UNIT_BASE_SUPPORT_SANITIZED_H
#define TESTS_UNIT_BASE_SUPPORT_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#endif
