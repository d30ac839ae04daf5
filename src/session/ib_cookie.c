/*-------------------------------------------------------------------------
 *
 * ib_cookie.c
 *	  Which 1C session serves a request.
 *
 * A 1C session (IBSession) holds a licence of the base and serves one request at a time. The
 * first request of a backend goes without, the second asks for one, later ones carry its
 * cookie; where several requests may be under way (option prefetch), as many 1C sessions serve them.
 * A request that nobody wants any more keeps its 1C session until 1C is through with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "onec_error.h"
#include "protocol/http/http_window.h"
#include "session/ib_cookie.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/session_private.h"

#define STALE_ROW_MAX 3			/* 1C sessions in a row that died unused, before we do without */
#define PAUSE_S 60				/* before a 1C session is asked for again */

void
onec_ib_drop(OnecIb *ib)
{
	free(ib->cookie);
	free(ib->suspect);
	ib->cookie = NULL;
	ib->suspect = NULL;
}

static void
take_cookie(OnecIb *ib, const char *cookie)
{
	free(ib->cookie);
	ib->cookie = strdup(cookie);
	ib->serial++;
}

/* Do without a 1C session for a while. */
static void
pause_ib(OnecSession *session)
{
	session->ib_not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PAUSE_S * 1000);
}

void
onec_ib_note(OnecReply *reply, const OnecHttpAnswer *answer)
{
	OnecSession *session = reply->session;

	if (reply->ib_noted || answer->status == 0 || reply->generation != session->generation)
		return;
	reply->ib_noted = true;
	if ((reply->with_start || reply->with_cookie) && answer->cookie != NULL)
		take_cookie(reply->ib, answer->cookie);
	else if (reply->with_start && answer->status == 200)
		session->ib_ignored = true;
	else if (reply->with_start && answer->status == 406)
		pause_ib(session);
	if (reply->with_cookie && answer->status == 200)
		session->ib_stale_row = 0;
}

/* The same for an answer that has arrived, but was not looked at yet. */
static void
note_answer(OnecReply *reply)
{
	OnecHttpAnswer answer;

	onec_transfer_answer(reply->transfer, &answer);
	onec_ib_note(reply, &answer);
}

/* A 1C session that is free; else a place for one more, if one may be asked for now. */
static OnecIb *
find_ib(OnecReply *reply)
{
	OnecSession *session = reply->session;
	OnecIb	   *place = NULL;

	for (int i = 0; i < reply->ib_room; i++)
	{
		OnecIb	   *ib = &session->ib[i];

		if (onec_reply_under_way(ib->holder))
			continue;
		/* it has brought a 1C session, maybe, that nobody has looked at yet */
		if (ib->holder != NULL && ib->holder->transfer != NULL)
			note_answer(ib->holder);
		if (ib->cookie != NULL)
			return ib;
		if (place == NULL)
			place = ib;
	}
	return session->started > 0 && GetCurrentTimestamp() >= session->ib_not_before ? place : NULL;
}

void
onec_ib_choose(OnecReply *reply)
{
	reply->ib = reply->session->ib_ignored ? NULL : find_ib(reply);
	reply->with_cookie = reply->ib != NULL && reply->ib->cookie != NULL;
	reply->with_start = reply->ib != NULL && !reply->with_cookie;
	if (reply->ib == NULL)
		return;
	reply->ib->holder = reply;
	reply->ib_serial = reply->ib->serial;
}

void
onec_ib_leave(OnecReply *reply)
{
	if (reply->ib != NULL && reply->ib->holder == reply)
		reply->ib->holder = NULL;
}

bool
onec_ib_looks_stale(const OnecReply *reply)
{
	const OnecError *error = &reply->error;

	if (!reply->with_cookie || reply->restarted || reply->generation != reply->session->generation)
		return false;
	if (reply->ib_gone && error->http_status >= 400)
		return true;
	if (error->has_code)
		return false;
	if (error->http_status == 500)
		return error->kind == ONEC_ERR_SERVER;
	if (error->http_status == 400)
		return error->kind != ONEC_ERR_URL_TOO_LONG;
	return error->http_status == 404;
}

void
onec_ib_died(OnecReply *reply)
{
	OnecSession *session = reply->session;
	OnecIb	   *ib = reply->ib;

	/* another request may have found it dead before, and brought a new one */
	if (ib->serial != reply->ib_serial || ib->cookie == NULL)
		return;
	free(ib->suspect);
	ib->suspect = ib->cookie;
	ib->cookie = NULL;
	reply->suspected = ib;
	if (++session->ib_stale_row < STALE_ROW_MAX)
		return;
	session->ib_stale_row = 0;
	pause_ib(session);
}

void
onec_ib_settle(OnecReply *reply)
{
	OnecIb	   *ib = reply->suspected;

	reply->suspected = NULL;
	if (ib == NULL || ib->suspect == NULL || reply->generation != reply->session->generation)
		return;
	if (reply->error.kind == ONEC_OK)
	{
		free(ib->suspect);
		ib->suspect = NULL;
	}
	else if (ib->cookie == NULL)
	{
		ib->cookie = ib->suspect;
		ib->suspect = NULL;
		ib->serial++;
		reply->session->ib_stale_row = Max(reply->session->ib_stale_row - 1, 0);
	}
}
