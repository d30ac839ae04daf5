/*-------------------------------------------------------------------------
 *
 * retry.h
 *	  Which requests are sent again, when, and how close to each other requests may be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_RETRY_H
#define ONEC_RETRY_H

#include "postgres.h"

#include "datatype/timestamp.h"

#include "onec_error.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/options.h"

/* A request's own count of failed attempts; zero it before the first. */
typedef struct OnecAttempts
{
	int			failed;
	TimestampTz started;		/* set by the first failure: bounds all attempts */
} OnecAttempts;

/*
 * After a failure: true when the same request may be sent again, after having waited the
 * back-off or what Retry-After asked for.  False when it would not help or attempts
 * are used up.  (A dead 1C session is replaced by onec_reply_wait() itself.)
 */
extern bool onec_session_retry(OnecSession *session, const OnecOptions *options, OnecReply *reply,
							   const OnecError *error, OnecAttempts *attempts, OnecSpent *spent);

/* A request repeats one that failed; "spent" may be NULL. */
extern void onec_session_note_retry(OnecSession *session, OnecSpent *spent);

/*
 * Wait for the interval (ms), one request of the base at this address at a time, whichever backend sends
 * it.  At once where it is 0.  ERROR when the query is cancelled.
 */
extern void onec_session_pace(const char *root, int min_interval);

#endif							/* ONEC_RETRY_H */
