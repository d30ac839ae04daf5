/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Text on its way between the database's encoding and UTF-8, which is 1C's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "table/text.h"

const char *
onec_utf8(const char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

char *
onec_server_text(const char *utf8)
{
	return pg_any_to_server(utf8, strlen(utf8), PG_UTF8);
}
