/*-------------------------------------------------------------------------
 *
 * deparse.c
 *	  Quals as a filter for 1C, each with the verdict on how exact it is.
 *
 * The rules (doc/architecture.md 2): AND drops what cannot be said, OR needs all its arms,
 * NOT needs an exact arm.  Trees are built by filter.c.  Everything is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "protocol/odata/odata.h"
#include "pushdown/composite.h"
#include "pushdown/deparse.h"
#include "pushdown/derived.h"
#include "pushdown/filter.h"
#include "pushdown/like.h"
#include "pushdown/operand.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/types.h"

#define MAX_DERIVED 20			/* values of a list, each of which takes a condition of its own */

OnecDeparse
onec_deparse_of(const OnecOptions *options, int varno, const OnecColumn *columns, int ncolumns)
{
	return (OnecDeparse) {
		.varno = varno,
		.columns = columns,
		.ncolumns = ncolumns,
		.empty_as_null = options->empty_as_null,
		.ignores_case = options->ignores_case,
		.composites = options->push_composite,
	};
}

/* ---- comparisons ---- */

/* Whether values of "type" can be written for the column at all, whatever they are. */
static bool
type_fits(const OnecColumn *column, Oid type)
{
	if (type == column->type)
		return true;
	switch (column->type)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
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
				const OnecOperand *operand)
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
	term = onec_filter_literal(deparse, column, op, onec_operand_placeholder(operand));
	/* values of other types may turn out unsayable: that is not for promises */
	if (operand->type == TIMESTAMPTZOID && term.verdict == ONEC_EXACT)
		term.verdict = ONEC_SUPERSET;
	return term;
}

/* ---- patterns ---- */

/* Whether a text has no letters that have another case. */
static bool
is_caseless(text *value)
{
	char	   *plain = text_to_cstring(value);
	size_t		len = strlen(plain);

	return strcmp(str_tolower(plain, len, DEFAULT_COLLATION_OID), plain) == 0 &&
		strcmp(str_toupper(plain, len, DEFAULT_COLLATION_OID), plain) == 0;
}

/* "text" as a pattern for what begins with it. */
static char *
escape_prefix(text *value)
{
	StringInfoData pattern;

	initStringInfo(&pattern);
	for (char *in = text_to_cstring(value); *in; in++)
	{
		if (*in == '%' || *in == '_' || *in == '\\')
			appendStringInfoChar(&pattern, '\\');
		appendStringInfoChar(&pattern, *in);
	}
	appendStringInfoChar(&pattern, '%');
	return pattern.data;
}

typedef enum PatternKind
{
	PATTERN_LIKE,
	PATTERN_ILIKE,
	PATTERN_PREFIX
} PatternKind;

static OnecTerm
deparse_pattern(OnecDeparse *deparse, PatternKind kind, List *args)
{
	const OnecColumn *column = onec_operand_column(deparse, linitial(args));
	OnecOperand pattern;
	const char *why;

	if (column == NULL || column->argument != NULL ||
		!onec_operand_read(deparse, lsecond(args), &pattern))
		return onec_term_no("it is not a pattern for a column");
	if (onec_type_compare(column, ONEC_EQ, &why) == ONEC_NO)
		return onec_term_no(why);
	if (pattern.isnull)
		return onec_term_none();
	if (!pattern.known)
		return onec_term_tree(ONEC_SUPERSET, onec_make_call("like", onec_make_field(column),
															onec_operand_placeholder(&pattern)));
	if (kind == PATTERN_ILIKE && !deparse->ignores_case &&
		!is_caseless(DatumGetTextPP(pattern.value)))
		return onec_term_no("whether 1C ignores case is not known: see the option ignores_case");
	if (kind == PATTERN_PREFIX)
		return onec_filter_like(column, escape_prefix(DatumGetTextPP(pattern.value)));
	return onec_filter_like(column, TextDatumGetCString(pattern.value));
}

/* ---- operators ---- */

/* Two columns: numbers or dates, whose order 1C shares. */
static OnecTerm
compare_columns(OnecDeparse *deparse, const OnecColumn *left, OnecCompare op,
				const OnecColumn *right)
{
	const char *why;
	OnecTerm	terms[3];
	OnecExpr   *empty;
	int			count = 1;

	if (left->argument || right->argument || left->type != right->type ||
		onec_type_compare(left, ONEC_LT, &why) != ONEC_EXACT ||
		onec_type_compare(right, ONEC_LT, &why) != ONEC_EXACT)
		return onec_term_no("1C compares only numbers and dates of one row with each other reliably");
	terms[0] = onec_term_tree(ONEC_EXACT, onec_make_compare(left, op, onec_make_field(right)));
	empty = onec_make_not_empty(deparse, left);
	if (empty == NULL)
		return terms[0];
	if (!deparse->exact)
	{
		terms[0].verdict = ONEC_SUPERSET;
		return terms[0];
	}
	terms[count++] = onec_term_tree(ONEC_EXACT, empty);
	terms[count++] = onec_term_tree(ONEC_EXACT, onec_make_not_empty(deparse, right));
	return onec_term_and(terms, count);
}

/* A comparison whose column side is "node", which is not a plain column. */
static OnecTerm
deparse_derived(OnecDeparse *deparse, OpExpr *expr, bool swapped)
{
	Node	   *node = swapped ? lsecond(expr->args) : linitial(expr->args);
	OnecDerived derived = onec_derived_read(deparse, node);
	OnecOperand operand;
	OnecCompare op;

	if (derived.column == NULL)
		return onec_term_no("it is not a comparison of a column");
	if (!onec_operator_compare(expr->opno, exprType(onec_strip_relabel(node)), &op))
		return onec_term_no("1C has no such operator");
	if (!onec_operand_read(deparse, swapped ? linitial(expr->args) : lsecond(expr->args), &operand))
		return onec_term_no("it compares the column with other columns, or with a volatile function");
	return onec_derived_compare(deparse, &derived, swapped ? onec_commuted[op] : op, &operand);
}

static OnecTerm
deparse_comparison(OnecDeparse *deparse, OpExpr *expr)
{
	const OnecColumn *left = onec_operand_column(deparse, linitial(expr->args));
	const OnecColumn *right = onec_operand_column(deparse, lsecond(expr->args));
	const OnecColumn *column = left ? left : right;
	OnecOperand operand;
	OnecCompare op;
	const char *why;

	if (column == NULL)
		return deparse_derived(deparse, expr, !onec_operand_has_column(deparse, linitial(expr->args)));
	if (!onec_operator_compare(expr->opno, column->type, &op))
		return onec_term_no("1C has no such operator");
	if (OidIsValid(expr->inputcollid) && !get_collation_isdeterministic(expr->inputcollid))
		return onec_term_no("the collation is not deterministic");
	if (left != NULL && right != NULL)
		return compare_columns(deparse, left, op, right);
	op = left ? op : onec_commuted[op];
	if (column->argument == NULL && onec_type_compare(column, op, &why) == ONEC_NO)
		return onec_term_no(why);
	if (!onec_operand_read(deparse, left ? lsecond(expr->args) : linitial(expr->args), &operand))
		return onec_term_no("it compares the column with other columns, or with a volatile function");
	return compare_operand(deparse, column, op, &operand);
}

static OnecTerm
deparse_operator(OnecDeparse *deparse, OpExpr *expr)
{
	if (expr->opno == OID_TEXT_LIKE_OP)
		return deparse_pattern(deparse, PATTERN_LIKE, expr->args);
	if (expr->opno == OID_TEXT_ICLIKE_OP)
		return deparse_pattern(deparse, PATTERN_ILIKE, expr->args);
	if (expr->opfuncid == F_STARTS_WITH)
		return deparse_pattern(deparse, PATTERN_PREFIX, expr->args);
	if (list_length(expr->args) != 2)
		return onec_term_no("1C has no such operator");
	return deparse_comparison(deparse, expr);
}

/* (a, b) > (x, y): nothing before x. */
static OnecTerm
deparse_row(OnecDeparse *deparse, RowCompareExpr *expr)
{
	OpExpr		first = {.xpr.type = T_OpExpr, .opno = linitial_oid(expr->opnos)};
	Oid			type = exprType(linitial(expr->largs));
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	OnecCompare op;
	OnecTerm	term;
	int			strategy;

	if (!onec_operator_compare(first.opno, type, &op) || op == ONEC_EQ || op == ONEC_NE)
		return onec_term_no("1C has no such operator");
	strategy = op == ONEC_LT || op == ONEC_LE ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber;
	first.opno = get_opfamily_member(cache->btree_opf, type, exprType(linitial(expr->rargs)), strategy);
	if (!OidIsValid(first.opno))
		return onec_term_no("1C has no such operator");
	first.opfuncid = get_opcode(first.opno);
	first.inputcollid = linitial_oid(expr->inputcollids);
	first.args = list_make2(linitial(expr->largs), linitial(expr->rargs));
	term = deparse_operator(deparse, &first);
	if (term.verdict == ONEC_EXACT && term.kind != ONEC_TERM_NONE)
		term.verdict = ONEC_SUPERSET;
	return term;
}

/* "a IS NOT DISTINCT FROM value": a comparison, unless the value is NULL. */
static OnecTerm
deparse_not_distinct(OnecDeparse *deparse, DistinctExpr *expr)
{
	OpExpr		equal = *(OpExpr *) expr;
	Expr	   *value;
	OnecOperand operand;

	equal.xpr.type = T_OpExpr;
	value = onec_operand_has_column(deparse, linitial(expr->args)) ? lsecond(expr->args) :
		linitial(expr->args);
	if (onec_operand_has_column(deparse, (Node *) value) || !onec_operand_read(deparse, value, &operand))
		return onec_term_no("it compares the column with other columns, or with a volatile function");
	if (operand.known && operand.isnull)
		return onec_term_no("empty values and JSON null both read as NULL");
	return deparse_operator(deparse, &equal);
}

/* ---- lists ---- */

/* A list for what is computed from a column: each value for itself. */
static OnecTerm
deparse_derived_array(OnecDeparse *deparse, const OnecDerived *derived, Oid type, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int16		len;
	bool		byval;
	char		align;
	Datum	   *datums;
	bool	   *nulls;
	int			count;
	OnecTerm   *terms;

	get_typlenbyvalalign(type, &len, &byval, &align);
	deconstruct_array(array, type, len, byval, align, &datums, &nulls, &count);
	if (count > MAX_DERIVED)
		return onec_term_no("the list is long");
	terms = palloc(sizeof(OnecTerm) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		OnecOperand operand = {.type = type, .known = true, .isnull = nulls[i], .value = datums[i]};

		terms[i] = onec_derived_compare(deparse, derived, ONEC_EQ, &operand);
	}
	return onec_term_or(terms, count);
}

static OnecTerm
deparse_derived_list(OnecDeparse *deparse, ScalarArrayOpExpr *expr)
{
	OnecDerived derived = onec_derived_read(deparse, linitial(expr->args));
	OnecCompare op;
	OnecOperand array;

	if (derived.column == NULL || !expr->useOr ||
		!onec_operator_compare(expr->opno, exprType(onec_strip_relabel(linitial(expr->args))), &op) ||
		op != ONEC_EQ || !onec_operand_read(deparse, lsecond(expr->args), &array))
		return onec_term_no("it is not a list for a column");
	if (array.isnull)
		return onec_term_none();
	if (array.known)
		return deparse_derived_array(deparse, &derived, get_base_element_type(array.type), array.value);
	return onec_term_tree(ONEC_SUPERSET, onec_make_compare(derived.column, ONEC_EQ,
														   onec_operand_placeholder(&array)));
}

/* column = ANY (array), column <> ALL (array) */
static OnecTerm
deparse_array(OnecDeparse *deparse, ScalarArrayOpExpr *expr)
{
	const OnecColumn *column = onec_operand_column(deparse, linitial(expr->args));
	OnecCompare op;
	OnecOperand array;
	OnecElements	elements;
	const char *why;

	if (column == NULL)
		return deparse_derived_list(deparse, expr);
	if (!onec_operator_compare(expr->opno, column->type, &op) ||
		op != (expr->useOr ? ONEC_EQ : ONEC_NE) || column->argument != NULL)
		return onec_term_no("it is not a list for a column");
	if (OidIsValid(expr->inputcollid) && !get_collation_isdeterministic(expr->inputcollid))
		return onec_term_no("the collation is not deterministic");
	if (onec_type_compare(column, op, &why) == ONEC_NO)
		return onec_term_no(why);
	if (!onec_operand_read(deparse, lsecond(expr->args), &array))
		return onec_term_no("the list depends on other columns, or on a volatile function");
	if (array.isnull)
		return onec_term_none();
	if (!array.known)
	{
		if (!type_fits(column, get_base_element_type(array.type)))
			return onec_term_no("1C has no literal for the values");
		/* the number of values is not known, nor whether they fit into one request */
		return onec_term_tree(ONEC_SUPERSET, op == ONEC_NE ?
							  onec_make_compare(column, op, onec_operand_placeholder(&array)) :
							  onec_make_list(ONEC_EXPR_IN, list_make2(onec_make_field(column),
																	  onec_operand_placeholder(&array))));
	}
	elements = onec_filter_elements(deparse, column, array.value);
	if (elements.why != NULL)
		return onec_term_no(elements.why);
	/* nothing is compared then, so that NULL is no different */
	if (elements.count == 0)
		return expr->useOr ? onec_term_none() : onec_term_all(ONEC_EXACT);
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
	column = onec_operand_column(deparse, linitial(((OpExpr *) arg)->args));
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
	const OnecColumn *column = onec_operand_column(deparse, (Node *) test->arg);

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
	const OnecColumn *column = onec_operand_column(deparse, (Node *) test->arg);
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
	const OnecColumn *column = onec_operand_column(deparse, (Node *) arg);
	OnecDeparse inner = *deparse;
	OnecTerm	term;
	OnecExpr   *expr;

	if (column != NULL)
		return compare_bool(deparse, column, false);
	if (IsA(arg, DistinctExpr))
		return deparse_not_distinct(deparse, (DistinctExpr *) arg);
	inner.exact = true;
	term = onec_deparse_qual(&inner, arg);
	deparse->params = inner.params;
	if (term.verdict != ONEC_EXACT)
		return onec_term_no("NOT needs a condition that 1C answers exactly");
	if (term.kind == ONEC_TERM_NONE)
		return onec_term_all(ONEC_SUPERSET);
	if (term.kind == ONEC_TERM_ALL)
		return onec_term_none();
	expr = onec_make_expr(ONEC_EXPR_NOT, 1);
	expr->args[0] = term.expr;
	return onec_term_tree(ONEC_SUPERSET, expr);
}

/* ---- AND, OR ---- */

/* A term for each qual; "all" of them have to hold. */
static OnecTerm *
deparse_list(OnecDeparse *deparse, List *quals, bool all)
{
	OnecTerm   *terms = palloc(sizeof(OnecTerm) * (list_length(quals) + 1));

	for (int i = 0; i < list_length(quals); i++)
		if (!all || !onec_composite_pair(deparse, quals, list_nth(quals, i), &terms[i]))
			terms[i] = onec_deparse_qual(deparse, list_nth(quals, i));
	return terms;
}

OnecTerm
onec_deparse_quals(OnecDeparse *deparse, List *quals)
{
	return onec_term_and(deparse_list(deparse, quals, true), list_length(quals));
}

static OnecTerm
deparse_bool_expr(OnecDeparse *deparse, BoolExpr *expr)
{
	switch (expr->boolop)
	{
		case AND_EXPR:
			return onec_deparse_quals(deparse, expr->args);
		case OR_EXPR:
			return onec_term_or(deparse_list(deparse, expr->args, false), list_length(expr->args));
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
		case T_RowCompareExpr:
			return deparse_row(deparse, (RowCompareExpr *) qual);
		case T_DistinctExpr:
			return onec_term_no("rows with NULL are wanted too, which 1C leaves out of comparisons");
		case T_FuncExpr:
			if (((FuncExpr *) qual)->funcid == F_STARTS_WITH)
				return deparse_pattern(deparse, PATTERN_PREFIX, ((FuncExpr *) qual)->args);
			break;
		case T_BooleanTest:
			return deparse_boolean_test(deparse, (BooleanTest *) qual);
		case T_NullTest:
			return deparse_null_test(deparse, (NullTest *) qual);
		case T_Var:
			column = onec_operand_column(deparse, (Node *) qual);
			if (column != NULL)
				return compare_bool(deparse, column, true);
			break;
		case T_Const:
			if (((Const *) qual)->constisnull || !DatumGetBool(((Const *) qual)->constvalue))
				return onec_term_none();
			return onec_term_all(ONEC_EXACT);
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
		if (onec_operand_column(deparse, linitial(op->args)) == wanted)
			value = lsecond(op->args);
		else if (onec_operand_column(deparse, lsecond(op->args)) == wanted)
			value = linitial(op->args);
		else
			continue;
		if (!onec_operator_compare(op->opno, wanted->type, &compare) || compare != ONEC_EQ)
			continue;
		if (onec_operand_has_column(deparse, (Node *) value) ||
			contain_volatile_functions((Node *) value) || contain_subplans((Node *) value))
			continue;
		return (Expr *) coerce_to_target_type(NULL, (Node *) copyObject(value),
											  exprType((Node *) value), wanted->type,
											  wanted->typmod, COERCION_ASSIGNMENT,
											  COERCE_IMPLICIT_CAST, -1);
	}
	return NULL;
}
