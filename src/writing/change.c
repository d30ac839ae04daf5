/*-------------------------------------------------------------------------
 *
 * change.c
 *	  One change of one object as one request, and what became of it.
 *
 * The question is never "did it go well?" but "can it have been stored?".  Only an odata.error says that it
 * was not: 1C itself has refused, after which the whole object is as it was; and the text of a lock or of a
 * missing licence means that it may fare better later.  A page of a web server, a connection that broke and a
 * time-out say nothing: the object may be stored, or be stored in a minute, for 1C does not notice that
 * nobody listens any more.  So nothing that changes is sent twice here; who wants to try again reads the key
 * first.
 *
 * Memory: the caller's context; the reply hangs on one of its own.  Errors: see change.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "onec_error.h"
#include "protocol/odata/odata.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/options.h"
#include "writing/change.h"

/* Numbers of 1C's odata.error. */
#define CODE_NO_ROW 9
#define CODE_EXISTS 15

Oid			onec_write_login = InvalidOid;

const char *
onec_outcome_name(OnecOutcome outcome)
{
	static const char *const names[] = {
		"stored", "missing", "exists", "changed", "refused", "rights", "login", "passing", "unknown"
	};

	StaticAssertStmt(lengthof(names) == ONEC_OUT_UNKNOWN + 1, "a name for each outcome");
	return names[outcome];
}

/* An odata.error: 1C itself has refused, and nothing of the object is stored. */
static OnecOutcome
outcome_of_words(const OnecError *error)
{
	if (error->kind == ONEC_ERR_BUSY)
		return ONEC_OUT_PASSING;
	if (error->odata_code == CODE_NO_ROW)
		return ONEC_OUT_MISSING;
	if (error->odata_code == CODE_EXISTS)
		return ONEC_OUT_EXISTS;
	return ONEC_OUT_REFUSED;
}

/* Something else than 1C's OData has answered: what stands before it, or its web server's part. */
static OnecOutcome
outcome_of_status(long status)
{
	switch (status)
	{
		case 405:				/* what the web server does not let through at all */
		case 411:
		case 413:
		case 414:
		case 415:
		case 501:
			return ONEC_OUT_REFUSED;
	}
	/* of 2xx and 5xx nobody knows how far they came; all others were turned away */
	return status >= 300 && status < 500 ? ONEC_OUT_PASSING : ONEC_OUT_UNKNOWN;
}

static OnecOutcome
outcome_of(const OnecError *error, bool sent)
{
	if (error->kind == ONEC_OK)
		return ONEC_OUT_STORED;
	if (error->kind == ONEC_ERR_AUTH)
		return ONEC_OUT_LOGIN;
	if (!sent)
		return ONEC_OUT_PASSING;
	if (error->http_status == 412)
		return ONEC_OUT_CHANGED;
	if (error->kind == ONEC_ERR_RIGHTS)
		return ONEC_OUT_RIGHTS;
	if (error->has_code)
		return outcome_of_words(error);
	/* the words of a lock or a missing licence, on a page or in an exception of 1C's; not a mere 503 */
	if (error->kind == ONEC_ERR_BUSY && error->own_words && error->http_status <= 500)
		return ONEC_OUT_PASSING;
	return outcome_of_status(error->http_status);
}

/* Reading has no effect that could be unknown; what fails today may be read tomorrow. */
static OnecOutcome
outcome_of_reading(OnecOutcome outcome)
{
	return outcome == ONEC_OUT_UNKNOWN || outcome == ONEC_OUT_CHANGED || outcome == ONEC_OUT_EXISTS
		? ONEC_OUT_PASSING : outcome;
}

static void
read_answer(OnecReply *reply, StringInfo answer, OnecError *error)
{
	bool		done = false;

	while (!done && onec_reply_wait(reply, 0, error))
	{
		size_t		len;
		const char *data = onec_reply_data(reply, &len, &done);

		if (len >= MaxAllocSize - (Size) answer->len)
		{
			(void) onec_fail(error, ONEC_ERR_LIMIT, "The answer is too large to be held in memory.");
			return;
		}
		appendBinaryStringInfo(answer, data, (int) len);
		onec_reply_consume(reply, len);
	}
}

/* Past the mark of UTF-8 that may stand before an answer. */
static void
take_answer(OnecWritten *written, const StringInfoData *answer)
{
	int			skip = answer->len >= 3 && memcmp(answer->data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

	written->answer = answer->data + skip;
	written->answer_len = answer->len - skip;
}

/* What is asked for, in memory of its own. */
typedef struct Asked
{
	OnecExpr	key;
	OnecExpr	no;
	OnecArgument operational;
	OnecRequest request;
} Asked;

static OnecRequest *
ask(Asked *asked, const OnecWrite *write)
{
	asked->key = (OnecExpr) {.kind = ONEC_EXPR_LITERAL,.lit_kind = ONEC_LIT_GUID,.lit_text = write->key};
	asked->request = (OnecRequest) {.entity_set = write->entity_set,.key = write->key ? &asked->key : NULL,
		.top = -1};
	if (write->action != NULL)
	{
		/* operational posting wants the document to be of today */
		asked->no = (OnecExpr) {.kind = ONEC_EXPR_LITERAL,.lit_kind = ONEC_LIT_BOOL,.lit_text = "false"};
		asked->operational = (OnecArgument) {"PostingModeOperational", &asked->no};
		asked->request.function = write->action;
		asked->request.arguments = &asked->operational;
		asked->request.narguments = 1;
	}
	return &asked->request;
}

char *
onec_write_address(const OnecOptions *options, const OnecWrite *write)
{
	Asked		asked;
	OnecBuf		url;
	char	   *address;

	onec_buf_init(&url);
	if (!onec_odata_url(options->root, ask(&asked, write), &url))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	address = pstrdup(url.data);
	onec_buf_free(&url);
	return address;
}

void
onec_write_request(OnecSession *session, const OnecOptions *options, const OnecRequest *request,
				   const OnecChange *change, OnecWritten *written)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "onec change", ALLOCSET_SMALL_SIZES);
	StringInfoData answer;
	OnecReply  *reply;

	memset(written, 0, sizeof(*written));
	initStringInfo(&answer);
	reply = onec_session_start_change(session, options, request, change, NULL);
	onec_reply_attach(reply, context);
	read_answer(reply, &answer, &written->error);
	written->outcome = outcome_of(&written->error, onec_reply_sent(reply));
	if (change == NULL)
		written->outcome = outcome_of_reading(written->outcome);
	written->retry_after = onec_reply_retry_after(reply);
	take_answer(written, &answer);
	onec_reply_free(reply);
	MemoryContextDelete(context);
}

void
onec_write(OnecSession *session, const OnecOptions *options, const OnecWrite *write, OnecWritten *written)
{
	OnecChange	change = {write->method, write->body, write->if_match, write->load_mode};
	bool		changes = strcmp(write->method, "GET") != 0;
	Asked		asked;

	onec_write_request(session, options, ask(&asked, write), changes ? &change : NULL, written);
}
