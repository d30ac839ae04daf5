/*-------------------------------------------------------------------------
 *
 * http_client.h
 *	  The client's side of test_http*.c: starts the stub, makes requests, reads
 *	  answers, and looks at every message on the way.
 *
 * Included once, so everything is static.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TEST_HTTP_CLIENT_H
#define ONEC_TEST_HTTP_CLIENT_H

#include "onec_error.h"
#include "protocol/http/http.h"
#include "protocol/http/http_private.h"
#include "protocol/http/http_transfer.h"
#include "protocol/http/http_window.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define SECRET "c2VjcmV0LXdvcmQ6aGlkZGVu"

static struct
{
	pid_t		pid;
	int			stdin_fd;
	int			plain;
	int			other;
	int			closed;
	int			hole;
	int			silent;
	int			tls;			/* 0 without openssl */
	int			expired;
} stub;

static char tls_dir[] = "/tmp/onec_test_http_XXXXXX";
static int	talkative = 0;		/* messages that say too much or nothing */
static int	waits = 0;			/* calls of the wait callback */
static int	jump_at = 0;		/* leave it by longjmp in this call */
static jmp_buf jump_out;

/* ---------- the stub ---------- */

static void
make_certificates(void)
{
	static const char script[] =
		"cd %s && exec 2>openssl.log >&2 && "
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout good.key -out "
		"good.pem"
		" -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost && "
		"openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout old.key -out old.csr"
		" -subj /CN=localhost && "
		"openssl x509 -req -in old.csr -signkey old.key -days -1 -out old.pem";
	char		command[1024];

	if (mkdtemp(tls_dir) == NULL)
		bail_out("no temporary directory");
	snprintf(command, sizeof(command), script, tls_dir);
	stub.tls = system(command) == 0;
}

static void
start_stub(void)
{
	int			to[2];
	int			from[2];
	char		line[200];
	FILE	   *out;
	int			n;

	make_certificates();
	if (pipe(to) != 0 || pipe(from) != 0)
		bail_out("no pipe");
	stub.pid = fork();
	if (stub.pid == 0)
	{
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		close(from[0]);
		if (!stub.tls)
			execlp("python3", "python3", "test/unit/http_stub.py", (char *) NULL);
		else
		{
			char		files[4][100];
			static const char *const names[] = {"good.pem", "good.key", "old.pem", "old.key"};

			for (int i = 0; i < 4; i++)
				snprintf(files[i], sizeof(files[i]), "%s/%s", tls_dir, names[i]);
			execlp("python3", "python3", "test/unit/http_stub.py", "--cert", files[0], "--key", files[1],
				   "--expired-cert", files[2], "--expired-key", files[3], (char *) NULL);
		}
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	stub.stdin_fd = to[1];
	out = fdopen(from[0], "r");
	if (fgets(line, sizeof(line), out) == NULL)
		bail_out("the stub did not start");
	n = sscanf(line, "ports %d %d %d %d %d %d %d", &stub.plain, &stub.other, &stub.closed, &stub.hole,
			   &stub.silent, &stub.tls, &stub.expired);
	if (n != (stub.tls ? 7 : 5))
		bail_out("the stub did not print its ports");
	fclose(out);
}

static void
stop_stub(void)
{
	char		command[200];

	close(stub.stdin_fd);
	waitpid(stub.pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", tls_dir);
	if (system(command) != 0)
		diag("could not remove %s", tls_dir);
}

/* ---------- one request ---------- */

static void
wait_callback(int fd, long timeout_ms, void *arg)
{
	struct pollfd poll_fd = {fd, POLLIN, 0};

	(void) arg;
	waits++;
	if (jump_at > 0 && waits >= jump_at)
		longjmp(jump_out, 1);
	if (timeout_ms < 0)
		bail_out("negative timeout");
	/* nothing in these tests takes longer */
	poll(&poll_fd, 1, timeout_ms > 30000 ? 30000 : (int) timeout_ms);
}

static const char *
url(int port, const char *path)
{
	static char text[32][9000];
	static int	turn = 0;

	turn = (turn + 1) % 32;
	snprintf(text[turn], sizeof(text[turn]), "http://127.0.0.1:%d%s?hidden=hidden", port, path);
	return text[turn];
}

static OnecHttpRequest
get(const char *address)
{
	OnecHttpRequest request = {
		.method = "GET",
		.url = address,
		.authorization = "Basic " SECRET,
		.accept = "application/json",
		.connect_timeout_ms = 60 * 1000,
		.request_timeout_ms = 60 * 1000,
		.max_response = 100 * 1000 * 1000,
	};

	return request;
}

/* Nothing secret in an error, and something to read. */
static void
check_message(const OnecError *error)
{
	bool		bad = error->message[0] == '\0' || strlen(error->message) > 300 ||
		strstr(error->message, SECRET) != NULL || strstr(error->message, "hidden") != NULL ||
		strstr(error->message, "Basic") != NULL || strstr(error->message, "://") != NULL;

	for (const char *p = error->message; *p != '\0'; p++)
		bad = bad || !isprint((unsigned char) *p);
	if (bad)
	{
		talkative++;
		tap_show("bad message", error->message);
	}
}

typedef struct Got
{
	OnecError	error;
	OnecHttpAnswer answer;		/* texts are in the copies below */
	char		content_type[100];
	char		location[200];
	char		cookie[100];
	char		body[2000];		/* its beginning */
	int64_t		total;
	bool		pattern;		/* every byte was what the stub's pattern has there */
	size_t		most;			/* largest window seen */
	bool		good;
} Got;

static void
copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from == NULL ? "(null)" : from);
}

/* Read at most "step" bytes at a time until the end. */
static void
drain(OnecTransfer *transfer, size_t step, Got *got)
{
	size_t		len = 0;

	got->pattern = true;
	for (;;)
	{
		const char *data;

		if (!onec_transfer_wait(transfer, 0, &got->error))
			return;
		data = onec_transfer_data(transfer, &len);
		if (len == 0)
			break;
		if (len > got->most)
			got->most = len;
		if (len > step)
			len = step;
		for (size_t i = 0; i < len; i++)
			got->pattern = got->pattern && data[i] == 'a' + (got->total + (int64_t) i) % (26 * 1024) % 26;
		if (got->total < (int64_t) sizeof(got->body) - 1)
			snprintf(got->body + got->total, sizeof(got->body) - (size_t) got->total, "%.*s", (int) len,
					 data);
		got->total += (int64_t) len;
		onec_transfer_consume(transfer, len);
	}
	got->good = onec_transfer_done(transfer);
}

static Got
run(OnecHttp *http, OnecHttpRequest request)
{
	Got			got = {0};
	OnecTransfer *transfer = onec_http_start(http, &request, &got.error);

	if (transfer != NULL)
	{
		drain(transfer, SIZE_MAX, &got);
		onec_transfer_answer(transfer, &got.answer);
		copy_text(got.content_type, sizeof(got.content_type), got.answer.content_type);
		copy_text(got.location, sizeof(got.location), got.answer.location);
		copy_text(got.cookie, sizeof(got.cookie), got.answer.cookie);
		onec_transfer_free(transfer);
	}
	if (!got.good)
		check_message(&got.error);
	return got;
}

/* In a pool of its own. */
static Got
run_alone(OnecHttpRequest request)
{
	OnecHttp   *http = onec_http_create(wait_callback, NULL);
	Got			got = run(http, request);

	onec_http_destroy(http);
	return got;
}

static Got
fetch(const char *path)
{
	return run_alone(get(url(stub.plain, path)));
}

static const char *
stats(int port)
{
	static Got	got;
	char		path[40];

	snprintf(path, sizeof(path), "/stats/%d", port);
	got = run_alone(get(url(stub.other, path)));
	return got.body;
}

static void
refused(Got got, OnecErrorKind kind, const char *part, const char *name)
{
	bool		right = !got.good && got.error.kind == kind && strstr(got.error.message, part) != NULL;

	ok(right, "%s", name);
	if (!right)
		diag("good %d, kind %d instead of %d, \"%s\" instead of \"%s\", %lld bytes", got.good, got.error.kind,
			 kind,
			 got.error.message, part, (long long) got.total);
}

static int
open_files(void)
{
	DIR		   *dir = opendir("/proc/self/fd");
	int			n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static double
now_ms(void)
{
	return (double) onec_http_now() / 1000;
}

/*
 * Whether something that began then is over in "ms": counted under TEST_FULL only, where the machine is ours.
 */
static __attribute__((unused)) bool
soon(double began, double ms)
{
	return now_ms() - began < (getenv("TEST_FULL") ? ms : 60 * 1000);
}

/* Every test with one server; what each of them has to leave behind is looked at in the end. */
static int
run_tests(void (*const tests[]) (void), int n)
{
	int			files;

	/* a hang is a failure, too */
	alarm(600);
	start_stub();
	/* what libraries open once and keep */
	(void) fetch("/ok/5");
	files = open_files();
	for (int i = 0; i < n; i++)
		tests[i] ();
	is_int(talkative, 0, "messages are short and name no address, login or secret");
	is_int(open_files(), files, "no descriptor is left open");
	stop_stub();
	return tap_done();
}

#endif							/* ONEC_TEST_HTTP_CLIENT_H */
