/* SPDX-License-Identifier: MIT
 *
 * stats - THE table of counters, in one shared memory page
 *
 * The supervisor creates the page (memfd) and hands it to every child; each child writes only its own
 * slot with relaxed atomic stores; anybody may read all slots at any time. Slots outlive the process
 * in them, so a counter goes on where the killed child left it.
 * Owns: nothing; the page belongs to whoever mapped it. Must not know: what a counter is used for.
 */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include "base/histogram.h"

#include <stdbool.h>

/* X(name, role, kind, unit, meaning): role is who writes it (`child`: every one), kind is `counter`
 * (only rises) or `gauge`. */
#define STATS_LIST(X)                                                                              \
	X(frames_received, reader, counter, "frames", "WebSocket messages received")               \
	X(bytes_received, reader, counter, "bytes", "bytes of those messages")                     \
	X(frames_unknown, reader, counter, "frames", "frames of an unknown type, skipped")         \
	X(frames_bad, reader, counter, "frames", "malformed frames (each drops the connection once)") \
	X(frames_duplicate, reader, counter, "frames", "frames at or below the head, dropped")     \
	X(ops_bad, reader, counter, "ops", "record operations refused by the reader, dead-lettered") \
	X(ops_filtered, reader, counter, "ops", "operations outside source.collections")           \
	X(connects, reader, counter, "connections", "successful connections to the source")        \
	X(disconnects, reader, counter, "connections", "connections to the source lost or dropped") \
	X(gaps, reader, counter, "gaps", "ranges the source could not prove, recorded as gaps")    \
	X(events_appended, reader, counter, "events", "events appended to the stream")             \
	X(packs_appended, reader, counter, "packs", "stream entries appended")                     \
	X(bytes_appended, reader, counter, "bytes", "bytes of those entries")                      \
	X(source_seq, reader, gauge, "seq", "last seq appended to the stream")                     \
	X(source_epoch, reader, gauge, "epoch", "epoch of that seq")                               \
	X(source_time_us, reader, gauge, "timestamp", "time field of the last appended frame")  \
	X(source_connected, reader, gauge, "bool", "1 while frames can flow")                      \
	X(backpressure, reader, gauge, "bool", "1 while the reader does not read its socket")      \
	X(depth_events, reader, gauge, "events", "events in the stream not yet acknowledged")      \
	X(depth_bytes, reader, gauge, "bytes", "bytes of those events")                            \
	X(oldest_time_us, reader, gauge, "timestamp", "source time of the oldest of those events, 0 if none") \
	X(redis_memory_bytes, reader, gauge, "bytes", "used_memory of Redis")                      \
	X(redis_memory_max_bytes, reader, gauge, "bytes", "maxmemory of Redis")                    \
	X(redis_rss_bytes, reader, gauge, "bytes", "used_memory_rss of Redis")                     \
	X(redis_fragmentation, reader, gauge, "thousandths", "mem_fragmentation_ratio of Redis")   \
	X(events_committed, worker, counter, "events", "events whose batch was committed")         \
	X(ops_committed, worker, counter, "ops", "record operations of those events")              \
	X(batches_committed, worker, counter, "batches", "transactions committed")                 \
	X(batch_events, worker, gauge, "events", "size of the last batch")                         \
	X(batch_us, worker, gauge, "microseconds", "duration of the last batch")                   \
	X(commit_time_us, worker, gauge, "timestamp", "source time of the newest committed event") \
	X(rows_changed, worker, counter, "rows", "record rows inserted or updated")                \
	X(rows_unchanged, worker, counter, "rows", "record rows already there, or newer there")    \
	X(entries_acked, worker, counter, "entries", "stream entries acknowledged")                \
	X(entries_claimed, worker, counter, "entries", "entries taken over from other consumers")  \
	X(pending_created, worker, counter, "rows", "missing parents entered in standpipe.pending") \
	X(pending_completed, worker, counter, "rows", "missing parents that arrived")              \
	X(dead_letters, worker, counter, "rows", "events or operations dead-lettered")             \
	X(retries, worker, counter, "batches", "batches repeated after a deadlock or a lost connection") \
	X(events_verified, worker, counter, "events", "commits and syncs held against their account's key") \
	X(verify_us, worker, counter, "microseconds", "CPU time of those checks")                  \
	X(events_parked, worker, counter, "events", "events set aside until their account's key is known") \
	X(events_unverified, worker, counter, "events", "events whose check failed with the newest key, dead-lettered") \
	X(identities_fetched, resolver, counter, "documents", "definite answers about DIDs")       \
	X(identities_failed, resolver, counter, "documents", "attempts without an answer")         \
	X(bisections, worker, counter, "batches", "batches split to find a bad event")             \
	X(watermark_seq, keeper, gauge, "seq", "everything up to here is in PostgreSQL")           \
	X(watermark_epoch, keeper, gauge, "epoch", "epoch of the watermark")                       \
	X(pending_rows, keeper, gauge, "rows", "missing parents waiting")                          \
	X(pending_expired, keeper, gauge, "rows", "missing parents given up")                      \
	X(chain_breaks, keeper, counter, "commits", "commits that do not follow on what was seen of their repo") \
	X(entries_trimmed, keeper, counter, "entries", "acknowledged entries deleted from the stream") \
	X(log_dropped, child, counter, "lines", "log lines dropped because their reader did not take them") \
	X(beat_us, child, gauge, "microseconds", "monotonic time of the child's last sign of life")

enum stats_id {
#define X(name, role, kind, unit, meaning) STAT_##name,
	STATS_LIST(X)
#undef X
	N_STATS
};

/* How long each event took from one place to the next. X(name, meaning) */
#define STAGES_LIST(X)                                                                             \
	X(receive, "source's time of the event to its receipt by the reader")                      \
	X(append, "receipt to the append to Redis")                                                \
	X(commit, "append to Redis to the commit in PostgreSQL")                                   \
	X(total, "source's time of the event to the commit in PostgreSQL")

enum stage {
#define X(name, meaning) STAGE_##name,
	STAGES_LIST(X)
#undef X
	N_STAGES
};

/* What the supervisor watches; how bad it is stands in stats_page.alarms (enum alarm_level). X(name, meaning) */
#define ALARMS_LIST(X)                                                                             \
	X(depth, "events in the stream not yet in PostgreSQL")                                     \
	X(risk, "seconds of events that only Redis has")                                           \
	X(overflow, "seconds until the stream is full")                                            \
	X(memory, "Redis memory against maxmemory")                                                \
	X(fragmentation, "fragmentation of Redis memory")

enum alarm {
#define X(name, meaning) ALARM_##name,
	ALARMS_LIST(X)
#undef X
	N_ALARMS
};

enum { STATS_MAX_SLOTS = 72, STATS_VERSION = 3, STATS_MARKS = 1024 };

struct stats_slot {
	char role[16]; /* NUL-terminated, written by the supervisor; "" = unused */
	uint32_t slot; /* number within the role */
	uint32_t pid;  /* 0 while no process runs in it */
	/* Written by the supervisor: processes started here, enum slot_state, the enum child_state of the last
	 * beat and, while that is CHILD_WAITING, what for (NUL-terminated; may be read half-written). */
	uint32_t starts, state, doing;
	char why[240];
	char last_exit[64]; /* how the last process here ended; "" if none did */
	uint64_t last_exit_us; /* when: monotonic */
	_Atomic uint64_t value[N_STATS];
	struct histogram stages[N_STAGES];
	/* The event that the child is decoding, so that a crash there names it; valid while decoding is 1. */
	_Atomic uint64_t decoding, decode_epoch, decode_seq;
	/* Of the last process that crashed over an event: its signal (0: none) and the event. Written by the
	 * supervisor; the next process in this slot makes it durable and sets suspect_signal to 0. */
	_Atomic uint64_t suspect_signal, suspect_epoch, suspect_seq;
};

/* When a pack was appended: by the reader, for the worker that commits it. A younger one may stand in its place. */
struct stats_mark {
	_Atomic uint64_t key, at_us;
};

struct stats_page {
	uint32_t version, n_stats;
	uint32_t supervisor_pid, n_workers;
	uint64_t started_us; /* wall clock */
	/* As the supervisor last judged: */
	uint32_t alarms[N_ALARMS];
	uint64_t overflow_us; /* until the stream is full, if it goes on growing like this; UINT64_MAX: it does not */
	uint64_t reloaded_us; /* wall clock of the last good configuration */
	uint32_t reload_failed; /* 1: a later one was refused */
	uint64_t log_dropped; /* by the supervisor */
	struct stats_slot slots[STATS_MAX_SLOTS];
	struct stats_mark marks[STATS_MARKS];
};

/* The row of a counter. */
struct stats_info {
	const char *name, *role, *kind, *unit, *meaning;
};
extern const struct stats_info stats_info[N_STATS];

/* Of a stage or an alarm. */
struct stats_name {
	const char *name, *meaning;
};
extern const struct stats_name stage_names[N_STAGES], alarm_names[N_ALARMS];

/* A program made for tests may crash over an event of its choice. */
#ifdef STATS_DECODE_HOOK
void stats_decode_hook(uint64_t seq);
#else
static inline void stats_decode_hook(uint64_t seq)
{
	(void)seq;
}
#endif

static inline void stats_add(struct stats_slot *s, enum stats_id stat, uint64_t n)
{
	/* one writer per slot: a plain read-modify-write suffices */
	atomic_store_explicit(&s->value[stat],
		atomic_load_explicit(&s->value[stat], memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void stats_set(struct stats_slot *s, enum stats_id stat, uint64_t n)
{
	atomic_store_explicit(&s->value[stat], n, memory_order_relaxed);
}

static inline uint64_t stats_get(const struct stats_slot *s, enum stats_id stat)
{
	return atomic_load_explicit(&s->value[stat], memory_order_relaxed);
}

/* (epoch, seq): the id of an appended pack. */
void stats_mark_set(struct stats_page *page, uint64_t epoch, uint64_t seq, uint64_t at_us);
/* 0 if it is not known, or not any more. */
uint64_t stats_mark_get(const struct stats_page *page, uint64_t epoch, uint64_t seq);


/* What follows decodes that event, until stats_decoded: whatever ends the process here is the event's doing. */
static inline void stats_decode(struct stats_slot *s, uint64_t epoch, uint64_t seq)
{
	atomic_store_explicit(&s->decode_epoch, epoch, memory_order_relaxed);
	atomic_store_explicit(&s->decode_seq, seq, memory_order_relaxed);
	atomic_store_explicit(&s->decoding, 1, memory_order_release);
	stats_decode_hook(seq);
}

static inline void stats_decoded(struct stats_slot *s)
{
	atomic_store_explicit(&s->decoding, 0, memory_order_release);
}

/* A signal that a process brings upon itself: SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT. */
bool stats_is_crash(int signal);
/* Changes whenever the slot's process gets on with its work: the sum of its counters. */
uint64_t stats_work(const struct stats_slot *s);
/* Sum (counters) or maximum (gauges) over all slots. */
uint64_t stats_total(const struct stats_page *page, enum stats_id stat);

#endif
