/*-------------------------------------------------------------------------
 *
 * test_http_body.c
 *	  Requests that change something: what they carry, and that they are sent
 *	  once, whatever happens to the connection.  Against test/unit/http_stub.py.
 *
 *-------------------------------------------------------------------------
 */
#include "http_client.h"

static char pattern[3000000];

static OnecHttpRequest
with_body(const char *method, const char *path, size_t len)
{
	OnecHttpRequest request = get(url(stub.plain, path));

	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (char) ('a' + i % (26 * 1024) % 26);
	request.method = method;
	request.body = len > 0 ? pattern : NULL;
	request.body_len = len;
	return request;
}

/* How many requests the stub has seen. */
static int
requests(void)
{
	int			connections;
	int			number = -1;

	if (sscanf(stats(stub.plain), "connections=%d requests=%d", &connections, &number) != 2)
		diag("no counters");
	return number;
}

static void
test_headers(void)
{
	OnecHttpRequest request = with_body("POST", "/echo", 10);
	Got			got;

	request.if_match = "W/\"AAAAAAAAAAA=\"";
	got = run_alone(request);
	contains(got.body, "POST /echo?hidden=hidden HTTP/1.1", "POST");
	contains(got.body, "Content-Type: application/json;charset=utf-8", "its type");
	contains(got.body, "Content-Length: 10", "its length");
	contains(got.body, "If-Match: W/\"AAAAAAAAAAA=\"", "the version that is meant");
	contains(got.body, "Authorization: Basic " SECRET, "the login");
	ok(strstr(got.body, "Expect") == NULL && strstr(got.body, "Transfer-Encoding") == NULL, "nothing else");

	got = run_alone(with_body("PATCH", "/echo", 10));
	contains(got.body, "PATCH /echo", "PATCH");
	contains(got.body, "Content-Length: 10", "its length");
	ok(strstr(got.body, "If-Match") == NULL, "no version where none is meant");

	got = run_alone(with_body("DELETE", "/echo", 0));
	contains(got.body, "DELETE /echo", "DELETE");
	ok(strstr(got.body, "Content-Type") == NULL, "has no body");

	got = run_alone(with_body("POST", "/echo", 0));
	contains(got.body, "Content-Length: 0", "POST without a body says so");
	ok(got.good && got.answer.sent, "and was sent");
}

static void
test_content(void)
{
	static const size_t lengths[] = {1, 1000, 65536, 1100000, 3000000};
	static const char text[] = "{\"\\u0000\":\0\"\xd0\xaf\"}";
	OnecHttpRequest request = with_body("PATCH", "/taken", 1);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
	{
		char		expected[40];

		snprintf(expected, sizeof(expected), "%zu 1", lengths[i]);
		is_str(run_alone(with_body("POST", "/taken", lengths[i])).body, expected, "a body arrives whole");
	}
	request.body = text;
	request.body_len = sizeof(text) - 1;
	is_str(run_alone(request).body, "16 0", "whatever bytes it has");
}

static void
test_once(void)
{
	static const char *const methods[] = {"POST", "PATCH"};
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	OnecHttpRequest on_next = get(url(stub.plain, "/close-on-next"));
	Got			got;
	int			before;

	(void) run(http, get(url(stub.plain, "/ok/5")));
	got = run(http, with_body("POST", "/taken", 100));
	ok(got.good && got.answer.reused, "a request with a body goes over an open connection");
	for (int i = 0; i < 2; i++)
	{
		ok(run(http, on_next).good, "the server will take the next request and close");
		before = requests();
		got = run(http, with_body(methods[i], "/taken", 100));
		refused(got, ONEC_ERR_BROKEN, "", "whose outcome is not known then");
		ok(got.answer.sent, "for it may have got there");
		is_int(requests() - before, 1, "and it was not sent again");
	}
	for (int i = 0; i < 2; i++)
	{
		static const char *const bare[] = {"POST", "DELETE"};

		(void) run(http, get(url(stub.plain, "/ok/5")));
		got = run(http, with_body(bare[i], "/ok/5", 0));
		ok(got.good && got.answer.reused, "one without a body goes over an open connection, too");
		ok(run(http, on_next).good, "once more");
		before = requests();
		got = run(http, with_body(bare[i], "/ok/5", 0));
		refused(got, ONEC_ERR_BROKEN, "", "a connection that dies under it: the outcome is not known");
		ok(got.answer.sent, "for it may have got there");
		is_int(requests() - before, 1, "and it was not sent again");
	}
	onec_http_destroy(http);

	got = run_alone(with_body("POST", "/fault-early", 100));
	ok(!got.good && got.answer.sent, "cut while it is sent: the outcome is not known");
	{
		OnecHttpRequest nowhere = with_body("POST", "/ok/5", 100);

		nowhere.url = url(stub.closed, "/ok/5");
		got = run_alone(nowhere);
		refused(got, ONEC_ERR_CONNECT, "", "nobody there");
		ok(!got.answer.sent, "so it surely was not sent");
	}
}

int
main(void)
{
	void		(*const tests[]) (void) = {test_headers, test_content, test_once};

	return run_tests(tests, (int) (sizeof(tests) / sizeof(*tests)));
}
