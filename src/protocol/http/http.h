/*-------------------------------------------------------------------------
 *
 * http.h
 *	  HTTP transfers on libcurl's multi interface.
 *
 * Knows no OData.  A pool drives any number of transfers; all their sockets hang on one
 * epoll descriptor, so a caller can wait for a pool as for a single socket.  Waiting
 * is done by the caller's callback and may leave by longjmp: nothing here is in the
 * middle of anything then, and onec_http_destroy() cleans up whatever is left.
 *
 * A transfer's body is a window: curl appends at the end, the caller consumes at
 * the front.  When more than high_water bytes wait, the transfer is paused.
 *
 * Never followed: redirects.  Never used: proxies and .netrc of the environment, protocols other
 * than http and https, content encodings other than one gzip or deflate.
 *
 * Not noticed: the cut of an HTTP/1.0 body that has no length, unless it is compressed.  The reader of the
 * content has to see that it is complete.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HTTP_H
#define ONEC_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onec_error.h"

typedef struct OnecHttp OnecHttp;
typedef struct OnecTransfer OnecTransfer;

/*
 * Wait until "fd" is readable or "timeout_ms" has passed (never negative).  May not return (longjmp).
 */
typedef void (*OnecHttpWait) (int fd, long timeout_ms, void *arg);

typedef struct OnecHttpRequest
{
	const char *method;			/* GET, POST, PATCH, DELETE; all but GET are sent once at most */
	const char *url;			/* encoded */
	const char *authorization;	/* value of the header, or NULL */
	const char *accept;			/* value of the header, or NULL */
	const char *ib_session;		/* value of the IBSession header ("start", "finish"), or NULL */
	const char *cookie;			/* value of the Cookie header, or NULL */
	const char *body;			/* JSON in UTF-8, with POST and PATCH; need not live longer than the call */
	size_t		body_len;		/* 0: none */
	const char *if_match;		/* value of the header, or NULL */
	const char *load_mode;		/* value of 1C_OData-DataLoadMode, or NULL */
	const char *ca_file;		/* PEM file, or NULL for the system's */
	bool		insecure;		/* do not verify the certificate */
	long		connect_timeout_ms; /* covers DNS, TCP and TLS; > 0 */
	long		request_timeout_ms; /* whole request, > 0 */
	size_t		max_response;	/* decoded bytes; > 0 */
	size_t		high_water;		/* pause above this many unread bytes; 0: never */
} OnecHttpRequest;

/*
 * NULL when out of memory.  A pool in which libcurl has failed ends its transfers, and begins anew with the
 * first request after they are freed.
 */
extern OnecHttp *onec_http_create(OnecHttpWait wait, void *wait_arg);
extern void onec_http_destroy(OnecHttp *http);

/*
 * For a caller that waits himself: one descriptor for the whole pool, readable when a socket has work, and
 * when a timer or deadline is due that was known at this call.  -1 when none is to be had.
 */
extern int	onec_http_fd(OnecHttp *http);

/* He has waited on it: that was no absence.  Drive the pool next. */
extern void onec_http_waited(OnecHttp *http);

/* Begin a transfer; NULL with "error" set.  The windows of other transfers stay where they are. */
extern OnecTransfer *onec_http_start(OnecHttp *http, const OnecHttpRequest *request, OnecError *error);

/* Do what can be done now without waiting. */
extern void onec_http_poll(OnecHttp *http);

/* Wait once through the callback, at most "timeout_ms", then do what can be done. */
extern void onec_http_wait(OnecHttp *http, long timeout_ms);

/*
 * Wait until the transfer has bytes beyond "seen" unread ones, or has ended.  True: look at
 * the window (which may be complete); false: it failed, see "error" (CONNECT, TLS, TIMEOUT, BROKEN,
 * LIMIT, REPLY, MEMORY).  Checks the deadlines itself.
 */
extern bool onec_transfer_wait(OnecTransfer *transfer, size_t seen, OnecError *error);

/* Drive the pool; whether onec_transfer_wait() would return at once. */
extern bool onec_transfer_ready(OnecTransfer *transfer, size_t seen);

/* End and forget a transfer in any state; NULL is allowed.  An unfinished one closes its connection. */
extern void onec_transfer_free(OnecTransfer *transfer);

#endif							/* ONEC_HTTP_H */
