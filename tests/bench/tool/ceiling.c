/* SPDX-License-Identifier: MIT
 *
 * ceiling - how fast PostgreSQL takes the very rows of a recording when nothing else is to be done
 *
 * The worker's own code decodes and merges the recording and builds the parameters of every batch, dealt out
 * in turn to the connections, each with a known-set of its own as a worker has; and each batch a second time, as a
 * worker does it again that met a record it took for new. All that is in memory before the clock starts. Then each
 * connection, a process, executes its share by bare libpq: the same statements, the same two transactions in one
 * pipeline per batch, one batch in flight.
 */
#include "capture.h"
#include "events.h"
#include "process.h"
#include "tool.h"

#include "base/clock.h"
#include "workers/write.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 16, MAX_TRIES = 20, PAUSE_US = 10000 };

struct share {
	struct capture captured, careful; /* the same batches */
	struct writer writer;
	pid_t pid;
};

/* What the children tell, in shared memory. */
struct result {
	_Atomic int ready, go, done, failed;
	struct cpu_time backend[MAX_CONNECTIONS], client[MAX_CONNECTIONS];
	int n_repeats;
};

/* ---- building ---- */

static int build(struct share *shares, int n, struct events *events, int n_events, struct err *err)
{
	struct stats_slot *stats = calloc(1, sizeof *stats);
	struct batch batch = { 0 };
	struct stream_entries entries;

	if (!stats)
		abort();
	for (int i = 0; events_next(events, n_events, &entries); i++) {
		struct share *s = &shares[i % n];
		struct stream_entries taken = entries;

		batch_add(&batch, &entries, stats);
		capture_into(&s->captured);
		if (writer_write(&s->writer, &batch, err) != WRITE_OK)
			return -1;
		s->writer.careful = 1;
		capture_into(&s->careful);
		if (writer_write(&s->writer, &batch, err) != WRITE_OK)
			return -1;
		events_taken(events, &taken);
		batch_reset(&batch);
	}
	batch_done(&batch);
	free(stats);
	return 0;
}

/* ---- executing ---- */

/* Every result up to the pipeline's n-th sync; false if a statement failed. */
static bool take_results(PGconn *conn, int n_syncs)
{
	bool good = true;

	while (n_syncs) {
		PGresult *res = PQgetResult(conn);
		ExecStatusType status = PQresultStatus(res);

		if (!res)
			continue;
		n_syncs -= status == PGRES_PIPELINE_SYNC;
		if (status == PGRES_FATAL_ERROR) {
			fprintf(stderr, "%s", PQresultErrorMessage(res));
			good = false;
		}
		PQclear(res);
		if (PQstatus(conn) != CONNECTION_OK)
			return false;
	}
	return good;
}

static bool send_plain(PGconn *conn, const char *sql)
{
	return PQsendQueryParams(conn, sql, 0, NULL, NULL, NULL, NULL, 0);
}

static bool send_call(PGconn *conn, const struct captured_call *c)
{
	int formats[PG_MAX_PARAMS];

	for (int i = 0; i < PG_MAX_PARAMS; i++)
		formats[i] = 1;
	if (c->verb == PG_VERB_BEGIN)
		return send_plain(conn, "BEGIN") &&
			(!c->relaxed || send_plain(conn, "SET LOCAL synchronous_commit = off"));
	if (c->verb == PG_VERB_COMMIT)
		return send_plain(conn, "COMMIT") && PQpipelineSync(conn);
	return PQsendQueryPrepared(conn, c->stmt->name, c->n_params, c->values, c->lengths, formats, 1);
}

/* A batch: runs up to one that ends with its transaction. What depends on answers is known here before. */
static bool execute(PGconn *conn, const struct captured_run *run)
{
	int n_syncs = 0;
	bool held;

	do {
		for (int i = 0; i < run->n_calls; i++) {
			if (!send_call(conn, &run->calls[i]))
				return false;
			n_syncs += run->calls[i].verb == PG_VERB_COMMIT;
		}
		held = run->held;
		run++;
	} while (held);
	return take_results(conn, n_syncs);
}

/* A transaction that a failed statement left open. */
static bool roll_back(PGconn *conn)
{
	return send_plain(conn, "ROLLBACK") && PQpipelineSync(conn) && take_results(conn, 1);
}

static bool prepare_all(PGconn *conn, const struct capture *c, const struct pg_stmt **prepared, int *n)
{
	for (int i = 0; i < c->n_runs; i++)
		for (int j = 0; j < c->runs[i].n_calls; j++) {
			const struct pg_stmt *stmt = c->runs[i].calls[j].stmt;
			int k = 0;

			while (k < *n && prepared[k] != stmt)
				k++;
			if (!stmt || k < *n)
				continue;
			prepared[(*n)++] = stmt;
			if (!PQsendPrepare(conn, stmt->name, stmt->sql, 0, NULL))
				return false;
		}
	return true;
}

static bool prepare(PGconn *conn, const struct share *s)
{
	const struct pg_stmt *prepared[PG_MAX_PREPARED];
	int n = 0;

	return prepare_all(conn, &s->captured, prepared, &n) && prepare_all(conn, &s->careful, prepared, &n) &&
		PQpipelineSync(conn) && take_results(conn, 1);
}

/* What fails is not new, or a deadlock; two that go on at once meet in the next one, so each pauses for a time of its own. */
static bool execute_all(PGconn *conn, const struct share *s, int connection, struct result *result)
{
	const struct captured_run *runs = s->captured.runs, *careful = s->careful.runs;

	for (int i = 0; i < s->captured.n_runs; i++) {
		bool good = execute(conn, &runs[i]);

		for (int tries = 1; !good; tries++) {
			result->n_repeats++;
			if (tries == MAX_TRIES || !roll_back(conn))
				return false;
			usleep((useconds_t)(connection * tries * PAUSE_US));
			good = execute(conn, &careful[i]);
		}
		while (runs[i].held)
			i++;
	}
	return true;
}

/* One connection's process. */
static int run_share(struct share *s, int i, const char *conninfo, struct result *result)
{
	struct pg_options options = { conninfo, "standpipe-bench", { wait_poll, NULL }, false };
	struct pg *pg;
	struct err err;
	struct cpu_time backend, client;
	bool good;

	if (pg_new(&options, &pg, &err) < 0 || pg_connect(pg, &err) != PG_OK) {
		fprintf(stderr, "%s\n", err.text);
		result->failed = 1;
		return 1;
	}
	PQsetnonblocking(pg->conn, 0);
	good = PQenterPipelineMode(pg->conn) && prepare(pg->conn, s);
	result->ready++;
	while (!result->go)
		usleep(100);
	backend = process_cpu(PQbackendPID(pg->conn));
	client = process_cpu(getpid());
	good = good && execute_all(pg->conn, s, i, result);
	result->failed |= !good;
	result->done++;
	result->backend[i] = cpu_since(process_cpu(PQbackendPID(pg->conn)), backend);
	result->client[i] = cpu_since(process_cpu(getpid()), client);
	pg_free(pg);
	return !good;
}

/* Lets all shares go at once and prints how long the last one took. */
static int run(struct share *shares, int n, uint64_t n_events, const char *conninfo, struct err *err)
{
	struct result *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct cpu_time backend = { 0 }, client = { 0 };
	int64_t began_us, ended_us;

	for (int i = 0; i < n; i++) {
		shares[i].pid = fork();
		if (shares[i].pid == 0)
			_exit(run_share(&shares[i], i, conninfo, r));
	}
	while (r->ready < n && !r->failed)
		usleep(1000);
	began_us = clock_mono_us();
	r->go = 1;
	while (r->done < n && !r->failed)
		usleep(1000);
	ended_us = clock_mono_us();
	for (int i = 0; i < n; i++)
		waitpid(shares[i].pid, NULL, 0);
	for (int i = 0; i < n; i++) {
		cpu_add(&backend, r->backend[i]);
		cpu_add(&client, r->client[i]);
	}
	if (r->failed)
		return err_set(err, "a connection failed");
	printf("seconds %.3f\nevents %llu\n", (double)(ended_us - began_us) / 1e6, (unsigned long long)n_events);
	cpu_print("postgres-backends", backend, n_events);
	cpu_print("client", client, n_events);
	printf("value ceiling_repeats %d\n", r->n_repeats);
	return 0;
}

int tool_ceiling(int argc, char **argv, struct err *err)
{
	struct share shares[MAX_CONNECTIONS] = { 0 };
	struct stats_slot *stats = calloc(1, sizeof *stats);
	struct events events;
	int n = argc == 4 ? atoi(argv[3]) : 0;

	if (n < 1 || n > MAX_CONNECTIONS || !stats)
		return err_set(err, "wrong arguments");
	if (events_open(&events, argv[0], err))
		return -1;
	for (int i = 0; i < n; i++)
		if (writer_init(&shares[i].writer, argv[1], "standpipe-bench", (struct waiter){ wait_poll, NULL },
			    stats, err) < 0 ||
			writer_connect(&shares[i].writer, err) != WRITE_OK)
			return -1;
	if (build(shares, n, &events, atoi(argv[2]), err))
		return -1;
	/* the writers stay: the captured statements are theirs */
	return run(shares, n, events.n_events, argv[1], err);
}
