/*-------------------------------------------------------------------------
 *
 * http_answer.c
 *	  What an HTTP answer says about itself: its header lines, or the reason
 *	  why there is none.
 *
 * Memory: values are copied by malloc into the transfer, which frees them.
 * Errors: noted in the transfer, the first one stays.  Messages name the host
 * at most, never the URL, header values or user names.
 *
 * Surprising facts of libcurl 7.88: it decodes any transfer encoding it was built with,
 * asked for or not, so the lines are checked here; and a header line over 100 kB is reported as "out of
 * memory".
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/http/http_answer.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "onec_error.h"
#include "protocol/http/http.h"
#include "protocol/http/http_private.h"

#define MAX_COOKIE 4096
#define MAX_VALUE 4096

/* Keep a copy of a header value; too long a value is left out. */
static void
keep_value(OnecTransfer *transfer, char **slot, const char *value, size_t len)
{
	char	   *copy;

	if (len > MAX_VALUE)
		return;
	copy = strndup(value, len);
	if (copy == NULL)
	{
		onec_fail(&transfer->error, ONEC_ERR_MEMORY, "out of memory");
		return;
	}
	free(*slot);
	*slot = copy;
}

/* A status line: whatever came before (1xx answers) is forgotten. */
static void
read_status(OnecTransfer *transfer, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);

	free(transfer->content_type);
	free(transfer->location);
	free(transfer->cookie);
	transfer->content_type = transfer->location = transfer->cookie = NULL;
	transfer->retry_after_s = -1;
	transfer->encodings = 0;
	transfer->status = 0;
	while (space != NULL && space < line + len && *space == ' ')
		space++;
	for (const char *p = space; p != NULL && p < line + len && isdigit((unsigned char) *p) &&
		 transfer->status < 1000; p++)
		transfer->status = transfer->status * 10 + (*p - '0');
	/* 101 would make whatever follows the body of an answer that never ends */
	if (transfer->status < 100 || transfer->status == 101)
		onec_fail(&transfer->error, ONEC_ERR_REPLY, "status line of the answer not understood");
}

static void
read_content_length(OnecTransfer *transfer, const char *value, size_t len)
{
	uint64_t	n = 0;

	for (size_t i = 0; i < len && isdigit((unsigned char) value[i]); i++)
	{
		if (n > UINT64_MAX / 10 - 1)
			n = UINT64_MAX / 10 - 1;
		n = n * 10 + (uint64_t) (value[i] - '0');
		if (n > transfer->max_response)
		{
			onec_fail(&transfer->error, ONEC_ERR_LIMIT,
					  "announced answer is larger than the limit of %zu bytes", transfer->max_response);
			return;
		}
	}
}

/*
 * Only one content encoding, and one we asked for; no transfer encoding but
 * "chunked".  Anything else could be a bomb, or is not data we can read.
 */
static void
read_encoding(OnecTransfer *transfer, const char *value, size_t len, bool of_content)
{
	static const char *const known[] = {"gzip", "x-gzip", "deflate"};
	bool		good = false;

	if (len == 0 || (len == 8 && strncasecmp(value, "identity", 8) == 0))
		return;
	for (size_t i = 0; of_content && i < sizeof(known) / sizeof(known[0]); i++)
		good = good || (len == strlen(known[i]) && strncasecmp(value, known[i], len) == 0);
	if (of_content && ++transfer->encodings > 1)
		good = false;
	if (!of_content)
		good = len == 7 && strncasecmp(value, "chunked", 7) == 0;
	if (!good)
		onec_fail(&transfer->error, ONEC_ERR_REPLY, "answer uses %s encoding that was not asked for",
				  of_content ? "a content" : "a transfer");
}

/* Seconds, or a date. */
static void
read_retry_after(OnecTransfer *transfer, const char *value, size_t len)
{
	char		text[64];
	char	   *end;
	long		seconds;
	time_t		date;

	if (len == 0 || len >= sizeof(text))
		return;
	memcpy(text, value, len);
	text[len] = '\0';
	if (isdigit((unsigned char) text[0]))
	{
		seconds = strtol(text, &end, 10);
		if (*end == '\0')
			transfer->retry_after_s = seconds > INT_MAX ? INT_MAX : seconds;
		return;
	}
	date = curl_getdate(text, NULL);
	if (date == (time_t) -1)
		return;
	seconds = (long) (date - time(NULL));
	transfer->retry_after_s = seconds < 0 ? 0 : seconds > INT_MAX ? INT_MAX : seconds;
}

/* Of all cookies only the session of 1C matters, without its attributes. */
static void
read_cookie(OnecTransfer *transfer, const char *value, size_t len)
{
	static const char name[] = "ibsession=";
	const char *end = memchr(value, ';', len);

	if (end != NULL)
		len = (size_t) (end - value);
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	if (len < sizeof(name) || len > MAX_COOKIE || strncasecmp(value, name, sizeof(name) - 1) != 0)
		return;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) value[i] < 0x21 || value[i] == 0x7f)
			return;
	keep_value(transfer, &transfer->cookie, value, len);
}

static void
read_field(OnecTransfer *transfer, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	const char *value;
	size_t		name_len;
	size_t		value_len;

	if (colon == NULL)
		return;
	name_len = (size_t) (colon - line);
	value = colon + 1;
	value_len = len - name_len - 1;
	while (value_len > 0 && (*value == ' ' || *value == '\t'))
		value++, value_len--;

#define IS(text) (name_len == sizeof(text) - 1 && strncasecmp(line, text, sizeof(text) - 1) == 0)
	if (IS("Content-Type"))
		keep_value(transfer, &transfer->content_type, value, value_len);
	else if (IS("Location"))
		keep_value(transfer, &transfer->location, value, value_len);
	else if (IS("Content-Length"))
		read_content_length(transfer, value, value_len);
	else if (IS("Content-Encoding"))
		read_encoding(transfer, value, value_len, true);
	else if (IS("Transfer-Encoding"))
		read_encoding(transfer, value, value_len, false);
	else if (IS("Retry-After"))
		read_retry_after(transfer, value, value_len);
	else if (IS("Set-Cookie"))
		read_cookie(transfer, value, value_len);
#undef IS
}

void
onec_answer_line(OnecTransfer *transfer, const char *line, size_t len)
{
	if (!transfer->status_seen && len >= 5 && strncasecmp(line, "HTTP/", 5) == 0)
	{
		transfer->status_seen = true;
		read_status(transfer, line, len);
	}
	else
		read_field(transfer, line, len);
}

/* In English whatever the locale, which strerror() is not. */
static const char *
connect_reason(long os_errno)
{
	switch (os_errno)
	{
		case ECONNREFUSED:
			return "connection refused";
		case ENETUNREACH:
			return "network unreachable";
		case EHOSTUNREACH:
			return "host unreachable";
		case ETIMEDOUT:
			return "no answer from the host";
		case EACCES:
		case EPERM:
			return "not permitted";
		default:
			return "no connection";
	}
}

/* libcurl's words on a TLS failure, fit for a message. */
static void
clean_reason(const OnecTransfer *transfer, char *out, size_t size)
{
	static const char prefix[] = "SSL certificate problem: ";
	const char *text = transfer->curl_error;
	size_t		n = 0;

	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	for (; *text != '\0' && n + 1 < size; text++)
		out[n++] = isprint((unsigned char) *text) && (unsigned char) *text < 0x7f ? *text : ' ';
	out[n] = '\0';
}

static void
explain_timeout(OnecTransfer *transfer)
{
	if (!transfer->connected)
		onec_fail(&transfer->error, ONEC_ERR_CONNECT, "no connection to host \"%s\" within %g s",
				  transfer->host, (double) transfer->connect_timeout_ms / 1000);
	else if (transfer->status == 0)
		onec_fail(&transfer->error, ONEC_ERR_TIMEOUT, "no answer within %g s",
				  (double) transfer->request_timeout_ms / 1000);
	else
		onec_fail(&transfer->error, ONEC_ERR_TIMEOUT, "answer not complete within %g s",
				  (double) transfer->request_timeout_ms / 1000);
}

static void
explain_tls(OnecTransfer *transfer, CURLcode code)
{
	char		reason[CURL_ERROR_SIZE];

	clean_reason(transfer, reason, sizeof(reason));
	if (strstr(reason, "malloc failure") != NULL || strstr(reason, "ut of memory") != NULL)
		onec_fail(&transfer->error, ONEC_ERR_MEMORY, "out of memory");
	else if (code == CURLE_SSL_CACERT_BADFILE)
		onec_fail(&transfer->error, ONEC_ERR_TLS, "file with trusted certificates could not be read");
	else if (code == CURLE_PEER_FAILED_VERIFICATION)
		onec_fail(&transfer->error, ONEC_ERR_TLS, "certificate of host \"%s\" refused: %s", transfer->host,
				  reason);
	else
		onec_fail(&transfer->error, ONEC_ERR_TLS, "no secure connection to host \"%s\": %s", transfer->host,
				  reason);
}

void
onec_answer_explain(OnecTransfer *transfer, CURLcode code)
{
	OnecError  *error = &transfer->error;
	long		os_errno = 0;

	switch (code)
	{
		case CURLE_URL_MALFORMAT:
			onec_fail(error, ONEC_ERR_CONNECT, "address not understood");
			break;
		case CURLE_COULDNT_RESOLVE_HOST:
			onec_fail(error, ONEC_ERR_CONNECT, "could not resolve host name \"%s\"", transfer->host);
			break;
		case CURLE_COULDNT_CONNECT:
			(void) curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &os_errno);
			onec_fail(error, ONEC_ERR_CONNECT, "could not connect to host \"%s\": %s",
					  transfer->host, connect_reason(os_errno));
			break;
		case CURLE_OPERATION_TIMEDOUT:
			explain_timeout(transfer);
			break;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CRL_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
		case CURLE_SSL_INVALIDCERTSTATUS:
		case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		case CURLE_SSL_ENGINE_INITFAILED:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_USE_SSL_FAILED:
			explain_tls(transfer, code);
			break;
		case CURLE_SEND_FAIL_REWIND:	/* it would have been sent again, see http_body.c … */
		case CURLE_ABORTED_BY_CALLBACK:	/* … and http_transfer.c */
		case CURLE_GOT_NOTHING:
			onec_fail(error, ONEC_ERR_BROKEN, "connection closed without an answer");
			break;
		case CURLE_PARTIAL_FILE:
			onec_fail(error, ONEC_ERR_BROKEN, "connection closed before the end of the answer");
			break;
		case CURLE_RECV_ERROR:
			if (strstr(transfer->curl_error, "chunk") != NULL)
				onec_fail(error, ONEC_ERR_REPLY, "malformed chunk in the answer");
			else
				onec_fail(error, ONEC_ERR_BROKEN, "connection lost while receiving");
			break;
		case CURLE_SEND_ERROR:
			onec_fail(error, ONEC_ERR_BROKEN, "connection lost while sending");
			break;
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_WEIRD_SERVER_REPLY:
			onec_fail(error, ONEC_ERR_REPLY, "answer is not valid HTTP");
			break;
		case CURLE_BAD_CONTENT_ENCODING:
		case CURLE_WRITE_ERROR:
			/* had a callback of ours refused the data, its error would be there first */
			onec_fail(error, ONEC_ERR_REPLY, "answer is damaged");
			break;
		case CURLE_FILESIZE_EXCEEDED:
			onec_fail(error, ONEC_ERR_LIMIT, "announced answer is larger than the limit of %zu bytes",
					  transfer->max_response);
			break;
#if LIBCURL_VERSION_NUM >= 0x080600
		case CURLE_TOO_LARGE:
			onec_fail(error, ONEC_ERR_LIMIT, "header of the answer is too long");
			break;
#endif
		case CURLE_OUT_OF_MEMORY:
			if (transfer->connected && !transfer->header_done)
				onec_fail(error, ONEC_ERR_LIMIT, "header line of the answer is too long");
			else
				onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
			break;
		default:
			onec_fail(error, transfer->connected ? ONEC_ERR_BROKEN : ONEC_ERR_CONNECT,
					  "transfer failed: %s", curl_easy_strerror(code));
			break;
	}
}
