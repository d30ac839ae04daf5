/*-------------------------------------------------------------------------
 *
 * test_http_pool.c
 *	  What lives longer than one call: the window a caller reads through, slow
 *	  callers, kept connections, requests beside each other.  Against
 *	  test/unit/http_stub.py; run from the top folder.
 *
 *-------------------------------------------------------------------------
 */
#include "http_client.h"

/* ---------- the window ---------- */

static void
test_window(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/ok/9000000"));
	OnecTransfer *transfer;
	OnecError	error = {0};
	Got			got = {0};
	size_t		len;

	request.high_water = 300000;
	transfer = onec_http_start(http, &request, &error);
	drain(transfer, 7777, &got);
	ok(got.good && got.total == 9000000 && got.pattern, "read in small steps");
	ok(got.most <= 300000 + 256 * 1024, "never much more than the high water (%zu)", got.most);
	ok(transfer->body.cap < 2000000, "the window's memory is bounded (%zu)", transfer->body.cap);
	onec_transfer_free(transfer);

	transfer = onec_http_start(http, &request, &error);
	ok(onec_transfer_wait(transfer, 2000000, &error), "asked for more than the high water");
	onec_transfer_data(transfer, &len);
	ok(len > 2000000 && len < 2000000 + 600000, "got more, but not all (%zu)", len);
	ok(onec_transfer_wait(transfer, 100, &error) && !onec_transfer_ended(transfer),
	   "and does not wait without need");
	memset(&got, 0, sizeof(got));
	drain(transfer, SIZE_MAX, &got);
	ok(got.good && got.total == 9000000 && got.pattern, "and the rest");
	onec_transfer_free(transfer);

	request.url = url(stub.plain, "/gzip/30000000");
	request.high_water = 100000;
	memset(&got, 0, sizeof(got));
	transfer = onec_http_start(http, &request, &error);
	drain(transfer, 100000, &got);
	ok(got.good && got.total == 30000000 && got.pattern, "a compressed answer through a small window");
	onec_transfer_free(transfer);

	request.url = url(stub.plain, "/bomb/100");
	request.max_response = 200000000;
	request.high_water = 4000000;
	memset(&got, 0, sizeof(got));
	transfer = onec_http_start(http, &request, &error);
	drain(transfer, SIZE_MAX, &got);
	ok(got.good && got.total == 100 << 20 && got.most < 4100000, "R14: even a bomb, if it is allowed");
	onec_transfer_free(transfer);
	onec_http_destroy(http);
}

/* ---------- absence ---------- */

/*
 * As if that much time had gone by, which is longer than any request here may
 * take, and nobody had driven the pool.  libcurl does not see it.
 */
#define AWAY_US (INT64_C(100) * 1000 * 1000)

static void
clock_goes_on(OnecHttp *http)
{
	http->left_at -= AWAY_US;
	for (OnecTransfer *t = http->first; t != NULL; t = t->next)
	{
		t->started_at -= AWAY_US;
		t->connect_by -= AWAY_US;
		t->answer_by -= AWAY_US;
		t->paused_at -= AWAY_US;
		if (t->speed_at != ONEC_NEVER)
			t->speed_at -= AWAY_US;
	}
}

/* Whether something waits for the caller, now or within so many milliseconds. */
static bool
waiting(OnecHttp *http, int ms)
{
	struct pollfd poll_fd = {http->epoll_fd, POLLIN, 0};

	return poll(&poll_fd, 1, ms) > 0;
}

static void
drive_until_paused(OnecHttp *http, OnecTransfer *transfer)
{
	while (!transfer->paused && !transfer->ended)
		onec_http_wait(http, 50);
}

/* The consumer takes longer than the request may. */
static void
test_slow_consumer(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/burst/300000/100"));
	OnecTransfer *transfer;
	OnecError	error = {0};
	Got			got = {0};
	int64_t		before;
	int64_t		left;

	request.high_water = 100000;
	transfer = onec_http_start(http, &request, &error);
	ok(onec_transfer_wait(transfer, 0, &error), "the transfer begins");
	drive_until_paused(http, transfer);
	clock_goes_on(http);
	for (int i = 0; i < 4; i++)
		onec_http_wait(http, 5);
	ok(transfer->paused && !onec_transfer_ended(transfer),
	   "a paused transfer does not time out while driven");
	drain(transfer, 40000, &got);
	ok(got.good && got.total == 300000 && got.pattern, "time spent paused is not charged");
	onec_transfer_free(transfer);

	request.url = url(stub.plain, "/stall/300000");
	transfer = onec_http_start(http, &request, &error);
	ok(onec_transfer_wait(transfer, 0, &error), "another transfer begins");
	drive_until_paused(http, transfer);
	left = transfer->answer_by - transfer->paused_at;
	clock_goes_on(http);
	before = onec_http_now();
	transfer->high_water = 0;
	ok(onec_transfer_wait(transfer, 299999, &error), "what had come until then can be read");
	/* it went on at some moment since "before", and has as long from there as it had when it was paused */
	ok(transfer->answer_by - left >= before && transfer->answer_by - left <= onec_http_now(),
	   "time away while paused is settled once: the peer has as long as ever");
	clock_goes_on(http);
	memset(&got, 0, sizeof(got));
	drain(transfer, SIZE_MAX, &got);
	ok(!got.good && got.error.kind == ONEC_ERR_TIMEOUT, "… and no longer");
	onec_transfer_free(transfer);
	onec_http_destroy(http);
}

static void
test_pinned(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/ok/6000000"));
	OnecError	error = {0};
	OnecTransfer *transfer = onec_http_start(http, &request, &error);
	Got			got = {0};
	const char *data;
	size_t		len;
	size_t		again;

	ok(onec_transfer_wait(transfer, 0, &error), "an answer begins");
	data = onec_transfer_data(transfer, &len);
	onec_transfer_pin(transfer, true);
	for (int i = 0; i < 20; i++)
		onec_http_wait(http, 5);
	ok(onec_transfer_data(transfer, &again) == data && again == len, "a pinned window keeps still");
	onec_transfer_pin(transfer, false);
	drain(transfer, SIZE_MAX, &got);
	ok(got.good && got.total == 6000000, "… and goes on");
	onec_transfer_free(transfer);
	onec_http_destroy(http);
}

/* Start it, and be away when something comes; "another" begins before anybody looks, if it is given. */
static Got
late_for(OnecHttpRequest request, bool connected, const OnecHttpRequest *another)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	Got			got = {0};
	OnecTransfer *transfer = onec_http_start(http, &request, &got.error);
	OnecTransfer *second = NULL;
	OnecError	error = {0};

	while (connected && !transfer->connected)
		onec_http_wait(http, 1);
	if (!waiting(http, 60 * 1000))
		diag("nothing comes");
	clock_goes_on(http);
	if (another != NULL)
		second = onec_http_start(http, another, &error);
	drain(transfer, SIZE_MAX, &got);
	onec_transfer_free(transfer);
	onec_transfer_free(second);
	onec_http_destroy(http);
	return got;
}

/* Nobody drove the pool while something came; the first thing then may be another request. */
static void
test_absence(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest another = get(url(stub.plain, "/ok/5"));
	OnecHttpRequest request = get(url(stub.plain, "/silent"));
	OnecTransfer *transfer;
	OnecError	error = {0};
	char		secure[60];
	Got			got;

	got = late_for(get(url(stub.plain, "/ok/6000000")), false, NULL);
	ok(got.good && got.total == 6000000, "an answer that waited for its consumer is not late");
	got = late_for(get(url(stub.plain, "/burst/300000/100")), true, &another);
	ok(got.good && got.total == 300000, "nor is one that waited while another request began");
	if (stub.tls > 0)
	{
		snprintf(secure, sizeof(secure), "https://127.0.0.1:%d/ok/5", stub.tls);
		request.url = secure;
		request.insecure = true;
		got = late_for(request, false, &another);
		ok(got.good && got.total == 5, "nor is a connection");
		/* libcurl has a clock of its own for this, which cannot be moved */
		request.connect_timeout_ms = 1500;
		transfer = onec_http_start(http, &request, &error);
		usleep(2000 * 1000);
		memset(&got, 0, sizeof(got));
		drain(transfer, SIZE_MAX, &got);
		ok(got.good && got.total == 5, "a connection that nobody drove is not late");
		onec_transfer_free(transfer);
	}
	snprintf(secure, sizeof(secure), "https://127.0.0.1:%d/", stub.silent);
	request = get(secure);
	request.request_timeout_ms = 1000 * 1000;
	transfer = onec_http_start(http, &request, &error);
	clock_goes_on(http);
	onec_http_wait(http, 20);
	ok(!onec_transfer_ended(transfer), "… nor one for which nothing has come");
	onec_transfer_free(transfer);

	request = get(url(stub.plain, "/silent"));
	transfer = onec_http_start(http, &request, &error);
	while (!transfer->connected || waiting(http, 0))
		onec_http_wait(http, 1);
	clock_goes_on(http);
	ok(!onec_transfer_wait(transfer, 0, &error) && error.kind == ONEC_ERR_TIMEOUT,
	   "a silent server is late although nobody looked");
	onec_transfer_free(transfer);
	onec_http_destroy(http);
}

/* ---------- kept connections ---------- */

static int
posts(void)
{
	int			connections;
	int			requests;
	int			number = -1;

	if (sscanf(stats(stub.plain), "connections=%d requests=%d posts=%d", &connections, &requests,
			   &number) != 3)
		diag("no counters");
	return number;
}

static void
test_reuse(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/ok/5"));
	OnecHttpRequest quiet = get(url(stub.plain, "/close-quiet"));
	OnecHttpRequest on_next = get(url(stub.plain, "/close-on-next"));
	OnecHttpRequest bad = get(url(stub.plain, "/bad-chunk"));
	OnecTransfer *stalled;
	Got			got = run(http, request);
	int			before;

	ok(got.good && !got.answer.reused, "first connection is new");
	ok(run(http, request).answer.reused, "second request goes over it");
	ok(run(http, quiet).good, "the server closes after an answer");
	usleep(50 * 1000);
	got = run(http, request);
	ok(got.good && !got.answer.reused && strcmp(got.body, "abcde") == 0,
	   "R16: a closed connection is replaced");
	ok(run(http, on_next).good, "the server will close on the next request");
	got = run(http, request);
	ok(got.good && strcmp(got.body, "abcde") == 0,
	   "R16: a connection that dies under the request is replaced");
	ok(!got.answer.reused, "R16: and the answer says so");

	ok(run(http, on_next).good, "again");
	request.method = "POST";
	before = posts();
	got = run(http, request);
	ok(!got.good && got.answer.sent, "POST that meets it has an outcome that is not known");
	is_int(posts(), before + 1, "and is sent once");
	request.method = "GET";

	refused(run(http, bad), ONEC_ERR_REPLY, "chunk", "R11: broken chunk in the pool");
	bad.url = url(stub.plain, "/stall/5");
	memset(&got, 0, sizeof(got));
	stalled = onec_http_start(http, &bad, &got.error);
	ok(onec_transfer_wait(stalled, 4, &got.error), "five bytes come");
	clock_goes_on(http);
	drain(stalled, SIZE_MAX, &got);
	refused(got, ONEC_ERR_TIMEOUT, "not complete", "… and no more: a stalled one");
	onec_transfer_free(stalled);
	got = run(http, request);
	ok(got.good && strcmp(got.body, "abcde") == 0, "R11: nothing of them is left on a connection");
	onec_http_destroy(http);
}

/* ---------- the pool ---------- */

static void
test_parallel(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/late/300"));
	OnecHttpRequest broken = get(url(stub.plain, "/reset"));
	OnecTransfer *transfers[8];
	OnecTransfer *bad;
	OnecError	error = {0};
	double		began = now_ms();
	int			good = 0;

	for (int i = 0; i < 8; i++)
		transfers[i] = onec_http_start(http, &request, &error);
	bad = onec_http_start(http, &broken, &error);
	for (int i = 7; i >= 0; i--)
		good += onec_transfer_wait(transfers[i], 4, &error) && onec_transfer_wait(transfers[i], 5, &error) &&
			onec_transfer_done(transfers[i]);
	is_int(good, 8, "eight requests at once");
	ok(soon(began, 2000), "in the time of one");
	ok(!onec_transfer_wait(bad, SIZE_MAX, &error) && error.kind == ONEC_ERR_BROKEN,
	   "a broken one harms no other");
	ok(!onec_transfer_done(bad) && onec_transfer_ended(bad), "it has ended, badly");
	for (int i = 0; i < 8; i++)
		onec_transfer_free(transfers[i]);
	onec_transfer_free(bad);
	onec_transfer_free(NULL);
	onec_http_destroy(http);
	onec_http_destroy(NULL);
}

/* libcurl fails as a whole: what is under way ends, and once that is gone the pool is as good as new. */
static void
test_broken_pool(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/late/100"));
	OnecError	error = {0};
	OnecError	refusal = {0};
	OnecTransfer *transfer = onec_http_start(http, &request, &error);
	int			fd = onec_http_fd(http);

	http->broken = CURLM_INTERNAL_ERROR;
	ok(onec_http_start(http, &request, &refusal) == NULL && refusal.kind == ONEC_ERR_MEMORY,
	   "a broken pool takes no request");
	ok(!onec_transfer_wait(transfer, 0, &error) && error.kind != ONEC_OK, "and ends those it has");
	onec_transfer_free(transfer);
	ok(run(http, request).good, "afterwards it works again");
	is_int(onec_http_fd(http), fd, "and is waited for as before");
	onec_http_destroy(http);
}

/* A request that is begun must not move a window the caller is reading. */
static void
test_start_keeps_still(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/ok/4000000"));
	OnecTransfer *first;
	OnecTransfer *others[20];
	OnecError	error = {0};
	Got			got = {0};
	const char *data;
	const char *after;
	size_t		len;
	size_t		len_after;

	request.high_water = 100000;
	first = onec_http_start(http, &request, &error);
	ok(onec_transfer_wait(first, 0, &error), "a window");
	data = onec_transfer_data(first, &len);
	usleep(50 * 1000);
	for (int i = 0; i < 20; i++)
		others[i] = onec_http_start(http, &request, &error);
	after = onec_transfer_data(first, &len_after);
	ok(data == after && len == len_after, "starting other requests leaves it where it is");

	/* libcurl could hand us bytes even then, had a timer of "first" come due */
	onec_transfer_consume(first, len);
	got.total = (int64_t) len;
	http->starting = others[0];
	onec_transfer_resume(first, onec_http_now());
	http->starting = NULL;
	onec_transfer_data(first, &len);
	ok(first->paused && len == 0, "it does not grow either");
	for (int i = 0; i < 20; i++)
		onec_transfer_free(others[i]);
	drain(first, SIZE_MAX, &got);
	ok(got.good && got.total == 4000000 && got.pattern, "and it goes on");
	onec_transfer_free(first);
	onec_http_destroy(http);
}

static void
test_poll_only(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/late/100"));
	OnecError	error = {0};
	OnecTransfer *transfer = onec_http_start(http, &request, &error);
	OnecHttpAnswer answer;
	int			before = waits;
	int			rounds = 0;

	onec_transfer_answer(transfer, &answer);
	ok(answer.status == 0 && answer.body_bytes == 0, "nothing is known yet");
	while (!onec_transfer_ended(transfer) && rounds++ < 100)
	{
		struct pollfd poll_fd = {onec_http_fd(http), POLLIN, 0};

		poll(&poll_fd, 1, 50);
		onec_http_poll(http);
	}
	ok(onec_transfer_done(transfer) && waits == before, "driven without the callback");
	ok(rounds < 20, "and without spinning (%d rounds)", rounds);
	onec_transfer_free(transfer);
	onec_http_destroy(http);
}

static void
test_quiet_wait(void)
{
	int			before = waits;
	OnecHttpRequest request = get(url(stub.plain, "/late/500"));

	ok(run_alone(request).good, "a late answer");
	ok(waits - before < 30, "waiting does not spin (%d waits)", waits - before);
}

/* The callback leaves by longjmp at every moment of a request. */
static void
test_longjmp(void)
{
	static const char *const paths[] = {"/ok/3000000", "/gzip/3000000", "/silent"};
	volatile int jumps = 0;
	volatile int good = 0;
	OnecHttp   *volatile http = NULL;

	for (volatile int i = 0; i < 24; i++)
	{
		OnecHttpRequest request = get(url(stub.plain, paths[i % 3]));
		OnecError	error = {0};
		Got			got = {0};

		http = onec_http_create(wait_callback, NULL);
		request.high_water = 100000;
		request.request_timeout_ms = 500;
		waits = 0;
		jump_at = i / 3 + 1;
		if (setjmp(jump_out) == 0)
			drain(onec_http_start(http, &request, &error), 50000, &got);
		else
			jumps++;
		jump_at = 0;
		/* every second pool is used again, with the abandoned transfer in it */
		if (i % 2 == 0)
			good += run(http, get(url(stub.plain, "/ok/5"))).good;
		onec_http_destroy(http);
	}
	ok(jumps > 15, "left by longjmp (%d times)", jumps);
	is_int(good, 12, "the pool works afterwards");
}

int
main(void)
{
	void		(*const tests[]) (void) = {
		test_window, test_slow_consumer, test_pinned, test_absence, test_reuse, test_parallel,
			test_broken_pool,
		test_start_keeps_still, test_poll_only, test_quiet_wait, test_longjmp
	};

	return run_tests(tests, (int) (sizeof(tests) / sizeof(*tests)));
}
