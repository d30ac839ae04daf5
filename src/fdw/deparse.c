/*-------------------------------------------------------------------------
 *
 * deparse.c
 *	  Quals as a filter for 1C, each with the verdict on how exact it is.
 *
 * The rules are design.md 3: AND drops what cannot be said, OR needs all its arms,
 * NOT needs an exact arm.  Where a column's empty value reads as NULL, a comparison that 1C
 * would answer with empty rows as well is a superset, or gets "and ne <empty>" beside it
 * when exactness is asked for.  Everything is palloc'd in the current context.
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
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/typcache.h"

#include "fdw/deparse.h"

/* The side of a comparison that is not the column. */
typedef struct Operand
{
	Oid			type;
	bool		known;			/* else a run-time value while planning */
	bool		isnull;
	Datum		value;
	int			number;			/* of the run-time value */
} Operand;

static const char *const compare_ops[ONEC_COMPARES] = {
	[ONEC_EQ] = "eq", [ONEC_NE] = "ne", [ONEC_LT] = "lt",
	[ONEC_LE] = "le", [ONEC_GT] = "gt", [ONEC_GE] = "ge",
};

static const OnecCompare commuted[ONEC_COMPARES] = {
	[ONEC_EQ] = ONEC_EQ, [ONEC_NE] = ONEC_NE, [ONEC_LT] = ONEC_GT,
	[ONEC_LE] = ONEC_GE, [ONEC_GT] = ONEC_LT, [ONEC_GE] = ONEC_LE,
};

/* ---- results ---- */

static OnecTerm
term_no(const char *why)
{
	return (OnecTerm) {.verdict = ONEC_NO, .why = why};
}

static OnecTerm
term_none(void)
{
	return (OnecTerm) {.verdict = ONEC_EXACT, .kind = ONEC_TERM_NONE};
}

static OnecTerm
term_tree(OnecVerdict verdict, OnecExpr *expr)
{
	return (OnecTerm) {.verdict = verdict, .kind = ONEC_TERM_TREE, .expr = expr};
}

/* ---- trees ---- */

static OnecExpr *
make_expr(OnecExprKind kind, int nargs)
{
	OnecExpr   *expr = palloc0(sizeof(OnecExpr));

	expr->kind = kind;
	expr->nargs = nargs;
	expr->args = nargs > 0 ? palloc0(sizeof(OnecExpr *) * nargs) : NULL;
	return expr;
}

static OnecExpr *
make_field(const OnecColumn *column)
{
	OnecExpr   *expr = make_expr(ONEC_EXPR_FIELD, 0);

	expr->name = onec_utf8(column->property);
	return expr;
}

static OnecExpr *
make_literal(OnecLiteralKind kind, const char *text)
{
	OnecExpr   *expr = make_expr(ONEC_EXPR_LITERAL, 0);

	expr->lit_kind = kind;
	expr->lit_text = text;
	return expr;
}

static OnecExpr *
make_compare(const OnecColumn *column, OnecCompare op, OnecExpr *literal)
{
	OnecExpr   *expr = make_expr(ONEC_EXPR_COMPARE, 2);

	expr->op = compare_ops[op];
	expr->args[0] = make_field(column);
	expr->args[1] = literal;
	return expr;
}

static OnecExpr *
make_list(OnecExprKind kind, List *arms)
{
	OnecExpr   *expr;
	int			i = 0;
	ListCell   *lc;

	if (list_length(arms) == 1)
		return linitial(arms);
	expr = make_expr(kind, list_length(arms));
	foreach(lc, arms)
		expr->args[i++] = lfirst(lc);
	return expr;
}

/* "column ne <empty>", or NULL when no value of the column reads as NULL. */
static OnecExpr *
make_not_empty(const OnecDeparse *deparse, const OnecColumn *column)
{
	OnecLiteralKind kind;
	const char *empty = onec_type_empty(column, deparse->empty_as_null, &kind);

	return empty ? make_compare(column, ONEC_NE, make_literal(kind, empty)) : NULL;
}

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

/* Every row, except those whose value reads as NULL. */
static OnecTerm
term_not_null(const OnecDeparse *deparse, const OnecColumn *column)
{
	OnecExpr   *not_empty = make_not_empty(deparse, column);

	if (not_empty != NULL && deparse->exact)
		return term_tree(ONEC_SUPERSET, not_empty);
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
	return term_none();
}

/* A comparison with the value that reads as NULL, which is the least of all. */
static OnecTerm
compare_empty(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op)
{
	if (op == ONEC_EQ || op == ONEC_LT || op == ONEC_LE)
		return term_none();
	return term_tree(ONEC_EXACT, make_not_empty(deparse, column));
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
static OnecTerm
compare_literal(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op,
				OnecExpr *literal)
{
	const char *why;
	OnecVerdict verdict = onec_type_compare(column, op, &why);
	OnecExpr   *not_empty = make_not_empty(deparse, column);
	OnecExpr   *compare = make_compare(column, op, literal);

	if (verdict == ONEC_NO)
		return term_no(why);
	if (not_empty == NULL || op == ONEC_EQ || op == ONEC_GT || op == ONEC_GE)
		return term_tree(verdict, compare);
	if (!deparse->exact)
		return term_tree(ONEC_SUPERSET, compare);
	return term_tree(verdict, make_list(ONEC_EXPR_AND, list_make2(compare, not_empty)));
}

static bool
is_empty_value(const OnecDeparse *deparse, const OnecColumn *column, const char *text)
{
	OnecLiteralKind kind;
	const char *empty = onec_type_empty(column, deparse->empty_as_null, &kind);

	return empty != NULL && strcmp(empty, text) == 0;
}

static OnecTerm
compare_value(const OnecDeparse *deparse, const OnecColumn *column, OnecCompare op, Oid type,
			  Datum value)
{
	OnecConstant constant;

	onec_type_encode(column, type, value, &constant);
	switch (constant.sent)
	{
		case ONEC_SENT_NOT:
			return term_no("1C has no literal for the value");
		case ONEC_SENT_OUTSIDE:
			return compare_outside(deparse, column, op, constant.above);
		case ONEC_SENT_BETWEEN:
			if (!move_bound(&op, &constant))
				return op == ONEC_EQ ? term_none() : term_not_null(deparse, column);
			break;
		default:
			break;
	}
	if (is_empty_value(deparse, column, constant.text))
		return compare_empty(deparse, column, op);
	return compare_literal(deparse, column, op, make_literal(constant.kind, constant.text));
}

static OnecExpr *
make_placeholder(const Operand *operand)
{
	return make_literal(ONEC_LIT_PARAM, psprintf("$%d", operand->number));
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
		return term_no(op == ONEC_EQ ? "it gives the function its argument" :
					   "an argument of a function is given by =");
	if (onec_type_compare(column, op, &why) == ONEC_NO)
		return term_no(why);
	if (operand->isnull)
		return term_none();
	if (operand->known)
		return compare_value(deparse, column, op, operand->type, operand->value);
	if (!type_fits(column, operand->type))
		return term_no("1C has no literal for the value");
	term = compare_literal(deparse, column, op, make_placeholder(operand));
	/* values of other types may turn out unsayable: that is not for promises */
	if (operand->type == TIMESTAMPTZOID && term.verdict == ONEC_EXACT)
		term.verdict = ONEC_SUPERSET;
	return term;
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

static OnecTerm
like_pattern(const OnecColumn *column, const char *pattern)
{
	bool		whole;
	char	   *prefix = like_prefix(pattern, &whole);
	OnecExpr   *call;

	if (prefix == NULL)
		return term_no("the pattern ends in its escape");
	if (whole)
		return term_tree(ONEC_SUPERSET,
						 make_compare(column, ONEC_EQ,
									  make_literal(ONEC_LIT_STRING, onec_utf8(prefix))));
	/* 1C may have dropped the blanks at the end of a value */
	for (char *end = prefix + strlen(prefix); end > prefix && end[-1] == ' ';)
		*--end = '\0';
	if (prefix[0] == '\0')
		return term_no("the pattern has no beginning to look for");
	call = make_expr(ONEC_EXPR_CALL, 2);
	call->name = "startswith";
	call->args[0] = make_field(column);
	call->args[1] = make_literal(ONEC_LIT_STRING, onec_utf8(prefix));
	return term_tree(ONEC_SUPERSET, call);
}

static OnecTerm
deparse_like(OnecDeparse *deparse, OpExpr *op)
{
	const OnecColumn *column = onec_deparse_column(deparse, linitial(op->args));
	Operand		pattern;
	const char *why;
	OnecExpr   *call;

	if (column == NULL || !read_operand(deparse, lsecond(op->args), &pattern))
		return term_no("it is not a pattern for a column");
	if (onec_type_compare(column, ONEC_EQ, &why) == ONEC_NO)
		return term_no(why);
	if (pattern.isnull)
		return term_none();
	if (pattern.known)
		return like_pattern(column, TextDatumGetCString(pattern.value));
	call = make_expr(ONEC_EXPR_CALL, 2);
	call->name = "startswith";
	call->args[0] = make_field(column);
	call->args[1] = make_placeholder(&pattern);
	return term_tree(ONEC_SUPERSET, call);
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
		return term_no("1C has no such operator");
	column = onec_deparse_column(deparse, linitial(expr->args));
	if (column == NULL)
	{
		column = onec_deparse_column(deparse, lsecond(expr->args));
		swapped = true;
	}
	if (column == NULL)
		return term_no("it is not a comparison of a column");
	if (!compare_of_operator(expr->opno, column->type, &op))
		return term_no("1C has no such operator");
	op = swapped ? commuted[op] : op;
	if (OidIsValid(expr->inputcollid) && !get_collation_isdeterministic(expr->inputcollid))
		return term_no("the collation is not deterministic");
	if (column->argument == NULL && onec_type_compare(column, op, &why) == ONEC_NO)
		return term_no(why);
	if (!read_operand(deparse, swapped ? linitial(expr->args) : lsecond(expr->args), &operand))
		return term_no("it compares the column with other columns, or with a volatile function");
	return compare_operand(deparse, column, op, &operand);
}

/* Values of an array that differ as 1C would write them, as literals; NULLs are counted apart. */
typedef struct Elements
{
	List	   *literals;		/* of OnecExpr */
	int			nulls;
	const char *why;			/* not NULL: some value cannot be said */
} Elements;

static void
add_element(const OnecDeparse *deparse, const OnecColumn *column, const OnecConstant *constant,
			Elements *elements)
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
								 make_literal(constant->kind, constant->text));
}

static Elements
read_elements(const OnecDeparse *deparse, const OnecColumn *column, Datum array)
{
	ArrayType  *values = DatumGetArrayTypeP(array);
	Oid			type = ARR_ELEMTYPE(values);
	Elements	elements = {NIL, 0, NULL};
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

static OnecTerm
in_list(const OnecColumn *column, List *literals)
{
	const char *why;
	OnecVerdict verdict = onec_type_compare(column, ONEC_EQ, &why);
	OnecExpr   *in;

	if (literals == NIL)
		return term_none();
	if (list_length(literals) == 1)
		return term_tree(verdict, make_compare(column, ONEC_EQ, linitial(literals)));
	in = make_list(ONEC_EXPR_IN, lcons(make_field(column), literals));
	return term_tree(verdict, in);
}

static OnecTerm
not_in_list(const OnecDeparse *deparse, const OnecColumn *column, List *literals)
{
	OnecExpr   *not_empty = make_not_empty(deparse, column);
	List	   *arms = NIL;
	ListCell   *lc;

	foreach(lc, literals)
		arms = lappend(arms, make_compare(column, ONEC_NE, lfirst(lc)));
	if (not_empty != NULL && deparse->exact)
		arms = lappend(arms, not_empty);
	if (arms == NIL)
		return (OnecTerm) {.verdict = ONEC_SUPERSET, .kind = ONEC_TERM_ALL};
	return term_tree(not_empty == NULL || deparse->exact ? ONEC_EXACT : ONEC_SUPERSET,
					 make_list(ONEC_EXPR_AND, arms));
}

/* column = ANY (array), column <> ALL (array) */
static OnecTerm
deparse_array(OnecDeparse *deparse, ScalarArrayOpExpr *expr)
{
	const OnecColumn *column = onec_deparse_column(deparse, linitial(expr->args));
	OnecCompare op;
	Operand		array;
	Elements	elements;
	const char *why;

	if (column == NULL || !compare_of_operator(expr->opno, column->type, &op) ||
		op != (expr->useOr ? ONEC_EQ : ONEC_NE) || column->argument != NULL)
		return term_no("it is not a list for a column");
	if (OidIsValid(expr->inputcollid) && !get_collation_isdeterministic(expr->inputcollid))
		return term_no("the collation is not deterministic");
	if (onec_type_compare(column, op, &why) == ONEC_NO)
		return term_no(why);
	if (!read_operand(deparse, lsecond(expr->args), &array))
		return term_no("the list depends on other columns, or on a volatile function");
	if (array.isnull)
		return term_none();
	if (!array.known)
	{
		if (!type_fits(column, get_base_element_type(array.type)))
			return term_no("1C has no literal for the values");
		/* the number of values is not known, nor whether they fit into one request */
		return term_tree(ONEC_SUPERSET, make_compare(column, op, make_placeholder(&array)));
	}
	elements = read_elements(deparse, column, array.value);
	if (elements.why != NULL)
		return term_no(elements.why);
	if (expr->useOr)
		return in_list(column, elements.literals);
	return elements.nulls > 0 ? term_none() : not_in_list(deparse, column, elements.literals);
}

/* ---- booleans, NULL ---- */

static OnecTerm
compare_bool(const OnecDeparse *deparse, const OnecColumn *column, bool value)
{
	const char *why;

	if (column->argument != NULL || onec_type_compare(column, ONEC_EQ, &why) == ONEC_NO)
		return term_no("the column is not a boolean of 1C");
	return compare_literal(deparse, column, ONEC_EQ,
						   make_literal(ONEC_LIT_BOOL, value ? "true" : "false"));
}

static OnecTerm
deparse_boolean_test(OnecDeparse *deparse, BooleanTest *test)
{
	const OnecColumn *column = onec_deparse_column(deparse, (Node *) test->arg);

	if (column != NULL && test->booltesttype == IS_TRUE)
		return compare_bool(deparse, column, true);
	if (column != NULL && test->booltesttype == IS_FALSE)
		return compare_bool(deparse, column, false);
	return term_no("1C does not tell NULL from other values");
}

static OnecTerm
deparse_null_test(OnecDeparse *deparse, NullTest *test)
{
	const OnecColumn *column = onec_deparse_column(deparse, (Node *) test->arg);
	OnecExpr   *not_empty = column ? make_not_empty(deparse, column) : NULL;

	if (test->nulltesttype == IS_NULL)
		return term_no("empty values and JSON null both read as NULL");
	if (not_empty == NULL)
		return term_no("the column has no empty value that 1C could exclude");
	return term_tree(ONEC_SUPERSET, not_empty);
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
		return term_no("NOT needs a condition that 1C answers exactly");
	if (term.kind == ONEC_TERM_NONE)
		return (OnecTerm) {.verdict = ONEC_SUPERSET, .kind = ONEC_TERM_ALL};
	if (term.kind == ONEC_TERM_ALL)
		return term_none();
	expr = make_expr(ONEC_EXPR_NOT, 1);
	expr->args[0] = term.expr;
	return term_tree(ONEC_SUPERSET, expr);
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
		return term_none();
	if (arms == NIL && why != NULL)
		return term_no(why);
	if (arms == NIL)
		return (OnecTerm) {.verdict = verdict, .kind = ONEC_TERM_ALL};
	return term_tree(verdict, make_list(ONEC_EXPR_AND, arms));
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
		return term_none();
	return term_tree(verdict, make_list(ONEC_EXPR_OR, arms));
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
				return term_none();
			return (OnecTerm) {.verdict = ONEC_EXACT, .kind = ONEC_TERM_ALL};
		default:
			break;
	}
	return term_no("1C has no such operator or function");
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
