/*-------------------------------------------------------------------------
 *
 * pairs.c
 *	  How often two goods lie in one basket.
 *
 * onec_internal.count_pairs() takes one basket after the other, as numbers of goods without doubles, and
 * says of each pair that lies in enough baskets in how many.  In SQL the same is a join of the baskets with
 * themselves, grouped: a million lines make tens of millions of pairs, each a row that is hashed.  Here a
 * pair is eight bytes; when so many have come that they had better be counted, they are sorted and counted
 * together with those before, so that memory follows the different pairs and not the baskets.
 *
 * Memory: the aggregate's context.  Errors: a basket with NULLs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "sql/fold.h"

PG_FUNCTION_INFO_V1(onec_count_pairs_basket);
PG_FUNCTION_INFO_V1(onec_count_pairs_end);

#define FRESH_PAIRS (4 * 1024 * 1024)

typedef struct Counted
{
	uint64		pair;			/* the smaller number in the upper half */
	int32		baskets;
} Counted;

typedef struct Pairs
{
	MemoryContext context;
	int32		least;			/* baskets that a pair must have */
	int			fresh;			/* pairs not counted yet */
	uint64	   *pair;
	uint64	   *spare;			/* for sorting */
	Size		n;				/* counted, ascending */
	Counted    *counted;
} Pairs;

/* By bytes, from the lowest; bytes that are the same everywhere are passed over. */
static void
sort_fresh(Pairs *p)
{
	for (int shift = 0; shift < 64; shift += 8)
	{
		int			start[257] = {0};
		bool		one = false;
		uint64	   *sorted = p->spare;

		for (int i = 0; i < p->fresh; i++)
			start[((p->pair[i] >> shift) & 0xFF) + 1]++;
		for (int b = 1; b <= 256; b++)
		{
			one |= start[b] == p->fresh;
			start[b] += start[b - 1];
		}
		if (one)
			continue;
		for (int i = 0; i < p->fresh; i++)
			sorted[start[(p->pair[i] >> shift) & 0xFF]++] = p->pair[i];
		p->spare = p->pair;
		p->pair = sorted;
	}
}

/* Different pairs of both lists. */
static Size
different(const Pairs *p)
{
	Size		n = p->n;

	for (int i = 0; i < p->fresh; i++)
		n += i == 0 || p->pair[i] != p->pair[i - 1];
	return n;
}

static void
count_fresh(Pairs *p)
{
	Counted    *all;
	Size		n = 0;
	Size		old = 0;
	int			i = 0;

	if (p->fresh == 0)
		return;
	sort_fresh(p);
	all = MemoryContextAllocHuge(p->context, different(p) * sizeof(Counted));
	while (i < p->fresh || old < p->n)
	{
		uint64		pair = i == p->fresh ? p->counted[old].pair
			: old == p->n ? p->pair[i] : Min(p->pair[i], p->counted[old].pair);
		int32		baskets = 0;

		if (old < p->n && p->counted[old].pair == pair)
			baskets = p->counted[old++].baskets;
		for (; i < p->fresh && p->pair[i] == pair; i++)
			baskets++;
		all[n++] = (Counted) {pair, baskets};
	}
	if (p->counted)
		pfree(p->counted);
	p->counted = all;
	p->n = n;
	p->fresh = 0;
}

static Pairs *
no_pairs(MemoryContext context)
{
	Pairs	   *p = MemoryContextAllocZero(context, sizeof(Pairs));

	p->context = context;
	p->pair = MemoryContextAllocHuge(context, FRESH_PAIRS * sizeof(uint64));
	p->spare = MemoryContextAllocHuge(context, FRESH_PAIRS * sizeof(uint64));
	return p;
}

/* internal, int[], int -> internal: the goods of a basket, each once; how many baskets are enough */
Datum
onec_count_pairs_basket(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	Pairs	   *p;
	ArrayType  *basket;
	int			n;
	const int32 *no;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "onec_internal.count_pairs_basket is part of an aggregate");
	p = PG_ARGISNULL(0) ? no_pairs(context) : (Pairs *) PG_GETARG_POINTER(0);
	p->least = PG_ARGISNULL(2) ? 1 : PG_GETARG_INT32(2);
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(p);
	basket = PG_GETARG_ARRAYTYPE_P(1);
	if (ARR_HASNULL(basket))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a basket has NULLs")));
	n = ArrayGetNItems(ARR_NDIM(basket), ARR_DIMS(basket));
	no = (const int32 *) ARR_DATA_PTR(basket);
	for (int a = 0; a < n; a++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int b = a + 1; b < n; b++)
		{
			if (p->fresh == FRESH_PAIRS)
				count_fresh(p);
			p->pair[p->fresh++] = (uint64) Min(no[a], no[b]) << 32 | (uint32) Max(no[a], no[b]);
		}
	}
	PG_RETURN_POINTER(p);
}

/* internal -> onec_internal.pair_counts: pairs in enough baskets */
Datum
onec_count_pairs_end(PG_FUNCTION_ARGS)
{
	Pairs	   *p = PG_ARGISNULL(0) ? NULL : (Pairs *) PG_GETARG_POINTER(0);
	Datum	   *column[3];
	Datum		value[3];
	bool		isnull[3] = {false};
	TupleDesc	row;
	int			n = 0;

	if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "onec_internal.count_pairs has no row type");
	if (p)
		count_fresh(p);
	for (int c = 0; c < 3; c++)
		column[c] = MemoryContextAllocHuge(CurrentMemoryContext, (p ? p->n + 1 : 1) * sizeof(Datum));
	for (Size i = 0; p && i < p->n; i++)
		if (p->counted[i].baskets >= p->least)
		{
			column[0][n] = Int32GetDatum((int32) (p->counted[i].pair >> 32));
			column[1][n] = Int32GetDatum((int32) p->counted[i].pair);
			column[2][n++] = Int32GetDatum(p->counted[i].baskets);
		}
	for (int c = 0; c < 3; c++)
		value[c] = PointerGetDatum(onec_array(column[c], NULL, n, INT4OID, sizeof(int32), true,
											  TYPALIGN_INT));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), value, isnull)));
}
