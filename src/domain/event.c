/* SPDX-License-Identifier: MIT */
#include "domain/event.h"

#include "codec/cbor.h"
#include "domain/event_commit.h"
#include "domain/event_field.h"

static int read_identity(struct slice body, struct event *e, struct err *err)
{
	enum { DID, SEQ, TIME, HANDLE, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[DID] = FIELD("did", CBOR_TEXT, FIELD_REQUIRED),
		[SEQ] = FIELD("seq", CBOR_UINT, FIELD_REQUIRED),
		[TIME] = FIELD("time", CBOR_TEXT, FIELD_REQUIRED),
		[HANDLE] = FIELD("handle", CBOR_TEXT, FIELD_OPTIONAL),
	};
	struct field f[N_FIELDS];

	if (fields_read(body, specs, N_FIELDS, f, err))
		return err_wrap(err, "body");
	e->has_handle = f[HANDLE].present;
	e->handle = f[HANDLE].item.s;
	return fields_common(&f[SEQ], &f[DID], &f[TIME], "did", e, err);
}

static int read_account(struct slice body, struct event *e, struct err *err)
{
	enum { DID, SEQ, TIME, ACTIVE, STATUS, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[DID] = FIELD("did", CBOR_TEXT, FIELD_REQUIRED),
		[SEQ] = FIELD("seq", CBOR_UINT, FIELD_REQUIRED),
		[TIME] = FIELD("time", CBOR_TEXT, FIELD_REQUIRED),
		[ACTIVE] = FIELD("active", CBOR_BOOL, FIELD_REQUIRED),
		[STATUS] = FIELD("status", CBOR_TEXT, FIELD_OPTIONAL),
	};
	struct field f[N_FIELDS];

	if (fields_read(body, specs, N_FIELDS, f, err))
		return err_wrap(err, "body");
	e->active = f[ACTIVE].item.n != 0;
	e->status = f[STATUS].item.s;
	return fields_common(&f[SEQ], &f[DID], &f[TIME], "did", e, err);
}

/* seq of a message that is not taken, for what is said of it; 0 if it has no legal one. */
static uint64_t seq_of(struct slice body)
{
	struct cbor_item seq;

	return cbor_path(body, "seq", &seq, NULL) ? 0 : field_seq(&seq);
}

/* A name (required) and a message (optional) for people, as #info and errors carry them. */
static int read_notice(struct slice body, const char *name, struct event *e, struct err *err)
{
	const struct field_spec specs[] = {
		{ name, strlen(name), CBOR_TEXT, FIELD_REQUIRED },
		FIELD("message", CBOR_TEXT, FIELD_OPTIONAL),
	};
	struct field f[2];

	if (fields_read(body, specs, 2, f, err))
		return err_wrap(err, "body");
	e->reason = f[0].item.s;
	e->bytes = f[1].item.s;
	return 0;
}

/* The numbered kind a type names ("#commit"), or EVENT_NONE. */
static enum event_kind kind_of(struct slice type)
{
	if (!type.n || type.p[0] != '#')
		return EVENT_NONE;
	for (enum event_kind kind = EVENT_COMMIT; kind <= EVENT_SYNC; kind++)
		if (slice_is(slice_of(type.p + 1, type.n - 1), event_kind_name(kind)))
			return kind;
	return EVENT_NONE;
}

/* A body of the given type. */
static enum frame_status read_body(struct slice type, struct slice body, int64_t now_us,
	struct arena *arena, struct event *e, struct err *err)
{
	int r;

	if (slice_is(type, "#info"))
		return read_notice(body, "name", e, err) ? FRAME_BAD : FRAME_INFO;
	e->kind = kind_of(type);
	if (e->kind == EVENT_NONE) {
		e->reason = type;
		return FRAME_UNKNOWN;
	}
	if (e->kind == EVENT_COMMIT)
		r = event_read_commit(body, now_us, arena, e, err);
	else if (e->kind == EVENT_SYNC)
		r = event_read_sync(body, arena, e, err);
	else if (e->kind == EVENT_IDENTITY)
		r = read_identity(body, e, err);
	else
		r = read_account(body, e, err);
	return r ? FRAME_BAD : FRAME_OK;
}

/* Nobody may pin an account's state with a rev that its next commits cannot reach: decided here, once, because
 * another clock would decide otherwise. Ops carry their verdict; what has none is kept as a whole. */
static void refuse_ahead(struct event *e, struct slice frame, int64_t now_us)
{
	if (!event_is_signed(e) || !event_is_ahead(e, now_us))
		return;
	e->flags |= FRAME_AHEAD;
	if (e->n_ops == 0)
		*e = (struct event){ .kind = EVENT_BAD, .flags = FRAME_AHEAD, .seq = e->seq, .time_us = e->time_us,
			.reason = slice_str(op_verdict_name(OP_VERDICT_FUTURE_REV)), .bytes = frame };
}

/* Cuts a message into its two items and proves both. */
static int split_frame(struct slice frame, struct arena *arena, struct slice *ret_header,
	struct slice *ret_body, struct err *err)
{
	enum cbor_status r;
	size_t n = 0;

	if (frame.n > EVENT_MAX_FRAME)
		return err_set(err, "frame: %zu bytes, at most %d", frame.n, EVENT_MAX_FRAME);
	r = cbor_check_first(frame, arena, &n);
	if (r)
		return err_set(err, "header: %s", cbor_status_name(r));
	*ret_header = slice_of(frame.p, n);
	*ret_body = slice_of(frame.p + n, frame.n - n);
	r = cbor_check(*ret_body, arena);
	if (r)
		return err_set(err, "body: %s", cbor_status_name(r));
	return 0;
}

/* The header decides what the body is. */
static enum frame_status read_frame(struct slice header, struct slice body, int64_t now_us,
	struct arena *arena, struct event *e, struct err *err)
{
	enum { TYPE, OP, N_FIELDS };
	static const struct field_spec specs[N_FIELDS] = {
		[TYPE] = FIELD("t", CBOR_TEXT, FIELD_ANY),
		[OP] = FIELD("op", CBOR_UINT, FIELD_ANY),
	};
	struct field f[N_FIELDS];

	if (fields_read(header, specs, N_FIELDS, f, err)) {
		err_wrap(err, "header");
		return FRAME_BAD;
	}
	if (field_is(&f[OP], CBOR_NINT) && f[OP].item.n == 0) /* -1 */
		return read_notice(body, "error", e, err) ? FRAME_BAD : FRAME_ERROR;
	if (!field_is(&f[OP], CBOR_UINT) && !field_is(&f[OP], CBOR_NINT)) {
		err_set(err, "header: op: missing or wrong type");
		return FRAME_BAD;
	}
	if (f[OP].item.type != CBOR_UINT || f[OP].item.n != 1)
		return FRAME_UNKNOWN;
	if (!field_is(&f[TYPE], CBOR_TEXT)) {
		err_set(err, "header: t: missing or wrong type");
		return FRAME_BAD;
	}
	return read_body(f[TYPE].item.s, body, now_us, arena, e, err);
}

enum frame_status event_from_frame(struct slice frame, int64_t now_us, struct arena *arena,
	struct event *ret_event, struct err *err)
{
	struct slice header, body;
	enum frame_status r;

	*ret_event = (struct event){ 0 };
	if (split_frame(frame, arena, &header, &body, err))
		return FRAME_BAD;
	r = read_frame(header, body, now_us, arena, ret_event, err);
	if (r == FRAME_BAD)
		*ret_event = (struct event){ 0 };
	if (r == FRAME_OK)
		refuse_ahead(ret_event, frame, now_us);
	else
		ret_event->seq = seq_of(body);
	return r;
}

const char *event_kind_name(enum event_kind kind)
{
	static const char *const names[] = {
#define X(name, number, text) [number] = text,
		EVENT_KINDS(X)
#undef X
	};
	size_t i = (size_t)kind;

	return i < sizeof names / sizeof names[0] && names[i] ? names[i] : "unknown";
}

const char *op_verdict_name(enum op_verdict verdict)
{
	static const char *const names[] = {
#define X(name, number, text) [number] = text,
		OP_VERDICTS(X)
#undef X
	};
	size_t i = (size_t)verdict;

	return i < sizeof names / sizeof names[0] && names[i] ? names[i] : "unknown";
}

const char *op_action_name(enum op_action action)
{
	static const char *const names[] = {
		[OP_CREATE] = "create",
		[OP_UPDATE] = "update",
		[OP_DELETE] = "delete",
	};
	size_t i = (size_t)action;

	return i < sizeof names / sizeof names[0] && names[i] ? names[i] : "unknown";
}
