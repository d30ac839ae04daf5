/*-------------------------------------------------------------------------
 *
 * history.c
 *	  The lines of one customer, folded: receipts, visits and their gaps, months, what is preferred.
 *
 * onec_internal.history() takes each line once and keeps what it needs of it; the end of the group sorts
 * these few and walks them.  In SQL the same takes eight aggregations over all lines of the shop, each with
 * a sort or a hash table of its own.  What a purchase is, when it was, which day is a visit, what a line
 * weighs: all that comes with the line, from the facts layer (40_facts).  Sums are numeric, so that they do
 * not depend on the order of lines.
 *
 * What products and stores are called comes as one value for all lines, onec_internal.taste_book: words have
 * numbers, and a text by which they are told apart where all else is equal.
 *
 * Memory: lines in the aggregate's context, gone with the group; the book stays as long as the query.
 * Errors: a line that lacks what each must have, since whoever may call the aggregate may leave it out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "sql/fold.h"
#include "sql/tastes.h"
#include "stats/quantile.h"

PG_FUNCTION_INFO_V1(onec_history_line);
PG_FUNCTION_INFO_V1(onec_history_end);

/* Arguments of a line, in the order of the aggregate's; 0 is the state. */
enum
{
	ARG_RECEIPT = 1, ARG_AT, ARG_DAY, ARG_IS_PURCHASE, ARG_PERIOD, ARG_AMOUNT, ARG_WEIGHT, ARG_PRODUCT,
	ARG_STORE, ARG_SINCE, ARG_TILL, ARG_RECENT, ARG_BOOK
};

/* What is kept between calls of one query. */
typedef struct Kept
{
	Datum		given;			/* the argument that book was made of */
	Book		book;
	TupleDesc	row;
} Kept;

static Kept *
kept(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Kept));
	return fcinfo->flinfo->fn_extra;
}

/* The book is one value for the whole query; another one is read anew. */
static const Book *
book_of(FunctionCallInfo fcinfo)
{
	Kept	   *k = kept(fcinfo);
	Datum		given = PG_GETARG_DATUM(ARG_BOOK);
	MemoryContext before;

	if (k->given == given)
		return &k->book;
	before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	onec_read_taste_book(&k->book, DatumGetHeapTupleHeader(given));
	k->given = given;
	MemoryContextSwitchTo(before);
	return &k->book;
}

static void
check_line(FunctionCallInfo fcinfo)
{
	static const int needed[] = {ARG_RECEIPT, ARG_AT, ARG_DAY, ARG_PERIOD, ARG_AMOUNT, ARG_RECENT, ARG_BOOK};

	for (size_t i = 0; i < lengthof(needed); i++)
		if (PG_ARGISNULL(needed[i]))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d of onec_internal.history is NULL", needed[i])));
}

/* internal, the line's columns, the query's bounds and book -> internal */
Datum
onec_history_line(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext before;
	History    *h;
	Line	   *line;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "onec_internal.history_line is part of an aggregate");
	check_line(fcinfo);
	before = MemoryContextSwitchTo(context);
	if (PG_ARGISNULL(0))
	{
		h = palloc0(sizeof(History));
		h->room = 16;
		h->line = palloc(h->room * sizeof(Line));
		h->since = PG_ARGISNULL(ARG_SINCE) ? DT_NOBEGIN : PG_GETARG_TIMESTAMP(ARG_SINCE);
		h->till = PG_ARGISNULL(ARG_TILL) ? DT_NOBEGIN : PG_GETARG_TIMESTAMP(ARG_TILL);
		h->recent = PG_GETARG_TIMESTAMP(ARG_RECENT);
		h->book = book_of(fcinfo);
	}
	else
		h = (History *) PG_GETARG_POINTER(0);
	if (h->lines == h->room)
		h->line = repalloc_huge(h->line, (h->room *= 2) * sizeof(Line));
	line = &h->line[h->lines++];
	memset(line, 0, sizeof(Line));
	line->receipt = *PG_GETARG_UUID_P(ARG_RECEIPT);
	line->at = PG_GETARG_TIMESTAMP(ARG_AT);
	line->day = PG_GETARG_DATEADT(ARG_DAY);
	line->is_purchase = !PG_ARGISNULL(ARG_IS_PURCHASE) && PG_GETARG_BOOL(ARG_IS_PURCHASE);
	line->period = PG_GETARG_TIMESTAMP(ARG_PERIOD);
	line->amount = PG_GETARG_NUMERIC_COPY(ARG_AMOUNT);
	line->sign = onec_numeric_compare(line->amount, onec_numeric_zero());
	line->weight = PG_ARGISNULL(ARG_WEIGHT) ? NULL : PG_GETARG_NUMERIC_COPY(ARG_WEIGHT);
	onec_name_tastes(line, h->book, PG_ARGISNULL(ARG_PRODUCT) ? NULL : PG_GETARG_UUID_P(ARG_PRODUCT),
			   PG_ARGISNULL(ARG_STORE) ? NULL : PG_GETARG_UUID_P(ARG_STORE));
	MemoryContextSwitchTo(before);
	PG_RETURN_POINTER(h);
}

/* ---- receipts and visits ---- */

static int
by_receipt(const void *a, const void *b)
{
	return onec_compare_uuid(&((const Line *) a)->receipt, &((const Line *) b)->receipt);
}

static int
by_float(const void *a, const void *b)
{
	double		left = *(const double *) a;
	double		right = *(const double *) b;

	return (left > right) - (left < right);
}

static Datum
numeric_of_float(double value)
{
	return DirectFunctionCall1(float8_numeric, Float8GetDatum(value));
}

/* What the days of visits, ascending and once each, say. */
static void
put_visits(Row *row, const DateADT *day, int n)
{
	double	   *gap = palloc(Max(n, 1) * sizeof(double));
	bool		march = false;
	bool		new_year = false;
	bool		valentine = false;

	for (int i = 0; i < n; i++)
	{
		int			y;
		int			m;
		int			d;

		j2date(day[i] + POSTGRES_EPOCH_JDATE, &y, &m, &d);
		march |= m == 3 && d <= 8;
		new_year |= m == 12 && d >= 10;
		valentine |= m == 2 && d >= 7 && d <= 14;
		if (i > 0)
			gap[i - 1] = day[i] - day[i - 1];
	}
	onec_put(row, OUT_VISITS, Int32GetDatum(n));
	onec_put(row, OUT_MARCH, BoolGetDatum(march));
	onec_put(row, OUT_NEW_YEAR, BoolGetDatum(new_year));
	onec_put(row, OUT_VALENTINE, BoolGetDatum(valentine));
	if (n > 0)
	{
		onec_put(row, OUT_FIRST_DAY, DateADTGetDatum(day[0]));
		onec_put(row, OUT_LAST_DAY, DateADTGetDatum(day[n - 1]));
	}
	if (n > 1)
	{
		qsort(gap, n - 1, sizeof(double), by_float);
		onec_put(row, OUT_LOW_GAP, numeric_of_float(onec_quantile(gap, n - 1, 0.25)));
		onec_put(row, OUT_MEDIAN_GAP, numeric_of_float(onec_quantile(gap, n - 1, 0.5)));
		onec_put(row, OUT_HIGH_GAP, numeric_of_float(onec_quantile(gap, n - 1, 0.75)));
	}
}

/* Receipts that are purchases; lines come sorted by receipt. */
static void
put_receipts(Row *row, const History *h)
{
	DateADT    *day = palloc(h->lines * sizeof(DateADT));
	DateADT    *recent = palloc(h->lines * sizeof(DateADT));
	double	   *check = palloc(h->lines * sizeof(double));
	Numeric    *paid = palloc(h->lines * sizeof(Numeric));
	Numeric		net = NULL;
	Numeric		repeated = NULL;
	Timestamp	first = DT_NOEND;
	Timestamp	last = DT_NOBEGIN;
	DateADT		first_day = DATEVAL_NOEND;
	int			n = 0;
	int			n_recent = 0;
	int			n_span = 0;

	for (int i = 0, next; i < h->lines; i = next)
	{
		const Line *line = &h->line[i];
		Numeric		sum = NULL;

		for (next = i; next < h->lines && by_receipt(line, &h->line[next]) == 0; next++)
			if (line->is_purchase)
				sum = onec_numeric_sum(sum, h->line[next].amount);
		if (!line->is_purchase)
			continue;
		net = onec_numeric_sum(net, sum);
		paid[n] = sum;
		check[n] = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(sum)));
		day[n++] = line->day;
		first = Min(first, line->at);
		first_day = Min(first_day, line->day);
		last = Max(last, line->at);
		n_span += line->at >= h->since && line->at < h->till;
		if (line->at >= h->recent)
			recent[n_recent++] = line->day;
	}
	onec_put(row, OUT_RECEIPTS, Int32GetDatum(n));
	onec_put(row, OUT_SPAN_RECEIPTS, Int32GetDatum(n_span));
	onec_put(row, OUT_RECENT_RECEIPTS, Int32GetDatum(n_recent));
	onec_put(row, OUT_RECENT_VISITS, Int32GetDatum(onec_distinct_days(recent, n_recent)));
	if (n > 0)
	{
		for (int i = 0; i < n; i++)
			if (day[i] > first_day)
				repeated = onec_numeric_sum(repeated, paid[i]);
		onec_put(row, OUT_SALE_NET, NumericGetDatum(net));
		onec_put(row, OUT_REPEAT_NET, NumericGetDatum(repeated));
		row->isnull[OUT_REPEAT_NET] = repeated == NULL;
		onec_put(row, OUT_FIRST_AT, TimestampGetDatum(first));
		onec_put(row, OUT_LAST_AT, TimestampGetDatum(last));
		qsort(check, n, sizeof(double), by_float);
		onec_put(row, OUT_MEDIAN_CHECK, numeric_of_float(onec_quantile(check, n, 0.5)));
	}
	put_visits(row, day, onec_distinct_days(day, n));
}

/* ---- months ---- */

/* What was sold in each month of the year: ever, and in months seen whole; nothing sold is NULL. */
static void
put_months(Row *row, const History *h)
{
	Numeric		ever[12] = {NULL};
	Numeric		span[12] = {NULL};
	Datum		value[12] = {0};
	bool		isnull[12];

	for (int i = 0; i < h->lines; i++)
	{
		const Line *line = &h->line[i];
		struct pg_tm tm;
		fsec_t		fraction;

		if (line->sign <= 0 || timestamp2tm(line->period, NULL, &tm, &fraction, NULL, NULL) != 0)
			continue;
		ever[tm.tm_mon - 1] = onec_numeric_sum(ever[tm.tm_mon - 1], line->amount);
		if (line->period >= h->since && line->period < h->till)
			span[tm.tm_mon - 1] = onec_numeric_sum(span[tm.tm_mon - 1], line->amount);
	}
	for (int column = OUT_MONTHS; column <= OUT_SPAN_MONTHS; column++)
	{
		Numeric    *sum = column == OUT_MONTHS ? ever : span;

		for (int m = 0; m < 12; m++)
		{
			isnull[m] = sum[m] == NULL;
			value[m] = NumericGetDatum(sum[m]);
		}
		onec_put(row, column, PointerGetDatum(onec_array(value, isnull, 12, NUMERICOID, -1, false,
														 TYPALIGN_INT)));
	}
}

/* internal -> onec_internal.history */
Datum
onec_history_end(PG_FUNCTION_ARGS)
{
	Kept	   *k = kept(fcinfo);
	History    *h;
	Row			row;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	h = (History *) PG_GETARG_POINTER(0);
	if (k->row == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		if (get_call_result_type(fcinfo, NULL, &k->row) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "onec_internal.history has no row type");
		k->row = BlessTupleDesc(k->row);
		MemoryContextSwitchTo(before);
	}
	memset(row.value, 0, sizeof(row.value));
	memset(row.isnull, true, sizeof(row.isnull));
	/* equal receipts stay together, in whatever order their lines are */
	qsort(h->line, h->lines, sizeof(Line), by_receipt);
	put_receipts(&row, h);
	put_months(&row, h);
	onec_put_tastes(&row, h);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(k->row, row.value, row.isnull)));
}

