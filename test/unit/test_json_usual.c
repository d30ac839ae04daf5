/*-------------------------------------------------------------------------
 *
 * test_json_usual.c
 *	  Rows read many bytes at a time, against the same rows parsed byte by byte.
 *
 * One byte of a row is changed, or the window ends in any place: the values and the error have to be those of
 * the plain scanner, whichever way the processor goes.  Each window is an allocation of its own, so that a
 * sanitizer sees a read past its end.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/json_rows.h"
#include "protocol/json/json_usual.h"

#include "tap.h"

#define ROWS 4

static const char *const names[] = {"len1", "len16", "len32", "len33", "len64", "Сумма", "word", "empty"};

#define NNAMES ((int) (sizeof(names) / sizeof(names[0])))

static const struct
{
	OnecUsualWay way;
	const char *name;
}			ways[] = {{ONEC_USUAL_16, "16 bytes"}, {ONEC_USUAL_32, "32 bytes"}};

#define WAYS ((int) (sizeof(ways) / sizeof(ways[0])))

static void
put_string(OnecBuf *page, const char *name, int len, const char *letter)
{
	onec_buf_puts(page, ",\n\"");
	onec_buf_puts(page, name);
	onec_buf_puts(page, "\": \"");
	for (int i = 0; i < len; i += (int) strlen(letter))
		onec_buf_puts(page, letter);
	onec_buf_putc(page, '"');
}

/* Bridges and strings shorter than, as long as, and longer than what is looked at at once; wanted and not. */
static void
put_row(OnecBuf *page, int row)
{
	static const int lengths[] = {0, 1, 15, 16, 17, 31, 32, 33, 36, 48, 63, 64, 65, 100, 200};
	char		name[80];

	onec_buf_puts(page, row > 0 ? ",{\n\"word\": true" : "{\n\"word\": true");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		snprintf(name, sizeof(name), "len%d", lengths[i]);
		put_string(page, name, lengths[i], "a");
		snprintf(name, sizeof(name), "Ссылка%.*s", lengths[i] / 2, "@navigationLinkUrl and more of it");
		put_string(page, name, lengths[i], i % 2 > 0 ? "b" : "ж");
	}
	put_string(page, "empty", 0, "");
	onec_buf_puts(page, ",\n\"null\": null,\n\"no\": false,\n\"Количество\": 0");
	onec_buf_puts(page, ",\n\"Сумма\": -1205.50,\n\"n\": 7\n}");
}

/* Where its third row begins and ends. */
static void
make_page(OnecBuf *page, size_t *from, size_t *to)
{
	onec_buf_init(page);
	onec_buf_puts(page, "{\n\"value\": [");
	for (int row = 0; row < ROWS; row++)
	{
		*from = row == 2 ? page->len : *from;
		put_row(page, row);
		*to = row == 2 ? page->len : *to;
	}
	onec_buf_puts(page, "]\n}");
}

static OnecRowsStatus
read_window(OnecRows *rows, const char *data, size_t len, bool last, size_t *done, OnecBuf *out)
{
	OnecError	error = {.kind = ONEC_OK};
	OnecRowsStatus status = ONEC_ROWS_ROW;
	char	   *window = malloc(len + 1);
	size_t		at = 0;

	/* it ends where its allocation ends */
	memcpy(window + 1, data, len);
	while (status == ONEC_ROWS_ROW)
	{
		size_t		used;

		status = onec_rows_next(rows, window + 1 + at, len - at, last, &used, &error);
		for (int i = 0; i < NNAMES && status == ONEC_ROWS_ROW; i++)
		{
			const OnecField *field = &onec_rows_fields(rows)[i];

			onec_buf_putc(out, (char) ('0' + field->kind));
			if (field->text != NULL)
				onec_buf_append(out, field->text, field->len);
			onec_buf_putc(out, '\n');
		}
		at += used;
	}
	free(window);
	onec_buf_puts(out, error.message);
	*done += at;
	return status;
}

/* What a page gives: all rows and the error.  "cut": where the first window ends. */
static void
read_page(const OnecBuf *page, size_t cut, OnecUsualWay way, OnecBuf *out)
{
	OnecRows   *rows = onec_rows_create(names, NNAMES);
	size_t		done = 0;
	OnecRowsStatus status = ONEC_ROWS_MORE;

	(void) onec_usual_choose(way);
	onec_buf_clear(out);
	if (cut < page->len)
		status = read_window(rows, page->data, cut, false, &done, out);
	if (status == ONEC_ROWS_MORE)
		status = read_window(rows, page->data + done, page->len - done, true, &done, out);
	onec_buf_putc(out, (char) ('0' + status));
	onec_rows_free(rows);
}

static bool
is_alike(const OnecBuf *page, size_t cut, int way, OnecBuf *plain, OnecBuf *out)
{
	read_page(page, page->len, ONEC_USUAL_NONE, plain);
	read_page(page, cut, ways[way].way, out);
	return plain->len == out->len && memcmp(plain->data, out->data, out->len) == 0;
}

static void
test_way(int way)
{
	static const char bytes[] = "\0\1\x1F\"\\ \t\n!#\x7F\x80\xD0\xFF" "ae0.-,:}{[]";
	OnecBuf		page;
	OnecBuf		plain;
	OnecBuf		out;
	size_t		from = 0;
	size_t		to = 0;
	int			cut_wrong = 0;
	int			byte_wrong = 0;

	make_page(&page, &from, &to);
	onec_buf_init(&plain);
	onec_buf_init(&out);
	for (size_t cut = 1; cut <= page.len; cut++)
		cut_wrong += !is_alike(&page, cut, way, &plain, &out);
	ok(plain.data[plain.len - 1] == '0' + ONEC_ROWS_END, "%s: the page is whole", ways[way].name);
	ok(cut_wrong == 0, "%s: a window that ends anywhere", ways[way].name);
	for (size_t at = from; at < to; at++)
	{
		char		was = page.data[at];

		for (size_t i = 0; i < sizeof(bytes); i++)
		{
			page.data[at] = bytes[i];
			byte_wrong += !is_alike(&page, page.len, way, &plain, &out);
		}
		page.data[at] = was;
	}
	ok(byte_wrong == 0, "%s: each byte of a row, changed", ways[way].name);
	onec_buf_free(&page);
	onec_buf_free(&plain);
	onec_buf_free(&out);
}

/* Without this the others would prove nothing: members are indeed stepped over, to the end of the row. */
static void
test_reach(int way)
{
	OnecShape	shape = {0};
	OnecField	fields[2] = {{ONEC_FIELD_ABSENT, NULL, 0}, {ONEC_FIELD_ABSENT, NULL, 0}};
	const char *text = "{\"a\": \"0123456789abcdef0123456789abcdef0123\",\n\"b\": 12.5,\n\"c\": null"
	",\n\"d\": \"ж\"                                             ";
	OnecError	error = {.kind = ONEC_OK};
	OnecCursor	c = {.p = text, .end = text + strlen(text), .mark = text, .start = text, .error = &error};
	int			taken = 0;

	(void) onec_usual_choose(ways[way].way);
	onec_shape_learn(&shape, 0, "{\"a\": ", 6, -1);
	onec_shape_learn(&shape, 1, ",\n\"b\": ", 7, 0);
	onec_shape_learn(&shape, 2, ",\n\"c\": ", 7, -1);
	onec_shape_learn(&shape, 3, ",\n\"d\": ", 7, 1);
	onec_shape_expect(&shape.bridges[0], 36);
	onec_shape_expect(&shape.bridges[3], 2);
	ok(onec_usual_members(&c, &shape, 0, fields, &taken) == 4, "%s: members are stepped over",
	   ways[way].name);
	ok(taken == 2, "%s: wanted ones are taken", ways[way].name);
	ok(fields[0].kind == ONEC_FIELD_NUMBER && fields[0].len == 4 && memcmp(fields[0].text, "12.5", 4) == 0 &&
	   fields[1].kind == ONEC_FIELD_STRING && fields[1].len == 2 && memcmp(c.p, " ", 1) == 0,
	   "%s: … as they are, up to what follows", ways[way].name);
	onec_shape_free(&shape);
}

int
main(void)
{
	for (int way = 0; way < WAYS; way++)
	{
		if (!onec_usual_choose(ways[way].way))
			continue;
		test_reach(way);
		test_way(way);
	}
	ok(onec_usual_choose(ONEC_USUAL_BEST), "the best way can be gone");
	return tap_done();
}
