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

#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "pushdown/filter.h"
#include "table/columns.h"
#include "table/text.h"
#include "table/types.h"

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

OnecTerm
onec_term_all(OnecVerdict verdict)
{
	return (OnecTerm) {.verdict = verdict, .kind = ONEC_TERM_ALL};
}

OnecTerm
onec_term_and(const OnecTerm *terms, int nterms)
{
	OnecVerdict verdict = ONEC_EXACT;
	const char *why = NULL;
	List	   *arms = NIL;
	bool		none = false;

	for (int i = 0; i < nterms; i++)
	{
		if (terms[i].verdict == ONEC_NO)
			why = terms[i].why;
		if (terms[i].verdict != ONEC_EXACT)
			verdict = ONEC_SUPERSET;
		if (terms[i].verdict == ONEC_NO || terms[i].kind == ONEC_TERM_ALL)
			continue;
		if (terms[i].kind == ONEC_TERM_NONE)
			none = true;
		else
			arms = lappend(arms, terms[i].expr);
	}
	if (none)
		return onec_term_none();
	if (arms == NIL)
		return why ? onec_term_no(why) : onec_term_all(verdict);
	return onec_term_tree(verdict, onec_make_list(ONEC_EXPR_AND, arms));
}

OnecTerm
onec_term_or(const OnecTerm *terms, int nterms)
{
	OnecVerdict verdict = ONEC_EXACT;
	List	   *arms = NIL;
	bool		all = false;

	for (int i = 0; i < nterms; i++)
	{
		if (terms[i].verdict == ONEC_NO)
			return terms[i];
		if (terms[i].verdict != ONEC_EXACT)
			verdict = ONEC_SUPERSET;
		if (terms[i].kind == ONEC_TERM_ALL)
			all = true;
		else if (terms[i].kind == ONEC_TERM_TREE)
			arms = lappend(arms, terms[i].expr);
	}
	if (all)
		return onec_term_all(verdict);
	if (arms == NIL)
		return onec_term_none();
	return onec_term_tree(verdict, onec_make_list(ONEC_EXPR_OR, arms));
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

OnecExpr *
onec_make_call(const char *name, OnecExpr *first, OnecExpr *second)
{
	OnecExpr   *call = onec_make_expr(ONEC_EXPR_CALL, second ? 2 : 1);

	call->name = name;
	call->args[0] = first;
	if (second)
		call->args[1] = second;
	return call;
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
	return onec_term_all(ONEC_SUPERSET);
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

/* A comparison with a value of which only the two ends are known that it lies between. */
static OnecTerm
compare_about(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op,
			  const OnecConstant *constant)
{
	OnecExpr   *low = onec_make_literal(constant->kind, constant->text);
	OnecExpr   *high = onec_make_literal(constant->kind, constant->next);
	OnecTerm	sides[2];
	int			count = 0;

	if (op == ONEC_NE)
		return term_not_null(deparse, column);
	if (op == ONEC_EQ || op == ONEC_GT || op == ONEC_GE)
		sides[count++] = onec_filter_literal(deparse, column, ONEC_GE, low);
	if (op == ONEC_EQ || op == ONEC_LT || op == ONEC_LE)
		sides[count++] = onec_filter_literal(deparse, column, ONEC_LE, high);
	for (int i = 0; i < count; i++)
		sides[i].verdict = Min(sides[i].verdict, ONEC_SUPERSET);
	return onec_term_and(sides, count);
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
		case ONEC_SENT_ABOUT:
			return compare_about(deparse, column, op, &constant);
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

/* ---- lists ---- */

static void
add_element(const OnecDeparse *deparse, const OnecColumn *column, const OnecConstant *constant,
			OnecElements *elements)
{
	if (constant->sent == ONEC_SENT_NOT || constant->sent == ONEC_SENT_ABOUT)
		elements->why = "1C has no literal for one of the values";
	if (constant->sent != ONEC_SENT_AS_IS || is_empty_value(deparse, column, constant->text))
		return;
	elements->literals = lappend(elements->literals,
								 onec_make_literal(constant->kind, constant->text));
}

/* A literal and its place in the list. */
typedef struct Placed
{
	OnecExpr   *literal;
	int			place;
} Placed;

static int
compare_texts(const void *a, const void *b)
{
	const Placed *left = a;
	const Placed *right = b;
	int			order = strcmp(left->literal->lit_text, right->literal->lit_text);

	return order != 0 ? order : left->place - right->place;
}

/* Leave out literals that came before: a row must not match in two parts of a list. */
static List *
distinct_literals(List *literals)
{
	int			count = list_length(literals);
	Placed	   *placed = palloc(sizeof(Placed) * (count + 1));
	bool	   *again = palloc0(count + 1);
	List	   *distinct = NIL;

	for (int i = 0; i < count; i++)
		placed[i] = (Placed) {list_nth(literals, i), i};
	qsort(placed, count, sizeof(Placed), compare_texts);
	for (int i = 1; i < count; i++)
		again[placed[i].place] = strcmp(placed[i].literal->lit_text,
										placed[i - 1].literal->lit_text) == 0;
	for (int i = 0; i < count; i++)
		if (!again[i])
			distinct = lappend(distinct, list_nth(literals, i));
	return distinct;
}

OnecElements
onec_filter_elements(const OnecDeparse *deparse, const OnecColumn *column, Datum array)
{
	ArrayType  *values = DatumGetArrayTypeP(array);
	Oid			type = ARR_ELEMTYPE(values);
	OnecElements	elements = {0};
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
	elements.count = count;
	elements.literals = distinct_literals(elements.literals);
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
		return onec_term_all(ONEC_SUPERSET);
	return onec_term_tree(not_empty == NULL || deparse->exact ? ONEC_EXACT : ONEC_SUPERSET,
					 onec_make_list(ONEC_EXPR_AND, arms));
}
