/*-------------------------------------------------------------------------
 *
 * deparse.h
 *	  The only reader of PostgreSQL expressions: quals → filter tree and verdict.
 *
 * One walk serves twice.  While planning (and for EXPLAIN) run-time values are not known: they are
 * collected, and stand in the tree as $1, $2 ….  While executing, values are
 * there, and the tree holds literals only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DEPARSE_H
#define ONEC_DEPARSE_H

#include "postgres.h"

#include "nodes/primnodes.h"

#include "protocol/odata/odata.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/types.h"

/* A run-time value. */
typedef struct OnecValue
{
	Datum		value;
	bool		isnull;
} OnecValue;

typedef struct OnecDeparse
{
	/* given */
	int			varno;			/* of the foreign table in the quals */
	const OnecColumn *columns;	/* by attnum - 1 */
	int			ncolumns;
	bool		empty_as_null;
	bool		ignores_case;	/* 1C's comparisons of text do, surely */
	bool		composites;		/* values of several types may be compared, by cast() */
	bool		exact;			/* the filter must not return more than asked: say so where it takes more
								 * words */
	const OnecValue *values;	/* of "params"; NULL while planning */

	/* found, while planning; given while executing */
	List	   *params;			/* column-free expressions, numbered from 1 */
} OnecDeparse;

typedef enum OnecTermKind
{
	ONEC_TERM_TREE,				/* "expr" says it */
	ONEC_TERM_ALL,				/* no row is excluded */
	ONEC_TERM_NONE				/* no row can match: no request is needed */
} OnecTermKind;

/* What became of one qual. */
typedef struct OnecTerm
{
	OnecVerdict verdict;
	OnecTermKind kind;			/* unless NO */
	OnecExpr   *expr;			/* TREE */
	const char *why;			/* NO: what keeps it here */
} OnecTerm;

/* What is given of a table; "exact", "values" and "params" are the caller's to set. */
extern OnecDeparse onec_deparse_of(const OnecOptions *options, int varno, const OnecColumn *columns,
								   int ncolumns);

/* Translate one qual.  palloc'd; nothing is raised for what cannot be said. */
extern OnecTerm onec_deparse_qual(OnecDeparse *deparse, Expr *qual);

/* Translate an implicitly ANDed list; verdict EXACT only if every qual is. */
extern OnecTerm onec_deparse_quals(OnecDeparse *deparse, List *quals);

/*
 * The value given to the column by a qual "column = value", or NULL.  The result is of the column's type.
 */
extern Expr *onec_deparse_equal(OnecDeparse *deparse, List *quals, AttrNumber attnum);

#endif							/* ONEC_DEPARSE_H */
