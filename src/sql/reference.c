/*-------------------------------------------------------------------------
 *
 * reference.c
 *	  References of 1C as they come in fields of several types: text that may be the identifier of an object,
 *	  and beside it the name of its type.
 *
 * Each line of a register has two or three of them, so this is no regular expression, nor text functions that
 * count letters.
 *
 * Memory: the caller's context.  Errors: none; what is no reference has none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(onec_reference_uuid);
PG_FUNCTION_INFO_V1(onec_type_word);

#define TEXT_LENGTH 36			/* 8-4-4-4-12 */
#define TYPE_PREFIX "StandardODATA."

/* What a hexadecimal digit is worth, or -1. */
static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* onec_internal.reference_uuid(text): the identifier; NULL for the empty one and for values of other types */
Datum
onec_reference_uuid(PG_FUNCTION_ARGS)
{
	text	   *given = PG_GETARG_TEXT_PP(0);
	const char *c = VARDATA_ANY(given);
	pg_uuid_t  *id;
	int			any = 0;

	if (VARSIZE_ANY_EXHDR(given) != TEXT_LENGTH
		|| c[8] != '-' || c[13] != '-' || c[18] != '-' || c[23] != '-')
		PG_RETURN_NULL();
	id = palloc(sizeof(*id));
	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high,
					low;

		if (i == 4 || i == 6 || i == 8 || i == 10)
			c++;
		high = digit(c[0]);
		low = digit(c[1]);
		if (high < 0 || low < 0)
			PG_RETURN_NULL();
		id->data[i] = high << 4 | low;
		any |= id->data[i];
		c += 2;
	}
	if (any == 0)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(id);
}

/* onec_internal.type_word(text): the type, without the name of the service before it; '' for none */
Datum
onec_type_word(PG_FUNCTION_ARGS)
{
	const int	prefix = strlen(TYPE_PREFIX);
	text	   *given;
	int			length;

	if (PG_ARGISNULL(0))
		PG_RETURN_TEXT_P(cstring_to_text(""));
	given = PG_GETARG_TEXT_PP(0);
	length = (int) VARSIZE_ANY_EXHDR(given) - prefix;
	if (length < 0 || memcmp(VARDATA_ANY(given), TYPE_PREFIX, prefix) != 0)
		PG_RETURN_TEXT_P(given);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(VARDATA_ANY(given) + prefix, length));
}
