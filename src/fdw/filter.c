/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Filter trees from a column, a comparison and values that are known.
 *
 * Where a column's empty value reads as NULL, a comparison that 1C would answer with empty rows
 * as well is a superset, or gets "and ne <empty>" beside it when exactness is asked for.
 * Everything is palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fdw/filter.h"

static const char *const compare_ops[ONEC_COMPARES] = {
	[ONEC_EQ] = "eq", [ONEC_NE] = "ne", [ONEC_LT] = "lt",
	[ONEC_LE] = "le", [ONEC_GT] = "gt", [ONEC_GE] = "ge",
};

/* ---- results ---- */

OnecTerm
onec_term_no(const char *why)
{
	return (OnecTerm) {.verdict = ONEC_NO, .why = why};
}

OnecTerm
onec_term_none(void)
{
	return (OnecTerm) {.verdict = ONEC_EXACT, .kind = ONEC_TERM_NONE};
}

OnecTerm
onec_term_tree(OnecVerdict verdict, OnecExpr *expr)
{
	return (OnecTerm) {.verdict = verdict, .kind = ONEC_TERM_TREE, .expr = expr};
}

/* ---- trees ---- */

OnecExpr *
onec_make_expr(OnecExprKind kind, int nargs)
{
	OnecExpr   *expr = palloc0(sizeof(OnecExpr));

	expr->kind = kind;
	expr->nargs = nargs;
	expr->args = nargs > 0 ? palloc0(sizeof(OnecExpr *) * nargs) : NULL;
	return expr;
}

OnecExpr *
onec_make_field(const OnecColumn *column)
{
	OnecExpr   *expr = onec_make_expr(ONEC_EXPR_FIELD, 0);

	expr->name = onec_utf8(column->property);
	return expr;
}

OnecExpr *
onec_make_literal(OnecLiteralKind kind, const char *text)
{
	OnecExpr   *expr = onec_make_expr(ONEC_EXPR_LITERAL, 0);

	expr->lit_kind = kind;
	expr->lit_text = text;
	return expr;
}

OnecExpr *
onec_make_compare(const OnecColumn *column, OnecCompare op, OnecExpr *literal)
{
	OnecExpr   *expr = onec_make_expr(ONEC_EXPR_COMPARE, 2);

	expr->op = compare_ops[op];
	expr->args[0] = onec_make_field(column);
	expr->args[1] = literal;
	return expr;
}

/* Whether an arm's own arms may stand in its place: AND within AND, OR within OR. */
static bool
is_flat(OnecExprKind kind, const OnecExpr *arm)
{
	return arm->kind != kind || kind == ONEC_EXPR_IN;
}

OnecExpr *
onec_make_list(OnecExprKind kind, List *arms)
{
	OnecExpr   *expr;
	int			room = 0;
	ListCell   *lc;

	if (list_length(arms) == 1)
		return linitial(arms);
	foreach(lc, arms)
		room += is_flat(kind, lfirst(lc)) ? 1 : ((OnecExpr *) lfirst(lc))->nargs;
	expr = onec_make_expr(kind, room);
	expr->nargs = 0;
	foreach(lc, arms)
	{
		OnecExpr   *arm = lfirst(lc);

		if (is_flat(kind, arm))
			expr->args[expr->nargs++] = arm;
		for (int i = 0; !is_flat(kind, arm) && i < arm->nargs; i++)
			expr->args[expr->nargs++] = arm->args[i];
	}
	return expr;
}

/* "column ne <empty>", or NULL when no value of the column reads as NULL. */
OnecExpr *
onec_make_not_empty(const OnecDeparse *deparse, const OnecColumn *column)
{
	OnecLiteralKind kind;
	const char *empty = onec_type_empty(column, deparse->empty_as_null, &kind);

	return empty ? onec_make_compare(column, ONEC_NE, onec_make_literal(kind, empty)) : NULL;
}

/* ---- comparisons ---- */

/* Every row, except those whose value reads as NULL. */
static OnecTerm
term_not_null(const OnecDeparse *deparse, const OnecColumn *column)
{
	OnecExpr   *not_empty = onec_make_not_empty(deparse, column);

	if (not_empty != NULL && deparse->exact)
		return onec_term_tree(ONEC_SUPERSET, not_empty);
	return (OnecTerm) {.verdict = ONEC_SUPERSET, .kind = ONEC_TERM_ALL};
}

/* A value beyond everything that 1C holds. */
static OnecTerm
compare_outside(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op, bool above)
{
	bool		below_it = op == ONEC_LT || op == ONEC_LE;
	bool		above_it = op == ONEC_GT || op == ONEC_GE;

	if (op == ONEC_NE || (above ? below_it : above_it))
		return term_not_null(deparse, column);
	return onec_term_none();
}

/* A comparison with the value that reads as NULL, which is the least of all. */
static OnecTerm
compare_empty(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op)
{
	if (op == ONEC_EQ || op == ONEC_LT || op == ONEC_LE)
		return onec_term_none();
	return onec_term_tree(ONEC_EXACT, onec_make_not_empty(deparse, column));
}

/*
 * A comparison with a value between two neighbours that 1C holds: the bound moves to the one
 * that keeps the same rows.
 */
static bool
move_bound(OnecCompare *op, OnecConstant *constant)
{
	if (*op == ONEC_LT || *op == ONEC_LE)
		*op = ONEC_LE;
	else if (*op == ONEC_GT || *op == ONEC_GE)
	{
		*op = constant->next ? ONEC_GE : ONEC_GT;
		constant->text = constant->next ? constant->next : constant->text;
	}
	else
		return false;
	return true;
}

/* Compare with a literal that 1C can hold. */
OnecTerm
onec_filter_literal(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op,
				OnecExpr *literal)
{
	const char *why;
	OnecVerdict verdict = onec_type_compare(column, op, &why);
	OnecExpr   *not_empty = onec_make_not_empty(deparse, column);
	OnecExpr   *compare = onec_make_compare(column, op, literal);

	if (verdict == ONEC_NO)
		return onec_term_no(why);
	if (not_empty == NULL || op == ONEC_EQ || op == ONEC_GT || op == ONEC_GE)
		return onec_term_tree(verdict, compare);
	if (!deparse->exact)
		return onec_term_tree(ONEC_SUPERSET, compare);
	return onec_term_tree(verdict, onec_make_list(ONEC_EXPR_AND, list_make2(compare, not_empty)));
}

static bool
is_empty_value(const OnecDeparse *deparse, const OnecColumn *column, const char *text)
{
	OnecLiteralKind kind;
	const char *empty = onec_type_empty(column, deparse->empty_as_null, &kind);

	return empty != NULL && strcmp(empty, text) == 0;
}

OnecTerm
onec_filter_value(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op, Oid type,
			  Datum value)
{
	OnecConstant constant;

	onec_type_encode(column, type, value, &constant);
	switch (constant.sent)
	{
		case ONEC_SENT_NOT:
			return onec_term_no("1C has no literal for the value");
		case ONEC_SENT_OUTSIDE:
			return compare_outside(deparse, column, op, constant.above);
		case ONEC_SENT_BETWEEN:
			if (!move_bound(&op, &constant))
				return op == ONEC_EQ ? onec_term_none() : term_not_null(deparse, column);
			break;
		default:
			break;
	}
	if (is_empty_value(deparse, column, constant.text))
		return compare_empty(deparse, column, op);
	return onec_filter_literal(deparse, column, op, onec_make_literal(constant.kind, constant.text));
}

/* ---- LIKE ---- */

/*
 * The text before the first wildcard, unescaped; *whole tells that there is no wildcard at all.  NULL
 * for a pattern that ends in its escape.
 */
static char *
like_prefix(const char *pattern, bool *whole)
{
	char	   *prefix = palloc(strlen(pattern) + 1);
	char	   *out = prefix;

	*whole = true;
	for (const char *in = pattern; *in; in++)
	{
		if (*in == '%' || *in == '_')
		{
			*whole = false;
			break;
		}
		if (*in == '\\' && *++in == '\0')
			return NULL;
		*out++ = *in;
	}
	*out = '\0';
	return prefix;
}

OnecTerm
onec_filter_like(const OnecColumn *column, const char *pattern)
{
	bool		whole;
	char	   *prefix = like_prefix(pattern, &whole);
	OnecExpr   *call;

	if (prefix == NULL)
		return onec_term_no("the pattern ends in its escape");
	if (whole)
		return onec_term_tree(ONEC_SUPERSET,
						 onec_make_compare(column, ONEC_EQ,
									  onec_make_literal(ONEC_LIT_STRING, onec_utf8(prefix))));
	/* 1C may have dropped the blanks at the end of a value */
	for (char *end = prefix + strlen(prefix); end > prefix && end[-1] == ' ';)
		*--end = '\0';
	if (prefix[0] == '\0')
		return onec_term_no("the pattern has no beginning to look for");
	call = onec_make_expr(ONEC_EXPR_CALL, 2);
	call->name = "startswith";
	call->args[0] = onec_make_field(column);
	call->args[1] = onec_make_literal(ONEC_LIT_STRING, onec_utf8(prefix));
	return onec_term_tree(ONEC_SUPERSET, call);
}

/* ---- lists ---- */

static void
add_element(const OnecDeparse *deparse, const OnecColumn *column, const OnecConstant *constant,
			OnecElements *elements)
{
	ListCell   *lc;

	if (constant->sent == ONEC_SENT_NOT)
		elements->why = "1C has no literal for one of the values";
	if (constant->sent != ONEC_SENT_AS_IS || is_empty_value(deparse, column, constant->text))
		return;
	if (list_length(elements->literals) < 100)
		foreach(lc, elements->literals)
			if (strcmp(((OnecExpr *) lfirst(lc))->lit_text, constant->text) == 0)
				return;
	elements->literals = lappend(elements->literals,
								 onec_make_literal(constant->kind, constant->text));
}

OnecElements
onec_filter_elements(const OnecDeparse *deparse, const OnecColumn *column, Datum array)
{
	ArrayType  *values = DatumGetArrayTypeP(array);
	Oid			type = ARR_ELEMTYPE(values);
	OnecElements	elements = {NIL, 0, NULL};
	int16		len;
	bool		byval;
	char		align;
	Datum	   *datums;
	bool	   *nulls;
	int			count;

	get_typlenbyvalalign(type, &len, &byval, &align);
	deconstruct_array(values, type, len, byval, align, &datums, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		OnecConstant constant;

		if (nulls[i])
		{
			elements.nulls++;
			continue;
		}
		onec_type_encode(column, type, datums[i], &constant);
		add_element(deparse, column, &constant, &elements);
	}
	return elements;
}

OnecTerm
onec_filter_in(const OnecColumn *column, List *literals)
{
	const char *why;
	OnecVerdict verdict = onec_type_compare(column, ONEC_EQ, &why);
	OnecExpr   *in;

	if (literals == NIL)
		return onec_term_none();
	if (list_length(literals) == 1)
		return onec_term_tree(verdict, onec_make_compare(column, ONEC_EQ, linitial(literals)));
	in = onec_make_list(ONEC_EXPR_IN, lcons(onec_make_field(column), literals));
	return onec_term_tree(verdict, in);
}

OnecTerm
onec_filter_not_in(const OnecDeparse *deparse, const OnecColumn *column, List *literals)
{
	OnecExpr   *not_empty = onec_make_not_empty(deparse, column);
	List	   *arms = NIL;
	ListCell   *lc;

	foreach(lc, literals)
		arms = lappend(arms, onec_make_compare(column, ONEC_NE, lfirst(lc)));
	if (not_empty != NULL && deparse->exact)
		arms = lappend(arms, not_empty);
	if (arms == NIL)
		return (OnecTerm) {.verdict = ONEC_SUPERSET, .kind = ONEC_TERM_ALL};
	return onec_term_tree(not_empty == NULL || deparse->exact ? ONEC_EXACT : ONEC_SUPERSET,
					 onec_make_list(ONEC_EXPR_AND, arms));
}
