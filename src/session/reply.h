/*-------------------------------------------------------------------------
 *
 * reply.h
 *	  A request to 1C, and its answer as it comes.
 *
 * Replies are malloc'ed things under the way: whoever starts one ties it to a memory context with
 * onec_reply_attach().
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_REPLY_H
#define ONEC_REPLY_H

#include "postgres.h"

#include "onec_error.h"
#include "protocol/odata/odata.h"
#include "session/session.h"
#include "table/options.h"

typedef struct OnecReply OnecReply;

/* What a scan spent; shown by EXPLAIN ANALYZE. */
typedef struct OnecSpent
{
	int64		requests;
	int64		pages;			/* kept by the pager */
	int64		rows;			/* kept by the pager */
	int64		bytes;			/* on the wire */
	int64		retries;
	double		wait_ms;		/* spent waiting for 1C */
} OnecSpent;

/* What a request changes in 1C. */
typedef struct OnecChange
{
	const char *method;			/* POST, PATCH, DELETE */
	const char *body;			/* JSON in UTF-8, or NULL */
	const char *if_match;		/* value of the header, or NULL */
	bool		load_mode;		/* past the checks of the configuration */
} OnecChange;

/*
 * Send a request.  The memory of "request" is not needed afterwards.  "spent" may be NULL, else it must
 * live as long as the reply.  Waits (interruptibly) for min_interval only.  ERROR 54xxx-class (URL_TOO_LONG)
 * when the URL is beyond reason, XX-free otherwise: failures of the network come from onec_reply_wait().
 */
extern OnecReply *onec_session_start(OnecSession *session, const OnecOptions *options,
									 const OnecRequest *request, OnecSpent *spent);

/*
 * The same for one that changes something: sent once, whatever becomes of it.  The memory of "change" is not
 * needed afterwards.  A good answer is 200, 201 or 204, and may be empty.
 */
extern OnecReply *onec_session_start_change(OnecSession *session, const OnecOptions *options,
											const OnecRequest *request, const OnecChange *change,
											OnecSpent *spent);

/* Whether 1C may have got the request; seconds it asked to wait, -1: it did not. */
extern bool onec_reply_sent(const OnecReply *reply);
extern long onec_reply_retry_after(const OnecReply *reply);

/* Whether 1C has yet to answer, in part or in whole. */
extern bool onec_reply_under_way(const OnecReply *reply);

/*
 * Whether fewer than "limit" (one at least) requests to the base are under way.  Those whose answer is held
 * back until its reader has read more do not count.  Example: a cursor over one table has fetched ten rows of
 * a page of 20,000, and its transfer is paused; the query asks for another table now.  If it waited for that
 * transfer to end, nobody would ever read on.
 */
extern bool onec_session_is_room(const OnecSession *session, int limit);

/*
 * Requests of this backend to the base that 1C has not yet answered whole, or at all where nobody waits for
 * it.
 */
extern int	onec_session_under_way(const OnecSession *session);

/* Free the reply when "context" is reset or deleted, unless onec_reply_free() came first. */
extern void onec_reply_attach(OnecReply *reply, MemoryContext context);

/*
 * Wait (interruptibly, on the latch) until more than "seen" unread bytes of a good answer are there, or it is
 * complete.  False with "error" filled: the network failed, or 1C answered with
 * anything but 200 and JSON (text for a count, XML for metadata); its text is in error->message.
 */
extern bool onec_reply_wait(OnecReply *reply, size_t seen, OnecError *error);

/* Let all answers come on without waiting; whether onec_reply_wait() would return at once. */
extern bool onec_reply_ready(OnecReply *reply, size_t seen);

/*
 * The unread bytes of the body; *done: the answer is complete with them.  They stay where they are until
 * the next onec_reply_wait() or onec_reply_consume() of any reply.
 */
extern const char *onec_reply_data(const OnecReply *reply, size_t *len, bool *done);
extern void onec_reply_consume(OnecReply *reply, size_t n);

/* Have them stay where they are, whatever else is read, until this is called with false. */
extern void onec_reply_pin(OnecReply *reply, bool pinned);

/* Rows found in the answer, for the request log. */
extern void onec_reply_rows(OnecReply *reply, int64 rows);

/* Its answer came, but is not what it should be: that is counted as a failure of the request. */
extern void onec_reply_blame(OnecReply *reply, const OnecError *error);

/*
 * End the request in any state; NULL is allowed.  1C does not notice that a connection is closed: a request
 * that it is at work on keeps its 1C session until it begins to answer.
 */
extern void onec_reply_free(OnecReply *reply);

/*
 * Free abandoned replies that 1C is through with, or "all", and take the 1C sessions they brought; "all"
 * takes those of other replies too.
 */
extern void onec_session_sweep(OnecSession *session, bool all);

#endif							/* ONEC_REPLY_H */
