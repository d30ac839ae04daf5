/*-------------------------------------------------------------------------
 *
 * derived.c
 *	  Conditions on what is computed from one column: parts of a date, sums and products with values.
 *
 * A date cut to its day, month or year grows with the date, so a comparison with it is a range of dates,
 * which 1C finds by its index.  Other parts go as 1C's functions.  Sums and products with values are
 * solved for the column: then 1C calculates nothing, and cannot calculate otherwise.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "pushdown/derived.h"
#include "pushdown/filter.h"
#include "pushdown/operand.h"
#include "table/columns.h"
#include "table/types.h"

/* Units by which dates are cut, and 1C's functions for parts. */
typedef struct Unit
{
	const char *name;			/* as extract() and date_trunc() take it */
	const char *step;			/* the interval to the next one; NULL: dates are not cut so */
	const char *function;		/* 1C's; NULL: it has none of the same meaning */
} Unit;

static const Unit units[] = {
	{"year", "1 year", NULL},
	{"quarter", "3 months", "quarter"},
	{"month", "1 month", "month"},
	{"week", "7 days", NULL},
	{"day", "1 day", "day"},
	{"hour", "1 hour", "hour"},
	{"minute", "1 minute", "minute"},
	{"second", "1 second", NULL},
	{"doy", NULL, "dayofyear"},
};

static const Unit *
find_unit(const char *name)
{
	for (int i = 0; i < (int) lengthof(units); i++)
		if (pg_strcasecmp(units[i].name, name) == 0)
			return &units[i];
	return NULL;
}

/* ---- reading ---- */

static const OnecColumn *
comparable(const OnecDeparse *deparse, Node *node, OnecEdmType edm)
{
	const OnecColumn *column = onec_operand_column(deparse, node);
	const char *why;
	bool		number = column != NULL && (column->edm == ONEC_EDM_INT16 ||
											column->edm == ONEC_EDM_INT32 ||
											column->edm == ONEC_EDM_INT64);

	if (column == NULL || column->argument != NULL ||
		onec_type_compare(column, ONEC_LT, &why) == ONEC_NO)
		return NULL;
	return column->edm == edm || (edm == ONEC_EDM_DOUBLE && number) ? column : NULL;
}

/* f('unit', date) */
static OnecDerived
read_part(const OnecDeparse *deparse, FuncExpr *call)
{
	OnecDerived derived = {.node = (Node *) call};
	Const	   *name = list_length(call->args) == 2 ? linitial(call->args) : NULL;
	const Unit *unit;

	if (name == NULL || !IsA(name, Const) || name->constisnull || name->consttype != TEXTOID)
		return derived;
	unit = find_unit(TextDatumGetCString(name->constvalue));
	if (unit == NULL)
		return derived;
	derived.unit = unit->name;
	derived.year = call->funcid != F_DATE_TRUNC_TEXT_TIMESTAMP && strcmp(unit->name, "year") == 0;
	if (call->funcid != F_DATE_TRUNC_TEXT_TIMESTAMP && !derived.year)
		derived.function = unit->function;
	if (derived.function == NULL && (unit->step == NULL || (!derived.year &&
															call->funcid != F_DATE_TRUNC_TEXT_TIMESTAMP)))
		return derived;
	derived.column = comparable(deparse, lsecond(call->args), ONEC_EDM_DATETIME);
	return derived;
}

/* "a" of number(a), a conversion that changes no value; else NULL. */
static Node *
inside_cast(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;

	if (!IsA(node, FuncExpr))
		return NULL;
	switch (call->funcid)
	{
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
		case F_INT8_INT2:
		case F_INT8_INT4:
		case F_INT4_INT2:
			return linitial(call->args);
		default:
			return NULL;
	}
}

static bool
is_number(Oid type)
{
	return type == NUMERICOID || type == INT2OID || type == INT4OID || type == INT8OID;
}

/* '+', '-' or '*' of two numbers; 0 for anything else. */
static char
arithmetic(Node *node)
{
	OpExpr	   *op = (OpExpr *) node;
	char	   *name;

	if (!IsA(node, OpExpr) || list_length(op->args) != 2 || op->opno >= FirstNormalObjectId ||
		!is_number(exprType(linitial(op->args))) || !is_number(exprType(lsecond(op->args))))
		return 0;
	name = get_opname(op->opno);
	return name[1] == '\0' && strchr("+-*", name[0]) != NULL ? name[0] : 0;
}

/*
 * One step into a calculation: *value is the side without the column, *column_left tells where the other was.
 */
static Node *
inside_operation(const OnecDeparse *deparse, OpExpr *op, Expr **value, bool *column_left)
{
	Node	   *left = linitial(op->args);
	Node	   *right = lsecond(op->args);

	*column_left = onec_operand_has_column(deparse, left);
	if (*column_left && onec_operand_has_column(deparse, right))
		return NULL;
	*value = (Expr *) (*column_left ? right : left);
	return *column_left ? left : right;
}

/* The column of a calculation whose other parts are values. */
static const OnecColumn *
read_number(OnecDeparse *deparse, Node *node)
{
	OnecOperand operand;
	Expr	   *value;
	bool		left;
	Node	   *inside;

	check_stack_depth();
	node = onec_strip_relabel(node);
	inside = inside_cast(node);
	if (inside != NULL)
		return read_number(deparse, inside);
	if (!arithmetic(node))
		return comparable(deparse, node, ONEC_EDM_DOUBLE);
	inside = inside_operation(deparse, (OpExpr *) node, &value, &left);
	if (inside == NULL || !onec_operand_has_column(deparse, inside) ||
		!onec_operand_read(deparse, value, &operand))
		return NULL;
	return read_number(deparse, inside);
}

OnecDerived
onec_derived_read(OnecDeparse *deparse, Node *node)
{
	OnecDerived derived = {.node = node};
	FuncExpr   *call;

	node = onec_strip_relabel(node);
	call = (FuncExpr *) node;
	if (!IsA(node, FuncExpr) || inside_cast(node) != NULL)
	{
		if (arithmetic(node) || inside_cast(node) != NULL)
			derived.column = read_number(deparse, node);
		return derived;
	}
	if (call->funcid == F_DATE_TIMESTAMP)
	{
		derived.unit = "day";
		derived.column = comparable(deparse, linitial(call->args), ONEC_EDM_DATETIME);
		return derived;
	}
	if (call->funcid == F_DATE_TRUNC_TEXT_TIMESTAMP || call->funcid == F_EXTRACT_TEXT_TIMESTAMP ||
		call->funcid == F_DATE_PART_TEXT_TIMESTAMP)
		return read_part(deparse, call);
	return derived;
}

/* ---- values ---- */

/*
 * A double beside a whole number, which is all it is compared with here: one with a fraction lies amid its
 * two neighbours, whatever the fraction is, while PostgreSQL's own conversion rounds to 15 digits.
 */
static bool
double_to_numeric(double value, Numeric *number)
{
	double		whole = floor(value);

	if (!isfinite(value))
		return false;
	if (whole == value)
		*number = DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(value)));
	/* from 2^53 on there are no fractions */
	else
		*number = int64_div_fast_to_numeric((int64) whole * 10 + 5, 1);
	return true;
}

/* A value as numeric; false for what is no finite number. */
static bool
to_numeric(const OnecOperand *operand, Numeric *number)
{
	switch (operand->type)
	{
		case NUMERICOID:
			*number = DatumGetNumeric(operand->value);
			return !numeric_is_nan(*number) && !numeric_is_inf(*number);
		case INT2OID:
			*number = int64_to_numeric(DatumGetInt16(operand->value));
			return true;
		case INT4OID:
			*number = int64_to_numeric(DatumGetInt32(operand->value));
			return true;
		case INT8OID:
			*number = int64_to_numeric(DatumGetInt64(operand->value));
			return true;
		case FLOAT8OID:
			return double_to_numeric(DatumGetFloat8(operand->value), number);
		case FLOAT4OID:
			return double_to_numeric(DatumGetFloat4(operand->value), number);
		default:
			return false;
	}
}

static int
compare_numeric(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a),
											 NumericGetDatum(b)));
}

/* ---- dates that are cut ---- */

/* A unit of time: from "low" to before "next"; "aligned" tells that the value is "low" itself. */
typedef struct Span
{
	Timestamp	low;
	Timestamp	next;
	bool		aligned;
} Span;

static Timestamp
start_of_year(int year)
{
	return DatumGetTimestamp(DirectFunctionCall6(make_timestamp, Int32GetDatum(year),
												 Int32GetDatum(1), Int32GetDatum(1),
												 Int32GetDatum(0), Int32GetDatum(0),
												 Float8GetDatum(0)));
}

/* The year that "number" is in.  There is none below 1 in 1C, nor above 9999. */
static Span
span_of_year(Numeric number)
{
	Numeric		floor = DatumGetNumeric(DirectFunctionCall1(numeric_floor,
															NumericGetDatum(number)));
	bool		below = compare_numeric(floor, int64_to_numeric(1)) < 0;
	bool		above = compare_numeric(floor, int64_to_numeric(9999)) > 0;
	int			year;

	if (below || above)
	{
		Timestamp	end = start_of_year(above ? 10000 : 1);

		return (Span) {end, end, true};
	}
	year = DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(floor)));
	return (Span) {start_of_year(year), start_of_year(year + 1), compare_numeric(floor, number) == 0};
}

static Span
span_of_time(const char *unit, Timestamp value)
{
	Span		span = {value, value, true};
	const char *step = find_unit(unit)->step;
	Datum		interval;

	/* outside of what 1C holds no unit ends or begins that matters */
	if (TIMESTAMP_NOT_FINITE(value) || value < start_of_year(1) || value >= start_of_year(10000))
		return span;
	interval = DirectFunctionCall3(interval_in, CStringGetDatum(step), ObjectIdGetDatum(InvalidOid),
								   Int32GetDatum(-1));
	span.low = DatumGetTimestamp(DirectFunctionCall2(timestamp_trunc,
													 PointerGetDatum(cstring_to_text(unit)),
													 TimestampGetDatum(value)));
	span.next = DatumGetTimestamp(DirectFunctionCall2(timestamp_pl_interval,
													  TimestampGetDatum(span.low), interval));
	span.aligned = span.low == value;
	return span;
}

static bool
find_span(const OnecDerived *derived, const OnecOperand *operand, Span *span)
{
	Numeric		number;
	Timestamp	stamp;
	int			overflow = 0;

	if (derived->year)
	{
		if (!to_numeric(operand, &number))
			return false;
		*span = span_of_year(number);
		return true;
	}
	if (operand->type == DATEOID)
		stamp = date2timestamp_opt_overflow(DatumGetDateADT(operand->value), &overflow);
	else if (operand->type == TIMESTAMPOID)
		stamp = DatumGetTimestamp(operand->value);
	else
		return false;
	*span = span_of_time(derived->unit, stamp);
	return overflow == 0;
}

static OnecTerm
bound(OnecDeparse *deparse, const OnecDerived *derived, OnecCompare op, Timestamp at)
{
	return onec_filter_value(deparse, derived->column, op, TIMESTAMPOID, TimestampGetDatum(at));
}

static OnecTerm
compare_span(OnecDeparse *deparse, const OnecDerived *derived, OnecCompare op, Span span)
{
	Timestamp	up = span.aligned ? span.low : span.next;
	OnecDeparse plain = *deparse;
	OnecTerm	sides[2];

	switch (op)
	{
		case ONEC_LT:
			return bound(deparse, derived, ONEC_LT, up);
		case ONEC_LE:
			return bound(deparse, derived, ONEC_LT, span.next);
		case ONEC_GT:
			return bound(deparse, derived, ONEC_GE, span.next);
		case ONEC_GE:
			return bound(deparse, derived, ONEC_GE, up);
		case ONEC_EQ:
			if (!span.aligned || span.low == span.next)
				return onec_term_none();
			/* the lower bound leaves empty dates out */
			plain.empty_as_null = false;
			sides[0] = bound(deparse, derived, ONEC_GE, span.low);
			sides[1] = bound(&plain, derived, ONEC_LT, span.next);
			return onec_term_and(sides, 2);
		default:
			if (!span.aligned || span.low == span.next)
				return onec_term_all(ONEC_SUPERSET);
			sides[0] = bound(deparse, derived, ONEC_LT, span.low);
			sides[1] = bound(deparse, derived, ONEC_GE, span.next);
			return onec_term_or(sides, 2);
	}
}

/* The same, of a value that is not known yet: as people would write the bounds. */
static OnecTerm
describe_span(OnecDeparse *deparse, const OnecDerived *derived, OnecCompare op, int number)
{
	const char *step = find_unit(derived->unit)->step;
	OnecExpr   *low = onec_make_literal(ONEC_LIT_PARAM, psprintf("$%d", number));
	OnecExpr   *next = onec_make_literal(ONEC_LIT_PARAM, psprintf("($%d + %s)", number, step));
	OnecTerm	sides[2];

	switch (op)
	{
		case ONEC_LT:
		case ONEC_GE:
			return onec_filter_literal(deparse, derived->column, op, low);
		case ONEC_LE:
			return onec_filter_literal(deparse, derived->column, ONEC_LT, next);
		case ONEC_GT:
			return onec_filter_literal(deparse, derived->column, ONEC_GE, next);
		case ONEC_EQ:
			sides[0] = onec_filter_literal(deparse, derived->column, ONEC_GE, low);
			sides[1] = onec_filter_literal(deparse, derived->column, ONEC_LT, next);
			return onec_term_and(sides, 2);
		default:
			sides[0] = onec_filter_literal(deparse, derived->column, ONEC_LT, low);
			sides[1] = onec_filter_literal(deparse, derived->column, ONEC_GE, next);
			return onec_term_or(sides, 2);
	}
}

/* ---- other parts of dates ---- */

static OnecTerm
compare_part(OnecDeparse *deparse, const OnecDerived *derived, OnecCompare op,
			 const OnecOperand *operand)
{
	OnecExpr   *compare = onec_make_compare(derived->column, op, NULL);
	OnecExpr   *not_empty = onec_make_not_empty(deparse, derived->column);
	Numeric		number;

	compare->args[0] = onec_make_call(derived->function, compare->args[0], NULL);
	if (!operand->known)
		compare->args[1] = onec_operand_placeholder(operand);
	else if (!to_numeric(operand, &number))
		return onec_term_no("1C has no literal for the value");
	else
		compare->args[1] = onec_make_literal(ONEC_LIT_NUMBER,
											 DatumGetCString(DirectFunctionCall1(numeric_out,
																				 NumericGetDatum(number))));
	/* the empty date has a month and a day too */
	if (not_empty == NULL)
		return onec_term_tree(ONEC_EXACT, compare);
	if (!deparse->exact)
		return onec_term_tree(ONEC_SUPERSET, compare);
	return onec_term_tree(ONEC_EXACT, onec_make_list(ONEC_EXPR_AND, list_make2(compare, not_empty)));
}

/* ---- numbers ---- */

static Numeric
calculate(PGFunction function, Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(function, NumericGetDatum(a), NumericGetDatum(b)));
}

/* "operand * x op value" for x; false when the quotient cannot be written out. */
static bool
solve_product(Numeric operand, Numeric *value, OnecCompare *op)
{
	Numeric		zero = int64_to_numeric(0);
	Numeric		quotient;

	if (compare_numeric(operand, zero) == 0)
		return false;
	quotient = calculate(numeric_div, *value, operand);
	if (compare_numeric(calculate(numeric_mul, quotient, operand), *value) != 0)
		return false;
	*value = DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(quotient)));
	if (compare_numeric(operand, zero) < 0)
		*op = onec_commuted[*op];
	return true;
}

/* A calculation with values, solved for its column step by step. */
static OnecTerm
compare_number(OnecDeparse *deparse, Node *node, OnecCompare op, Numeric value)
{
	for (;;)
	{
		OnecOperand operand;
		Numeric		number;
		Expr	   *other = NULL;
		bool		left;
		char		sign;

		node = onec_strip_relabel(node);
		while (inside_cast(node) != NULL)
			node = onec_strip_relabel(inside_cast(node));
		sign = arithmetic(node);
		if (!sign)
			break;
		node = inside_operation(deparse, (OpExpr *) node, &other, &left);
		if (!onec_operand_read(deparse, other, &operand))
			return onec_term_no("the calculation depends on other columns");
		if (operand.isnull)
			return onec_term_none();
		if (!to_numeric(&operand, &number))
			return onec_term_no("1C has no literal for the value");
		if (sign == '+')
			value = calculate(numeric_sub, value, number);
		else if (sign == '-' && left)
			value = calculate(numeric_add, value, number);
		else if (sign == '-')
		{
			value = calculate(numeric_sub, number, value);
			op = onec_commuted[op];
		}
		else if (!solve_product(number, &value, &op))
			return onec_term_no("the product cannot be solved exactly");
	}
	return onec_filter_value(deparse, onec_operand_column(deparse, node), op, NUMERICOID,
							 NumericGetDatum(value));
}

/* Whether every value of the calculation is known. */
static bool
is_known(OnecDeparse *deparse, Node *node)
{
	for (;;)
	{
		OnecOperand operand;
		Expr	   *other = NULL;
		bool		left;

		node = onec_strip_relabel(node);
		while (inside_cast(node) != NULL)
			node = onec_strip_relabel(inside_cast(node));
		if (!arithmetic(node))
			return true;
		node = inside_operation(deparse, (OpExpr *) node, &other, &left);
		if (!onec_operand_read(deparse, other, &operand) || !operand.known)
			return false;
	}
}

OnecTerm
onec_derived_compare(OnecDeparse *deparse, const OnecDerived *derived, OnecCompare op,
					 const OnecOperand *operand)
{
	Numeric		number;
	Span		span;

	if (operand->isnull)
		return onec_term_none();
	if (derived->function != NULL)
		return compare_part(deparse, derived, op, operand);
	if (derived->unit == NULL)
	{
		/* the sign of a factor may turn the comparison round: nothing can be shown before it is known */
		if (!operand->known || !is_known(deparse, derived->node))
			return onec_term_tree(ONEC_SUPERSET,
								  onec_make_compare(derived->column, op,
													onec_make_literal(ONEC_LIT_PARAM, "$…")));
		if (!to_numeric(operand, &number))
			return onec_term_no("1C has no literal for the value");
		return compare_number(deparse, derived->node, op, number);
	}
	if (!operand->known)
		return describe_span(deparse, derived, op, operand->number);
	if (!find_span(derived, operand, &span))
		return onec_term_no("1C has no literal for the value");
	return compare_span(deparse, derived, op, span);
}
