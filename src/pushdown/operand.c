/*-------------------------------------------------------------------------
 *
 * operand.c
 *	  Sides of a comparison: a column, or a value that needs no row of the table.
 *
 * What has no column and is not volatile is a run-time value: collected while planning, looked up
 * while executing (deparse.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "compat.h"
#include "pushdown/filter.h"
#include "pushdown/operand.h"
#include "table/columns.h"
#include "table/types.h"

const OnecCompare onec_commuted[ONEC_COMPARES] = {
	[ONEC_EQ] = ONEC_EQ, [ONEC_NE] = ONEC_NE, [ONEC_LT] = ONEC_GT,
	[ONEC_LE] = ONEC_GE, [ONEC_GT] = ONEC_LT, [ONEC_GE] = ONEC_LE,
};

Node *
onec_strip_relabel(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

const OnecColumn *
onec_operand_column(const OnecDeparse *deparse, Node *node)
{
	Var		   *var;

	node = onec_strip_relabel(node);
	if (node == NULL || !IsA(node, Var))
		return NULL;
	var = (Var *) node;
	if (var->varno != deparse->varno || var->varlevelsup != 0 || var->varattno <= 0 ||
		var->varattno > deparse->ncolumns || deparse->columns[var->varattno - 1].attnum == 0)
		return NULL;
	return &deparse->columns[var->varattno - 1];
}

static bool
has_column(Node *node, void *varno)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varno == *(int *) varno && ((Var *) node)->varlevelsup == 0;
	return expression_tree_walker(node, has_column, varno);
}

bool
onec_operand_has_column(const OnecDeparse *deparse, Node *node)
{
	int			varno = deparse->varno;

	return has_column(node, &varno);
}

/*
 * Whether "expr" can be evaluated without a row of the table: its number in "params", having been added while
 * planning; else 0.
 */
static int
number_of(OnecDeparse *deparse, Expr *expr)
{
	int			number = 0;
	ListCell   *lc;

	foreach(lc, deparse->params)
	{
		number++;
		if (equal(lfirst(lc), expr))
			return number;
	}
	if (deparse->values != NULL)
		return 0;
	if (onec_operand_has_column(deparse, (Node *) expr) || contain_subplans((Node *) expr) ||
		contain_volatile_functions((Node *) expr))
		return 0;
	deparse->params = lappend(deparse->params, expr);
	return number + 1;
}

bool
onec_operand_read(OnecDeparse *deparse, Expr *expr, OnecOperand *operand)
{
	expr = (Expr *) onec_strip_relabel((Node *) expr);
	memset(operand, 0, sizeof(*operand));
	operand->type = exprType((Node *) expr);
	if (IsA(expr, Const))
	{
		operand->known = true;
		operand->isnull = ((Const *) expr)->constisnull;
		operand->value = ((Const *) expr)->constvalue;
		return true;
	}
	operand->number = number_of(deparse, expr);
	if (operand->number == 0)
		return false;
	if (deparse->values != NULL)
	{
		operand->known = true;
		operand->isnull = deparse->values[operand->number - 1].isnull;
		operand->value = deparse->values[operand->number - 1].value;
	}
	return true;
}

OnecExpr *
onec_operand_placeholder(const OnecOperand *operand)
{
	return onec_make_literal(ONEC_LIT_PARAM, psprintf("$%d", operand->number));
}

bool
onec_operator_compare(Oid opno, Oid type, OnecCompare *op)
{
	static const OnecCompare by_strategy[] = {
		[BTLessStrategyNumber] = ONEC_LT,
		[BTLessEqualStrategyNumber] = ONEC_LE,
		[BTEqualStrategyNumber] = ONEC_EQ,
		[BTGreaterEqualStrategyNumber] = ONEC_GE,
		[BTGreaterStrategyNumber] = ONEC_GT,
		[ONEC_STRATEGY_NE] = ONEC_NE,
	};
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	int			strategy = onec_operator_strategy(opno, cache->btree_opf);

	if (strategy == 0)
		return false;
	*op = by_strategy[strategy];
	return true;
}
