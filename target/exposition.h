/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prometheus' text exposition format, version 0.0.4, as lines:
 *
 *	# HELP varve_pool_free_bytes What data can still take.
 *	# TYPE varve_pool_free_bytes gauge
 *	varve_pool_free_bytes{pool="vms"} 1073741824
 *
 * All samples of a family follow its head, which comes with the first of them:
 * a family without samples has none.
 */
#ifndef TARGET_EXPOSITION_H
#define TARGET_EXPOSITION_H

#include <jansson.h>
#include <stdint.h>

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM };

/* varve_<thing>_<unit>, with _total behind it exactly if it is a counter. */
struct metric {
	const char *name;
	enum metric_type type;
	const char *help; /* a sentence */
};

/* Ends with name NULL.  Values are of any bytes; escaped, and what is no UTF-8
 * replaced. */
struct label {
	const char *name, *value;
};

struct exposition {
	json_t *lines;
	json_t *begun; /* names of families, as an object's members */
	struct metric metric;
};

void exposition_init(struct exposition *exposition);
/* Takes the lines out of it: an array, the caller's. */
json_t *exposition_end(struct exposition *exposition);

/* What follows is of that family, which was not begun before. */
void exposition_family(
    struct exposition *exposition, const struct metric *metric);
void exposition_count(
    struct exposition *exposition, const struct label *labels, uint64_t value);
/* suffix: "", or of a histogram: "_bucket", "_sum", "_count". */
void exposition_number(struct exposition *exposition, const char *suffix,
    const struct label *labels, double value);

#endif
