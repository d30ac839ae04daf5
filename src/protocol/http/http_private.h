/*-------------------------------------------------------------------------
 *
 * http_private.h
 *	  The structures that the files of this room share: a pool, a transfer.
 *
 * Nobody else includes this, except the unit test, which checks deadlines
 * against a clock of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HTTP_PRIVATE_H
#define ONEC_HTTP_PRIVATE_H

#include <curl/curl.h>
#include <time.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http.h"

/* Moments are microseconds of the monotonic clock; this one never comes. */
#define ONEC_NEVER INT64_MAX

/*
 * After its first byte an answer has to bring this much in this time.  It
 * catches a peer that keeps a request alive with a byte now and then; a 1C
 * that thinks for minutes before the first byte is not touched by it.
 */
#define ONEC_LOW_SPEED_BYTES 100
#define ONEC_LOW_SPEED_US (INT64_C(60) * 1000 * 1000)

/* Status line and all header lines of an answer, 1xx answers included. */
#define ONEC_MAX_HEADER (256 * 1024)

struct OnecHttp
{
	CURLM	   *multi;
	int			epoll_fd;
	int			timer_fd;		/* in the epoll set, for onec_http_fd(); -1: not needed yet */
	OnecHttpWait wait;
	void	   *wait_arg;
	OnecTransfer *first;		/* all transfers, ended ones too */
	OnecTransfer *starting;		/* the one onec_http_start() works on */
	CURLMcode	broken;			/* libcurl gave up on the whole pool */
	OnecBuf		spare;			/* memory of an answer, for the next while others are under way */
	int64_t		timer_at;		/* when libcurl wants to be called */
	int64_t		left_at;		/* when the caller last got control back */
};

typedef struct OnecInflate OnecInflate;

struct OnecTransfer
{
	OnecHttp   *http;
	OnecTransfer *next;
	OnecTransfer *prev;
	CURL	   *easy;			/* NULL once ended */
	struct curl_slist *headers;
	char	   *host;			/* for messages */
	char		curl_error[CURL_ERROR_SIZE];

	long		connect_timeout_ms;
	long		request_timeout_ms;
	size_t		max_response;
	size_t		high_water;
	char	   *sending;		/* the body of the request, or NULL */
	size_t		sending_len;
	size_t		sent;			/* bytes of it that libcurl has taken */

	size_t		wanted;			/* the caller needs more than this many unread bytes */

	int64_t		started_at;
	int64_t		ended_at;
	int64_t		connect_by;		/* meaningful while not connected */
	int64_t		answer_by;
	int64_t		paused_at;
	int64_t		away_us;		/* how long nobody drove it; counted unless something came meanwhile */
	int64_t		speed_at;		/* begin of the low-speed window, ONEC_NEVER before the first byte */
	int64_t		speed_bytes;	/* bytes when it began */

	bool		connected;		/* the request could be sent */
	bool		once;			/* … and must not be again */
	bool		paused;
	bool		pinned;			/* the caller reads the window: keep it still */
	bool		ended;
	bool		reused;

	/* the answer */
	long		status;
	bool		status_seen;	/* the status line of the current header */
	bool		header_done;	/* of the final answer; what follows are trailers */
	int			encodings;
	size_t		header_bytes;
	int64_t		body_bytes;		/* decoded */
	int64_t		coded_bytes;	/* body on the wire, known when ended */
	char	   *content_type;
	char	   *location;
	char	   *cookie;
	long		retry_after_s;

	OnecInflate *coded;			/* inflates the body; NULL: it is not compressed */
	OnecBuf		body;
	size_t		consumed;		/* front of "body" that was read already */
	OnecError	error;
};

/* This moment. */
static inline int64_t
onec_http_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#endif							/* ONEC_HTTP_PRIVATE_H */
