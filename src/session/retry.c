/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  When a request may be sent: pacing, back-off, and giving up.
 *
 * All attempts of a request share one deadline of twice the request's time-out, counted from
 * the first of them. An attempt that ran into its own time-out is not repeated: the user has
 * set how long to be patient.  A refused login is never repeated, because 1C locks the
 * account.
 *
 * Waiting drives the pool, so that other requests under way go on meanwhile, and serves
 * interrupts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "storage/lock.h"
#include "utils/timestamp.h"

#include "onec_error.h"
#include "protocol/http/http.h"
#include "session/log.h"
#include "session/reply.h"
#include "session/retry.h"
#include "session/session.h"
#include "session/session_private.h"
#include "session/totals.h"
#include "table/options.h"

#define FIRST_DELAY_MS 500.0
#define DELAY_GROWTH 3.0
#define LAST_DELAY_MS 15000.0
#define JITTER 0.25				/* of the delay, either way */
#define PACE_CLASS 0x1C			/* pg_advisory_lock() uses 1 and 2 */

static void
wait_until(TimestampTz moment)
{
	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), moment);

		if (left <= 0)
			return;
		onec_session_pause(left);
	}
}

/*
 * Backends share no memory, but they share locks: each request waits its interval while it holds the one of
 * its base, so whoever comes meanwhile waits behind it.  The lock is advisory, of a class that SQL functions
 * do not use, and of no database, because the base does not know of databases.
 */
void
onec_session_pace(const char *root, int min_interval)
{
	uint64		base = hash_bytes_extended((const unsigned char *) root, strlen(root), 0);
	LOCKTAG		tag;

	if (min_interval <= 0)
		return;
	SET_LOCKTAG_ADVISORY(tag, InvalidOid, (uint32) (base >> 32), (uint32) base, PACE_CLASS);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	wait_until(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), min_interval));
	LockRelease(&tag, ExclusiveLock, false);
}

/* Whether the same request, sent again, might fare better. */
static bool
may_pass(const OnecError *error)
{
	switch (error->kind)
	{
		case ONEC_ERR_CONNECT:
		case ONEC_ERR_BROKEN:
		case ONEC_ERR_BUSY:
		case ONEC_ERR_PASSING:
			return true;
		case ONEC_ERR_SERVER:
			/* -1 is an exception in 1C's own code: it would come again */
			return !(error->has_code && error->odata_code == -1);
		default:
			return false;
	}
}

/* ms to wait before attempt number failed + 1, counted from 0. */
static double
back_off(int failed)
{
	double		delay = FIRST_DELAY_MS;

	for (int i = 1; i < failed && delay < LAST_DELAY_MS; i++)
		delay *= DELAY_GROWTH;
	delay = Min(delay, LAST_DELAY_MS);
	return delay * (1 - JITTER + 2 * JITTER * pg_prng_double(&pg_global_prng_state));
}

/* How long all attempts together may take, in ms. */
static int64
patience(const OnecOptions *options, const OnecError *error)
{
	if (error->kind == ONEC_ERR_CONNECT)
		return options->connect_timeout * INT64CONST(1000);
	return options->request_timeout * INT64CONST(2000);
}

void
onec_session_note_retry(OnecSession *session, OnecSpent *spent)
{
	onec_totals_add(session->totals, session->key.serverid, ONEC_TOTAL_RETRIES, 1);
	if (spent != NULL)
		spent->retries++;
}

bool
onec_session_retry(OnecSession *session, const OnecOptions *options, OnecReply *reply,
				   const OnecError *error, OnecAttempts *attempts, OnecSpent *spent)
{
	TimestampTz now = GetCurrentTimestamp();
	double		took = reply ? reply->elapsed_ms : 0;
	double		delay;
	TimestampTz moment;

	if (attempts->failed++ == 0)
		attempts->started = TimestampTzPlusMilliseconds(now, -(int64) took);
	session->gave_up_after = attempts->failed;
	if (!may_pass(error) || attempts->failed > options->retries)
		return false;
	delay = back_off(attempts->failed);
	if (reply != NULL && reply->retry_after_s >= 0)
		delay = Min(reply->retry_after_s, (long) options->request_timeout) * 1000.0;
	moment = TimestampTzPlusMilliseconds(now, (int64) delay);
	if (moment > TimestampTzPlusMilliseconds(attempts->started, patience(options, error)))
		return false;
	wait_until(moment);
	session->gave_up_after = 0;
	onec_log_retry();
	onec_session_note_retry(session, spent);
	return true;
}
