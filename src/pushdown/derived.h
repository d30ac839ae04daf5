/*-------------------------------------------------------------------------
 *
 * derived.h
 *	  Conditions on what is computed from one column: parts of a date, sums and products with values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DERIVED_H
#define ONEC_DERIVED_H

#include "postgres.h"

#include "nodes/primnodes.h"

#include "pushdown/deparse.h"
#include "pushdown/operand.h"
#include "table/columns.h"
#include "table/types.h"

/* What is computed, as far as it was read; "column" is NULL when nothing of the kind was found. */
typedef struct OnecDerived
{
	const OnecColumn *column;
	Node	   *node;			/* the whole expression */
	const char *unit;			/* of the date, as date_trunc() knows it; NULL: a number */
	const char *function;		/* 1C's function for the part; NULL: the date cut to the unit */
	bool		year;			/* the number of the year */
} OnecDerived;

/*
 * Read an expression: Period::date, date_trunc('month', Period), extract(year from Period), Сумма * 2 + 1.
 * Constants in it may be run-time values, which are collected.
 */
extern OnecDerived onec_derived_read(OnecDeparse *deparse, Node *node);

/* Compare it with a value.  "operand" is not NULL. */
extern OnecTerm onec_derived_compare(OnecDeparse *deparse, const OnecDerived *derived,
									 OnecCompare op, const OnecOperand *operand);

#endif							/* ONEC_DERIVED_H */
