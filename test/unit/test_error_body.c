/*-------------------------------------------------------------------------
 *
 * test_error_body.c
 *	  Error bodies in all their forms, and the service document.
 *
 *-------------------------------------------------------------------------
 */

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/error_body.h"

#include <time.h>

#include "tap.h"

/* The fixtures, or texts of our own when "file" has no dot. */
static const struct
{
	const char *file;
	bool		has_code;
	int			code;
	const char *message;
}			bodies[] = {
	{"error-odata.json", true, 9, "Экземпляр сущности \"Единицы\" не найден"},
	{"error-odata-number.json", true, -1, "Ошибка обработчика"},
	{"error-atom.xml", true, 8, "Тип сущности \"Нет\" не найден"},
	{"error-atom-default-ns.xml", true, -1, "Ошибка <внутри>"},
	{"error-exception.json", false, 0, "Ошибка сеанса: На сервере 1С:Предприятия не найдена лицензия."},
	{"error-page.html", false, 0, "1C:Enterprise 8 application error by reason: Нет лицензии & сеансов"},
	{"error-plain-1251.txt", false, 0, "Не найдена лицензия. Ёмкость № 5"},
	{"error-plain.txt", false, 0, "Недостаточно памяти для получения результата запроса"},
	{"login-page.html", false, 0, "Вход Пользователь"},
};

static bool
read_file(const char *name, OnecBuf *out)
{
	char		path[200];
	char		block[4096];
	size_t		n;
	FILE	   *file;

	snprintf(path, sizeof(path), "test/data/json/%s", name);
	file = fopen(path, "rb");
	onec_buf_init(out);
	if (file == NULL)
		return false;
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		onec_buf_append(out, block, n);
	fclose(file);
	return !out->failed;
}

/* What onec_error_body() must promise whatever the body: one line of UTF-8 without control characters. */
static bool
is_clean(const char *text)
{
	for (const unsigned char *p = (const unsigned char *) text; *p != '\0'; p++)
	{
		int			follow = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;

		if (*p < ' ' || *p == 0x7F || (*p >= 0x80 && *p < 0xC2))
			return false;
		for (; follow > 0; follow--)
		{
			if ((*++p & 0xC0) != 0x80)
				return false;
		}
	}
	return true;
}

static void
test_bodies(void)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
	{
		OnecError	error = {.kind = ONEC_ERR_SERVER, .has_code = true, .odata_code = 77};
		OnecBuf		body;
		int			wrong = 0;

		if (!ok(read_file(bodies[i].file, &body), "%s is there", bodies[i].file))
			continue;
		onec_error_body(body.data, body.len, &error);
		is_str(error.message, bodies[i].message, "message");
		ok(error.has_code == bodies[i].has_code && error.odata_code == bodies[i].code, "code");
		is_int(error.kind, ONEC_ERR_SERVER, "the kind is the caller's");
		for (size_t cut = 0; cut < body.len; cut++)
		{
			char	   *part = malloc(cut);

			memcpy(part, body.data, cut);
			onec_error_body(part, cut, &error);
			wrong += !is_clean(error.message);
			free(part);
		}
		is_int(wrong, 0, "clean text wherever the body is cut");
		onec_buf_free(&body);
	}
}

static void
is_message(const char *body, size_t len, const char *want, const char *name)
{
	OnecError	error = {.kind = ONEC_OK};

	onec_error_body(body, len, &error);
	is_str(error.message, want, name);
}

static void
test_texts(void)
{
	OnecError	error = {.kind = ONEC_OK};
	OnecBuf		body;

	is_message(NULL, 0, "", "no body");
	is_message("", 0, "", "empty body");
	is_message("a\0b\x01\x1b[31m\x7f", 10, "a b [31m", "control characters");
	is_message("x\xc2\x85y\xe2\x80\xa8z\xc2\xa0", 10, "x y z", "line separators");
	is_message("bad \xff byte", 10, "bad \uFFFD byte", "invalid UTF-8 is replaced");
	is_message("\xEF\xBB\xBFtext", 7, "text", "byte order mark");
	is_message("<p>&#0;&#x110000;&#xD800;&bogus; &", 34, "\uFFFD\uFFFD\uFFFD&bogus; &",
			   "entities that are no characters");
	is_message("<a><!-- never closed", 20, "", "unclosed comment");
	is_message("a <b", 4, "a <b", "plain text keeps its brackets");
	is_message("{\"x\":1}", 7, "{\"x\":1}", "other JSON is shown as it is");
	is_message("{\"odata.error\":{\"code\":\"x1\"}}", 29, "{\"odata.error\":{\"code\":\"x1\"}}",
			   "an error without a message");
	onec_error_body("{\"odata.error\":{\"code\":\"99999999999\",\"message\":\"m\"}}", 52, &error);
	ok(!error.has_code, "a code that is no number");
	onec_buf_init(&body);
	onec_buf_puts(&body, "x");
	for (int i = 0; i < 5000; i++)
		onec_buf_puts(&body, "Ж");
	onec_error_body(body.data, body.len, &error);
	is_int(strlen(error.message), 1023, "a long text is cut before the character that does not fit");
	ok(is_clean(error.message), "and stays UTF-8");
	onec_buf_clear(&body);
	for (int i = 0; i < 100000; i++)
		onec_buf_puts(&body, "{\"exception\":");
	onec_error_body(body.data, body.len, &error);
	ok(is_clean(error.message), "endless nesting");
	onec_buf_free(&body);
}

/* Whether 1C itself says it, and with which number. */
static void
is_own(const char *body, bool own, bool code, const char *name)
{
	OnecError	error = {.kind = ONEC_OK};

	onec_error_body(body, strlen(body), &error);
	ok(error.own_words == own && error.has_code == code, "%s", name);
}

static void
test_own_words(void)
{
	is_own("{\"odata.error\":{\"code\":\"9\",\"message\":{\"value\":\"x\"}}}", true, true, "odata.error");
	is_own("{\"exception\":{\"descr\":\"x\"}}", true, false, "exception");
	is_own("<m:error xmlns:m=\"m\"><m:code>-1</m:code><m:message>x</m:message></m:error>", true, true,
		   "m:error");
	is_own("<html>1C:Enterprise 8 application error: x</html>", true, false, "1C's page");
	is_own("<html>Ошибка 1С:Предприятия</html>", true, false, "1C's page in Russian");
	is_own("{\"error\":{\"code\":\"9\",\"message\":\"x\"}}", false, false, "P14: somebody else's error");
	is_own("<html>404 Not Found</html>", false, false, "somebody else's page");
	is_own("AUTOORDER", false, false, "text");
	is_own("", false, false, "nothing");
}

/* A page of tags that never end takes no longer than any other: it used to take ten seconds. */
static void
test_linear(void)
{
	size_t		size = 256 * 1024;
	char	   *body = malloc(size);
	OnecError	error = {.kind = ONEC_OK};
	clock_t		begin = clock();

	memset(body, '<', size);
	body[size - 1] = '>';
	for (int i = 0; i < 10; i++)
		onec_error_body(body, size, &error);
	ok((double) (clock() - begin) / CLOCKS_PER_SEC < 8, "many \"<\" before a \">\", in linear time");
	free(body);
}

int
main(void)
{
	test_linear();
	test_bodies();
	test_texts();
	test_own_words();
	return tap_done();
}
