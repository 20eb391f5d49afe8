/* SPDX-License-Identifier: MIT
 *
 * monitor_metrics - the counters' page in the text format 0.0.4 of Prometheus
 *
 * Every row of stats_info becomes one metric with one sample per child that writes it (labels role and
 * slot), in base units; a few more are derived. Owns: nothing. Errors: none.
 * Source: prometheus.io/docs/instrumenting/exposition_formats.
 */
#ifndef WORKERS_MONITOR_METRICS_H
#define WORKERS_MONITOR_METRICS_H

#include "base/buf.h"
#include "base/stats.h"

struct monitor_metric_name {
	char text[96];
};

/* "standpipe_batch_seconds" of batch_us: seconds for microseconds, _bytes behind, _total on counters. */
struct monitor_metric_name monitor_metric_name(const struct stats_info *info);
/* Appends the whole page. */
void monitor_metrics_put(const struct stats_page *page, struct buf *out);

#endif
