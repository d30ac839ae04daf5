/*-------------------------------------------------------------------------
 *
 * idle.c
 *	  1C sessions that this backend has not used for a while are ended, since each holds a licence.
 *
 * A backend that waits for its client runs no code of ours, yet it is to send a request then.  It goes like
 * this, with session_idle 60:
 *	 12:00:00	a query has ended; our timer is set for 12:01:00
 *	 12:01:00	the timer runs out.  A signal handler may not talk to 1C, so it pretends that the backend is
 *				behind with messages about changed catalogs ("catchup"), which PostgreSQL reads while it
 *				waits for the client, in a transaction of its own
 *	 12:01:00	that transaction ends, and calls us as any callback of transactions: here the 1C sessions
 *				are ended
 * Inside a transaction block of the client PostgreSQL begins none of its own: there 1C sessions stay until
 * the block is over.
 *
 * Memory: none.  Errors: none are raised.  Closing waits two seconds at most.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "storage/sinval.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "session/idle.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/session_private.h"
#include "table/options.h"

static TimeoutId idle_timeout = MAX_TIMEOUTS;	/* registered by the first request */
static volatile sig_atomic_t timed_out = false;

/* timeout_handler_proc: in a signal handler. */
static void
handle_timeout(void)
{
	timed_out = true;
	catchupInterruptPending = true;
}

/* Whether there are 1C sessions to end, or a request that nobody waits for may bring one. */
static bool
has_ib(const OnecSession *session)
{
	if (session->replies != NULL)
		return true;
	for (int i = 0; i < ONEC_IB_MAX; i++)
		if (session->ib[i].cookie != NULL)
			return true;
	return false;
}

/* Whether somebody reads an answer of the base. */
static bool
is_read(const OnecSession *session)
{
	for (const OnecReply *reply = session->replies; reply != NULL; reply = reply->older)
		if (!reply->abandoned)
			return true;
	return false;
}

/* Milliseconds until the base's 1C sessions have been idle for long enough; -1: they need not be watched. */
static long
time_left(const OnecSession *session)
{
	if (session->ib_idle == 0 || !has_ib(session))
		return -1;
	if (is_read(session))
		return session->ib_idle * 1000L;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
										   TimestampTzPlusMilliseconds(session->ib_used,
																	   session->ib_idle * INT64CONST(1000)));
}

/* End them if it is time; else have "arg" tell when that is, if nothing is sooner. */
static void
look_at(OnecSession *session, void *arg)
{
	long	   *next = arg;
	long		left = time_left(session);

	if (left == 0)
		onec_session_finish(session);
	else if (left > 0 && (*next < 0 || left < *next))
		*next = left;
}

/* End what has been idle for long enough, and come back for the rest. */
static void
look_through(void)
{
	long		next = -1;

	timed_out = false;
	onec_session_visit(look_at, &next);
	if (next >= 0)
		enable_timeout_after(idle_timeout, (int) next);
}

/* XactCallback.  An error stops all timers, so there we look again, too. */
static void
transaction_ended(XactEvent event, void *arg)
{
	if ((event == XACT_EVENT_COMMIT && timed_out) ||
		(event == XACT_EVENT_ABORT && !get_timeout_active(idle_timeout)))
		look_through();
}

void
onec_session_watch(OnecSession *session, const OnecOptions *options)
{
	session->ib_idle = options->session_idle;
	if (idle_timeout != MAX_TIMEOUTS)
		return;
	RegisterXactCallback(transaction_ended, NULL);
	idle_timeout = RegisterTimeout(USER_TIMEOUT, handle_timeout);
}

void
onec_session_note_use(OnecSession *session)
{
	session->ib_used = GetCurrentTimestamp();
	if (session->ib_idle > 0 && !get_timeout_active(idle_timeout))
		enable_timeout_after(idle_timeout, session->ib_idle * 1000);
}
