/*-------------------------------------------------------------------------
 *
 * test_json_rows.c
 *	  Pages into rows: values, refusals, pages cut anywhere, small documents.
 *
 * A page is read into one text, the transcript (rows, link, end), so that
 * readings of one page in different pieces can be compared.  Every window is its
 * own allocation, so that a sanitizer sees a read past its end.
 *
 * Runs in the root of the source tree: reads test/data/json, and for the
 * comparison with json-c also the recorded answers below $ONEC_SHARED.
 *
 *-------------------------------------------------------------------------
 */

#include <dirent.h>
#include <time.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/json_rows.h"

#include "json_oracle.h"
#include "tap.h"

static const char *const default_names[] = {"a", "b", "Сумма"};

/* How a page arrives: "first" bytes, then always "step" more (0: the rest at once). */
typedef struct Arrival
{
	const char *const *names;
	int			nnames;
	size_t		first;
	size_t		step;
} Arrival;

static const Arrival at_once = {default_names, 3, SIZE_MAX, 0};

static void
put_row(OnecBuf *out, const OnecRows *rows, const Arrival *how)
{
	static const char kinds[] = "-0snbj";
	const OnecField *fields = onec_rows_fields(rows);

	for (int i = 0; i < how->nnames; i++)
	{
		onec_buf_putc(out, kinds[fields[i].kind]);
		onec_buf_append(out, fields[i].text, fields[i].len);
		onec_buf_putc(out, i + 1 < how->nnames ? '|' : '\n');
	}
}

static void
put_end(OnecBuf *out, const OnecRows *rows, long count, OnecRowsStatus status, const OnecError *error)
{
	const char *link = onec_rows_next_link(rows);
	char		line[ONEC_ERROR_TEXT + 40];

	if (link != NULL)
	{
		onec_buf_puts(out, "link ");
		onec_buf_puts(out, link);
		onec_buf_putc(out, '\n');
	}
	if (status == ONEC_ROWS_END)
		snprintf(line, sizeof(line), "end %ld", count);
	else
		snprintf(line, sizeof(line), "error %d %s", error->kind, error->message);
	onec_buf_puts(out, line);
}

/* Read a page; the transcript is the caller's to free.  The result is the last status. */
static OnecRowsStatus
read_page(const char *page, size_t len, const Arrival *how, OnecBuf *out)
{
	OnecRows   *rows = onec_rows_create(how->names, how->nnames);
	OnecError	error = {.kind = ONEC_OK};
	OnecRowsStatus status = ONEC_ROWS_MORE;
	size_t		have = how->first < len ? how->first : len;
	size_t		done = 0;
	long		count = 0;

	onec_buf_init(out);
	while (status == ONEC_ROWS_ROW || status == ONEC_ROWS_MORE)
	{
		size_t		used = 0;
		char	   *window = malloc(have - done);

		if (have > done)
			memcpy(window, page + done, have - done);
		status = onec_rows_next(rows, window, have - done, have == len, &used, &error);
		if (status == ONEC_ROWS_ROW)
			put_row(out, rows, how);
		count += status == ONEC_ROWS_ROW;
		free(window);
		done += used;
		if (status == ONEC_ROWS_MORE && have == len)
			break;
		if (status == ONEC_ROWS_MORE)
			have = how->step > 0 && how->step < len - have ? have + how->step : len;
	}
	put_end(out, rows, count, status, &error);
	onec_rows_free(rows);
	return status;
}

static void
is_page(const char *page, const char *want, const char *name)
{
	OnecBuf		out;

	read_page(page, strlen(page), &at_once, &out);
	is_str(out.data, want, name);
	onec_buf_free(&out);
}

/* A refused page: the kind of error and a part of the message. */
static void
is_refused_bytes(const char *page, size_t len, OnecErrorKind kind, const char *part)
{
	char		want[20];
	OnecBuf		out;
	OnecRowsStatus status = read_page(page, len, &at_once, &out);
	const char *end = strrchr(out.data, '\n');

	end = end != NULL ? end + 1 : out.data;
	snprintf(want, sizeof(want), "error %d ", kind);
	ok(status == ONEC_ROWS_ERROR && strncmp(end, want, strlen(want)) == 0 && strstr(end, part) != NULL,
	   "refused: %.60s", len < 200 ? page : part);
	if (strncmp(end, want, strlen(want)) != 0 || strstr(end, part) == NULL)
		diag("got: %s, want: %s%s", end, want, part);
	onec_buf_free(&out);
}

static void
is_refused(const char *page, OnecErrorKind kind, const char *part)
{
	is_refused_bytes(page, strlen(page), kind, part);
}

static void
test_values(void)
{
	is_page("{\"value\":[]}", "end 0", "empty list");
	is_page("{\"value\":[{}]}", "-|-|-\nend 1", "row without members");
	is_page("{\"value\":[{\"a\":\"x\",\"b\":1.50,\"Сумма\":null}]}", "sx|n1.50|0\nend 1",
			"string, number, null");
	is_page("{\"value\":[{\"b\":true,\"a\":false},{\"Сумма\":\"\"}]}", "bfalse|btrue|-\n-|-|s\nend 2",
			"booleans in another order, empty string, absent members");
	is_page("{\"value\":[{\"x\":{\"a\":1},\"a\":{\"a\":[1, 2]},\"b\":[]}]}", "j{\"a\":[1, 2]}|j[]|-\nend 1",
			"nested values as text; members of nested objects are not the row's");
	is_page("{\"value\":[{\"a\":1,\"a\":\"2\\n\",\"a\":\"3\\t\",\"b\":\"\\n\",\"b\":4}]}", "s3\t|n4|-\nend 1",
			"the last of repeated members wins");
	is_page("{\"value\":[{\"\\u0061\":1,\"\\u0421\\u0443\\u043c\\u043C\\u0430\":2,\"\\ud800\":3}]}",
			"n1|-|n2\nend 1",
			"names may contain escapes");
	is_page("{\"value\":[{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0416\\ud83d\\ude00Ж\",\"b\":\"\\\\u0000\"}]}",
			"s\"\\/\b\f\n\r\tЖ😀Ж|s\\u0000|-\nend 1", "all escapes");
	is_page("{\"value\":[{\"a\":-0,\"b\":1E5,\"Сумма\":-1234567890123456.78e-30}]}",
			"n-0|n1E5|n-1234567890123456.78e-30\nend 1", "numbers keep their digits");
	is_page("{\"value\":[{\"a\":\"\x7f\u2028\"}]}", "s\x7f\u2028|-|-\nend 1", "DEL and U+2028 are kept");
	is_page("{\"value\":[{\"x\":\"\\ud800 \\u0000 \xff\",\"a\":1}]}", "n1|-|-\nend 1",
			"what is not wanted need not be text");
	is_page(" \t{\r\n \"value\" : [ { \"a\" : 1 , \"b\" : 2 } , { } ] , \"x\" : [ ] } \n",
			"n1|n2|-\n-|-|-\nend 2",
			"white space everywhere");
}

static void
test_envelopes(void)
{
	is_page("\xEF\xBB\xBF{\"value\":[{\"a\":1}]}", "n1|-|-\nend 1", "byte order mark");
	is_page("{\"odata.metadata\":\"m\",\"odata.count\":\"1\",\"value\":[{\"a\":1}]}", "n1|-|-\nend 1",
			"members before the list");
	is_page("{\"odata.nextLink\":\"l\\/\\u0031\",\"value\":[]}", "link l/1\nend 0", "link before the list");
	is_page("{\"value\":[{\"a\":1}],\"odata.nextLink\":\"p?$skip=1\",\"x\":{\"value\":[1]}}",
			"n1|-|-\nlink p?$skip=1\nend 1", "link after the list");
	is_page("{\"value\":[],\"odata.nextLink\":null}", "end 0", "null is no link");
	is_page("{\"@odata.context\":\"c\",\"value\":[{\"a\":1}],\"@odata.nextLink\":\"p\"}",
			"n1|-|-\nlink p\nend 1", "link of version 4");
	is_refused("{\"@odata.context\":\"c\"}", ONEC_ERR_REPLY, "neither a list nor an entity");
	is_refused("{\"value\":[{\"a\":1},{\"odata.error\":{\"code\":\"9\",\"message\":{\"value\":\"нет\"}}}]}",
			   ONEC_ERR_REPLY,
			   "in place of a row: нет");
	is_refused("{\"value\":[{\"odata.error\":{}}]}", ONEC_ERR_REPLY, "in place of a row");
	is_page("{\"\\u0076alue\":[{\"a\":1}]}", "n1|-|-\nend 1", "escaped \"value\"");
	is_page("{\"a\":1,\"b\":[1]}", "n1|j[1]|-\nend 1", "single entity");
	is_page("{\"value\":5,\"Value\":[1],\"a\":{\"value\":[]}}", "j{\"value\":[]}|-|-\nend 1",
			"an entity may have a property called value");
	is_page("{\"value\":1,\"value\":[{\"a\":1}]}", "n1|-|-\nend 1", "a later list makes it an envelope");
	is_page("{\"exception\":5,\"a\":1}", "n1|-|-\nend 1", "a property called exception");
	is_refused("{\"value\":[{}],\"value\":[{}]}", ONEC_ERR_REPLY, "two lists");
	is_refused("{\"value\":[{}],\"value\":null}", ONEC_ERR_REPLY, "two lists");
	is_refused("{\"value\":[],\"odata.nextLink\":5}", ONEC_ERR_REPLY, "nextLink");
	is_refused("{}", ONEC_ERR_REPLY, "neither a list nor an entity");
	is_refused("{\"odata.metadata\":\"m\"}", ONEC_ERR_REPLY, "neither a list nor an entity");
	is_refused("{\"odata.error\":{\"code\":\"9\",\"message\":{\"value\":\"нет\"}}}", ONEC_ERR_REPLY,
			   "error: нет");
	is_refused("{\"exception\":{\"descr\":\"беда\"}}", ONEC_ERR_REPLY, "error: беда");
	is_refused("{\"value\":[{}],\"odata.error\":{}}", ONEC_ERR_REPLY, "error after the rows");
}

static void
test_refusals(void)
{
	static const char *const values[] = {
		"NaN", "Infinity", "-Infinity", "-", "01", "-01", "1.", ".5", "1e", "1e+", "+1", "0x1", "'a'", "tru",
		"True",
		"nul ", "truex", "\"\\x\"", "\"\\u12g4\"", "\"\x01\"", "\"\n\"", "\"\t\"",
		"\"0123456\x1f" "012345678\"", "\"0123\x1f" "67\"", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}",
		"{\"a\":1,}", "{a:1}", "{1:1}", "[}", "{]", "/* */ 1", "// 1\n1", "", "1 1", "]", "\"\\", "1M",
		"{\"a\":1",
	};
	char		page[200];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		snprintf(page, sizeof(page), "{\"value\":[{\"x\":%s}]}", values[i]);
		is_refused(page, ONEC_ERR_REPLY, "row 1: ");
		snprintf(page, sizeof(page), "{\"value\":[{\"a\":%s}]}", values[i]);
		is_refused(page, ONEC_ERR_REPLY, "row 1: ");
	}
	is_refused("{\"value\":[{},]}", ONEC_ERR_REPLY, "row 2: not an object");
	is_refused("{\"value\":[,{}]}", ONEC_ERR_REPLY, "row 1: not an object");
	is_refused("{\"value\":[{} {}]}", ONEC_ERR_REPLY, "row 2: ");
	is_refused("{\"value\":[{},{},null]}", ONEC_ERR_REPLY, "row 3: not an object");
	is_refused("{\"value\":[5]}", ONEC_ERR_REPLY, "row 1: not an object");
	is_refused("{\"value\":[[{}]]}", ONEC_ERR_REPLY, "row 1: not an object");
	is_refused("{\"value\":[{}]},", ONEC_ERR_REPLY, "after the end");
	is_refused("{\"value\":[{}]}{\"value\":[]}", ONEC_ERR_REPLY, "after the end");
	is_refused("{\"value\":[{}],}", ONEC_ERR_REPLY, "name in quotes expected");
	is_refused("{\"value\":[]]", ONEC_ERR_REPLY, "expected");
	is_refused("{\"value\" []}", ONEC_ERR_REPLY, "after a name");
	is_refused("[{\"a\":1}]", ONEC_ERR_REPLY, "not a JSON object");
	is_refused("", ONEC_ERR_REPLY, "empty");
	is_refused(" \r\n", ONEC_ERR_REPLY, "empty");
	is_refused("\xEF\xBB\xBF", ONEC_ERR_REPLY, "empty");
	is_refused("\xEF\xBB\xBF\xEF\xBB\xBF{\"value\":[]}", ONEC_ERR_REPLY, "not a JSON object");
	is_refused("<html><p>Вход &amp; <b>пароль</b></p>", ONEC_ERR_REPLY,
			   "HTML or XML came in place of JSON: Вход & пароль");
	is_refused("Недостаточно памяти", ONEC_ERR_REPLY, "Недостаточно памяти");
	is_refused_bytes("\xFF\xFE{\0}\0", 6, ONEC_ERR_REPLY, "UTF-16");
	is_refused_bytes("\xFE\xFF\0{\0}", 6, ONEC_ERR_REPLY, "UTF-16");
	is_refused_bytes("{\0\"\0", 4, ONEC_ERR_REPLY, "UTF-16");
	is_refused_bytes("{\"value\":[{\"a\":\"\0\"}]}", 21, ONEC_ERR_REPLY, "row 1: control character");
}

static void
test_data(void)
{
	static const char *const strings[] = {
		"\\u0000", "x\\u0000y", "\\ud800", "\\ud800x", "\\udc00", "\\ud800\\ud800", "\\ud83d\\u0041",
		"\\ude00\\ud83d",
		"\xff", "\xc3", "\xc0\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\x80", "12345678\xd0", "\xd0\xd0\x90", "\\n\xff",
	};
	char		page[200];
	OnecBuf		deep;

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
	{
		snprintf(page, sizeof(page), "{\"value\":[{\"a\":\"%s\"}]}", strings[i]);
		is_refused(page, ONEC_ERR_DATA, "row 1: ");
	}
	is_refused("{\"value\":[{},{\"a\":[\"\xff\"]}]}", ONEC_ERR_DATA,
			   "row 2: invalid UTF-8 in a nested value");
	for (int depth = 63; depth <= 100000; depth += depth < 66 ? 1 : 99934)
	{
		onec_buf_init(&deep);
		onec_buf_puts(&deep, "{\"value\":[{\"a\":");
		for (int i = 0; i < depth; i++)
			onec_buf_putc(&deep, '[');
		for (int i = 0; i < depth; i++)
			onec_buf_putc(&deep, ']');
		onec_buf_puts(&deep, "}]}");
		if (depth > 64)
			is_refused(deep.data, ONEC_ERR_LIMIT, "nested too deep");
		else
		{
			OnecBuf		out;

			is_int(read_page(deep.data, deep.len, &at_once, &out), ONEC_ROWS_END, "64 levels are allowed");
			onec_buf_free(&out);
		}
		onec_buf_free(&deep);
	}
}

static void
test_columns(void)
{
	static const char *const twice[] = {"a", "b", "a", ""};
	static const char *const odd[] = {"a\\", "a\"", "\n"};
	Arrival		how = {twice, 4, SIZE_MAX, 0};
	const char *page = "{\"value\":[{\"a\":\"\\n\",\"\":7},{\"b\":1}]}";
	OnecBuf		out;
	char		names[200][30];
	const char *many[200];
	bool		good = true;

	read_page(page, strlen(page), &how, &out);
	is_str(out.data, "s\n|-|s\n|n7\n-|n1|-|-\nend 2", "a property wanted twice, an empty name");
	onec_buf_free(&out);
	how = (Arrival) {odd, 3, SIZE_MAX, 0};
	page = "{\"value\":[{\"a\\\\\":1,\"a\\\"\":2,\"\\n\":3},{\"a\\\"b\":5,\"a\\\\\":4,\"a\\\"\":6}]}";
	read_page(page, strlen(page), &how, &out);
	is_str(out.data, "n1|n2|n3\nn4|n6|-\nend 2", "names that JSON has to escape");
	onec_buf_free(&out);
	how = (Arrival) {NULL, 0, SIZE_MAX, 0};
	page = "{\"value\":[{\"a\":\"\xff\"},{}]}";
	read_page(page, strlen(page), &how, &out);
	is_str(out.data, "end 2", "rows are only counted");
	onec_buf_free(&out);
	for (int i = 0; i < 200; i++)
	{
		snprintf(names[i], sizeof(names[i]), "Реквизит%03d", i);
		many[i] = names[i];
	}
	how = (Arrival) {many, 200, SIZE_MAX, 0};
	for (int i = 0; i < 200; i++)
	{
		char		one[100];

		snprintf(one, sizeof(one), "{\"value\":[{\"Реквизит%03d\":%d,\"Реквизит999\":0}]}", i, i);
		read_page(one, strlen(one), &how, &out);
		snprintf(one, sizeof(one), "n%d", i);
		good = good && strstr(out.data, one) != NULL &&
			strchr(strchr(out.data, 'n') + 1, '0' + i % 10) != NULL;
		onec_buf_free(&out);
	}
	ok(good, "each of 200 similar names is found");
}

static void
test_reset(void)
{
	const char *const names[] = {"a"};
	OnecRows   *rows = onec_rows_create(names, 1);
	OnecError	error = {.kind = ONEC_OK};
	const char *bad = "{\"odata.nextLink\":\"x\",\"value\":[{\"a\":\"\\n\"},5]}";
	const char *good = "{\"value\":[{\"a\":1}]}";
	size_t		used;
	size_t		done;

	is_int(onec_rows_next(rows, bad, strlen(bad), true, &done, &error), ONEC_ROWS_ROW,
		   "a row before the error");
	is_int(onec_rows_next(rows, bad + done, strlen(bad) - done, true, &used, &error), ONEC_ROWS_ERROR,
		   "then the error");
	is_int(onec_rows_next(rows, bad, strlen(bad), true, &used, &error), ONEC_ROWS_ERROR,
		   "an error is for ever");
	onec_rows_reset(rows, true);
	error.kind = ONEC_OK;
	ok(onec_rows_next_link(rows) == NULL, "reset forgets the page");
	is_int(onec_rows_next(rows, NULL, 0, false, &used, &error), ONEC_ROWS_MORE, "no bytes yet");
	is_int(onec_rows_next(rows, good, strlen(good), true, &done, &error), ONEC_ROWS_ROW, "a new page");
	is_mem(onec_rows_fields(rows)[0].text, onec_rows_fields(rows)[0].len, "1", "its value");
	is_int(onec_rows_next(rows, good + done, strlen(good) - done, false, &used, &error), ONEC_ROWS_MORE,
		   "no end before the last byte");
	is_int(onec_rows_next(rows, good + done + used, strlen(good) - done - used, true, &used, &error),
		   ONEC_ROWS_END, "the end");
	is_int(onec_rows_next(rows, NULL, 0, true, &used, &error), ONEC_ROWS_END, "the end again");
	onec_rows_free(rows);
	onec_rows_free(NULL);
}

/* What comes with a status of 200 and is not what was asked for must not become a row. */
static void
test_other_objects(void)
{
	static const char *const objects[] = {
		"{\"value\":null}", "{\"value\":{}}", "{\"value\":\"x\"}", "{\"Value\":[{\"a\":1}]}",
		"{\"message\":\"Unauthorized\"}",
		"{\"exception\":\"x\"}", "{\"error\":{\"code\":\"x\",\"message\":\"told so\"}}", "{\"a\":1}",
	};
	const char *const names[] = {"a"};
	OnecRows   *rows = onec_rows_create(names, 1);
	size_t		used;

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
	{
		bool		has_a = i + 1 == sizeof(objects) / sizeof(objects[0]);

		for (int entity = 0; entity < 2; entity++)
		{
			OnecError	error = {.kind = ONEC_OK};
			OnecRowsStatus want = entity && has_a ? ONEC_ROWS_ROW : ONEC_ROWS_ERROR;

			onec_rows_reset(rows, entity);
			ok(onec_rows_next(rows, objects[i], strlen(objects[i]), true, &used, &error) == want,
			   "%s %s: %s", entity ? "an entity" : "a list", want == ONEC_ROWS_ROW ? "is" : "is not",
			   objects[i]);
		}
	}
	onec_rows_free(rows);
}

static bool
read_file(const char *path, OnecBuf *out)
{
	FILE	   *file = fopen(path, "rb");
	char		block[4096];
	size_t		n;

	onec_buf_init(out);
	if (file == NULL)
		return false;
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		onec_buf_append(out, block, n);
	fclose(file);
	return !out->failed;
}

static const char *const good_pages[] = {
	"list-units.json", "list-documents.json", "list-empty.json", "list-compact.json", "service.json",
	"single-shuffled.json", "single-folder-nulls.json", "single-sections.json",
};

#define NGOOD ((int) (sizeof(good_pages) / sizeof(good_pages[0])))

/* Where the document ends: white space may follow. */
static size_t
document_length(const OnecBuf *page)
{
	size_t		len = page->len;

	while (len > 0 && page->data[len - 1] != '}')
		len--;
	return len;
}

/* All cuts and all arrivals of one good page; each outcome must be that of the whole page. */
static void
test_cuts(const char *name)
{
	static const char *const names[] = {"Ref_Key", "Description", "Сумма", "Товары", "Контакты", "name",
										"value"};
	Arrival		how = {names, 7, SIZE_MAX, 0};
	char		path[200];
	char		malformed[20];
	OnecBuf		page;
	OnecBuf		whole;
	OnecBuf		out;
	int			wrong = 0;

	snprintf(malformed, sizeof(malformed), "error %d ", ONEC_ERR_REPLY);
	snprintf(path, sizeof(path), "test/data/json/%s", name);
	if (!ok(read_file(path, &page), "%s is there", name))
		return;
	is_int(read_page(page.data, page.len, &how, &whole), ONEC_ROWS_END, "good page");
	for (size_t cut = 0; cut < document_length(&page); cut++)
	{
		OnecRowsStatus status = read_page(page.data, cut, &how, &out);

		wrong += status != ONEC_ROWS_ERROR || strstr(out.data, malformed) == NULL;
		onec_buf_free(&out);
	}
	is_int(wrong, 0, "a cut page is malformed wherever it is cut");
	wrong = 0;
	for (how.first = 0; how.first <= page.len; how.first++)
	{
		read_page(page.data, page.len, &how, &out);
		wrong += strcmp(out.data, whole.data) != 0;
		onec_buf_free(&out);
	}
	is_int(wrong, 0, "any two pieces give the same rows");
	wrong = 0;
	how.first = 0;
	for (how.step = 1; how.step < 40; how.step++)
	{
		read_page(page.data, page.len, &how, &out);
		wrong += strcmp(out.data, whole.data) != 0;
		onec_buf_free(&out);
	}
	is_int(wrong, 0, "equal pieces of any size give the same rows");
	onec_buf_free(&whole);
	onec_buf_free(&page);
}

/* Bytes one by one, without the copies of read_page(); seconds of CPU, or < 0 for a wrong result. */
static double
feed_bytes(const OnecBuf *page, long want_rows)
{
	OnecRows   *rows = onec_rows_create(default_names, 3);
	OnecError	error = {.kind = ONEC_OK};
	OnecRowsStatus status = ONEC_ROWS_MORE;
	clock_t		begin = clock();
	size_t		done = 0;
	long		count = 0;
	bool		good;

	for (size_t have = 0; have <= page->len && status == ONEC_ROWS_MORE; have++)
	{
		do
		{
			size_t		used;

			status = onec_rows_next(rows, page->data + done, have - done, have == page->len, &used, &error);
			done += used;
			count += status == ONEC_ROWS_ROW;
		}
		while (status == ONEC_ROWS_ROW);
	}
	good = status == ONEC_ROWS_END && count == want_rows;
	onec_rows_free(rows);
	return good ? (double) (clock() - begin) / CLOCKS_PER_SEC : -1.0;
}

/* Reading again from the start at every byte would take 10^11 steps here: minutes at best. */
static void
test_linear(void)
{
	OnecBuf		page;
	double		seconds;

	onec_buf_init(&page);
	onec_buf_puts(&page, "{\"value\":[{\"a\":\"");
	for (int i = 0; i < 500000; i++)
		onec_buf_putc(&page, 'x');
	onec_buf_puts(&page, "\",\"b\":[0");
	for (int i = 0; i < 200000; i++)
		onec_buf_puts(&page, ",1");
	onec_buf_puts(&page, "]}]}");
	seconds = feed_bytes(&page, 1);
	ok(seconds >= 0 && seconds < 8, "one long row, byte by byte, in linear time");
	onec_buf_clear(&page);
	onec_buf_puts(&page, "{\"value\":[{}");
	for (int i = 0; i < 100000; i++)
		onec_buf_puts(&page, ", \n{\"a\":1}");
	onec_buf_puts(&page, "]}");
	seconds = feed_bytes(&page, 100001);
	ok(seconds >= 0 && seconds < 8, "many short rows, byte by byte, in linear time");
	onec_buf_clear(&page);
	onec_buf_puts(&page, "{\"a\":[0");
	for (int i = 0; i < 400000; i++)
		onec_buf_puts(&page, ",1");
	onec_buf_puts(&page, "]}");
	seconds = feed_bytes(&page, 1);
	ok(seconds >= 0 && seconds < 8, "a long entity, byte by byte, in linear time");
	onec_buf_free(&page);
}

/*
 * Comparison with json-c
 */

static void
test_against_json_c(const char *folder, const char *file)
{
	char		path[600];
	OnecBuf		page;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	if (!ok(read_file(path, &page), "%s is there", file))
		return;
	is_int(oracle_differences(&page, page.len), 0, "the same values as json-c");
	onec_buf_free(&page);
}

static void
test_samples(const char *part)
{
	const char *shared = getenv("ONEC_SHARED");
	char		folder[300];
	DIR		   *dir;
	struct dirent *entry;

	snprintf(folder, sizeof(folder), "%s/onec-samples/%s", shared != NULL ? shared : "../shared", part);
	dir = opendir(folder);
	if (dir == NULL)
	{
		skip("no recorded answers of 1C here");
		return;
	}
	while ((entry = readdir(dir)) != NULL)
	{
		size_t		len = strlen(entry->d_name);

		if (len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0)
			test_against_json_c(folder, entry->d_name);
	}
	closedir(dir);
}

/* Which properties some row of the page has. */
static void
test_has(void)
{
	static const char *const names[] = {"a", "b", "c"};
	const char *page = "{\"value\":[{\"a\":1},{\"a\":2,\"b\":null}]}";
	const char *rest = page;
	OnecRows   *rows = onec_rows_create(names, 3);
	OnecError	error = {.kind = ONEC_OK};
	size_t		eaten;

	(void) onec_rows_next(rows, rest, strlen(rest), true, &eaten, &error);
	ok(onec_rows_has(rows, 0) && !onec_rows_has(rows, 1), "the first row has one property");
	rest += eaten;
	(void) onec_rows_next(rows, rest, strlen(rest), true, &eaten, &error);
	ok(onec_rows_has(rows, 1) && !onec_rows_has(rows, 2), "null is a value, and one of the rows is enough");
	onec_rows_reset(rows, false);
	ok(!onec_rows_has(rows, 0), "a new page has none");
	onec_rows_free(rows);
}

int
main(void)
{
	test_values();
	test_envelopes();
	test_refusals();
	test_data();
	test_columns();
	test_reset();
	test_has();
	test_other_objects();
	for (int i = 0; i < NGOOD; i++)
	{
		test_cuts(good_pages[i]);
		test_against_json_c("test/data/json", good_pages[i]);
	}
	test_linear();
	test_samples("json");
	test_samples("unf-fresh");
	return tap_done();
}
