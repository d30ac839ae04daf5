/*-------------------------------------------------------------------------
 *
 * test_json_shape.c
 *	  Rows of one page that are not alike: members lacking, moved, repeated, of other kinds, spaced otherwise.
 *
 * The scanner goes by the shape of the rows before, so many bytes at a time; whatever that was, the
 * values have to be those that json-c finds.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_usual.h"

#include "json_oracle.h"

#define MEMBERS 24

static unsigned long long seed = 20261126;

static unsigned
chance(unsigned below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned) (seed >> 33) % below;
}

/* How the rows of a page differ; each in so many of a hundred. */
typedef struct Variety
{
	const char *name;
	unsigned	lacking;		/* members */
	unsigned	moved;
	unsigned	repeated;
	unsigned	spaced;			/* places between tokens */
	unsigned	other_kind;		/* values */
} Variety;

static const Variety varieties[] = {
	{"all alike", 0, 0, 0, 0, 0},
	{"other kinds of values", 0, 0, 0, 0, 50},
	{"one in twenty lacking", 5, 0, 0, 0, 10},
	{"half lacking", 50, 0, 0, 0, 10},
	{"most lacking", 90, 0, 0, 0, 10},
	{"moved", 5, 30, 0, 0, 10},
	{"repeated", 5, 5, 20, 0, 10},
	{"spaced", 5, 0, 0, 20, 10},
	{"everything", 20, 20, 20, 20, 50},
};

static const char *const values[] = {
	"\"text\"", "1", "-12.50", "null", "true", "false", "\"\"", "{\"a\": [1, {}]}", "[]",
	"\"a \\\"quote\\\" and \\\\\"",
	"\"три слова, и все в кавычках\"", "\"01234567-89ab-cdef-0123-456789abcdef\"", "0", "1e5", "\"}\"",
	"\"\\u0430,\\n\"",
};

#define VALUES (sizeof(values) / sizeof(values[0]))

static void
put_space(OnecBuf *page, const Variety *how, const char *usual)
{
	static const char *const spaces[] = {"", " ", "\n", "\r\n\t", "    ", "\n\n"};

	onec_buf_puts(page, chance(100) < how->spaced ? spaces[chance(6)] : usual);
}

/* Names are prefixes of each other, hold escapes, or are longer than a bridge. */
static void
put_name(OnecBuf *page, unsigned member)
{
	char		name[400];

	if (member % 8 == 7)
		snprintf(name, sizeof(name), "\"\\u0421умма%u\"", member);
	else if (member % 8 == 6)
		snprintf(name, sizeof(name), "\"%0*u\"", 150 + (int) (member % 200), member);
	else
		snprintf(name, sizeof(name), "\"Сумма%.*s\"", (int) member, "@navigationLinkUrl.and.more");
	onec_buf_puts(page, name);
}

static void
put_member(OnecBuf *page, const Variety *how, unsigned member, bool first)
{
	if (!first)
	{
		put_space(page, how, "");
		onec_buf_putc(page, ',');
	}
	put_space(page, how, "\n");
	put_name(page, member);
	put_space(page, how, "");
	onec_buf_putc(page, ':');
	put_space(page, how, " ");
	onec_buf_puts(page, values[chance(100) < how->other_kind ? chance(VALUES) : member % VALUES]);
}

static void
put_row(OnecBuf *page, const Variety *how)
{
	unsigned	order[MEMBERS];
	bool		first = true;

	for (unsigned i = 0; i < MEMBERS; i++)
		order[i] = i;
	for (unsigned i = 0; i < MEMBERS; i++)
	{
		unsigned	j = chance(100) < how->moved ? chance(MEMBERS) : i;
		unsigned	other = order[j];

		order[j] = order[i];
		order[i] = other;
	}
	onec_buf_putc(page, '{');
	for (unsigned i = 0; i < MEMBERS; i++)
	{
		if (chance(100) < how->lacking)
			continue;
		put_member(page, how, order[i], first);
		first = false;
		if (chance(100) < how->repeated)
			put_member(page, how, chance(MEMBERS), false);
	}
	put_space(page, how, "\n");
	onec_buf_putc(page, '}');
}

static void
make_page(OnecBuf *page, const Variety *how, int nrows)
{
	onec_buf_init(page);
	onec_buf_puts(page, "{\n\"odata.metadata\": \"x\",\n\"value\": [");
	for (int i = 0; i < nrows; i++)
	{
		if (i > 0)
			onec_buf_putc(page, ',');
		put_row(page, how);
	}
	onec_buf_puts(page, "]\n}");
}

static void
test_variety(const Variety *how)
{
	int			wrong = 0;
	int			wrong_pieces = 0;

	for (int i = 0; i < 20; i++)
	{
		OnecBuf		page;

		make_page(&page, how, 30);
		wrong += oracle_differences(&page, page.len) != 0;
		wrong_pieces += oracle_differences(&page, 1 + chance(400)) != 0;
		onec_buf_free(&page);
	}
	ok(wrong == 0, "%s: the values of json-c", how->name);
	ok(wrong_pieces == 0, "%s: … in pieces too", how->name);
}

/* More members than a shape remembers. */
static void
test_wide_rows(void)
{
	OnecBuf		page;
	char		member[60];

	onec_buf_init(&page);
	onec_buf_puts(&page, "{\"value\":[");
	for (int row = 0; row < 5; row++)
	{
		onec_buf_puts(&page, row > 0 ? ",{\"_\":0" : "{\"_\":0");
		for (int i = 0; i < 900; i++)
		{
			snprintf(member, sizeof(member), ",\"member %d\":%d", i, i * row);
			onec_buf_puts(&page, member);
		}
		onec_buf_putc(&page, '}');
	}
	onec_buf_puts(&page, "]}");
	is_int(oracle_differences(&page, page.len), 0, "rows of 900 members");
	onec_buf_free(&page);
}

/*
 * A string of so many bytes between its quotes: letters, and in every second one something else in some
 * place.
 */
static void
put_string(OnecBuf *page, size_t len)
{
	static const char *const parts[] = {"ж", "\\\"", "\\\\", "\\n", "\\u0416", "}", ","};
	const char *part = chance(2) > 0 ? parts[chance(7)] : "";
	size_t		before = len > strlen(part) ? chance((unsigned) (len - strlen(part) + 1)) : len;

	onec_buf_putc(page, '"');
	for (size_t i = 0; i < before; i++)
		onec_buf_putc(page, 'a');
	if (len > strlen(part))
	{
		onec_buf_puts(page, part);
		for (size_t i = before + strlen(part); i < len; i++)
			onec_buf_putc(page, 'a');
	}
	onec_buf_putc(page, '"');
}

/* Strings as long as those before them, or not, with everything in them that a string may have. */
static void
test_lengths(void)
{
	static const size_t lengths[] = {0, 1, 15, 16, 17, 31, 32, 33, 36, 160, 161, 1024, 1025};
	const char *b = "b";
	char		number[20];
	int			wrong = 0;
	int			wrong_number = 0;

	for (int i = 0; i < 40; i++)
	{
		OnecRows   *rows = onec_rows_create(&b, 1);
		OnecError	error = {.kind = ONEC_OK};
		OnecBuf		page;
		size_t		at = 0;
		size_t		used = 0;

		onec_buf_init(&page);
		onec_buf_puts(&page, "{\"value\":[");
		for (int row = 0; row < 100; row++)
		{
			size_t		len = lengths[(unsigned) i % 13 + chance(10) / 9 * chance(13 - (unsigned) i % 13)];

			onec_buf_puts(&page, row > 0 ? ",{\"a\":" : "{\"a\":");
			put_string(&page, len);
			onec_buf_puts(&page, ",\"c\":");
			put_string(&page, len);
			snprintf(number, sizeof(number), ",\"b\":%d}", row);
			onec_buf_puts(&page, number);
		}
		onec_buf_puts(&page, "]}");
		wrong += oracle_differences(&page, page.len) + oracle_differences(&page, 1 + chance(400));
		/* nobody wants the strings */
		for (int row = 0; row < 100; row++, at += used)
		{
			OnecRowsStatus status = onec_rows_next(rows, page.data + at, page.len - at, true, &used, &error);

			wrong_number += status != ONEC_ROWS_ROW || atoi(onec_rows_fields(rows)[0].text) != row;
		}
		onec_buf_free(&page);
		onec_rows_free(rows);
	}
	is_int(wrong, 0, "strings of the usual length and of others");
	is_int(wrong_number, 0, "… that nobody wants");
}

/* What follows a value is a bridge or an error, even where it looks like the beginning of a known one. */
static void
test_refusals(void)
{
	static const char *const bad[] = {
		"{\"value\":[{\"a\":1,\"b\":2},{\"a\":1 \"b\":2}]}",
		"{\"value\":[{\"a\":1,\"b\":2},{\"a\":1,\"b\":}]}",
		"{\"value\":[{\"a\":1,\"b\":2},{\"a\":1,\"b\":,\"b\":2}]}",
		"{\"value\":[{\"a\":1,\"b\":2},{\"a\":1,\"b\":2,}]}",
		"{\"value\":[{\"a\":1,\"b\":2},{\"a\":1,,\"b\":2}]}",
		"{\"value\":[{\"a\":1,\"b\":2},{,\"b\":2}]}",
		"{\"value\":[{\"a\":1,\"b\":2},{\"a\":1{\"a\":1}]}",
		"{\"value\":[{\"a\":1,\"b\":2},,{\"a\":1}]}",
		"{\"value\":[{\"a\":\"0123456789abcdefghij\"},{\"a\":\"0123456789abcdefghij\"},"
		"{\"a\":\"01234\t6789abcdefghij\"}]}",
		"{\"value\":[{\"c\":\"0123456789abcdefghij\"},{\"c\":\"0123456789abcdefghij\"},"
		"{\"c\":\"01234\n6789abcdefghij\"}]}",
		"{\"value\":[{\"c\":\"0123456789abcdefghij\"},{\"c\":\"0123456789abcdefghij\"},"
		"{\"c\":\"0123456789\\xbcdefghij\"}]}",
		"{\"value\":[{\"c\":\"0123456789abcdefghij\"},{\"c\":\"0123456789abcdefghij\"},"
		"{\"c\":\"0123456789abcdefghi\\\"}]}",
		"{\"value\":[{\"a\":\"0123456789abcdefghij\"},{\"a\":\"0123456789abcdefghij\"},"
		"{\"a\":\"0123456789abcdef\xC3\x28ij\"}]}",
	};
	const char *names[] = {"a", "b"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		OnecRows   *rows = onec_rows_create(names, 2);
		OnecError	error = {.kind = ONEC_OK};
		size_t		at = 0;
		size_t		used = 0;
		OnecRowsStatus status;

		do
		{
			at += used;
			status = onec_rows_next(rows, bad[i] + at, strlen(bad[i]) - at, true, &used, &error);
		}
		while (status == ONEC_ROWS_ROW);
		ok(status == ONEC_ROWS_ERROR, "refused: %s", bad[i]);
		onec_rows_free(rows);
	}
}

int
main(void)
{
	for (OnecUsualWay way = ONEC_USUAL_NONE; way <= ONEC_USUAL_32; way++)
	{
		if (!onec_usual_choose(way))
			continue;
		printf("# way %d\n", (int) way);
		for (size_t i = 0; i < sizeof(varieties) / sizeof(varieties[0]); i++)
			test_variety(&varieties[i]);
		test_wide_rows();
		test_lengths();
		test_refusals();
	}
	return tap_done();
}
