/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * USDT probes, provider "varve": a nop until bpftrace or perf attaches.  At
 * borders only; each has its script in tools/bpftrace/.
 */
#ifndef BASE_PROBE_H
#define BASE_PROBE_H

#include <sys/sdt.h>

#define PROBE1(name, a)          DTRACE_PROBE1(varve, name, a)
#define PROBE2(name, a, b)       DTRACE_PROBE2(varve, name, a, b)
#define PROBE3(name, a, b, c)    DTRACE_PROBE3(varve, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(varve, name, a, b, c, d)

#endif
