/*-------------------------------------------------------------------------
 *
 * http_private.h
 *	  What http.c (the pool), http_transfer.c (one transfer) and
 *	  http_answer.c (its header lines and failures), http_inflate.c share.
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

static inline int64_t
onec_http_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * A transfer with its libcurl handle set up but not in the pool yet; NULL with
 * "error" set.
 */
extern OnecTransfer *onec_transfer_create(OnecHttp *http, const OnecHttpRequest *request, OnecError *error);

/*
 * The transfer has ended: keep the reason, give the libcurl handle back.  Its
 * own error, if there is one already, goes before "code".
 */
extern void onec_transfer_finish(OnecTransfer *transfer, CURLcode code);

/* Whether it is paused and its window has room again. */
extern bool onec_transfer_resumable(const OnecTransfer *transfer);

/* Nobody drove the pool for so many microseconds: that is not counted against connecting. */
extern void onec_transfer_was_away(OnecTransfer *transfer, int64_t away);

/* Something came for it, and may have waited for the caller: his absence does not count against the answer. */
extern void onec_transfer_moved(OnecTransfer *transfer);

/* Go on with a paused transfer; time spent paused is added to its deadline. */
extern void onec_transfer_resume(OnecTransfer *transfer, int64_t now);

/* End the transfer if one of its deadlines has passed at "now". */
extern void onec_transfer_check(OnecTransfer *transfer, int64_t now);

/* The next moment at which onec_transfer_check() may have something to do. */
extern int64_t onec_transfer_deadline(const OnecTransfer *transfer);

/* Whether more has to wait until the window has been read. */
extern bool onec_transfer_window_full(const OnecTransfer *transfer);

/* Unread bytes. */
extern size_t onec_transfer_unread(const OnecTransfer *transfer);

/* http_inflate.c: the body that follows is compressed; false with the transfer's error set when out of memory. */
extern bool onec_inflate_begin(OnecTransfer *transfer);

/*
 * Append what the bytes hold to the window.  PAUSED when that is full: the same bytes, and those behind them, are to come again.
 * FAILED with the transfer's error set (REPLY, LIMIT, MEMORY).
 */
typedef enum OnecInflated
{
	ONEC_INFLATE_TAKEN,
	ONEC_INFLATE_PAUSED,
	ONEC_INFLATE_FAILED
} OnecInflated;

extern OnecInflated onec_inflate_feed(OnecTransfer *transfer, const char *data, size_t len);

/* Whether the end of a compressed body was seen and is right; true for others. */
extern bool onec_inflate_is_whole(const OnecTransfer *transfer);

extern void onec_inflate_free(OnecTransfer *transfer);

/* Take note of a status or header line of the final answer, without its line end. */
extern void onec_answer_line(OnecTransfer *transfer, const char *line, size_t len);

/* Put a failure that libcurl reported into the transfer's error. */
extern void onec_answer_explain(OnecTransfer *transfer, CURLcode code);

/* Free the memory of a transfer that is out of the pool. */
extern void onec_transfer_release(OnecTransfer *transfer);

#endif							/* ONEC_HTTP_PRIVATE_H */
