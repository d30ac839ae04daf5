/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  Filter trees from a column, a comparison and values that are known.
 *
 * deparse.c reads PostgreSQL's expressions; this is what it builds from them.  Results are palloc'd;
 * nothing is raised.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_FILTER_H
#define ONEC_FILTER_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "table/columns.h"
#include "table/types.h"

/* Values of an array that differ as 1C would write them, as literals; NULLs are counted apart. */
typedef struct OnecElements
{
	List	   *literals;		/* of OnecExpr */
	int			count;			/* of the array's elements, NULLs and such as 1C cannot hold among them */
	int			nulls;
	const char *why;			/* not NULL: some value cannot be said */
} OnecElements;

/* Terms: it stays here because of "why"; no row can match; the tree says it. */
extern OnecTerm onec_term_no(const char *why);
extern OnecTerm onec_term_none(void);
extern OnecTerm onec_term_tree(OnecVerdict verdict, OnecExpr *expr);

/* Every row matches, and maybe more than do (SUPERSET). */
extern OnecTerm onec_term_all(OnecVerdict verdict);

/*
 * All of the terms, any of the terms.  AND drops what must stay here, and is NO if that is all; OR is NO if
 * one of its arms is.
 */
extern OnecTerm onec_term_and(const OnecTerm *terms, int nterms);
extern OnecTerm onec_term_or(const OnecTerm *terms, int nterms);

/* Nodes of the tree. */
extern OnecExpr *onec_make_expr(OnecExprKind kind, int nargs);
extern OnecExpr *onec_make_field(const OnecColumn *column);
extern OnecExpr *onec_make_literal(OnecLiteralKind kind, const char *text);
extern OnecExpr *onec_make_compare(const OnecColumn *column, OnecCompare op, OnecExpr *literal);

/* An AND, OR or IN of "arms" (of OnecExpr); the arm itself if there is but one. */
extern OnecExpr *onec_make_list(OnecExprKind kind, List *arms);

/* "column ne <empty>", or NULL when no value of the column reads as NULL. */
extern OnecExpr *onec_make_not_empty(const OnecDeparse *deparse, const OnecColumn *column);

/* Compare a column with a literal that 1C can hold, or with a value of any kind. */
extern OnecTerm onec_filter_literal(const OnecDeparse *deparse, const OnecColumn *column,
									OnecCompare op, OnecExpr *literal);
extern OnecTerm onec_filter_value(const OnecDeparse *deparse, const OnecColumn *column,
								  OnecCompare op, Oid type, Datum value);

/* name(column, argument) */
extern OnecExpr *onec_make_call(const char *name, OnecExpr *first, OnecExpr *second);

extern OnecElements onec_filter_elements(const OnecDeparse *deparse, const OnecColumn *column,
										 Datum array);

/* column = ANY (literals), column <> ALL (literals) */
extern OnecTerm onec_filter_in(const OnecColumn *column, List *literals);
extern OnecTerm onec_filter_not_in(const OnecDeparse *deparse, const OnecColumn *column,
								   List *literals);

#endif							/* ONEC_FILTER_H */
