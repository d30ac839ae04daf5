/*-------------------------------------------------------------------------
 *
 * http.c
 *	  A pool of HTTP transfers: waiting, timers, deadlines.
 *
 * libcurl's "multi socket" interface tells us which sockets and which timer it
 * cares about; we keep the sockets in one epoll set and the timer as a moment
 * (and put it into the set, as a descriptor, for callers that wait themselves).
 * Driving the pool never blocks.  The only wait is the caller's callback, called
 * at one place, when no libcurl call is on the stack: it may leave by longjmp.
 *
 * Memory: malloc, owned by the pool and freed by onec_http_destroy(), including
 * transfers the caller did not free.  Errors: nothing is thrown; a failure is
 * kept in its transfer until onec_transfer_wait() hands it out.
 *
 * Deadlines are ours, not libcurl's: a transfer must not be blamed for time in
 * which its consumer was busy elsewhere (an open cursor may sleep for an hour).
 * So time spent paused does not count, nor does time nobody drove the pool if
 * data turns out to have waited for us meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/http/http.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/http/http_private.h"
#include "protocol/http/http_transfer.h"
#include "protocol/http/http_window.h"

#define MAX_EVENTS 32

/*
 * The timer of a caller that waits himself runs no longer than this, so that he looks about him even if
 * nothing else wakes him.
 */
#define LONGEST_TIMER_MS 1000L

/* Idle connections kept: the most parallel requests, twice. */
#define MAX_IDLE_CONNECTIONS 16L

/* libcurl wants to be told about other events of a socket. */
static int
socket_callback(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	OnecHttp   *http = arg;
	OnecTransfer *transfer = NULL;
	struct epoll_event event = {0};

	(void) socket_arg;
	if (what == CURL_POLL_REMOVE)
	{
		/* the socket may be closed already: nothing to remove then */
		(void) epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	if (easy != NULL && curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &transfer) == CURLE_OK &&
		transfer != NULL)
		onec_transfer_moved(transfer);
	event.data.fd = fd;
	if (what & CURL_POLL_IN)
		event.events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		event.events |= EPOLLOUT;
	if (epoll_ctl(http->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	if (errno == ENOENT && epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return -1;
}

static int
timer_callback(CURLM *multi, long timeout_ms, void *arg)
{
	OnecHttp   *http = arg;

	(void) multi;
	if (timeout_ms < 0)
		http->timer_at = ONEC_NEVER;
	else if (timeout_ms == 0)
		http->timer_at = onec_http_now();
	else
	{
		/*
		 * One more millisecond: called early by a rounding error, libcurl
		 * does nothing and does not ask for the same moment again.
		 */
		http->timer_at = onec_http_now() + ((int64_t) timeout_ms + 1) * 1000;
	}
	return 0;
}

/* A new libcurl for the pool, which is then as if it had not been used; false when out of memory. */
static bool
make_multi(OnecHttp *http)
{
	http->timer_at = ONEC_NEVER;
	http->multi = curl_multi_init();
	http->broken = CURLM_OUT_OF_MEMORY;
	if (http->multi == NULL ||
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, socket_callback) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, timer_callback) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) != CURLM_OK ||
		curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, MAX_IDLE_CONNECTIONS) != CURLM_OK)
		return false;
	http->broken = CURLM_OK;
	return true;
}

/* libcurl has failed, and nobody waits for it any more: begin anew, with the same descriptors to wait on. */
static void
revive(OnecHttp *http)
{
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	(void) make_multi(http);
}

OnecHttp *
onec_http_create(OnecHttpWait wait, void *wait_arg)
{
	static bool curl_ready = false; /* set here, once per process */
	OnecHttp   *http;

	if (!curl_ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	curl_ready = true;

	http = calloc(1, sizeof(OnecHttp));
	if (http == NULL)
		return NULL;
	http->wait = wait;
	http->wait_arg = wait_arg;
	http->left_at = onec_http_now();
	http->timer_fd = -1;
	http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!make_multi(http) || http->epoll_fd < 0)
	{
		onec_http_destroy(http);
		return NULL;
	}
	return http;
}

void
onec_http_destroy(OnecHttp *http)
{
	if (http == NULL)
		return;
	while (http->first != NULL)
		onec_transfer_free(http->first);
	/* closing idle connections still calls socket_callback */
	if (http->multi != NULL)
		curl_multi_cleanup(http->multi);
	if (http->timer_fd >= 0)
		close(http->timer_fd);
	if (http->epoll_fd >= 0)
		close(http->epoll_fd);
	onec_buf_free(&http->spare);
	free(http);
}

/* Let libcurl work on one socket, or on its timers. */
static void
run_libcurl(OnecHttp *http, curl_socket_t fd, int events)
{
	int			running;
	CURLMcode	code;

	if (http->broken != CURLM_OK)
		return;
	code = curl_multi_socket_action(http->multi, fd, events, &running);
	if (code != CURLM_OK)
		http->broken = code;
}

static void
run_sockets(OnecHttp *http)
{
	struct epoll_event events[MAX_EVENTS];
	int			n = epoll_wait(http->epoll_fd, events, MAX_EVENTS, 0);

	for (int i = 0; i < n; i++)
	{
		int			bits = 0;
		uint64_t	expirations;

		if (events[i].data.fd == http->timer_fd)
		{
			/* it has done its work by waking the caller */
			(void) !read(http->timer_fd, &expirations, sizeof(expirations));
			continue;
		}
		if (events[i].events & (EPOLLIN | EPOLLHUP))
			bits |= CURL_CSELECT_IN;
		if (events[i].events & EPOLLOUT)
			bits |= CURL_CSELECT_OUT;
		if (events[i].events & EPOLLERR)
			bits |= CURL_CSELECT_ERR;
		run_libcurl(http, events[i].data.fd, bits);
	}
}

static void
run_timers(OnecHttp *http)
{
	/* a step often asks for another one at once; the bound keeps us from spinning */
	for (int i = 0; i < 8 && http->timer_at <= onec_http_now(); i++)
	{
		http->timer_at = ONEC_NEVER;
		run_libcurl(http, CURL_SOCKET_TIMEOUT, 0);
	}
}

/* Take over transfers that libcurl has finished. */
static void
reap(OnecHttp *http)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL)
	{
		CURLcode	code = message->data.result;
		OnecTransfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer) == CURLE_OK &&
			transfer != NULL)
			onec_transfer_finish(transfer, code);
	}
}

/* Check the deadlines: for whom nothing has come by now, nothing had waited for the caller. */
static void
sweep(OnecHttp *http)
{
	int64_t		now = onec_http_now();
	CURLcode	code = http->broken == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT;

	for (OnecTransfer *t = http->first; t != NULL; t = t->next)
	{
		if (t->ended)
			continue;
		if (http->broken != CURLM_OK || t->error.kind != ONEC_OK)
		{
			onec_transfer_finish(t, code);
			continue;
		}
		t->away_us = 0;
		onec_transfer_check(t, now);
	}
	http->left_at = now;
}

/* The caller is here: note how long it was not. */
static void
enter(OnecHttp *http)
{
	int64_t		now = onec_http_now();

	for (OnecTransfer *t = http->first; t != NULL; t = t->next)
		onec_transfer_was_away(t, now - http->left_at);
	http->left_at = now;
}

void
onec_http_poll(OnecHttp *http)
{
	enter(http);
	for (OnecTransfer *t = http->first; t != NULL; t = t->next)
		if (onec_transfer_resumable(t))
			onec_transfer_resume(t, http->left_at);
	run_sockets(http);
	run_timers(http);
	reap(http);
	sweep(http);
}

/* Milliseconds until something is due, rounded up, at most "limit_ms". */
static long
next_timeout(const OnecHttp *http, long limit_ms)
{
	int64_t		now = http->left_at;
	int64_t		at = http->timer_at;
	int64_t		ms;

	for (const OnecTransfer *t = http->first; t != NULL; t = t->next)
	{
		int64_t		deadline = onec_transfer_deadline(t);

		if (deadline < at)
			at = deadline;
		if (onec_transfer_resumable(t))
			return 0;
	}
	if (at == ONEC_NEVER)
		ms = limit_ms;
	else if (at <= now)
		ms = 0;
	else
		ms = (at - now + 999) / 1000;
	if (ms > limit_ms)
		ms = limit_ms;
	return ms < 0 ? 0 : (long) ms;
}

/* ---------- for callers that wait themselves ---------- */

static bool
make_timer(OnecHttp *http)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (http->timer_fd >= 0)
		return true;
	http->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	event.data.fd = http->timer_fd;
	if (http->timer_fd < 0 || epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, http->timer_fd, &event) == 0)
		return http->timer_fd >= 0;
	close(http->timer_fd);
	http->timer_fd = -1;
	return false;
}

/* Have the timer run out in "ms"; at once takes a nanosecond, since zero would stop it. */
static void
set_timer(OnecHttp *http, long ms)
{
	struct itimerspec spec = {0};

	spec.it_value.tv_sec = ms / 1000;
	spec.it_value.tv_nsec = ms > 0 ? ms % 1000 * 1000000 : 1;
	(void) timerfd_settime(http->timer_fd, 0, &spec, NULL);
}

int
onec_http_fd(OnecHttp *http)
{
	if (!make_timer(http))
		return -1;
	enter(http);
	set_timer(http, next_timeout(http, LONGEST_TIMER_MS));
	return http->epoll_fd;
}

void
onec_http_waited(OnecHttp *http)
{
	http->left_at = onec_http_now();
}

void
onec_http_wait(OnecHttp *http, long timeout_ms)
{
	enter(http);
	http->wait(http->epoll_fd, next_timeout(http, timeout_ms), http->wait_arg);
	/* waiting for the peer is not absence */
	http->left_at = onec_http_now();
	onec_http_poll(http);
}

OnecTransfer *
onec_http_start(OnecHttp *http, const OnecHttpRequest *request, OnecError *error)
{
	OnecTransfer *transfer;

	enter(http);
	if (http->broken != CURLM_OK && http->first == NULL)
		revive(http);
	transfer = onec_transfer_create(http, request, error);
	if (transfer == NULL)
		return NULL;
	if (http->broken != CURLM_OK || curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK)
	{
		onec_fail(error, ONEC_ERR_MEMORY, "could not start an HTTP request");
		onec_transfer_release(transfer);
		return NULL;
	}
	transfer->next = http->first;
	if (http->first != NULL)
		http->first->prev = transfer;
	http->first = transfer;

	/*
	 * Get the request on its way before the caller turns to other work.  The
	 * windows of other transfers do not move meanwhile (see body_callback).
	 */
	http->starting = transfer;
	run_timers(http);
	http->starting = NULL;
	reap(http);
	return transfer;
}

bool
onec_transfer_wait(OnecTransfer *transfer, size_t seen, OnecError *error)
{
	transfer->wanted = seen;
	while (!transfer->ended && onec_transfer_unread(transfer) <= seen)
		onec_http_wait(transfer->http, LONG_MAX);
	transfer->wanted = 0;
	if (transfer->ended && transfer->error.kind != ONEC_OK)
	{
		if (error->kind == ONEC_OK)
			*error = transfer->error;
		return false;
	}
	return true;
}

bool
onec_transfer_ready(OnecTransfer *transfer, size_t seen)
{
	transfer->wanted = seen;
	onec_http_poll(transfer->http);
	return transfer->ended || onec_transfer_unread(transfer) > seen;
}

void
onec_transfer_free(OnecTransfer *transfer)
{
	OnecHttp   *http;

	if (transfer == NULL)
		return;
	http = transfer->http;
	if (transfer->prev != NULL)
		transfer->prev->next = transfer->next;
	else
		http->first = transfer->next;
	if (transfer->next != NULL)
		transfer->next->prev = transfer->prev;
	if (!transfer->ended)
		(void) curl_multi_remove_handle(http->multi, transfer->easy);
	onec_transfer_release(transfer);
}
