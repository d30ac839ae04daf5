/*-------------------------------------------------------------------------
 *
 * like.c
 *	  LIKE patterns by what they say in clear: a beginning, an end, pieces between.
 *
 * How 1C's own like() takes escapes is not documented, and it knows other wildcards ([a-z]), so patterns
 * never go as they are.  1C ignores case, and may have dropped the blanks at the end of a
 * value: what is asked for finds more rows, never fewer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "pushdown/filter.h"
#include "pushdown/like.h"
#include "table/columns.h"
#include "table/text.h"
#include "table/types.h"

#define MAX_PIECES 3			/* more would only lengthen the address */

/* A pattern without its wildcards. */
typedef struct Pieces
{
	List	   *texts;			/* of char *, none empty but maybe the first and the last */
	bool		whole;			/* no wildcard at all */
	bool		open_end;		/* ends in a wildcard */
} Pieces;

/* Cut at wildcards, unescaping; false for a pattern that ends in its escape. */
static bool
cut(const char *pattern, Pieces *pieces)
{
	char	   *text = palloc(strlen(pattern) + 1);
	char	   *out = text;

	*pieces = (Pieces) {.whole = true};
	for (const char *in = pattern; *in != '\0';)
	{
		int			len;

		if (*in == '%' || *in == '_')
		{
			*out++ = '\0';
			pieces->texts = lappend(pieces->texts, text);
			text = out;
			pieces->whole = false;
			in++;
			continue;
		}
		if (*in == '\\' && *++in == '\0')
			return false;
		len = pg_mblen(in);
		memcpy(out, in, len);
		out += len;
		in += len;
	}
	*out = '\0';
	pieces->open_end = !pieces->whole && *text == '\0';
	pieces->texts = lappend(pieces->texts, text);
	return true;
}

static OnecExpr *
make_text(const char *text)
{
	return onec_make_literal(ONEC_LIT_STRING, onec_utf8(text));
}

static void
trim_blanks(char *text)
{
	for (char *end = text + strlen(text); end > text && end[-1] == ' ';)
		*--end = '\0';
}

/* The longest pieces between the first and the last, as "substringof". */
static List *
inner_arms(const OnecColumn *column, List *texts)
{
	List	   *arms = NIL;

	for (int count = 0; count < MAX_PIECES; count++)
	{
		ListCell   *best = NULL;

		for (int i = 1; i < list_length(texts) - 1; i++)
			if (*(char *) list_nth(texts, i) != '\0' &&
				(best == NULL || strlen(list_nth(texts, i)) > strlen(lfirst(best))))
				best = list_nth_cell(texts, i);
		if (best == NULL)
			break;
		arms = lappend(arms, onec_make_call("substringof", make_text(pstrdup(lfirst(best))),
											onec_make_field(column)));
		lfirst(best) = "";
	}
	return arms;
}

OnecTerm
onec_filter_like(const OnecColumn *column, const char *pattern)
{
	Pieces		pieces;
	List	   *arms = NIL;
	char	   *first;
	char	   *last;

	if (!cut(pattern, &pieces))
		return onec_term_no("the pattern ends in its escape");
	first = linitial(pieces.texts);
	last = llast(pieces.texts);
	if (pieces.whole)
		return onec_term_tree(ONEC_SUPERSET, onec_make_compare(column, ONEC_EQ, make_text(first)));
	/*
	 * a blank that another piece follows is no blank at the end, but it may be one to 1C when "%" stands for
	 * nothing
	 */
	for (int i = 0; i < list_length(pieces.texts) - 1; i++)
		trim_blanks(list_nth(pieces.texts, i));
	if (*first != '\0')
		arms = lappend(arms, onec_make_call("startswith", onec_make_field(column), make_text(first)));
	arms = list_concat(arms, inner_arms(column, pieces.texts));
	if (!pieces.open_end)
	{
		bool		blank = last[strlen(last) - 1] == ' ';

		/* whether 1C's values still end in that blank is not known */
		trim_blanks(last);
		if (*last != '\0')
			arms = lappend(arms, blank ?
						   onec_make_call("substringof", make_text(last), onec_make_field(column)) :
						   onec_make_call("endswith", onec_make_field(column), make_text(last)));
	}
	if (arms == NIL)
		return onec_term_no("the pattern has no text to look for");
	return onec_term_tree(ONEC_SUPERSET, onec_make_list(ONEC_EXPR_AND, arms));
}
