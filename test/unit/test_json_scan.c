/*-------------------------------------------------------------------------
 *
 * test_json_scan.c
 *	  What is UTF-8, against the table of RFC 3629 taken byte by byte.
 *
 * Texts that are checked many bytes at a time are the bulk of a page, so any two bytes of one are changed to
 * anything, wherever they stand.  Each text is an allocation of its own, so that a sanitizer sees a read past
 * its end.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/json/json_scan.h"

#include "tap.h"

/* A row of the table: the first byte of a character, its second, and how many follow after that. */
static const struct
{
	unsigned char from;
	unsigned char to;
	unsigned char second_from;
	unsigned char second_to;
	int			more;
}			rows[] = {
	{0xC2, 0xDF, 0x80, 0xBF, 0}, {0xE0, 0xE0, 0xA0, 0xBF, 1}, {0xE1, 0xEC, 0x80, 0xBF, 1},
	{0xED, 0xED, 0x80, 0x9F, 1}, {0xEE, 0xEF, 0x80, 0xBF, 1}, {0xF0, 0xF0, 0x90, 0xBF, 2},
	{0xF1, 0xF3, 0x80, 0xBF, 2}, {0xF4, 0xF4, 0x80, 0x8F, 2},
};

#define NROWS ((int) (sizeof(rows) / sizeof(rows[0])))

/* Bytes of the character at "at", 0 when it is none. */
static size_t
character(const unsigned char *text, size_t at, size_t len)
{
	if (text[at] < 0x80)
		return 1;
	for (int i = 0; i < NROWS; i++)
	{
		size_t		n = 2 + (size_t) rows[i].more;

		if (text[at] < rows[i].from || text[at] > rows[i].to)
			continue;
		if (len - at < n || text[at + 1] < rows[i].second_from || text[at + 1] > rows[i].second_to)
			return 0;
		for (size_t k = 2; k < n; k++)
			if (text[at + k] < 0x80 || text[at + k] > 0xBF)
				return 0;
		return n;
	}
	return 0;
}

static bool
is_utf8(const unsigned char *text, size_t len)
{
	for (size_t at = 0; at < len;)
	{
		size_t		n = character(text, at, len);

		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

/* Any two bytes in place of those at "at". */
static bool
is_same_for_all(const char *sample, size_t at)
{
	size_t		len = strlen(sample);
	unsigned char *text = malloc(len);
	bool		same = true;

	memcpy(text, sample, len);
	for (unsigned pair = 0; pair < 65536; pair++)
	{
		text[at] = (unsigned char) (pair >> 8);
		text[at + 1] = (unsigned char) pair;
		same &= onec_json_utf8((const char *) text, len) == is_utf8(text, len);
	}
	free(text);
	return same;
}

int
main(void)
{
	static const char *const samples[] = {
		"ЁжикиёлкаЯя", "жжжжaжжжж", "StandardODATA.Document_Чек", "€ж€жжжж", "жж😀жжжж",
	};

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
	{
		bool		same = true;

		for (size_t at = 0; at + 1 < strlen(samples[i]); at++)
			same &= is_same_for_all(samples[i], at);
		ok(same, "any two bytes within \"%s\"", samples[i]);
	}
	return tap_done();
}
