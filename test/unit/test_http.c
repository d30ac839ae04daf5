/*-------------------------------------------------------------------------
 *
 * test_http.c
 *	  HTTP transfers against test/unit/http_stub.py, a server that lies, stalls
 *	  and cuts connections.  Run from the top folder.  R… are the cases of the
 *	  list of faults the project answers for.
 *
 *-------------------------------------------------------------------------
 */
#include "http_client.h"

/* ---------- good answers ---------- */

static void
test_plain(void)
{
	Got			got = fetch("/ok/5");
	OnecHttpRequest request = get(url(stub.plain, "/echo"));

	ok(got.good && got.answer.status == 200, "an answer");
	is_str(got.body, "abcde", "its body");
	is_str(got.content_type, "text/plain", "its type");
	ok(got.answer.body_bytes == 5 && got.answer.wire_bytes > 5 + 60 && got.answer.wire_bytes < 200,
	   "its bytes");
	ok(got.answer.elapsed_ms > 0 && got.answer.elapsed_ms < 60000, "its time");
	ok(got.answer.retry_after_s == -1 && strcmp(got.cookie, "(null)") == 0 &&
	   strcmp(got.location, "(null)") == 0,
	   "what was not sent is not there");

	request.ib_session = "start";
	request.cookie = "ibsession=x1";
	got = run_alone(request);
	contains(got.body, "GET /echo?hidden=hidden HTTP/1.1", "request line as given");
	contains(got.body, "Authorization: Basic " SECRET, "authorization sent");
	contains(got.body, "Accept: application/json", "accept sent");
	contains(got.body, "IBSession: start", "session header sent");
	contains(got.body, "Cookie: ibsession=x1", "cookie sent");
	contains(got.body, "Accept-Encoding: gzip, deflate\r\n", "encodings asked for");
	contains(got.body, "User-Agent: onec_fdw", "user agent");

	request.method = "POST";
	request.authorization = NULL;
	got = run_alone(request);
	contains(got.body, "POST /echo", "POST");
	contains(got.body, "Content-Length: 0", "with an empty body");
	ok(strstr(got.body, "Authorization") == NULL && strstr(got.body, "Content-Type") == NULL &&
	   strstr(got.body, "Expect") == NULL, "and no header that was not asked for");
}

static void
test_bodies(void)
{
	Got			got = fetch("/ok/3000000");

	ok(got.good && got.total == 3000000 && got.pattern, "large body");
	got = fetch("/chunked/3000000");
	ok(got.good && got.total == 3000000 && got.pattern, "chunked body");
	got = fetch("/gzip/3000000");
	ok(got.good && got.total == 3000000 && got.pattern, "gzip");
	ok(got.answer.body_bytes == 3000000 && got.answer.wire_bytes < 300000, "decoded and wire bytes differ");
	got = fetch("/deflate/100000");
	ok(got.good && got.total == 100000 && got.pattern, "deflate");
	got = fetch("/trailer");
	ok(got.good && strcmp(got.body, "hello") == 0 && strcmp(got.cookie, "(null)") == 0,
	   "trailers are ignored");
	got = fetch("/interim");
	ok(got.good && got.answer.status == 200 && strcmp(got.cookie, "(null)") == 0 &&
	   got.answer.retry_after_s == -1,
	   "what a 1xx answer says is forgotten");
	got = fetch("/until-close");
	ok(got.good && strcmp(got.body, "hello") == 0, "HTTP/1.0 until the connection closes");
	got = fetch("/status/204");
	ok(got.good && got.answer.status == 204 && got.total == 0, "R27: 204 is an answer without a body");
	got = fetch("/status/500");
	ok(got.good && got.answer.status == 500 && strcmp(got.body, "text") == 0, "the body of an error is read");
}

static void
test_fields(void)
{
	Got			got;

	is_int(fetch("/retry/3").answer.retry_after_s, 3, "Retry-After in seconds");
	got = fetch("/retry-date/100");
	ok(got.answer.retry_after_s >= 60 && got.answer.retry_after_s <= 100, "Retry-After as a date");
	is_int(fetch("/retry-date/-100").answer.retry_after_s, 0, "Retry-After in the past");
	is_int(fetch("/retry/soon").answer.retry_after_s, -1, "Retry-After that is neither");
	is_int(fetch("/retry/99999999999999999999").answer.retry_after_s, INT_MAX, "Retry-After beyond reason");
	is_str(fetch("/cookie").cookie, "IBSession=ab-12", "R35: only the 1C session is taken from Set-Cookie");
}

/* ---------- connecting ---------- */

static void
test_connect(void)
{
	OnecHttpRequest request = get(url(stub.closed, "/"));
	OnecHttpRequest https;
	char		address[200];
	double		began;

	refused(run_alone(request), ONEC_ERR_CONNECT, "connection refused", "R1: refused");
	request.url = "http://no.such.host.invalid/";
	request.connect_timeout_ms = 1500;
	refused(run_alone(request), ONEC_ERR_CONNECT, "host", "R2: unknown host");

	request.url = url(stub.hole, "/");
	request.connect_timeout_ms = 300;
	began = now_ms();
	refused(run_alone(request), ONEC_ERR_CONNECT, "within 0.3 s",
			"R3: dropped SYN ends at the connect timeout");
	ok(now_ms() - began > 250 && soon(began, 3000), "R3: and not much later");

	https = request;
	snprintf(address, sizeof(address), "https://127.0.0.1:%d/", stub.silent);
	https.url = address;
	began = now_ms();
	refused(run_alone(https), ONEC_ERR_CONNECT, "within 0.3 s",
			"R6: connect timeout covers the TLS handshake");
	ok(now_ms() - began > 250 && soon(began, 3000), "R6: and not much later");
	snprintf(address, sizeof(address), "https://127.0.0.1:%d/", stub.plain);
	https.connect_timeout_ms = 60 * 1000;
	refused(run_alone(https), ONEC_ERR_TLS, "no secure connection to host \"127.0.0.1\"",
			"TLS to a server without it");

	request = get("file:///etc/passwd");
	refused(run_alone(request), ONEC_ERR_CONNECT, "neither http nor https", "R32: file:");
	request.url = "ftp://127.0.0.1/";
	refused(run_alone(request), ONEC_ERR_CONNECT, "neither http nor https", "R32: ftp:");
	request.url = "gopher://127.0.0.1/";
	refused(run_alone(request), ONEC_ERR_CONNECT, "neither http nor https", "R32: gopher:");
	request.url = "http://hidden:hidden@127.0.0.1/";
	refused(run_alone(request), ONEC_ERR_CONNECT, "user name", "R33: user info in the address");
	request.url = "http:///";
	refused(run_alone(request), ONEC_ERR_CONNECT, "address", "no host");
	request = get(url(stub.plain, "/ok"));
	request.authorization = "Bearer hidden\r\nX-Injected: 1";
	refused(run_alone(request), ONEC_ERR_AUTH, "control character", "no line break in a header value");
}

static void
test_environment(void)
{
	char		proxy[100];

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", stub.closed);
	setenv("http_proxy", proxy, 1);
	setenv("all_proxy", proxy, 1);
	ok(fetch("/ok/5").good, "proxies of the environment are not used");
	unsetenv("http_proxy");
	unsetenv("all_proxy");
}

static void
test_tls(void)
{
	OnecHttpRequest request = get(NULL);
	char		local[100];
	char		numeric[100];
	char		expired[100];
	char		ca[100];
	char		old_ca[100];
	Got			got;

	if (stub.tls == 0)
	{
		skip("no openssl");
		return;
	}
	snprintf(local, sizeof(local), "https://localhost:%d/ok/200000", stub.tls);
	snprintf(numeric, sizeof(numeric), "https://127.0.0.1:%d/ok/200000", stub.tls);
	snprintf(expired, sizeof(expired), "https://localhost:%d/ok/5", stub.expired);
	snprintf(ca, sizeof(ca), "%s/good.pem", tls_dir);
	snprintf(old_ca, sizeof(old_ca), "%s/old.pem", tls_dir);

	request.url = local;
	refused(run_alone(request), ONEC_ERR_TLS, "self-signed", "R4: unknown authority is refused by default");
	request.ca_file = ca;
	got = run_alone(request);
	ok(got.good && got.total == 200000 && got.pattern, "ca_file makes it known");
	request.high_water = 20000;
	got = run_alone(request);
	ok(got.good && got.total == 200000 && got.pattern, "TLS with a bounded window");
	request.url = numeric;
	refused(run_alone(request), ONEC_ERR_TLS, "host name", "R5: other host name");
	request.url = expired;
	refused(run_alone(request), ONEC_ERR_TLS, "self-signed", "ca_file of another authority does not help");
	request.ca_file = old_ca;
	refused(run_alone(request), ONEC_ERR_TLS, "expired", "R5: expired");
	request.insecure = true;
	ok(run_alone(request).good, "the insecure switch accepts it");
	request.insecure = false;
	request.ca_file = "/nonexistent.pem";
	refused(run_alone(request), ONEC_ERR_TLS, "trusted certificates", "unreadable ca_file");
}

/* ---------- deadlines ---------- */

static void
test_deadlines(void)
{
	OnecHttpRequest request = get(url(stub.plain, "/silent"));
	double		began = now_ms();
	Got			got;

	request.request_timeout_ms = 400;
	refused(run_alone(request), ONEC_ERR_TIMEOUT, "no answer within 0.4 s", "R7: no status line");
	ok(now_ms() - began > 380 && soon(began, 3000), "R7: ends at the request timeout");
	request.request_timeout_ms = 1500;
	request.url = url(stub.plain, "/stall/5");
	got = run_alone(request);
	refused(got, ONEC_ERR_TIMEOUT, "not complete within 1.5 s", "R8: body stalls");
	ok(got.error.http_status == 200 && got.total == 5, "R8: status and first bytes are known");
	request.url = url(stub.plain, "/drip/1000/20");
	refused(run_alone(request), ONEC_ERR_TIMEOUT, "not complete",
			"R8: dripping does not prolong the request timeout");
	request.url = url(stub.plain, "/late/1500");
	request.request_timeout_ms = 60 * 1000;
	request.connect_timeout_ms = 1000;
	ok(run_alone(request).good, "connect timeout ends when the request is sent");
}

/* The low-speed window is a minute: move the clock instead of waiting. */
static void
test_low_speed(void)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest request = get(url(stub.plain, "/silent"));
	OnecError	error = {0};
	OnecTransfer *transfer;
	int64_t		minute = INT64_C(61) * 1000 * 1000;

	request.request_timeout_ms = 3600 * 1000;
	transfer = onec_http_start(http, &request, &error);
	while (!transfer->connected)
		onec_http_wait(http, 100);
	onec_transfer_check(transfer, onec_http_now() + 10 * minute);
	ok(!onec_transfer_ended(transfer), "R8: the low-speed rule does not count before the first byte");
	onec_transfer_check(transfer, onec_http_now() + 60 * minute);
	ok(onec_transfer_ended(transfer), "the request timeout does");
	onec_transfer_free(transfer);

	request.url = url(stub.plain, "/stall/2000");
	transfer = onec_http_start(http, &request, &error);
	ok(onec_transfer_wait(transfer, 1999, &error), "first bytes");
	onec_transfer_check(transfer, onec_http_now() + minute);
	ok(!onec_transfer_ended(transfer), "a window with enough bytes passes");
	onec_transfer_check(transfer, onec_http_now() + minute * 3 / 2);
	ok(!onec_transfer_ended(transfer), "the next window takes a minute again");
	onec_transfer_check(transfer, onec_http_now() + 2 * minute);
	ok(onec_transfer_ended(transfer), "R8: a window with too few bytes ends the transfer");
	ok(!onec_transfer_wait(transfer, 5000, &error) && error.kind == ONEC_ERR_TIMEOUT &&
	   strstr(error.message, "too slowly") != NULL, "R8: and says so");
	onec_transfer_free(transfer);
	onec_http_destroy(http);
}

/* ---------- limits ---------- */

static void
test_limits(void)
{
	OnecHttpRequest request = get(url(stub.plain, "/ok/1000"));
	Got			got;

	request.max_response = 1000;
	ok(run_alone(request).good, "exactly the limit");
	request.url = url(stub.plain, "/ok/1001");
	refused(run_alone(request), ONEC_ERR_LIMIT, "announced", "one byte more, announced");
	request.url = url(stub.plain, "/chunked/1000");
	ok(run_alone(request).good, "exactly the limit, chunked");
	request.url = url(stub.plain, "/chunked/1001");
	refused(run_alone(request), ONEC_ERR_LIMIT, "1000 bytes", "one byte more, chunked");
	got = fetch("/huge");
	refused(got, ONEC_ERR_LIMIT, "announced", "R13: 50 GB announced");
	ok(got.total == 0 && got.error.http_status == 200, "R13: nothing of it was taken");
	refused(fetch("/length/99999999999999999999999999"), ONEC_ERR_LIMIT, "announced",
			"R13: a length beyond numbers");
	request.url = url(stub.plain, "/bomb");
	request.max_response = 5000000;
	got = run_alone(request);
	refused(got, ONEC_ERR_LIMIT, "larger than the limit of 5000000 bytes", "R14, D12: gzip bomb");
	ok(got.answer.body_bytes <= 5000000 && got.answer.wire_bytes < 150000,
	   "R14, D12: decoded bytes are what counts, and no time");
	refused(fetch("/many-headers"), ONEC_ERR_LIMIT, "header", "R12: 200000 headers");
	refused(fetch("/many-interims"), ONEC_ERR_LIMIT, "header", "R12: 200000 interim answers");
	refused(fetch("/long-header"), ONEC_ERR_LIMIT, "header", "R12: a header of 10 MB");
}

/* ---------- malformed and broken answers ---------- */

static void
test_malformed(void)
{
	char		path[8000];
	Got			got;

	refused(fetch("/brotli"), ONEC_ERR_REPLY, "content encoding", "R15: brotli");
	refused(fetch("/gzip-chain"), ONEC_ERR_REPLY, "encoding", "R15: gzip, gzip");
	refused(fetch("/gzip-twice"), ONEC_ERR_REPLY, "encoding", "R15: gzip in two headers");
	refused(fetch("/gzip-six"), ONEC_ERR_REPLY, "", "R15: a chain of six");
	/* later versions of curl notice it by themselves, as damage */
	refused(fetch("/te-gzip"), ONEC_ERR_REPLY, "", "R15: as transfer encoding");
	refused(fetch("/gzip-damaged"), ONEC_ERR_REPLY, "damaged", "damaged gzip");
	refused(fetch("/gzip-tail"), ONEC_ERR_REPLY, "damaged", "gzip with something behind it");
	for (int cut = 1; cut <= 9; cut++)
	{
		char		path[32];

		snprintf(path, sizeof(path), "/gzip-cut/%d", cut);
		refused(fetch(path), ONEC_ERR_BROKEN, "too early", "T7: gzip without its last bytes");
	}
	refused(fetch("/gzip-checksum"), ONEC_ERR_REPLY, "damaged", "T7: gzip with another checksum");
	refused(fetch("/gzip-cut/1000000"), ONEC_ERR_BROKEN, "too early", "T7: nothing where gzip was announced");
	got = fetch("/deflate-bare/100000");
	ok(got.good && got.total == 100000 && got.pattern, "deflate without a header");
	refused(fetch("/garbage"), ONEC_ERR_REPLY, "HTTP", "R17: binary garbage");
	got = fetch("/http09");
	refused(got, ONEC_ERR_REPLY, "HTTP", "R17: HTTP/0.9");
	is_int(got.total, 0, "R17: no data from it");
	refused(fetch("/version"), ONEC_ERR_REPLY, "HTTP", "a version of HTTP that does not exist");
	refused(fetch("/second-status"), ONEC_ERR_REPLY, "encoding",
			"R15: gzip twice, with what looks like a status line between them");
	/* later versions of curl refuse it */
	got = fetch("/two-blanks");
	ok(got.good || got.error.kind == ONEC_ERR_REPLY, "a status line with two blanks");
	refused(fetch("/switch"), ONEC_ERR_REPLY, "status", "101 that nobody asked for");
	refused(fetch("/length/abc"), ONEC_ERR_REPLY, "HTTP", "Content-Length that is no number");
	refused(fetch("/length/-5"), ONEC_ERR_REPLY, "HTTP", "negative Content-Length");
	refused(fetch("/bad-chunk"), ONEC_ERR_REPLY, "chunk", "R11: broken chunk");
	got = fetch("/short");
	refused(got, ONEC_ERR_BROKEN, "before the end", "R10: body shorter than announced");
	is_int(got.error.http_status, 200, "R10: status in the error");
	refused(fetch("/short-chunk"), ONEC_ERR_BROKEN, "before the end", "R10: last chunk missing");
	refused(fetch("/reset"), ONEC_ERR_BROKEN, "connection", "R9: reset in the middle");
	refused(fetch("/nothing"), ONEC_ERR_BROKEN, "without an answer", "closed without an answer");

	/* longer than one segment, so that the reset comes while we write */
	memset(path, 'p', sizeof(path));
	memcpy(path, "/fault-early/", 13);
	path[sizeof(path) - 1] = '\0';
	signal(SIGPIPE, SIG_DFL);
	refused(fetch(path), ONEC_ERR_BROKEN, "connection", "R18: reset while the request is written");
}

static void
test_redirects(void)
{
	char		want[100];
	char		before[100];
	char		path[40];
	Got			got = fetch("/redirect/same");

	ok(got.good && got.answer.status == 302, "R28: not followed");
	is_str(got.location, "/ok/5", "R28: but known");
	copy_text(before, sizeof(before), stats(stub.other));
	got = fetch("/redirect/other");
	snprintf(want, sizeof(want), "http://127.0.0.1:%d/ok/5", stub.other);
	ok(got.answer.status == 302 && strcmp(got.location, want) == 0, "R29: another port is not followed");
	snprintf(path, sizeof(path), "/stats/%d", stub.other);
	got = run_alone(get(url(stub.plain, path)));
	is_str(got.body, before, "R29: it saw nobody");
	ok(fetch("/redirect/file").answer.status == 302, "R30: file:");
	ok(fetch("/redirect/ftp").answer.status == 302, "R30: ftp:");
	ok(fetch("/redirect/loop").answer.status == 302, "R31: loop");
}

int
main(void)
{
	void		(*const tests[]) (void) = {
		test_plain, test_bodies, test_fields, test_connect, test_environment, test_tls, test_deadlines,
		test_low_speed, test_limits, test_malformed, test_redirects
	};

	return run_tests(tests, (int) (sizeof(tests) / sizeof(*tests)));
}
