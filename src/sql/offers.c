/*-------------------------------------------------------------------------
 *
 * offers.c
 *	  What goes best with the goods that a customer bought last.
 *
 * onec_internal.best_offers() adds up the scores of the neighbours of some goods and returns the best of
 * these.  In SQL the same is a join of all that customers bought with the neighbours of all goods, grouped:
 * a million lines make fifty millions of rows, of which a hundredth is wanted.  Here a neighbour is one
 * addition.  Which goods those are, what they weigh, what the customer likes: all that comes from SQL
 * (60_statistics/70_recommend.sql).
 *
 * Goods have numbers, from 1, in the order of their identifiers; the book (onec_internal.offer_book) holds
 * their neighbours.  Scores and weights are whole numbers of millionths, shares of hundred-millionths: sums
 * are exact.  Which are the best is found in binary floating point first, and decided in numeric among those
 * that this cannot tell apart.
 *
 * Memory: sums by goods stay as long as the query; the rest is the caller's context.  Errors: a book that is
 * none, since who may call this may hand it one of his own making; sums beyond bigint.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include <math.h>

#include "sql/fold.h"

PG_FUNCTION_INFO_V1(onec_best_offers);

/* Two exact scores that differ by more than this differ when rounded to six decimals, too. */
#define ROUNDING 1.1e-6

typedef struct Book
{
	int			goods;
	const pg_uuid_t *good;		/* ascending */
	const int64 *share;			/* in the shop's sales; below 0: not offered */
	const int32 *taste;			/* which of the customer's factors; 0: none */
	int			pairs;
	const int32 *of;			/* ascending */
	const int32 *other;
	const int64 *score;
} Book;

/* Of one of the goods, by its number; "turn" tells whether it is of this call. */
typedef struct Sum
{
	int64		sum;
	int			turn;
	int			barred;			/* the turn in which it is */
} Sum;

/* What is kept between calls of one query. */
typedef struct Kept
{
	int			room;
	int			turn;
	Sum		   *sum;			/* by number */
	int		   *found;			/* numbers with a sum, in the order found */
} Kept;

typedef struct Tastes
{
	int			n;
	Numeric    *factor;			/* by category; NULL: none */
	double	   *about;
} Tastes;

typedef struct Offer
{
	int			no;
	double		about;
	Numeric		score;
} Offer;

/* ---- arguments ---- */

static double
number(Numeric value)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value)));
}

/* The values of an array without NULLs, none of a NULL; "expected" of them, if that is not below 0. */
static const void *
values_of(Datum value, bool isnull, int expected, int *n)
{
	ArrayType  *array = isnull ? NULL : DatumGetArrayTypeP(value);

	*n = array ? ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) : 0;
	if ((array && ARR_HASNULL(array)) || (expected >= 0 && *n != expected))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a list of goods has NULLs, or not as many values as it should")));
	return array ? ARR_DATA_PTR(array) : NULL;
}

static const void *
column(HeapTupleHeader book, AttrNumber no, int expected, int *n)
{
	bool		isnull;
	Datum		value = GetAttributeByNum(book, no, &isnull);

	return values_of(value, isnull, expected, n);
}

static Book
read_book(HeapTupleHeader given)
{
	Book		book;
	int			n;

	book.good = column(given, 1, -1, &book.goods);
	book.share = column(given, 2, book.goods, &n);
	book.taste = column(given, 3, book.goods, &n);
	book.of = column(given, 4, -1, &book.pairs);
	book.other = column(given, 5, book.pairs, &n);
	book.score = column(given, 6, book.pairs, &n);
	return book;
}

/* The customer's tastes: what those multiply by that are told of. */
static Tastes
read_tastes(Datum factors, bool none)
{
	Tastes		tastes = {0};
	Datum	   *value;
	bool	   *isnull;

	if (none)
		return tastes;
	deconstruct_array(DatumGetArrayTypeP(factors), NUMERICOID, -1, false, TYPALIGN_INT, &value, &isnull,
					  &tastes.n);
	tastes.factor = palloc((tastes.n + 1) * sizeof(Numeric));
	tastes.about = palloc((tastes.n + 1) * sizeof(double));
	for (int i = 0; i < tastes.n; i++)
	{
		tastes.factor[i] = isnull[i] ? NULL : DatumGetNumeric(value[i]);
		tastes.about[i] = isnull[i] ? 1 : number(tastes.factor[i]);
	}
	return tastes;
}

/* Sums for so many goods, and the next turn. */
static Kept *
next_turn(FmgrInfo *flinfo, int goods)
{
	Kept	   *k = flinfo->fn_extra;

	if (k == NULL)
		k = flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Kept));
	if (k->room <= goods)
	{
		k->room = goods + 1;
		k->sum = MemoryContextAllocExtended(flinfo->fn_mcxt, k->room * sizeof(Sum),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		k->found = MemoryContextAllocHuge(flinfo->fn_mcxt, k->room * sizeof(int));
	}
	k->turn++;
	return k;
}

/* ---- sums ---- */

/* The number of one of the goods; 0: the book does not know it. */
static int
number_of(const Book *book, const pg_uuid_t *id)
{
	const pg_uuid_t *found = book->goods > 0
		? bsearch(id, book->good, book->goods, sizeof(pg_uuid_t), onec_compare_uuid) : NULL;

	return found ? found - book->good + 1 : 0;
}

/* The first pair of one of the goods. */
static int
first_pair(const Book *book, int no)
{
	int			low = 0;
	int			high = book->pairs;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (book->of[middle] < no)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Adds the neighbours of one of the goods; how many different ones are found by then. */
static int
add_neighbours(const Book *book, Kept *k, int found, int no, int64 weight)
{
	for (int p = first_pair(book, no); p < book->pairs && book->of[p] == no; p++)
	{
		int			other = book->other[p];
		Sum		   *s;
		int64		more;

		if (other < 1 || other > book->goods)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there is no number %d in the book", other)));
		s = &k->sum[other];
		if (book->share[other - 1] < 0)
			continue;
		if (s->turn != k->turn)
		{
			s->turn = k->turn;
			s->sum = 0;
			k->found[found++] = other;
		}
		if (pg_mul_s64_overflow(book->score[p], weight, &more) || pg_add_s64_overflow(s->sum, more, &s->sum))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("scores of goods are out of range")));
	}
	return found;
}

/* ---- the best ---- */

/* round((sum + popularity * share) * factor, 6) */
static Numeric
exact_score(int64 sum, int64 share, Numeric popularity, Numeric factor)
{
	Numeric		score = numeric_add_opt_error(
		int64_div_fast_to_numeric(sum, 12),
		numeric_mul_opt_error(popularity, int64_div_fast_to_numeric(share, 8), NULL), NULL);

	if (factor)
		score = numeric_mul_opt_error(score, factor, NULL);
	return DatumGetNumeric(DirectFunctionCall2(numeric_round, NumericGetDatum(score), Int32GetDatum(6)));
}

static int
by_about(const void *a, const void *b)
{
	double		left = ((const Offer *) a)->about;
	double		right = ((const Offer *) b)->about;

	return (left < right) - (left > right);
}

static int
by_score(const void *a, const void *b)
{
	const Offer *left = a;
	const Offer *right = b;
	int			order = onec_numeric_compare(right->score, left->score);

	return order != 0 ? order : left->no - right->no;
}

/* Whether the customer's taste for one of the goods is told of. */
static bool
has_taste(const Tastes *tastes, int taste)
{
	return taste > 0 && taste <= tastes->n;
}

/* The goods found that are not barred, with about what they score; how many. */
static int
offers_found(Offer *offer, int found, const Book *book, const Kept *k, Numeric popularity,
			 const Tastes *tastes)
{
	double		popular = number(popularity) * 1e-8;
	int			n = 0;

	for (int i = 0; i < found; i++)
	{
		int			no = k->found[i];
		int			taste = book->taste[no - 1];
		double		score = k->sum[no].sum * 1e-12 + popular * book->share[no - 1];

		if (has_taste(tastes, taste))
			score *= tastes->about[taste - 1];
		if (k->sum[no].barred != k->turn)
			offer[n++] = (Offer) {no, score, NULL};
	}
	return n;
}

/* The best n of these, in front: of those that may be among them, the exact score decides.  How many. */
static int
best_of(Offer *offer, int offers, int n, const Book *book, const Kept *k, Numeric popularity,
		const Tastes *tastes)
{
	int			maybe = 0;
	double		least;

	if (n <= 0 || offers == 0)
		return 0;
	qsort(offer, offers, sizeof(Offer), by_about);
	least = offer[Min(n, offers) - 1].about;
	least -= ROUNDING + 1e-9 * fabs(least);
	while (maybe < offers && !(offer[maybe].about < least))
	{
		int			no = offer[maybe].no;
		int			taste = book->taste[no - 1];

		offer[maybe++].score = exact_score(k->sum[no].sum, book->share[no - 1], popularity,
										   has_taste(tastes, taste) ? tastes->factor[taste - 1] : NULL);
	}
	qsort(offer, maybe, sizeof(Offer), by_score);
	return Min(n, maybe);
}

/* onec_internal.offers of these */
static Datum
answer(FunctionCallInfo fcinfo, const Book *book, const Offer *offer, int n)
{
	TupleDesc	row;
	Datum	   *good = palloc((n + 1) * sizeof(Datum));
	Datum	   *score = palloc((n + 1) * sizeof(Datum));
	Datum		value[2];
	bool		isnull[2] = {false};

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "onec_internal.best_offers has no row type");
	for (int i = 0; i < n; i++)
	{
		good[i] = UUIDPGetDatum(&book->good[offer[i].no - 1]);
		score[i] = NumericGetDatum(offer[i].score);
	}
	value[0] = PointerGetDatum(onec_array(good, NULL, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
	value[1] = PointerGetDatum(onec_array(score, NULL, n, NUMERICOID, -1, false, TYPALIGN_INT));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), value, isnull));
}

/*
 * onec_internal.best_offers(book, recent, weights, barred, factors, popularity, n): the goods bought last
 * with what each weighs, those that are not offered again, what the customer's tastes multiply by
 */
Datum
onec_best_offers(PG_FUNCTION_ARGS)
{
	Book		book;
	Kept	   *k;
	Tastes		tastes;
	Numeric		popularity;
	const pg_uuid_t *good;
	const int64 *weight;
	Offer	   *offer;
	int			n;
	int			found = 0;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(5) || PG_ARGISNULL(6))
		PG_RETURN_NULL();
	book = read_book(PG_GETARG_HEAPTUPLEHEADER(0));
	tastes = read_tastes(PG_GETARG_DATUM(4), PG_ARGISNULL(4));
	popularity = PG_GETARG_NUMERIC(5);
	k = next_turn(fcinfo->flinfo, book.goods);

	good = values_of(PG_GETARG_DATUM(1), PG_ARGISNULL(1), -1, &n);
	weight = values_of(PG_GETARG_DATUM(2), PG_ARGISNULL(2), n, &n);
	for (int i = 0; i < n; i++)
		found = add_neighbours(&book, k, found, number_of(&book, &good[i]), weight[i]);
	good = values_of(PG_GETARG_DATUM(3), PG_ARGISNULL(3), -1, &n);
	for (int i = 0; i < n; i++)
		k->sum[number_of(&book, &good[i])].barred = k->turn;

	offer = palloc((found + 1) * sizeof(Offer));
	n = offers_found(offer, found, &book, k, popularity, &tastes);
	n = best_of(offer, n, PG_GETARG_INT32(6), &book, k, popularity, &tastes);
	PG_RETURN_DATUM(answer(fcinfo, &book, offer, n));
}
