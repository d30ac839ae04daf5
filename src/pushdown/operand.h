/*-------------------------------------------------------------------------
 *
 * operand.h
 *	  Sides of a comparison: a column, or a value that needs no row of the table.
 *
 * Nothing is raised here; memory is palloc'd.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_OPERAND_H
#define ONEC_OPERAND_H

#include "postgres.h"

#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "table/columns.h"
#include "table/types.h"

/* The side of a comparison that is not the column. */
typedef struct OnecOperand
{
	Oid			type;
	bool		known;			/* else a run-time value while planning */
	bool		isnull;
	Datum		value;
	int			number;			/* of the run-time value, 1… */
} OnecOperand;

/* "a < b" is "b > a". */
extern const OnecCompare onec_commuted[ONEC_COMPARES];

/* The column of 1C that a plain Var of the table stands for, or NULL; generated ones are none of 1C. */
extern const OnecColumn *onec_operand_column(const OnecDeparse *deparse, Node *node);

/* Fill "operand" from an expression without columns; false when it has some, or is volatile. */
extern bool onec_operand_read(OnecDeparse *deparse, Expr *expr, OnecOperand *operand);

/* A value that is not known yet, as a literal "$n". */
extern OnecExpr *onec_operand_placeholder(const OnecOperand *operand);

/* Whether "node" uses the table that "deparse" is about. */
extern bool onec_operand_has_column(const OnecDeparse *deparse, Node *node);

/* The comparison that operator "opno" is for "type", by its default order; false: it is none. */
extern bool onec_operator_compare(Oid opno, Oid type, OnecCompare *op);

/* "node" without the casts between binary-compatible types around it. */
extern Node *onec_strip_relabel(Node *node);

#endif							/* ONEC_OPERAND_H */
