/* SPDX-License-Identifier: MIT
 *
 * monitor_status - where everything stands, judged from the counters' page
 *
 * What `standpipe status` and the monitor's /status.json have in common: two samples of the page, the
 * reasons why the whole is not healthy, and THE writer of the JSON form.
 * Owns: `reasons`, until monitor_status_done. Errors: none, the page is always readable.
 * Must not know: who asks; PostgreSQL (who can ask it fills in `totals`).
 */
#ifndef WORKERS_MONITOR_STATUS_H
#define WORKERS_MONITOR_STATUS_H

#include "base/buf.h"
#include "base/stats.h"
#include "io/chan.h"

#include <stdbool.h>

struct monitor_sample {
	int64_t at_us; /* monotonic */
	uint64_t value[N_STATS];
	struct histogram_sample stages[N_STAGES];
};

enum { MONITOR_PARENTS = 3 };

/* What PostgreSQL itself says; the counters only know what happened since the supervisor started. */
struct monitor_totals {
	bool asked, known;
	char why[256]; /* if asked and not known */
	int64_t waiting, expired, dead_letters, gaps;
	int64_t received, residue, redelivered; /* operations in the ledger */
	struct {
		char uri[200]; /* cut if longer */
		int64_t children;
	} parents[MONITOR_PARENTS]; /* missing, that most records wait for; none if that takes too long */
	int n_parents;
};

struct monitor_status {
	const struct stats_page *page;
	struct monitor_sample before, now;
	struct monitor_totals totals;
	bool connected, backpressure;
	enum alarm_level alarms[N_ALARMS];
	struct buf reasons; /* one line each; empty: healthy */
	int n_reasons;
	char behind[400]; /* one line: why it is behind; "" if it is not */
};

/* Takes `now` and judges; page and before are set, totals if PostgreSQL was asked, all else is 0. */
void monitor_status_look(struct monitor_status *st);
/* Appends one JSON object. */
void monitor_status_put_json(const struct monitor_status *st, struct buf *out);
void monitor_status_done(struct monitor_status *st);

/* Adds a stage's times of all children. */
void monitor_stage_read(const struct stats_page *page, enum stage stage, struct histogram_sample *sample);
void monitor_sample_take(const struct stats_page *page, struct monitor_sample *ret);
/* Frames flow, at least one worker works and nothing in the pipeline waits; else why not, as one line. */
bool monitor_status_ready(const struct stats_page *page, struct buf *why);

/* ---- figures ---- */

struct monitor_text {
	char text[32];
};

/* "1.2 ms", "3.4 s", "5 min", "3.2 h", "4.5 d", "-" if negative. */
struct monitor_text monitor_seconds(double s);
/* Of the time between the two samples; negative if no event passed. */
double monitor_quantile_s(const struct monitor_status *st, enum stage stage, double q);
/* Forecast; negative: none. */
double monitor_overflow_s(const struct stats_page *page);
const char *monitor_slot_state(const struct stats_slot *slot);

/* Is there, or should be, a process in it? */
bool monitor_slot_shown(const struct stats_slot *slot);
/* A flag of any living child: what a dead one left in its slot is not so any more. */
bool monitor_live_flag(const struct stats_page *page, enum stats_id id);
double monitor_beat_age_s(const struct stats_slot *slot);
/* Seconds since a wall-clock stamp, negative if there is none. */
double monitor_lag_s(uint64_t stamp_us);
double monitor_per_second(const struct monitor_status *st, enum stats_id id);
/* Seconds of events, by the source's clock, that only Redis has. */
double monitor_risk_s(const struct stats_page *page);
/* Seqs between source and watermark; 0 across epochs, whose seqs cannot be subtracted. */
uint64_t monitor_watermark_behind(const struct monitor_status *st);

#endif
