/*-------------------------------------------------------------------------
 *
 * session.h
 *	  One 1C base as this backend knows it.
 *
 * Holds credentials, connections, the 1C session (IBSession), pacing, retries, what the
 * base was found unable to do, the metadata read last, and the log of recent
 * requests.  The only place where an error of 1C becomes an ereport.
 *
 * A session is kept per (server, user) until backend exit, or until the server or the user
 * mapping changes.  Replies are malloc'ed things under the way: whoever starts
 * one ties it to a memory context with onec_reply_attach().
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_SESSION_H
#define ONEC_SESSION_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "table/options.h"
#include "onec_error.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/odata.h"

/* Setting onec_fdw.log_requests: write finished requests to the server log. */
extern bool onec_log_requests;

typedef struct OnecSession OnecSession;
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

/* A request's own count of failed attempts; zero it before the first. */
typedef struct OnecAttempts
{
	int			failed;
	TimestampTz started;		/* set by the first failure: bounds all attempts */
} OnecAttempts;

/* What a base was found to refuse, per entity set; nothing at first. */
typedef struct OnecRefusals
{
	bool		filter;
	bool		order;
	bool		count;
	bool		dates;			/* it does not order by dates, though it accepts that */
	List	   *conditions;		/* of some shape, see onec_refusals_hold(); private */
} OnecRefusals;

/*
 * The session for "userid" at the server of "options"; made when there is none.  Sends
 * nothing.  ERROR as onec_options_authorization().
 */
extern OnecSession *onec_session_get(const OnecOptions *options, Oid userid);

/*
 * What is remembered of an entity set; the caller may set its flags.  Lives as long as the session.  What was noticed a day ago
 * is forgotten by this call.
 */
extern OnecRefusals *onec_session_refusals(OnecSession *session, const char *entity_set);

/* Remember that the base refuses conditions like this one: of the same fields, operators and functions, whatever the values. */
extern void onec_session_refuse(OnecSession *session, const char *entity_set, const OnecExpr *condition);

/* Whether the base refuses the condition, or a part of it; only the condition as a whole. */
extern bool onec_refusals_hold(const OnecRefusals *refusals, const OnecExpr *condition);
extern bool onec_refusals_hold_whole(const OnecRefusals *refusals, const OnecExpr *condition);

/*
 * What this backend would know of the entity set of "options" if it asked as "userid" now: nothing is asked, and no session
 * is made.  palloc'd, or that of a session.
 */
extern const OnecRefusals *onec_session_foresee(const OnecOptions *options, Oid userid);

/*
 * Rows of the largest page that the base is known to have sent, to this backend or before, within a day; 0: of none.  A page that
 * is shorter than one that came before was not cut by the server.
 */
extern int64 onec_session_largest_page(OnecSession *session);

/* A page of so many rows has come. */
extern void onec_session_note_page(OnecSession *session, int64 rows);

/*
 * Send a request.  The memory of "request" is not needed afterwards.  "spent" may be NULL, else it must
 * live as long as the reply.  Waits (interruptibly) for min_interval only.  ERROR 54xxx-class (URL_TOO_LONG) when the
 * URL is beyond reason, XX-free otherwise: failures of the network come from onec_reply_wait().
 */
extern OnecReply *onec_session_start(OnecSession *session, const OnecOptions *options,
									 const OnecRequest *request, OnecSpent *spent);

/* Whether 1C has yet to answer, in part or in whole. */
extern bool onec_reply_under_way(const OnecReply *reply);

/*
 * Whether fewer than "limit" (one at least) requests to the base are under way that go on by themselves: one whose
 * reader is behind waits for him, and must not be waited for.
 */
extern bool onec_session_is_room(const OnecSession *session, int limit);

/* Requests of this backend to the base that 1C has not yet answered whole, or at all where nobody waits for it. */
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

/*
 * End the request in any state; NULL is allowed.  1C does not notice that a connection is closed: a request that it is at work
 * on keeps its 1C session until it begins to answer.
 */
extern void onec_reply_free(OnecReply *reply);

/*
 * For a caller that waits himself: a descriptor of his own (he closes it) that is readable when onec_reply_ready() may
 * have become true for any reply; -1 when none is to be had.  onec_replies_watch() tells it of the timers, before
 * each wait; onec_replies_waited() goes after each wait.  onec_replies_poll() lets all answers come on.
 */
extern int	onec_replies_fd(void);
extern void onec_replies_poll(void);
extern void onec_replies_watch(void);
extern void onec_replies_waited(void);

/*
 * After a failure: true when the same request may be sent again, after having waited the
 * back-off or what Retry-After asked for.  False when it would not help or attempts
 * are used up.  (A dead 1C session is replaced by onec_reply_wait() itself, without counting.)
 */
extern bool onec_session_retry(OnecSession *session, const OnecOptions *options, OnecReply *reply,
							   const OnecError *error, OnecAttempts *attempts, OnecSpent *spent);

/*
 * Raise "error" with its SQLSTATE, what was asked in the CONTEXT, 1C's text in the DETAIL and
 * advice in the HINT.
 */
extern void onec_session_raise(OnecSession *session, const OnecOptions *options,
							   const OnecRequest *request, const OnecError *error) pg_attribute_noreturn();

/*
 * Send and read a small answer whole, with retries.  False with "error" for an error answer of 1C itself
 * (REFUSED, RIGHTS, NO_SET …, SERVER); anything else is raised.  *body is palloc'd and terminated.
 */
extern bool onec_session_fetch(OnecSession *session, const OnecOptions *options,
							   const OnecRequest *request, OnecSpent *spent,
							   char **body, size_t *len, OnecError *error);

/*
 * $metadata of the base, read now unless read lately; with "fresh", unless read since the current
 * statement began.  Lives until the next call.
 */
extern const OnecEdm *onec_session_edm(OnecSession *session, const OnecOptions *options, bool fresh);

/* One entry of the request log of this backend. */
typedef struct OnecLogged
{
	char	   *server;
	char	   *url;			/* decoded, below the root; no secrets */
	int			status;			/* 0: no answer */
	double		ms;
	int64		rows;			/* -1: not rows */
	int64		bytes;
	char	   *error;			/* NULL: it went well */
	TimestampTz at;
} OnecLogged;

/* What this backend has asked of all bases since it began. */
typedef struct OnecCounters
{
	int64		requests;		/* every attempt */
	int64		retries;		/* those of them that repeat one that failed */
	int64		bytes;			/* of answers, as they came over the wire */
} OnecCounters;

extern OnecCounters onec_log_counters(void);

/* Entries of the log, oldest first, at most 200. */
extern int	onec_session_log(const OnecLogged **entries[]);

#endif							/* ONEC_SESSION_H */
