/*-------------------------------------------------------------------------
 *
 * error.c
 *	  What an answer of 1C means, and how the user hears of it.
 *
 * 1C says the same things in several ways: with a number in an odata.error, with a bare HTTP
 * status, or with a page of the web server before it.  A 404 is "no such row" only when 1C's
 * OData itself says so; a 401 may be a missing right; a 500 may be a missing licence, a
 * refused $orderby or a real failure.
 *
 * Memory: palloc in the current context, for messages only.  Errors: the answer* functions
 * fill an OnecError; onec_session_raise() is the one place that raises it.  No text here is
 * made from credentials: remote text is the remote's, masked in case it echoes them; the request is shown
 * without its root.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http_window.h"
#include "protocol/json/error_body.h"
#include "protocol/odata/odata.h"
#include "session/error.h"
#include "session/mask.h"
#include "session/reply.h"
#include "session/session.h"
#include "session/session_private.h"
#include "session/words.h"
#include "table/options.h"
#include "table/text.h"

/* Numbers of 1C's odata.error (doc/1c-odata.md 9). */
#define CODE_BAD_URL 6
#define CODE_NO_SET 8
#define CODE_NO_ROW 9
#define CODE_NO_PROPERTY 10
#define CODE_RIGHTS 20

static bool
has_code(const OnecError *error, int code)
{
	return error->has_code && error->odata_code == code;
}

/* Refused for what its words name; else it may pass, or not: that is for the retries to find out. */
static OnecErrorKind
kind_of_words(const OnecError *error, OnecErrorKind otherwise)
{
	return error->parts != 0 ? ONEC_ERR_REFUSED : otherwise;
}

static OnecErrorKind
kind_of_400(const OnecError *error, const char *body, size_t len)
{
	if (onec_words_hold(body, len, "Invalid URL") || onec_words_hold(body, len, "Request URL Too Long"))
		return ONEC_ERR_URL_TOO_LONG;
	if (error->parts & ONEC_PART_COUNT)
		return ONEC_ERR_REFUSED;
	if (has_code(error, CODE_NO_SET))
		return ONEC_ERR_NO_SET;
	if (has_code(error, CODE_NO_PROPERTY))
		return ONEC_ERR_NO_PROPERTY;
	/* code 6 has many meanings; of these only a path segment is a property */
	if (has_code(error, CODE_BAD_URL) && onec_words_path(error))
		return ONEC_ERR_NO_PROPERTY;
	if (has_code(error, CODE_RIGHTS))
		return ONEC_ERR_RIGHTS;
	return kind_of_words(error, onec_words_pass(error, body, len) ? ONEC_ERR_BUSY : ONEC_ERR_PASSING);
}

static OnecErrorKind
kind_of_404(const OnecReply *reply, const OnecError *error)
{
	if (error->parts & ONEC_PART_COUNT)
		return ONEC_ERR_REFUSED;
	if (has_code(error, CODE_NO_ROW))
		return ONEC_ERR_NO_ROW;
	if (has_code(error, CODE_NO_PROPERTY))
		return ONEC_ERR_NO_PROPERTY;
	return reply->of_set ? ONEC_ERR_NO_SET : ONEC_ERR_REPLY;
}

static OnecErrorKind
kind_of_status(const OnecReply *reply, const OnecError *error, const char *body, size_t len)
{
	switch (error->http_status)
	{
		case 200:				/* an error all the same */
		case 400:
			return kind_of_400(error, body, len);
		case 401:
			return has_code(error, CODE_RIGHTS) ? ONEC_ERR_RIGHTS : ONEC_ERR_AUTH;
		case 403:
			return ONEC_ERR_RIGHTS;
		case 404:
			return kind_of_404(reply, error);
		case 406:				/* no 1C session to be had */
		case 408:
		case 429:
		case 503:
			return ONEC_ERR_BUSY;
		case 414:
			return ONEC_ERR_URL_TOO_LONG;
		case 500:
			return kind_of_words(error, onec_words_pass(error, body, len) ? ONEC_ERR_BUSY : ONEC_ERR_SERVER);
		case 501:
			return kind_of_words(error, ONEC_ERR_PASSING);
	}
	if (error->http_status >= 500)
		return ONEC_ERR_SERVER;
	if (error->http_status >= 400)
		return kind_of_words(error, ONEC_ERR_PASSING);
	return error->http_status >= 300 ? ONEC_ERR_REDIRECT : ONEC_ERR_REPLY;
}

/* The target of a redirect, without the user info that may stand before its host. */
static void
describe_redirect(const char *location, OnecError *error)
{
	const char *host;
	const char *end;
	const char *at = NULL;

	if (location == NULL)
	{
		snprintf(error->message, sizeof(error->message), "The answer names no target.");
		return;
	}
	host = strstr(location, "//");
	host = host ? host + 2 : location;
	end = host + strcspn(host, "/?#\\");
	for (const char *p = host; p < end; p++)
		if (*p == '@')
			at = p;
	snprintf(error->message, sizeof(error->message), "The target is %.*s%s.",
			 (int) (host - location), location, at ? at + 1 : host);
	for (unsigned char *p = (unsigned char *) error->message; *p != '\0'; p++)
		if (*p < 0x20 || *p >= 0x7f)
			*p = '?';
}

void
onec_answer_error(OnecReply *reply, const OnecHttpAnswer *answer,
				  const char *body, size_t len, OnecError *error)
{
	memset(error, 0, sizeof(*error));
	onec_error_body(body, len, error);
	error->http_status = answer->status;
	error->parts = onec_words_blame(reply, error, body, len);
	reply->ib_gone = onec_words_session(error);
	error->kind = kind_of_status(reply, error, body, len);
	if (error->kind == ONEC_ERR_REDIRECT)
		describe_redirect(answer->location, error);
	else if (error->kind == ONEC_ERR_REPLY && answer->status < 300)
		snprintf(error->message, sizeof(error->message),
				 "The answer is HTTP %ld, which 1C does not give for reading.", answer->status);
}

static bool
is_html(const OnecHttpAnswer *answer, const char *body, size_t len)
{
	return (answer->content_type != NULL &&
			pg_strncasecmp(answer->content_type, "text/html", 9) == 0) ||
		(len >= 5 && pg_strncasecmp(body, "<html", 5) == 0) ||
		(len >= 9 && pg_strncasecmp(body, "<!doctype", 9) == 0);
}

/* Say what came instead: with a 200, but in 1C's own words an error, or something else. */
static void
refuse_head(OnecReply *reply, const OnecHttpAnswer *answer, const char *body, size_t len, OnecError *error)
{
	OnecError	page = {0};
	const char *told;

	onec_error_body(body, len, &page);
	/* JSON in which no error was found is rows of people, for all we know */
	told = strchr("{[\"", page.message[0]) != NULL ? "" : page.message;
	if (is_html(answer, body, len))
		(void) onec_fail(error, ONEC_ERR_REPLY, "An HTML page came instead of data%s%s",
						 page.message[0] ? ": " : ".", page.message);
	else if (page.own_words)
		onec_answer_error(reply, answer, body, len, error);
	else if (len >= 2 && (memcmp(body, "\xff\xfe", 2) == 0 || memcmp(body, "\xfe\xff", 2) == 0))
		(void) onec_fail(error, ONEC_ERR_REPLY, "The answer is UTF-16 instead of UTF-8.");
	else if (told[0] != '\0')
		(void) onec_fail(error, ONEC_ERR_REPLY, "The answer does not begin as data of 1C do: %s", told);
	else
		(void) onec_fail(error, ONEC_ERR_REPLY, "The answer does not begin as data of 1C do.");
	error->http_status = answer->status;
}

/* A partial page is no use in a message: wait for all of a small one. */
#define WHOLE_PAGE 16384

typedef enum Likeness
{
	UNLIKE,
	TOO_SHORT,					/* to tell */
	ALIKE
} Likeness;

/* Whether an object begins as an error of 1C does. */
static Likeness
like_error_object(const char *body, size_t len)
{
	static const char *const names[] = {"\"odata.error\"", "\"exception\"", "\"error\""};
	Likeness	likeness = UNLIKE;
	size_t		at = 1;

	while (at < len && body[at] != '\0' && strchr(" \t\r\n", body[at]) != NULL)
		at++;
	for (size_t i = 0; i < lengthof(names); i++)
	{
		size_t		room = len - Min(at, len);
		size_t		n = Min(strlen(names[i]), room);

		if (memcmp(body + Min(at, len), names[i], n) == 0)
			likeness = Max(likeness, n == strlen(names[i]) ? ALIKE : TOO_SHORT);
	}
	return likeness;
}

/* Whether "body", which begins with no blank, begins as an error instead of what was asked for. */
static Likeness
like_error(const OnecReply *reply, const OnecHttpAnswer *answer, const char *body, size_t len)
{
	size_t		head = Min(len, 512);
	bool		good;

	if (reply->expect == ONEC_EXPECT_JSON && *body == '{')
		return like_error_object(body, len);
	if (reply->expect == ONEC_EXPECT_XML && *body == '<')
	{
		if (len < 9)
			return TOO_SHORT;
		good = !is_html(answer, body, len) && !onec_words_hold(body, head, "<m:error") &&
			!onec_words_hold(body, head, "<error");
	}
	else
		good = reply->expect == ONEC_EXPECT_TEXT && *body >= '0' && *body <= '9';
	return good ? UNLIKE : ALIKE;
}

bool
onec_answer_good(OnecReply *reply, const OnecHttpAnswer *answer,
				 const char *body, size_t len, bool done, OnecError *error)
{
	size_t		skip = 0;
	Likeness	likeness;

	if (reply->expect == ONEC_EXPECT_ANY)
		return done || len > 0;
	if (len >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0)
		skip = 3;
	while (skip < len && strchr(" \t\r\n", body[skip]) != NULL && body[skip] != '\0')
		skip++;
	if (skip == len || (len < 3 && body[0] == '\xef'))
	{
		if (!done && len < WHOLE_PAGE)
			return false;
		/* Post answers nothing, and so may PATCH */
		if (reply->changes)
			return true;
		error->http_status = answer->status;
		return onec_fail(error, ONEC_ERR_REPLY, "The answer is empty.");
	}
	likeness = like_error(reply, answer, body + skip, len - skip);
	if (likeness != UNLIKE && (done || len >= WHOLE_PAGE))
		refuse_head(reply, answer, body + skip, len - skip, error);
	return likeness == UNLIKE;
}

/* ---- for the user ---- */

const char *
onec_error_meaning(OnecErrorKind kind)
{
	switch (kind)
	{
#define ONEC_ERROR_MEANING(kind, sqlstate, meaning) case ONEC_ERR_##kind: return meaning;
			ONEC_ERROR_KINDS(ONEC_ERROR_MEANING)
#undef ONEC_ERROR_MEANING
		case ONEC_OK:
			break;
	}
	return "unknown failure";
}

static int
sqlstate_of(OnecErrorKind kind)
{
	switch (kind)
	{
#define ONEC_ERROR_SQLSTATE(kind, sqlstate, meaning) case ONEC_ERR_##kind: return sqlstate;
			ONEC_ERROR_KINDS(ONEC_ERROR_SQLSTATE)
#undef ONEC_ERROR_SQLSTATE
		case ONEC_OK:
			break;
	}
	return ERRCODE_FDW_ERROR;
}

/* Advice; NULL when the detail says it all. */
static const char *
advice(const OnecSession *session, const OnecError *error)
{
	switch (error->kind)
	{
		case ONEC_ERR_CONNECT:
			return "Check the option \"url\" of the server, and that the web server runs and can be reached "
				   "from here.";
		case ONEC_ERR_TLS:
			return "Check the certificate of the web server; a private authority is named by the server "
				   "option \"ca_file\".";
		case ONEC_ERR_TIMEOUT:
			return "1C may need longer: raise \"request_timeout\", or ask for less at a time with "
				   "\"page_size\".";
		case ONEC_ERR_AUTH:
			return psprintf("Check the login in the user mapping of role \"%s\"; 1C may lock it after "
							"several attempts, so this session does not try it again for %d s, unless the "
							"mapping or the server changes.",
							GetUserNameFromId(session->key.userid, true), ONEC_LOGIN_PAUSE_S);
		case ONEC_ERR_RIGHTS:
			return "Give the 1C user the right to read this object; with row-level rights, set the option "
				   "\"allowed_only\".";
		case ONEC_ERR_NO_SET:
			return error->has_code || error->http_status == 200 ?
				"Publish the object in the composition of the standard OData interface of 1C." :
				"Check the option \"url\" of the server: the answer is not one of 1C's OData.";
		case ONEC_ERR_NO_PROPERTY:
			return "The object in 1C may have changed: compare with onec.properties() and import the table "
				   "again.";
		case ONEC_ERR_REFUSED:
		case ONEC_ERR_PASSING:
			return error->own_words ? NULL :
				"The answer is none of 1C's OData: look at what stands before it, such as a proxy.";
		case ONEC_ERR_BUSY:
			return "Try again later, or free a licence in 1C.";
		case ONEC_ERR_URL_TOO_LONG:
			return "Lower the option \"max_url\", or select fewer columns.";
		case ONEC_ERR_REDIRECT:
			return "Redirects are not followed; if the target is right, set it as option \"url\" of the "
				   "server.";
		case ONEC_ERR_LIMIT:
			return "Raise the option \"max_response\", or ask for less at a time with \"page_size\".";
		case ONEC_ERR_REPLY:
			return "Check that the option \"url\" leads to the published 1C base and not to a login or "
				   "service page.";
		default:
			return NULL;
	}
}

/* A reason of our own protocol layer as a sentence; remote text stays as it is. */
static void
append_reason(StringInfo text, const OnecError *error)
{
	int			start = text->len;

	appendStringInfoString(text, onec_server_text(error->message));
	if (error->has_code || (error->http_status != 0 && error->http_status != 200) ||
		text->len == start)
		return;
	text->data[start] = pg_toupper((unsigned char) text->data[start]);
	if (strchr(".!?", text->data[text->len - 1]) == NULL)
		appendStringInfoChar(text, '.');
}

/* Numbers and remote text, as full sentences. */
static char *
detail_text(OnecSession *session, const OnecError *error)
{
	StringInfoData text;

	initStringInfo(&text);
	if (error->has_code)
		appendStringInfo(&text, "The answer was HTTP %ld, OData error %d: ", error->http_status,
						 error->odata_code);
	else if (error->http_status != 0 && error->http_status != 200)
		appendStringInfo(&text, "The answer was HTTP %ld%s", error->http_status,
						 error->message[0] ? ": " : ".");
	append_reason(&text, error);
	if (session->gave_up_after > 1)
		appendStringInfo(&text, "%sGiven up after %d attempts.", text.len > 0 ? "\n" : "",
						 session->gave_up_after);
	return text.data;
}

/* The request for people; empty when there is no memory for it. */
static char *
request_text(const OnecRequest *request)
{
	OnecBuf		buf;
	char	   *text = NULL;

	onec_buf_init(&buf);
	if (onec_odata_text(request, &buf) && !buf.failed && buf.data != NULL)
		text = MemoryContextAllocExtended(CurrentMemoryContext, buf.len + 1, MCXT_ALLOC_NO_OOM);
	if (text != NULL)
		memcpy(text, buf.data, buf.len + 1);
	onec_buf_free(&buf);
	return text ? onec_server_text(text) : "";
}

void
onec_session_raise(OnecSession *session, const OnecOptions *options,
				   const OnecRequest *request, const OnecError *failure)
{
	OnecError	masked = *failure;
	const OnecError *error = &masked;
	const char *what = request->metadata ? "$metadata" :
		request->entity_set ? request->entity_set : "the list of entity sets";
	char	   *detail;
	const char *hint = advice(session, error);
	char	   *asked = request_text(request);

	/* a text may come from the middle of an answer, too */
	onec_mask(session, masked.message, sizeof(masked.message));
	detail = detail_text(session, error);
	ereport(ERROR,
			(errcode(sqlstate_of(error->kind)),
			 errmsg(request->entity_set && !request->metadata ?
					"could not read \"%s\" of server \"%s\": %s" :
					"could not read %s of server \"%s\": %s",
					onec_server_text(what), options->server_name,
					onec_error_meaning(error->kind)),
			 detail[0] ? errdetail("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0,
			 asked[0] ? errcontext("request to 1C: %s", asked) : 0));
}
