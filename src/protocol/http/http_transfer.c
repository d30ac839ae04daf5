/*-------------------------------------------------------------------------
 *
 * http_transfer.c
 *	  One HTTP transfer: the request's options, the window, its deadlines.
 *
 * Memory: malloc, freed by onec_transfer_release().  Errors: callbacks run
 * inside libcurl, so they note the failure in the transfer and return short;
 * the first failure stays.
 *
 * Surprising facts of libcurl 7.88:
 *	- One call may read a socket empty, whatever comes; only the body callback
 *	  can stop it, by pausing.
 *	- What was refused by pausing is given again from its first byte, maybe cut otherwise.
 *	- A request on a kept connection that the peer has closed is repeated on a
 *	  new one, POST as well; POST therefore never uses a kept connection.
 *	- Freeing a handle waits for its resolver thread unless QUICK_EXIT is set.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/http/http_transfer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http.h"
#include "protocol/http/http_answer.h"
#include "protocol/http/http_body.h"
#include "protocol/http/http_inflate.h"
#include "protocol/http/http_private.h"
#include "protocol/http/http_window.h"

#define BODY_TYPE "application/json;charset=utf-8"
#define RECEIVE_BUFFER (56L * 1024)
#define MAX_HOST 255
#define LARGEST_SPARE (8 * 1024 * 1024)

/* ---------- receiving ---------- */

void
onec_transfer_moved(OnecTransfer *transfer)
{
	transfer->answer_by += transfer->away_us;
	if (transfer->speed_at != ONEC_NEVER)
		transfer->speed_at += transfer->away_us;
	transfer->away_us = 0;
}

/* Note that bytes came: the low-speed window opens with the first one. */
static void
note_progress(OnecTransfer *transfer)
{
	onec_transfer_moved(transfer);
	if (transfer->speed_at == ONEC_NEVER)
		transfer->speed_at = onec_http_now();
}

static size_t
header_callback(char *data, size_t size, size_t count, void *arg)
{
	OnecTransfer *transfer = arg;
	size_t		bytes = size * count;
	size_t		len = bytes;

	note_progress(transfer);
	transfer->header_bytes += bytes;
	if (transfer->header_bytes > ONEC_MAX_HEADER)
		onec_fail(&transfer->error, ONEC_ERR_LIMIT, "header of the answer is larger than %d bytes",
				  ONEC_MAX_HEADER);
	while (len > 0 && isspace((unsigned char) data[len - 1]))
		len--;
	if (transfer->header_done || transfer->error.kind != ONEC_OK)
		;						/* a trailer: nothing in it concerns us */
	else if (len > 0)
		onec_answer_line(transfer, data, len);
	else
	{
		transfer->header_done = transfer->status >= 200;
		transfer->status_seen = false;
		if (transfer->header_done && transfer->encodings > 0)
			(void) onec_inflate_begin(transfer);
	}
	return transfer->error.kind == ONEC_OK ? bytes : 0;
}

/* The bytes have to come again, when the window has room. */
static size_t
pause_transfer(OnecTransfer *transfer)
{
	transfer->paused = true;
	transfer->paused_at = onec_http_now();
	return CURL_WRITEFUNC_PAUSE;
}

/* Append bytes that are not compressed. */
static bool
take_plain(OnecTransfer *transfer, const char *data, size_t bytes)
{
	if (bytes > transfer->max_response || (uint64_t) transfer->body_bytes > transfer->max_response - bytes)
		return onec_fail(&transfer->error, ONEC_ERR_LIMIT, "answer is larger than the limit of %zu bytes",
						 transfer->max_response);
	onec_buf_append(&transfer->body, data, bytes);
	if (transfer->body.failed)
		return onec_fail(&transfer->error, ONEC_ERR_MEMORY, "out of memory");
	transfer->body_bytes += (int64_t) bytes;
	return true;
}

static size_t
body_callback(char *data, size_t size, size_t count, void *arg)
{
	OnecTransfer *transfer = arg;
	size_t		bytes = size * count;
	OnecInflated inflated;

	note_progress(transfer);
	if (onec_transfer_window_full(transfer))
		return pause_transfer(transfer);
	/* moving costs no more than what was consumed since the last move */
	if (transfer->consumed >= transfer->body.len - transfer->consumed)
	{
		onec_buf_shift(&transfer->body, transfer->consumed);
		transfer->consumed = 0;
	}
	if (transfer->coded == NULL)
		return take_plain(transfer, data, bytes) ? bytes : 0;
	inflated = onec_inflate_feed(transfer, data, bytes);
	if (inflated == ONEC_INFLATE_PAUSED)
		return pause_transfer(transfer);
	return inflated == ONEC_INFLATE_TAKEN ? bytes : 0;
}

bool
onec_transfer_resumable(const OnecTransfer *transfer)
{
	size_t		unread = onec_transfer_unread(transfer);

	if (transfer->ended || !transfer->paused || transfer->pinned)
		return false;
	/* one row may be longer than the high water: who needs more gets more */
	return transfer->high_water == 0 || unread <= transfer->high_water / 2 ||
		(transfer->wanted > 0 && unread <= transfer->wanted);
}

void
onec_transfer_resume(OnecTransfer *transfer, int64_t now)
{
	CURLcode	code;

	/* the consumer was slow, not the peer */
	transfer->paused = false;
	transfer->answer_by += now - transfer->paused_at;
	transfer->speed_at = now;
	transfer->speed_bytes = (int64_t) transfer->header_bytes + transfer->body_bytes;
	/* calls body_callback, which may pause again or fail */
	code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
	if (code != CURLE_OK)
		onec_transfer_finish(transfer, code);
}

/* ---------- deadlines ---------- */

/*
 * Connecting takes several steps of ours, so whether something waited for us does not show at once: absence
 * never counts.  libcurl keeps this deadline too, and shares it between the addresses of a host.  A pause is
 * settled as a whole at its end.
 */
void
onec_transfer_was_away(OnecTransfer *transfer, int64_t away)
{
	if (transfer->ended || transfer->paused)
		return;
	transfer->away_us += away;
	if (transfer->connected)
		return;
	transfer->connect_by += away;
	(void) curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS,
							(long) ((transfer->connect_by - transfer->started_at) / 1000 + 1));
}

int64_t
onec_transfer_deadline(const OnecTransfer *transfer)
{
	int64_t		at;

	if (transfer->ended || transfer->paused)
		return ONEC_NEVER;
	at = transfer->answer_by;
	if (!transfer->connected && transfer->connect_by < at)
		at = transfer->connect_by;
	if (transfer->speed_at != ONEC_NEVER && transfer->speed_at + ONEC_LOW_SPEED_US < at)
		at = transfer->speed_at + ONEC_LOW_SPEED_US;
	return at;
}

void
onec_transfer_check(OnecTransfer *transfer, int64_t now)
{
	int64_t		bytes = (int64_t) transfer->header_bytes + transfer->body_bytes;

	if (now < onec_transfer_deadline(transfer))
		return;
	if (!transfer->connected && now >= transfer->connect_by)
		onec_transfer_finish(transfer, CURLE_OPERATION_TIMEDOUT);
	else if (now >= transfer->answer_by)
		onec_transfer_finish(transfer, CURLE_OPERATION_TIMEDOUT);
	else if (bytes - transfer->speed_bytes < ONEC_LOW_SPEED_BYTES)
	{
		onec_fail(&transfer->error, ONEC_ERR_TIMEOUT, "answer comes too slowly: less than %d bytes in %d s",
				  ONEC_LOW_SPEED_BYTES, (int) (ONEC_LOW_SPEED_US / 1000000));
		onec_transfer_finish(transfer, CURLE_OPERATION_TIMEDOUT);
	}
	else
	{
		transfer->speed_at = now;
		transfer->speed_bytes = bytes;
	}
}

/* ---------- the end ---------- */

/* Header lines hold secrets: leave none in freed memory. */
static void
free_headers(OnecTransfer *transfer)
{
	for (struct curl_slist *item = transfer->headers; item != NULL; item = item->next)
		explicit_bzero(item->data, strlen(item->data));
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
}

void
onec_transfer_finish(OnecTransfer *transfer, CURLcode code)
{
	long		connects = 0;
	curl_off_t	coded = 0;

	if (transfer->ended)
		return;
	if (code != CURLE_OK)
		onec_answer_explain(transfer, code);
	else if (!onec_inflate_is_whole(transfer))
		(void) onec_fail(&transfer->error, ONEC_ERR_BROKEN, "compressed answer ends too early");
	if (transfer->error.kind != ONEC_OK)
		transfer->error.http_status = transfer->status;
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &coded);
	transfer->reused = transfer->connected && connects == 0;
	transfer->coded_bytes = coded;
	transfer->ended = true;
	transfer->ended_at = onec_http_now();
	/* a complete transfer leaves its connection to the pool, a cut one closes it */
	(void) curl_multi_remove_handle(transfer->http->multi, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	transfer->easy = NULL;
	free_headers(transfer);
}

/*
 * Fresh memory costs more than the bytes that go there, so the buffer of an answer serves the next one as
 * long as answers overlap.
 */
static void
give_back(OnecTransfer *transfer)
{
	OnecHttp   *http = transfer->http;

	if (http->first != NULL && transfer->body.cap > http->spare.cap &&
		transfer->body.cap <= LARGEST_SPARE)
	{
		OnecBuf		other = http->spare;

		http->spare = transfer->body;
		onec_buf_clear(&http->spare);
		transfer->body = other;
	}
	onec_buf_free(&transfer->body);
	if (http->first == NULL)
		onec_buf_free(&http->spare);
}

void
onec_transfer_release(OnecTransfer *transfer)
{
	if (transfer->easy != NULL)
		curl_easy_cleanup(transfer->easy);
	free_headers(transfer);
	onec_inflate_free(transfer);
	give_back(transfer);
	onec_http_body_free(transfer);
	free(transfer->host);
	free(transfer->content_type);
	free(transfer->location);
	free(transfer->cookie);
	free(transfer);
}

/* ---------- the request ---------- */

/* The connection stands and the request is about to be sent; again, after a kept one died under it. */
static int
ready_callback(void *arg, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
	OnecTransfer *transfer = arg;

	(void) peer_ip;
	(void) own_ip;
	(void) peer_port;
	(void) own_port;
	if (transfer->once && transfer->connected)
		return CURL_PREREQFUNC_ABORT;
	transfer->connected = true;
	onec_transfer_moved(transfer);
	return CURL_PREREQFUNC_OK;
}

/* A new socket: after a kept connection turned out dead, connecting begins anew. */
static int
socket_made_callback(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	OnecTransfer *transfer = arg;

	(void) fd;
	(void) purpose;
	if (transfer->once && transfer->connected)
		return CURL_SOCKOPT_ERROR;
	if (transfer->connected)
	{
		transfer->connected = false;
		transfer->connect_by = onec_http_now() + (int64_t) transfer->connect_timeout_ms * 1000;
	}
	return CURL_SOCKOPT_OK;
}

/* Take the host for messages; refuse what libcurl would do but we must not. */
static bool
read_address(OnecTransfer *transfer, const char *url, OnecError *error)
{
	CURLU	   *parts = curl_url();
	char	   *scheme = NULL;
	char	   *host = NULL;
	CURLUcode	code;

	if (parts == NULL)
		return onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	code = curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER);
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_HOST, &host, 0);
	if (code == CURLUE_OUT_OF_MEMORY)
		onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	else if (code == CURLUE_USER_NOT_ALLOWED)
		onec_fail(error, ONEC_ERR_CONNECT, "address must not contain a user name");
	else if (code == CURLUE_UNSUPPORTED_SCHEME ||
			 (scheme != NULL && strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		onec_fail(error, ONEC_ERR_CONNECT, "address is neither http nor https");
	else if (code != CURLUE_OK || strlen(host) > MAX_HOST)
		onec_fail(error, ONEC_ERR_CONNECT, "address not understood");
	else if ((transfer->host = strdup(host)) == NULL)
		onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parts);
	return error->kind == ONEC_OK;
}

/* Add a header line; without a value nothing is added. */
static bool
add_header(OnecTransfer *transfer, const char *name, const char *value, OnecError *error)
{
	struct curl_slist *list;
	OnecBuf		line;

	if (value == NULL)
		return true;
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char) *p < 0x20 || *p == 0x7f)
			return onec_fail(error, ONEC_ERR_AUTH, "value of request header %s contains a control character",
							 name);
	onec_buf_init(&line);
	/* in one piece, so that growing leaves no copy behind */
	(void) onec_buf_reserve(&line, strlen(name) + strlen(value) + 2);
	onec_buf_puts(&line, name);
	onec_buf_puts(&line, *value == '\0' ? ":" : ": ");
	onec_buf_puts(&line, value);
	list = line.failed ? NULL : curl_slist_append(transfer->headers, line.data);
	if (line.data != NULL)
		explicit_bzero(line.data, line.len);
	onec_buf_free(&line);
	if (list == NULL)
		return onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
	transfer->headers = list;
	return true;
}

/* curl_easy_setopt() until the first failure, which stays in "code". */
#define SET(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(easy, option, value); \
	} while (0)

/* What is the same for every request, and what keeps libcurl on our leash. */
static CURLcode
set_behaviour(CURL *easy)
{
	CURLcode	code = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	/* inflated here, see http_inflate.c */
	SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
	SET(CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	SET(CURLOPT_TCP_NODELAY, 1L);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_USERAGENT, "onec_fdw");
	return code;
}

static CURLcode
set_callbacks(CURL *easy, OnecTransfer *transfer)
{
	CURLcode	code = CURLE_OK;

	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->curl_error);
	SET(CURLOPT_HEADERFUNCTION, header_callback);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_WRITEFUNCTION, body_callback);
	SET(CURLOPT_WRITEDATA, transfer);
	SET(CURLOPT_PREREQFUNCTION, ready_callback);
	SET(CURLOPT_PREREQDATA, transfer);
	SET(CURLOPT_SOCKOPTFUNCTION, socket_made_callback);
	SET(CURLOPT_SOCKOPTDATA, transfer);
	return code;
}

static CURLcode
set_request(CURL *easy, OnecTransfer *transfer, const OnecHttpRequest *request)
{
	CURLcode	code = CURLE_OK;

	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_HTTPHEADER, transfer->headers);
	/* libcurl shares this time between the addresses of a host */
	SET(CURLOPT_CONNECTTIMEOUT_MS, request->connect_timeout_ms);
	SET(CURLOPT_SSL_VERIFYPEER, request->insecure ? 0L : 1L);
	SET(CURLOPT_SSL_VERIFYHOST, request->insecure ? 0L : 2L);
	if (request->ca_file != NULL)
	{
		SET(CURLOPT_CAINFO, request->ca_file);
		SET(CURLOPT_CAPATH, NULL);
	}
	return code == CURLE_OK ? onec_http_body_set(easy, transfer, request) : code;
}

#undef SET

OnecTransfer *
onec_transfer_create(OnecHttp *http, const OnecHttpRequest *request, OnecError *error)
{
	OnecTransfer *transfer = calloc(1, sizeof(OnecTransfer));
	bool		post = onec_http_changes(request);
	bool		full = request->body_len > 0;
	bool		good;

	if (transfer == NULL)
	{
		onec_fail(error, ONEC_ERR_MEMORY, "out of memory");
		return NULL;
	}
	transfer->http = http;
	transfer->connect_timeout_ms = request->connect_timeout_ms;
	transfer->request_timeout_ms = request->request_timeout_ms;
	transfer->max_response = request->max_response;
	transfer->high_water = request->high_water;
	transfer->retry_after_s = -1;
	transfer->once = post;
	transfer->started_at = onec_http_now();
	transfer->connect_by = transfer->started_at + (int64_t) request->connect_timeout_ms * 1000;
	transfer->answer_by = transfer->started_at + (int64_t) request->request_timeout_ms * 1000;
	transfer->speed_at = ONEC_NEVER;
	transfer->body = http->spare;
	onec_buf_init(&http->spare);

	/* an empty header is not sent: libcurl's form type of a POST, and its question whether to go on */
	good = read_address(transfer, request->url, error) &&
		add_header(transfer, "Authorization", request->authorization, error) &&
		add_header(transfer, "Accept", request->accept, error) &&
		add_header(transfer, "Accept-Encoding", "gzip, deflate", error) &&
		add_header(transfer, "IBSession", request->ib_session, error) &&
		add_header(transfer, "Cookie", request->cookie, error) &&
		add_header(transfer, "If-Match", request->if_match, error) &&
		add_header(transfer, "1C_OData-DataLoadMode", request->load_mode, error) &&
		add_header(transfer, "Content-Type", full ? BODY_TYPE : post ? "" : NULL, error) &&
		add_header(transfer, "Expect", full ? "" : NULL, error);
	transfer->easy = good ? curl_easy_init() : NULL;
	if (transfer->easy == NULL ||
		set_behaviour(transfer->easy) != CURLE_OK ||
		set_callbacks(transfer->easy, transfer) != CURLE_OK ||
		set_request(transfer->easy, transfer, request) != CURLE_OK)
	{
		onec_fail(error, ONEC_ERR_MEMORY, "could not prepare an HTTP request");
		onec_transfer_release(transfer);
		return NULL;
	}
	return transfer;
}
