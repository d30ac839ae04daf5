/*-------------------------------------------------------------------------
 *
 * reply.c
 *	  One request and its answer.
 *
 * A request whose 1C session has died on the other side, which is noticed by an error page that 1C's OData
 * did not write, is sent once more, and its caller never hears of it.
 *
 * Memory: replies live in their session's context, and are freed with the context their owner
 * ties them to; that path neither raises nor allocates.  Errors: those of the network and of
 * 1C are kept in the reply until onec_reply_wait().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http.h"
#include "protocol/http/http_window.h"
#include "protocol/odata/odata.h"
#include "session/error.h"
#include "session/ib_cookie.h"
#include "session/idle.h"
#include "session/log.h"
#include "session/mask.h"
#include "session/reply.h"
#include "session/retry.h"
#include "session/session.h"
#include "session/session_private.h"
#include "session/totals.h"
#include "table/options.h"
#include "table/text.h"

/* No URL beyond this is sent, whatever max_url says. */
#define URL_BEYOND_REASON 65536

/* A count is a number; more of the answer than this is not read. */
#define LARGEST_COUNT ((size_t) 128 * 1024)

/* As much of an error page as is read before it is judged. */
#define ERROR_BODY 65536

/* Unread bytes of one answer before its sender has to wait; a page fits by default. */
#define HIGH_WATER_MIN ((size_t) 1024 * 1024)

/* How long a request waits for those that were given up to make room. */
#define ABANDONED_MS 10000

/* Requests that nobody waits for any more, but whose connections are kept since 1C is at work on them. */
#define ABANDONED_MAX 16

/* Consumed bytes after which the other requests under way get their turn. */
#define POLL_BYTES 65536

/* What hangs on a memory context; stays there after the reply is gone. */
struct OnecReplyTie
{
	MemoryContextCallback callback;
	OnecReply  *reply;			/* NULL: freed before */
};

static void
write_log_line(const OnecReply *reply, const OnecHttpAnswer *answer, const char *error)
{
	ereport(LOG,
			(errmsg("request to 1C server \"%s\": %s", reply->session->server_name,
					onec_server_text(reply->text.data)),
			 errdetail_log("HTTP status %ld, %.1f ms, %lld bytes%s%s.", answer->status,
						   answer->elapsed_ms, (long long) answer->wire_bytes,
						   error ? ": " : "", error ? onec_server_text(error) : ""),
			 errhidestmt(true)));
}

static void
count_for_all(const OnecReply *reply, OnecTotal what, uint64 n)
{
	onec_totals_add(reply->session->totals, reply->session->key.serverid, what, n);
}

/* The request is over; "error" is NULL when it went well. */
static void
end_reply(OnecReply *reply, const char *error, bool quiet)
{
	OnecHttpAnswer answer = {.retry_after_s = -1};

	if (reply->ended)
		return;
	reply->ended = true;
	if (reply->transfer != NULL)
		onec_transfer_answer(reply->transfer, &answer);
	onec_ib_note(reply, &answer);
	onec_ib_leave(reply);
	reply->retry_after_s = answer.retry_after_s;
	reply->elapsed_ms = answer.elapsed_ms;
	onec_session_note_use(reply->session);
	if (reply->spent != NULL)
		reply->spent->bytes += answer.wire_bytes;
	onec_log_end(reply->log, &answer, error);
	count_for_all(reply, ONEC_TOTAL_BYTES, answer.wire_bytes);
	count_for_all(reply, ONEC_TOTAL_WAITED_US, (uint64) (answer.elapsed_ms * 1000));
	if (reply->error.kind != ONEC_OK)
		count_for_all(reply, ONEC_TOTAL_ERRORS + reply->error.kind, 1);
	if (onec_log_requests && !quiet)
		write_log_line(reply, &answer, error);
}

/* It is given up before its end. */
static void
cancel_reply(OnecReply *reply, bool quiet)
{
	if (!reply->ended)
		count_for_all(reply, ONEC_TOTAL_CANCELLED, 1);
	end_reply(reply, "cancelled", quiet);
}

static void
fail_reply(OnecReply *reply)
{
	char		text[ONEC_ERROR_TEXT + 64];

	/* 1C quotes what it refuses, which is about people */
	snprintf(text, sizeof(text), "%s%s%s", onec_error_meaning(reply->error.kind),
			 reply->error.message[0] && !reply->changes ? ": " : "",
			 reply->changes ? "" : reply->error.message);
	end_reply(reply, text, false);
}

/* Whether the login was refused lately: it is not tried again so soon, since 1C locks accounts. */
static bool
is_locked_out(OnecReply *reply)
{
	OnecSession *session = reply->session;

	if (session->refused_at == 0 ||
		TimestampDifferenceExceeds(session->refused_at, GetCurrentTimestamp(), ONEC_LOGIN_PAUSE_S * 1000))
		return false;
	(void) onec_fail(&reply->error, ONEC_ERR_AUTH,
					 "1C has refused this login less than %d s ago; it was not asked again.",
					 ONEC_LOGIN_PAUSE_S);
	reply->ended = true;
	return true;
}

/* Send it, for the first time or again. */
static void
send_request(OnecReply *reply)
{
	OnecSession *session = reply->session;
	OnecHttp   *http = onec_session_pool();
	OnecHttpRequest request = {.method = "GET",.url = reply->url.data};

	onec_ib_choose(reply);
	request.authorization = session->authorization;
	request.accept = reply->expect == ONEC_EXPECT_JSON ? "application/json" :
		reply->expect == ONEC_EXPECT_XML ? "application/xml" : NULL;
	request.ib_session = reply->with_start ? "start" : NULL;
	request.cookie = reply->with_cookie ? reply->ib->cookie : NULL;
	request.ca_file = session->ca_file;
	request.insecure = session->insecure;
	request.connect_timeout_ms = reply->connect_timeout * 1000L;
	request.request_timeout_ms = reply->request_timeout * 1000L;
	request.max_response = reply->max_response;
	request.high_water = reply->high_water;
	if (reply->change != NULL)
	{
		request.method = reply->change->method;
		request.body = reply->change->body;
		request.body_len = reply->change->body ? strlen(reply->change->body) : 0;
		request.if_match = reply->change->if_match;
		request.load_mode = reply->change->load_mode ? "true" : NULL;
	}
	reply->generation = session->generation;
	reply->log = onec_log_begin(session->server_name, session->key.userid, reply->text.data);
	count_for_all(reply, ONEC_TOTAL_REQUESTS, 1);
	session->started++;
	if (reply->spent != NULL)
		reply->spent->requests++;
	reply->transfer = onec_http_start(http, &request, &reply->error);
	if (reply->transfer == NULL)
	{
		(void) onec_fail(&reply->error, ONEC_ERR_MEMORY, "the request could not be made");
		fail_reply(reply);
	}
}

/*
 * Send a request again after its 1C session was found dead; false when that was done before, or might do
 * twice what it does.
 */
static bool
restart(OnecReply *reply)
{
	if (reply->changes || !onec_ib_looks_stale(reply))
		return false;
	onec_session_pace(reply->session->root, reply->min_interval);
	end_reply(reply, "the 1C session had ended; sent again", false);
	count_for_all(reply, ONEC_TOTAL_RETRIES, 1);
	onec_ib_died(reply);
	onec_transfer_free(reply->transfer);
	reply->transfer = NULL;
	memset(&reply->error, 0, sizeof(reply->error));
	reply->ib_noted = false;
	reply->ended = false;
	reply->looked = 0;
	reply->ib_gone = false;
	reply->restarted = true;
	send_request(reply);
	return true;
}

static void
copy_limits(OnecReply *reply, const OnecOptions *options)
{
	reply->connect_timeout = options->connect_timeout;
	reply->request_timeout = options->request_timeout;
	reply->min_interval = options->min_interval;
	reply->max_response = reply->expect == ONEC_EXPECT_TEXT ? LARGEST_COUNT : (size_t) options->max_response;
	reply->high_water = Max((size_t) options->page_bytes, HIGH_WATER_MIN);
	reply->ib_room = options->session ? Max(options->prefetch, 1) : 0;
}

/* What of a request a base may refuse. */
static unsigned
parts_of(const OnecRequest *request)
{
	unsigned	parts = (request->filter ? ONEC_PART_FILTER : 0) |
		(request->norder > 0 ? ONEC_PART_ORDER : 0) |
		(request->count ? ONEC_PART_COUNT : 0);

	for (int i = 0; i < request->narguments; i++)
		if (strcmp(request->arguments[i].name, ONEC_CONDITION) == 0)
			parts |= ONEC_PART_FILTER;
	return parts;
}

/* A reply with its two addresses; ERROR when memory is short or the URL is beyond reason. */
static OnecReply *
make_reply(OnecSession *session, const OnecOptions *options, const OnecRequest *request,
		   const OnecChange *change)
{
	OnecReply  *reply = MemoryContextAllocZero(session->context, sizeof(OnecReply));
	OnecError	error = {0};

	reply->session = session;
	reply->older = session->replies;
	session->replies = reply;
	reply->log.slot = -1;
	reply->retry_after_s = -1;
	reply->expect = request->resource != NULL || onec_odata_is_action(request) ? ONEC_EXPECT_ANY :
		request->metadata ? ONEC_EXPECT_XML :
		request->count ? ONEC_EXPECT_TEXT : ONEC_EXPECT_JSON;
	reply->parts = parts_of(request);
	reply->of_set = request->entity_set != NULL && !request->metadata;
	copy_limits(reply, options);
	reply->change = change;
	reply->changes = change != NULL;
	onec_buf_init(&reply->url);
	onec_buf_init(&reply->text);
	if (change != NULL)
	{
		onec_buf_puts(&reply->text, change->method);
		onec_buf_putc(&reply->text, ' ');
	}
	if (!onec_odata_url(session->root, request, &reply->url) ||
		!onec_odata_text(request, &reply->text) || reply->url.failed || reply->text.failed)
		(void) onec_fail(&error, ONEC_ERR_MEMORY, "the request could not be written");
	else if (reply->url.len > URL_BEYOND_REASON)
		(void) onec_fail(&error, ONEC_ERR_URL_TOO_LONG, "the request takes %zu bytes",
						 reply->url.len);
	if (error.kind != ONEC_OK)
	{
		reply->ended = true;
		onec_reply_free(reply);
		onec_session_raise(session, options, request, &error);
	}
	return reply;
}

/* Whether 1C is at work on it: nothing of its answer has come. */
static bool
is_at_work(const OnecReply *reply)
{
	OnecHttpAnswer answer;

	if (reply->transfer == NULL || onec_transfer_ended(reply->transfer))
		return false;
	onec_transfer_answer(reply->transfer, &answer);
	return answer.status == 0;
}

/*
 * Whether a request that a query has left behind takes up room.  One of a cancelled query may never be
 * answered.
 */
static bool
is_crowded(const OnecSession *session, int limit)
{
	bool		abandoned = false;

	for (const OnecReply *reply = session->replies; reply != NULL; reply = reply->older)
		abandoned |= reply->abandoned && !reply->cancelled && is_at_work(reply);
	return abandoned && !onec_session_is_room(session, limit);
}

/* Requests that were given up count until 1C is through with them; but not for ever. */
static void
wait_for_room(OnecSession *session, int limit)
{
	TimestampTz end = 0;
	long		left = ABANDONED_MS;

	onec_session_sweep(session, false);
	while (is_crowded(session, limit) && left > 0)
	{
		if (end == 0)
			end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ABANDONED_MS);
		onec_session_pause(left);
		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
		onec_session_sweep(session, false);
	}
}

OnecReply *
onec_session_start(OnecSession *session, const OnecOptions *options,
				   const OnecRequest *request, OnecSpent *spent)
{
	return onec_session_start_change(session, options, request, NULL, spent);
}

OnecReply *
onec_session_start_change(OnecSession *session, const OnecOptions *options, const OnecRequest *request,
						  const OnecChange *change, OnecSpent *spent)
{
	OnecReply  *reply;

	/* a cursor opened before must not carry the new login to the old address */
	if (strcmp(session->root, options->root) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("address of server \"%s\" has changed while it was being read",
						options->server_name),
				 errhint("Run the query again.")));
	(void) onec_session_pool();
	wait_for_room(session, options->prefetch);
	onec_session_watch(session, options);
	onec_session_pace(session->root, options->min_interval);
	session->gave_up_after = 0;
	reply = make_reply(session, options, request, change);
	reply->spent = spent;
	if (!is_locked_out(reply))
		send_request(reply);
	reply->change = NULL;
	return reply;
}

/* MemoryContextCallbackFunction: the owner's memory goes, maybe after an error. */
static void
release_reply(void *arg)
{
	OnecReplyTie *tie = arg;
	OnecReply  *reply = tie->reply;

	if (reply == NULL)
		return;
	reply->spent = NULL;		/* may be gone already */
	reply->cancelled = true;
	cancel_reply(reply, true);
	onec_reply_free(reply);
}

void
onec_reply_attach(OnecReply *reply, MemoryContext context)
{
	OnecReplyTie *tie = MemoryContextAlloc(context, sizeof(OnecReplyTie));

	if (reply->tie != NULL)
		reply->tie->reply = NULL;
	tie->reply = reply;
	tie->callback.func = release_reply;
	tie->callback.arg = tie;
	reply->tie = tie;
	MemoryContextRegisterResetCallback(context, &tie->callback);
}

/* Wait once for the network, keeping the time. */
static bool
timed_wait(OnecReply *reply, size_t seen, OnecError *failure)
{
	instr_time	start;
	instr_time	end;
	bool		ok;

	INSTR_TIME_SET_CURRENT(start);
	ok = onec_transfer_wait(reply->transfer, seen, failure);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	if (reply->spent != NULL)
		reply->spent->wait_ms += INSTR_TIME_GET_MILLISEC(end);
	return ok;
}

static bool
is_good_status(const OnecReply *reply, long status)
{
	return status == 200 || (reply->changes && (status == 201 || status == 204));
}

/* Is this an answer that the caller wants to read?  "last": no more of it will come. */
static void
judge(OnecReply *reply, const OnecHttpAnswer *answer, bool last)
{
	size_t		len;
	const char *body = onec_transfer_data(reply->transfer, &len);

	reply->looked = len;
	if (is_good_status(reply, answer->status))
		reply->judged = onec_answer_good(reply, answer, body, len, last, &reply->error);
	else if (last || len >= ERROR_BODY)
		onec_answer_error(reply, answer, body, len, &reply->error);
	onec_mask(reply->session, reply->error.message, sizeof(reply->error.message));
	if (reply->error.kind != ONEC_OK && restart(reply))
		return;
	if (reply->restarted && (reply->judged || reply->error.kind != ONEC_OK))
		onec_ib_settle(reply);
	if (reply->error.kind == ONEC_ERR_AUTH && reply->generation == reply->session->generation)
		reply->session->refused_at = GetCurrentTimestamp();
	if (reply->error.kind != ONEC_OK)
		fail_reply(reply);
}

/* Let the answer come on by at least one step. */
static void
advance(OnecReply *reply, size_t seen)
{
	OnecError	failure = {0};
	OnecHttpAnswer answer;
	bool		ok = timed_wait(reply, reply->judged ? seen : reply->looked, &failure);

	onec_transfer_answer(reply->transfer, &answer);
	onec_ib_note(reply, &answer);
	if (!ok && (reply->judged || is_good_status(reply, answer.status) || answer.status == 0))
	{
		reply->error = failure;
		reply->error.http_status = answer.status;
		fail_reply(reply);
	}
	else if (!reply->judged)
		judge(reply, &answer, !ok || onec_transfer_done(reply->transfer));
}

bool
onec_reply_wait(OnecReply *reply, size_t seen, OnecError *error)
{
	size_t		len;
	bool		done;

	while (reply->error.kind == ONEC_OK)
	{
		/* what comes at full speed is not waited for */
		CHECK_FOR_INTERRUPTS();
		(void) onec_reply_data(reply, &len, &done);
		if (done)
			end_reply(reply, NULL, false);
		if (done || len > seen)
			return true;
		advance(reply, seen);
	}
	*error = reply->error;
	return false;
}

bool
onec_reply_ready(OnecReply *reply, size_t seen)
{
	size_t		len;
	bool		done;

	while (reply->error.kind == ONEC_OK)
	{
		(void) onec_reply_data(reply, &len, &done);
		if (done || len > seen)
			return true;
		if (!onec_transfer_ready(reply->transfer, reply->judged ? seen : reply->looked))
			return false;
		advance(reply, seen);
	}
	return true;
}

const char *
onec_reply_data(const OnecReply *reply, size_t *len, bool *done)
{
	if (!reply->judged || reply->transfer == NULL)
	{
		*len = 0;
		*done = false;
		return "";
	}
	*done = onec_transfer_done(reply->transfer);
	return onec_transfer_data(reply->transfer, len);
}

void
onec_reply_pin(OnecReply *reply, bool pinned)
{
	onec_transfer_pin(reply->transfer, pinned);
}

void
onec_reply_consume(OnecReply *reply, size_t n)
{
	if (n == 0)
		return;
	onec_transfer_consume(reply->transfer, n);
	reply->unpolled += n;
	if (reply->unpolled < POLL_BYTES)
		return;
	reply->unpolled = 0;
	onec_http_poll(onec_session_pool());
}

void
onec_reply_rows(OnecReply *reply, int64 rows)
{
	onec_log_rows(reply->log, rows);
	count_for_all(reply, ONEC_TOTAL_ROWS, rows);
}

bool
onec_reply_sent(const OnecReply *reply)
{
	OnecHttpAnswer answer = {0};

	if (reply->transfer != NULL)
		onec_transfer_answer(reply->transfer, &answer);
	return answer.sent;
}

long
onec_reply_retry_after(const OnecReply *reply)
{
	return reply->retry_after_s;
}

void
onec_reply_blame(OnecReply *reply, const OnecError *error)
{
	if (reply->error.kind != ONEC_OK)
		return;					/* it is what the request failed of */
	reply->error = *error;
	if (reply->ended)
		count_for_all(reply, ONEC_TOTAL_ERRORS + error->kind, 1);
	fail_reply(reply);			/* nothing, where it has ended */
}

static void
unlink_reply(OnecReply *reply)
{
	OnecReply **link = &reply->session->replies;

	while (*link != NULL && *link != reply)
		link = &(*link)->older;
	if (*link != NULL)
		*link = reply->older;
}

/* An answer that has arrived whole has freed its 1C session, read or not. */
bool
onec_reply_under_way(const OnecReply *reply)
{
	if (reply == NULL || reply->transfer == NULL || onec_transfer_ended(reply->transfer))
		return false;
	return !reply->abandoned || is_at_work(reply);
}

int
onec_session_under_way(const OnecSession *session)
{
	int			count = 0;

	for (const OnecReply *reply = session->replies; reply != NULL; reply = reply->older)
		count += onec_reply_under_way(reply);
	return count;
}

bool
onec_session_is_room(const OnecSession *session, int limit)
{
	int			count = 0;

	for (const OnecReply *reply = session->replies; reply != NULL; reply = reply->older)
		count += onec_reply_under_way(reply) && !onec_transfer_paused(reply->transfer);
	return count < Max(limit, 1);
}

/* Nothing of it remains; a request that 1C is at work on loses its connection. */
static void
drop_reply(OnecReply *reply)
{
	if (!reply->ended && reply->judged && !onec_transfer_done(reply->transfer))
		count_for_all(reply, ONEC_TOTAL_CANCELLED, 1);
	reply->judged ? end_reply(reply, NULL, false) : cancel_reply(reply, false);
	onec_ib_leave(reply);
	if (reply->tie != NULL)
		reply->tie->reply = NULL;
	unlink_reply(reply);
	onec_transfer_free(reply->transfer);
	onec_buf_free(&reply->url);
	onec_buf_free(&reply->text);
	pfree(reply);
}

/* What there is of abandoned requests at which 1C is at work, in this backend. */
typedef struct Abandoned
{
	int			count;
	OnecReply  *oldest;
} Abandoned;

/*
 * One that holds a 1C session is not counted: there are few of them, and another request must not get it
 * meanwhile.
 */
static void
count_abandoned(OnecSession *session, void *arg)
{
	Abandoned  *abandoned = arg;

	for (OnecReply *reply = session->replies; reply != NULL; reply = reply->older)
	{
		if (!reply->abandoned || (reply->ib != NULL && reply->ib->holder == reply))
			continue;
		abandoned->count++;
		if (abandoned->oldest == NULL || reply->abandoned_at < abandoned->oldest->abandoned_at)
			abandoned->oldest = reply;
	}
}

/*
 * Who cancels hundreds of queries must not run out of descriptors: the connections of the oldest are closed.
 */
static void
bound_abandoned(void)
{
	Abandoned	abandoned = {0};

	onec_session_visit(count_abandoned, &abandoned);
	if (abandoned.count > ABANDONED_MAX)
		drop_reply(abandoned.oldest);
}

void
onec_reply_free(OnecReply *reply)
{
	OnecIb	   *ib;

	if (reply == NULL)
		return;
	ib = reply->ib;
	if (reply->generation != reply->session->generation || !is_at_work(reply))
	{
		drop_reply(reply);
		return;
	}
	cancel_reply(reply, false);
	if (reply->tie != NULL)
		reply->tie->reply = NULL;
	reply->tie = NULL;
	reply->spent = NULL;
	reply->abandoned = true;
	reply->abandoned_at = GetCurrentTimestamp();
	if (ib != NULL)
		ib->holder = reply;
	bound_abandoned();
}

void
onec_session_sweep(OnecSession *session, bool all)
{
	OnecReply  *older;

	for (OnecReply *reply = session->replies; reply != NULL; reply = older)
	{
		OnecHttpAnswer answer;

		older = reply->older;
		if (reply->transfer == NULL || (!all && (!reply->abandoned || is_at_work(reply))))
			continue;
		onec_transfer_answer(reply->transfer, &answer);
		onec_ib_note(reply, &answer);
		if (reply->abandoned)
			drop_reply(reply);
	}
}
