/*-------------------------------------------------------------------------
 *
 * deparse.c
 *	  Quals as a filter for 1C, each with the verdict on how exact it is.
 *
 * The rules are design.md 3: AND drops what cannot be said, OR needs all its arms,
 * NOT needs an exact arm.  Trees are built by filter.c.  Everything is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "fdw/deparse.h"
#include "fdw/filter.h"

/* The side of a comparison that is not the column. */
typedef struct Operand
{
	Oid			type;
	bool		known;			/* else a run-time value while planning */
	bool		isnull;
	Datum		value;
	int			number;			/* of the run-time value */
} Operand;

static const OnecCompare commuted[ONEC_COMPARES] = {
	[ONEC_EQ] = ONEC_EQ, [ONEC_NE] = ONEC_NE, [ONEC_LT] = ONEC_GT,
	[ONEC_LE] = ONEC_GE, [ONEC_GT] = ONEC_LT, [ONEC_GE] = ONEC_LE,
};

/* ---- operands ---- */

const OnecColumn *
onec_deparse_column(const OnecDeparse *deparse, Node *node)
{
	Var		   *var;

	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node == NULL || !IsA(node, Var))
		return NULL;
	var = (Var *) node;
	if (var->varno != deparse->varno || var->varlevelsup != 0 || var->varattno <= 0 ||
		var->varattno > deparse->ncolumns)
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

int
onec_deparse_param(OnecDeparse *deparse, Expr *expr)
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
	if (has_column((Node *) expr, &deparse->varno) || contain_subplans((Node *) expr) ||
		contain_volatile_functions((Node *) expr))
		return 0;
	deparse->params = lappend(deparse->params, expr);
	return number + 1;
}

/* Fill "operand" from an expression without columns; false when it has some. */
static bool
read_operand(OnecDeparse *deparse, Expr *expr, Operand *operand)
{
	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	memset(operand, 0, sizeof(*operand));
	operand->type = exprType((Node *) expr);
	if (IsA(expr, Const))
	{
		operand->known = true;
		operand->isnull = ((Const *) expr)->constisnull;
		operand->value = ((Const *) expr)->constvalue;
		return true;
	}
	operand->number = onec_deparse_param(deparse, expr);
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

/* ---- comparisons ---- */

/* The comparison that operator "opno" is for the column's type, by its default order. */
static bool
compare_of_operator(Oid opno, Oid type, OnecCompare *op)
{
	static const OnecCompare by_strategy[] = {
		[BTLessStrategyNumber] = ONEC_LT,
		[BTLessEqualStrategyNumber] = ONEC_LE,
		[BTEqualStrategyNumber] = ONEC_EQ,
		[BTGreaterEqualStrategyNumber] = ONEC_GE,
		[BTGreaterStrategyNumber] = ONEC_GT,
	};
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	ListCell   *lc;

	foreach(lc, get_op_btree_interpretation(opno))
	{
		OpBtreeInterpretation *found = lfirst(lc);

		if (found->opfamily_id != cache->btree_opf)
			continue;
		*op = found->strategy == ROWCOMPARE_NE ? ONEC_NE : by_strategy[found->strategy];
		return true;
	}
	return false;
}

static OnecExpr *
make_placeholder(const Operand *operand)
{
	return onec_make_literal(ONEC_LIT_PARAM, psprintf("$%d", operand->number));
}

/* Whether values of "type" can be written for the column at all, whatever they are. */
static bool
type_fits(const OnecColumn *column, Oid type)
{
	if (type == column->type)
		return true;
	switch (column->type)
	{
		case TIMESTAMPOID:
			return type == DATEOID || type == TIMESTAMPTZOID;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return type == INT2OID || type == INT4OID || type == INT8OID;
		case TEXTOID:
		case VARCHAROID:
			return type == TEXTOID || type == VARCHAROID;
		default:
			return false;
	}
}

static OnecTerm
compare_operand(OnecDeparse *deparse, const OnecColumn *column, OnecCompare op,
				const Operand *operand)
{
	const char *why;
	OnecTerm	term;

	if (column->argument != NULL)
		return onec_term_no(op == ONEC_EQ ? "it gives the function its argument" :
					   "an argument of a function is given by =");
	if (onec_type_compare(column, op, &why) == ONEC_NO)
		return onec_term_no(why);
	if (operand->isnull)
		return onec_term_none();
	if (operand->known)
		return onec_filter_value(deparse, column, op, operand->type, operand->value);
	if (!type_fits(column, operand->type))
		return onec_term_no("1C has no literal for the value");
	term = onec_filter_literal(deparse, column, op, make_placeholder(operand));
	/* values of other types may turn out unsayable: that is not for promises */
	if (operand->type == TIMESTAMPTZOID && term.verdict == ONEC_EXACT)
		term.verdict = ONEC_SUPERSET;
	return term;
}

/* ---- LIKE ---- */

static OnecTerm
deparse_like(OnecDeparse *deparse, OpExpr *op)
{
	const OnecColumn *column = onec_deparse_column(deparse, linitial(op->args));
	Operand		pattern;
	const char *why;
	OnecExpr   *call;

	if (column == NULL || !read_operand(deparse, lsecond(op->args), &pattern))
		return onec_term_no("it is not a pattern for a column");
	if (onec_type_compare(column, ONEC_EQ, &why) == ONEC_NO)
		return onec_term_no(why);
	if (pattern.isnull)
		return onec_term_none();
	if (pattern.known)
		return onec_filter_like(column, TextDatumGetCString(pattern.value));
	call = onec_make_expr(ONEC_EXPR_CALL, 2);
	call->name = "startswith";
	call->args[0] = onec_make_field(column);
	call->args[1] = make_placeholder(&pattern);
	return onec_term_tree(ONEC_SUPERSET, call);
}

/* ---- operators ---- */

static OnecTerm
deparse_operator(OnecDeparse *deparse, OpExpr *expr)
{
	const OnecColumn *column;
	Operand		operand;
	OnecCompare op;
	const char *why;
	bool		swapped = false;

	if (expr->opno == OID_TEXT_LIKE_OP)
		return deparse_like(deparse, expr);
	if (list_length(expr->args) != 2)
		return onec_term_no("1C has no such operator");
	column = onec_deparse_column(deparse, linitial(expr->args));
	if (column == NULL)
	{
		column = onec_deparse_column(deparse, lsecond(expr->args));
		swapped = true;
	}
	if (column == NULL)
		return onec_term_no("it is not a comparison of a column");
	if (!compare_of_operator(expr->opno, column->type, &op))
		return onec_term_no("1C has no such operator");
	op = swapped ? commuted[op] : op;
	if (OidIsValid(expr->inputcollid) && !get_collation_isdeterministic(expr->inputcollid))
		return onec_term_no("the collation is not deterministic");
	if (column->argument == NULL && onec_type_compare(column, op, &why) == ONEC_NO)
		return onec_term_no(why);
	if (!read_operand(deparse, swapped ? linitial(expr->args) : lsecond(expr->args), &operand))
		return onec_term_no("it compares the column with other columns, or with a volatile function");
	return compare_operand(deparse, column, op, &operand);
}

/* column = ANY (array), column <> ALL (array) */
static OnecTerm
deparse_array(OnecDeparse *deparse, ScalarArrayOpExpr *expr)
{
	const OnecColumn *column = onec_deparse_column(deparse, linitial(expr->args));
	OnecCompare op;
	Operand		array;
	OnecElements	elements;
	const char *why;

	if (column == NULL || !compare_of_operator(expr->opno, column->type, &op) ||
		op != (expr->useOr ? ONEC_EQ : ONEC_NE) || column->argument != NULL)
		return onec_term_no("it is not a list for a column");
	if (OidIsValid(expr->inputcollid) && !get_collation_isdeterministic(expr->inputcollid))
		return onec_term_no("the collation is not deterministic");
	if (onec_type_compare(column, op, &why) == ONEC_NO)
		return onec_term_no(why);
	if (!read_operand(deparse, lsecond(expr->args), &array))
		return onec_term_no("the list depends on other columns, or on a volatile function");
	if (array.isnull)
		return onec_term_none();
	if (!array.known)
	{
		if (!type_fits(column, get_base_element_type(array.type)))
			return onec_term_no("1C has no literal for the values");
		/* the number of values is not known, nor whether they fit into one request */
		return onec_term_tree(ONEC_SUPERSET, onec_make_compare(column, op, make_placeholder(&array)));
	}
	elements = onec_filter_elements(deparse, column, array.value);
	if (elements.why != NULL)
		return onec_term_no(elements.why);
	if (expr->useOr)
		return onec_filter_in(column, elements.literals);
	return elements.nulls > 0 ? onec_term_none() : onec_filter_not_in(deparse, column, elements.literals);
}

/* ---- booleans, NULL ---- */

static OnecTerm
compare_bool(const OnecDeparse *deparse, const OnecColumn *column, bool value)
{
	const char *why;

	if (column->argument != NULL || onec_type_compare(column, ONEC_EQ, &why) == ONEC_NO)
		return onec_term_no("the column is not a boolean of 1C");
	return onec_filter_literal(deparse, column, ONEC_EQ,
						   onec_make_literal(ONEC_LIT_BOOL, value ? "true" : "false"));
}

/*
 * "(date < value) IS NOT FALSE" keeps the rows whose empty date reads as NULL, just as 1C does, for
 * which it is the least.  Only where JSON null cannot be: in the date by which a set is kept.
 */
static OnecTerm
deparse_not_false(OnecDeparse *deparse, Expr *arg)
{
	OnecDeparse inner = *deparse;
	const OnecColumn *column;
	OnecTerm	term;

	if (!IsA(arg, OpExpr) || list_length(((OpExpr *) arg)->args) != 2)
		return onec_term_no("1C does not tell NULL from other values");
	column = onec_deparse_column(deparse, linitial(((OpExpr *) arg)->args));
	if (column == NULL ||
		(strcmp(column->property, "Period") != 0 && strcmp(column->property, "Date") != 0))
		return onec_term_no("1C does not tell NULL from other values");
	inner.empty_as_null = false;
	term = onec_deparse_qual(&inner, arg);
	deparse->params = inner.params;
	if (term.verdict == ONEC_NO || term.kind != ONEC_TERM_TREE ||
		term.expr->kind != ONEC_EXPR_COMPARE || term.expr->op[0] != 'l')
		return onec_term_no("1C does not tell NULL from other values");
	return term;
}

static OnecTerm
deparse_boolean_test(OnecDeparse *deparse, BooleanTest *test)
{
	const OnecColumn *column = onec_deparse_column(deparse, (Node *) test->arg);

	if (column != NULL && test->booltesttype == IS_TRUE)
		return compare_bool(deparse, column, true);
	if (test->booltesttype == IS_NOT_FALSE)
		return deparse_not_false(deparse, test->arg);
	if (column != NULL && test->booltesttype == IS_FALSE)
		return compare_bool(deparse, column, false);
	return onec_term_no("1C does not tell NULL from other values");
}

static OnecTerm
deparse_null_test(OnecDeparse *deparse, NullTest *test)
{
	const OnecColumn *column = onec_deparse_column(deparse, (Node *) test->arg);
	OnecExpr   *not_empty = column ? onec_make_not_empty(deparse, column) : NULL;

	if (test->nulltesttype == IS_NULL)
		return onec_term_no("empty values and JSON null both read as NULL");
	if (not_empty == NULL)
		return onec_term_no("the column has no empty value that 1C could exclude");
	return onec_term_tree(ONEC_SUPERSET, not_empty);
}

static OnecTerm
deparse_not(OnecDeparse *deparse, Expr *arg)
{
	const OnecColumn *column = onec_deparse_column(deparse, (Node *) arg);
	OnecDeparse inner = *deparse;
	OnecTerm	term;
	OnecExpr   *expr;

	if (column != NULL)
		return compare_bool(deparse, column, false);
	inner.exact = true;
	term = onec_deparse_qual(&inner, arg);
	deparse->params = inner.params;
	if (term.verdict != ONEC_EXACT)
		return onec_term_no("NOT needs a condition that 1C answers exactly");
	if (term.kind == ONEC_TERM_NONE)
		return (OnecTerm) {.verdict = ONEC_SUPERSET, .kind = ONEC_TERM_ALL};
	if (term.kind == ONEC_TERM_ALL)
		return onec_term_none();
	expr = onec_make_expr(ONEC_EXPR_NOT, 1);
	expr->args[0] = term.expr;
	return onec_term_tree(ONEC_SUPERSET, expr);
}

/* ---- AND, OR ---- */

OnecTerm
onec_deparse_quals(OnecDeparse *deparse, List *quals)
{
	OnecVerdict verdict = ONEC_EXACT;
	const char *why = NULL;
	List	   *arms = NIL;
	bool		none = false;
	ListCell   *lc;

	foreach(lc, quals)
	{
		OnecTerm	term = onec_deparse_qual(deparse, lfirst(lc));

		if (term.verdict == ONEC_NO)
			why = term.why;
		if (term.verdict != ONEC_EXACT)
			verdict = ONEC_SUPERSET;
		if (term.verdict == ONEC_NO || term.kind == ONEC_TERM_ALL)
			continue;
		if (term.kind == ONEC_TERM_NONE)
			none = true;
		else
			arms = lappend(arms, term.expr);
	}
	if (none)
		return onec_term_none();
	if (arms == NIL && why != NULL)
		return onec_term_no(why);
	if (arms == NIL)
		return (OnecTerm) {.verdict = verdict, .kind = ONEC_TERM_ALL};
	return onec_term_tree(verdict, onec_make_list(ONEC_EXPR_AND, arms));
}

static OnecTerm
deparse_or(OnecDeparse *deparse, List *args)
{
	OnecVerdict verdict = ONEC_EXACT;
	List	   *arms = NIL;
	bool		all = false;
	ListCell   *lc;

	foreach(lc, args)
	{
		OnecTerm	term = onec_deparse_qual(deparse, lfirst(lc));

		if (term.verdict == ONEC_NO)
			return term;
		if (term.verdict != ONEC_EXACT)
			verdict = ONEC_SUPERSET;
		if (term.kind == ONEC_TERM_ALL)
			all = true;
		else if (term.kind == ONEC_TERM_TREE)
			arms = lappend(arms, term.expr);
	}
	if (all)
		return (OnecTerm) {.verdict = verdict, .kind = ONEC_TERM_ALL};
	if (arms == NIL)
		return onec_term_none();
	return onec_term_tree(verdict, onec_make_list(ONEC_EXPR_OR, arms));
}

static OnecTerm
deparse_bool_expr(OnecDeparse *deparse, BoolExpr *expr)
{
	switch (expr->boolop)
	{
		case AND_EXPR:
			return onec_deparse_quals(deparse, expr->args);
		case OR_EXPR:
			return deparse_or(deparse, expr->args);
		default:
			return deparse_not(deparse, linitial(expr->args));
	}
}

OnecTerm
onec_deparse_qual(OnecDeparse *deparse, Expr *qual)
{
	const OnecColumn *column;

	check_stack_depth();
	switch (nodeTag(qual))
	{
		case T_OpExpr:
			return deparse_operator(deparse, (OpExpr *) qual);
		case T_ScalarArrayOpExpr:
			return deparse_array(deparse, (ScalarArrayOpExpr *) qual);
		case T_BoolExpr:
			return deparse_bool_expr(deparse, (BoolExpr *) qual);
		case T_BooleanTest:
			return deparse_boolean_test(deparse, (BooleanTest *) qual);
		case T_NullTest:
			return deparse_null_test(deparse, (NullTest *) qual);
		case T_Var:
			column = onec_deparse_column(deparse, (Node *) qual);
			if (column != NULL)
				return compare_bool(deparse, column, true);
			break;
		case T_Const:
			if (((Const *) qual)->constisnull || !DatumGetBool(((Const *) qual)->constvalue))
				return onec_term_none();
			return (OnecTerm) {.verdict = ONEC_EXACT, .kind = ONEC_TERM_ALL};
		default:
			break;
	}
	return onec_term_no("1C has no such operator or function");
}

/* ---- arguments of functions ---- */

Expr *
onec_deparse_equal(OnecDeparse *deparse, List *quals, AttrNumber attnum)
{
	const OnecColumn *wanted = &deparse->columns[attnum - 1];
	ListCell   *lc;

	foreach(lc, quals)
	{
		OpExpr	   *op = lfirst(lc);
		OnecCompare compare;
		Expr	   *value;

		if (!IsA(op, OpExpr) || list_length(op->args) != 2)
			continue;
		if (onec_deparse_column(deparse, linitial(op->args)) == wanted)
			value = lsecond(op->args);
		else if (onec_deparse_column(deparse, lsecond(op->args)) == wanted)
			value = linitial(op->args);
		else
			continue;
		if (!compare_of_operator(op->opno, wanted->type, &compare) || compare != ONEC_EQ)
			continue;
		if (has_column((Node *) value, &deparse->varno) ||
			contain_volatile_functions((Node *) value) || contain_subplans((Node *) value))
			continue;
		return (Expr *) coerce_to_target_type(NULL, (Node *) copyObject(value),
											  exprType((Node *) value), wanted->type,
											  wanted->typmod, COERCION_ASSIGNMENT,
											  COERCE_IMPLICIT_CAST, -1);
	}
	return NULL;
}
