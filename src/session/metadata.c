/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  Small answers read whole, and $metadata read as it comes.
 *
 * $metadata of a full configuration is 17 MB that 1C takes half a minute to write, so it is
 * parsed while it arrives and kept for ten minutes.
 *
 * Memory: replies and the parser hang on a private context that goes with an error; the result
 * of onec_session_fetch() is palloc'd, an OnecEdm belongs to its session.  Errors: see
 * session.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "onec_error.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/odata.h"
#include "session/error.h"
#include "session/metadata.h"
#include "session/reply.h"
#include "session/retry.h"
#include "session/session.h"
#include "session/session_private.h"
#include "table/options.h"
#include "table/text.h"

#define EDM_LIFETIME_MS (10 * 60 * 1000)
#define ODD_NAMES 10			/* that are told at most */

/* One small answer being read. */
typedef struct Reading
{
	OnecSession *session;
	const OnecOptions *options;
	const OnecRequest *request;
	OnecSpent  *spent;
	MemoryContext context;		/* of the reply */
} Reading;

/* Takes the bytes of an answer; false with "error" set stops the reading. */
typedef bool (*Take) (void *arg, const char *data, size_t len, OnecError *error);

/* One attempt; the reply, already ended, so that its Retry-After can be looked up. */
static OnecReply *
attempt(const Reading *reading, Take take, void *arg, OnecError *error)
{
	OnecReply  *reply = onec_session_start(reading->session, reading->options,
										   reading->request, reading->spent);
	bool		done = false;

	onec_reply_attach(reply, reading->context);
	while (!done && onec_reply_wait(reply, 0, error))
	{
		size_t		len;
		const char *data = onec_reply_data(reply, &len, &done);

		if (!take(arg, data, len, error))
			break;
		onec_reply_consume(reply, len);
	}
	return reply;
}

static bool
take_body(void *arg, const char *data, size_t len, OnecError *error)
{
	StringInfo	body = arg;

	if (len >= MaxAllocSize - (Size) body->len)
		return onec_fail(error, ONEC_ERR_LIMIT, "The answer is too large to be held in memory.");
	appendBinaryStringInfo(body, data, (int) len);
	return true;
}

/* Failures that 1C itself states about this request; its caller may know what to do. */
static bool
is_answer(const OnecError *error)
{
	switch (error->kind)
	{
		case ONEC_ERR_RIGHTS:
		case ONEC_ERR_NO_SET:
		case ONEC_ERR_NO_ROW:
		case ONEC_ERR_NO_PROPERTY:
		case ONEC_ERR_REFUSED:
		case ONEC_ERR_PASSING:
		case ONEC_ERR_SERVER:
			return true;
		default:
			return false;
	}
}

bool
onec_session_fetch(OnecSession *session, const OnecOptions *options,
				   const OnecRequest *request, OnecSpent *spent,
				   char **body, size_t *len, OnecError *error)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "onec small answer",
												  ALLOCSET_SMALL_SIZES);
	Reading		reading = {session, options, request, spent, context};
	OnecAttempts attempts = {0};
	StringInfoData text;
	bool		again;

	initStringInfo(&text);
	do
	{
		OnecReply  *reply;

		resetStringInfo(&text);
		memset(error, 0, sizeof(*error));
		reply = attempt(&reading, take_body, &text, error);
		again = error->kind != ONEC_OK &&
			onec_session_retry(session, options, reply, error, &attempts, spent);
		onec_reply_free(reply);
	} while (again);
	MemoryContextDelete(context);
	if (error->kind != ONEC_OK && !is_answer(error))
		onec_session_raise(session, options, request, error);
	*body = text.data;
	*len = text.len;
	return error->kind == ONEC_OK;
}

static bool
take_edm(void *arg, const char *data, size_t len, OnecError *error)
{
	OnecEdmParser **parser = arg;

	return onec_edm_feed(*parser, data, len, error);
}

/* MemoryContextCallbackFunction */
static void
abandon_parser(void *arg)
{
	OnecEdmParser **parser = arg;

	onec_edm_abandon(*parser);
	*parser = NULL;
}

/* One attempt at $metadata; NULL with "error" set. */
static OnecEdm *
attempt_edm(const Reading *reading, OnecReply **reply, OnecError *error)
{
	OnecEdmParser **parser = MemoryContextAllocZero(reading->context, sizeof(*parser));
	MemoryContextCallback *guard = MemoryContextAlloc(reading->context, sizeof(*guard));
	OnecEdm    *edm = NULL;

	guard->func = abandon_parser;
	guard->arg = parser;
	MemoryContextRegisterResetCallback(reading->context, guard);
	*reply = NULL;
	*parser = onec_edm_begin((size_t) reading->options->max_response);
	if (*parser == NULL)
	{
		(void) onec_fail(error, ONEC_ERR_MEMORY, "The metadata cannot be read.");
		return NULL;
	}
	*reply = attempt(reading, take_edm, parser, error);
	if (error->kind == ONEC_OK)
	{
		edm = onec_edm_finish(*parser, error);
		*parser = NULL;
	}
	return edm;
}

/* Whether the metadata we hold will do. */
static bool
is_usable(const OnecSession *session, bool fresh)
{
	if (session->edm == NULL || session->edm_read == 0)
		return false;
	if (fresh)
		return session->edm_read >= GetCurrentStatementStartTimestamp();
	return !TimestampDifferenceExceeds(session->edm_read, GetCurrentTimestamp(), EDM_LIFETIME_MS);
}

/* Name what is left out, once in a statement. */
static void
warn_of_odd(OnecSession *session)
{
	const OnecEdm *edm = session->edm;
	StringInfoData names;

	if (edm->nodd == 0 || session->edm_warned == GetCurrentStatementStartTimestamp())
		return;
	session->edm_warned = GetCurrentStatementStartTimestamp();
	initStringInfo(&names);
	for (int i = 0; i < Min(edm->nodd, ODD_NAMES); i++)
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "", onec_server_text(edm->odd[i]));
	ereport(WARNING,
			(errmsg_plural("%d name of server \"%s\" is left out because of control characters",
						   "%d names of server \"%s\" are left out because of control characters",
						   edm->nodd, edm->nodd, session->server_name),
			 errdetail("%s%s", names.data, edm->nodd > ODD_NAMES ? ", …" : "")));
}

const OnecEdm *
onec_session_edm(OnecSession *session, const OnecOptions *options, bool fresh)
{
	OnecRequest request = {.metadata = true,.top = -1};
	Reading		reading = {session, options, &request, NULL, NULL};
	OnecAttempts attempts = {0};
	OnecError	error;
	OnecEdm    *edm;
	bool		again;

	if (is_usable(session, fresh))
	{
		warn_of_odd(session);
		return session->edm;
	}
	reading.context = AllocSetContextCreate(CurrentMemoryContext, "onec metadata",
											ALLOCSET_SMALL_SIZES);
	do
	{
		OnecReply  *reply;

		memset(&error, 0, sizeof(error));
		edm = attempt_edm(&reading, &reply, &error);
		again = edm == NULL &&
			onec_session_retry(session, options, reply, &error, &attempts, NULL);
		onec_reply_free(reply);
	} while (again);
	MemoryContextDelete(reading.context);
	if (edm != NULL && edm->nsets == 0 && edm->nodd == 0)
	{
		onec_edm_free(edm);
		edm = NULL;
		error.http_status = 200;
		(void) onec_fail(&error, ONEC_ERR_NO_SET, "The metadata name no entity set.");
	}
	if (edm == NULL)
		onec_session_raise(session, options, &request, &error);
	onec_edm_free(session->edm);
	session->edm = edm;
	session->edm_read = GetCurrentTimestamp();
	warn_of_odd(session);
	return edm;
}
