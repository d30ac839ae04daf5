/*-------------------------------------------------------------------------
 *
 * test_json_shape.c
 *	  Rows of one page that are not alike: members lacking, moved, repeated, of other kinds, spaced otherwise.
 *
 * The scanner goes by the shape of the rows before; whatever that was, the values have to be those that json-c finds.
 *
 *-------------------------------------------------------------------------
 */
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
	"\"text\"", "1", "-12.50", "null", "true", "false", "\"\"", "{\"a\": [1, {}]}", "[]", "\"a \\\"quote\\\" and \\\\\"",
	"\"три слова, и все в кавычках\"", "\"01234567-89ab-cdef-0123-456789abcdef\"", "0", "1e5", "\"}\"", "\"\\u0430,\\n\"",
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
		snprintf(name, sizeof(name), "\"%0*u\"", 150 + (int) member, member);
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
	for (size_t i = 0; i < sizeof(varieties) / sizeof(varieties[0]); i++)
		test_variety(&varieties[i]);
	test_wide_rows();
	test_refusals();
	return tap_done();
}
