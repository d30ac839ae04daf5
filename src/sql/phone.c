/*-------------------------------------------------------------------------
 *
 * phone.c
 *	  A number as people write it, made one row of digits; other texts are told from it at once.
 *
 * Every card has several texts that may be its telephone, and most are not: of 50,000 cards 250,000 are
 * looked at.  Which country a number is of is decided in SQL, by onec.phone_plan.
 *
 * Memory: the caller's context.  Errors: none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(onec_written_number);

#define FEWEST_DIGITS 9
#define MOST_DIGITS 17			/* 15 of E.164 behind 00 */

/* Spaces, dashes, brackets and dots of every kind, joiners and marks without width. */
static bool
is_between(pg_wchar c)
{
	static const pg_wchar alone[] = {
		'\t', '\n', '\r', ' ', '(', ')', '-', '.', 0xA0, 0xAD, 0x1680, 0x180E, 0x202F, 0x205F, 0x2060, 0x2212,
		0x3000,
		0xFE58, 0xFE63, 0xFEFF, 0xFF0D
	};

	for (size_t i = 0; i < lengthof(alone); i++)
		if (alone[i] == c)
			return true;
	return c >= 0x2000 && c <= 0x2015;
}

/*
 * onec_internal.written_number(text): its digits, behind a plus if that stands first; NULL if it is not 9
 * to 17 digits
 */
Datum
onec_written_number(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	const char *at = VARDATA_ANY(given);
	const char *end = at + VARSIZE_ANY_EXHDR(given);
	bool		wide = GetDatabaseEncoding() == PG_UTF8;
	char		digits[MOST_DIGITS + 1];
	int			n = 0;

	while (at < end)
	{
		const unsigned char *c = (const unsigned char *) at;
		int			length = wide ? pg_utf_mblen(c) : 1;

		if (at + length > end)
			PG_RETURN_NULL();
		at += length;
		if ((*c >= '0' && *c <= '9') || (*c == '+' && n == 0))
		{
			if (n == sizeof(digits))
				PG_RETURN_NULL();
			digits[n++] = *c;
		}
		else if (!is_between(wide ? utf8_to_unicode(c) : *c))
			PG_RETURN_NULL();
	}
	if (n - (n > 0 && digits[0] == '+') < FEWEST_DIGITS || n - (digits[0] == '+') > MOST_DIGITS)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(digits, n));
}
