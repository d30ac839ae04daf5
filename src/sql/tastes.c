/*-------------------------------------------------------------------------
 *
 * tastes.c
 *	  What a customer prefers: categories, brands and stores by what their lines weigh.
 *
 * Words are numbers here; the book tells what they are called, and so which of two equals stands first.
 *
 * Memory: the caller's context.  Errors: a book that is none: who may call the functions that fold may hand
 * them one of his own making.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "compat.h"
#include "sql/fold.h"
#include "sql/tastes.h"

#define FAVORITES 5

/* One column of the book: so many values (-1: any number), none of them NULL; *n gets how many. */
static ArrayType *
book_column(HeapTupleHeader book, AttrNumber column, int expected, int *n)
{
	bool		isnull;
	Datum		value = GetAttributeByNum(book, column, &isnull);
	ArrayType  *array = isnull ? NULL : DatumGetArrayTypePCopy(value);

	*n = array ? ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) : 0;
	if (array == NULL || ARR_HASNULL(array) || (expected >= 0 && *n != expected))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column %d of a book of tastes has NULLs, or not as many values as it should",
						column)));
	return array;
}

static const void *
fixed_column(HeapTupleHeader book, AttrNumber column, int expected, int *n)
{
	return ARR_DATA_PTR(book_column(book, column, expected, n));
}

static Datum *
text_column(HeapTupleHeader book, AttrNumber column, int expected)
{
	Datum	   *value;
	int			n;

	deconstruct_array(book_column(book, column, expected, &n), TEXTOID, -1, false, TYPALIGN_INT,
					  &value, NULL, &n);
	return value;
}

void
onec_read_taste_book(Book *book, HeapTupleHeader given)
{
	int			n;

	book->product = fixed_column(given, 1, -1, &book->products);
	book->category_of = fixed_column(given, 2, book->products, &n);
	book->brand_of = fixed_column(given, 3, book->products, &n);
	book->store = fixed_column(given, 4, -1, &book->stores);
	book->store_of = fixed_column(given, 5, book->stores, &n);
	book->word = fixed_column(given, 6, -1, &book->words);
	book->value = text_column(given, 7, book->words);
	book->title = text_column(given, 8, book->words);
}

/* Its place among those, or -1. */
static int
place_of(const pg_uuid_t *id, const pg_uuid_t *among, int n)
{
	const pg_uuid_t *found = bsearch(id, among, n, sizeof(pg_uuid_t), onec_compare_uuid);

	return found ? found - among : -1;
}

void
onec_name_tastes(Line *line, const Book *book, const pg_uuid_t *product, const pg_uuid_t *store)
{
	int			place;

	if (product && line->weight && (place = place_of(product, book->product, book->products)) >= 0)
	{
		line->word[CATEGORY] = book->category_of[place];
		line->word[BRAND] = book->brand_of[place];
	}
	if (store && line->is_purchase && line->sign >= 0
		&& (place = place_of(store, book->store, book->stores)) >= 0)
		line->word[STORE] = book->store_of[place];
}

void
onec_put(Row *row, int column, Datum value)
{
	row->value[column] = value;
	row->isnull[column] = false;
}

/* One line's word of one kind. */
typedef struct Mention
{
	int			word;
	int			line;
} Mention;

typedef struct Taste
{
	int			word;			/* its number */
	Datum		value;			/* texts */
	Datum		order;			/* by which equals are told apart, before value */
	Datum		title;
	int			receipts;
	Timestamp	last;
	bool		has_last;
	Numeric		weight;
	bool		liked;			/* weight above 0 */
} Taste;

static int
by_word(const void *a, const void *b)
{
	const Mention *left = a;
	const Mention *right = b;

	if (left->word != right->word)
		return left->word < right->word ? -1 : 1;
	return (left->line > right->line) - (left->line < right->line);
}

/* As COLLATE "C" does. */
static int
compare_text(Datum a, Datum b)
{
	const text *left = (const text *) DatumGetPointer(a);
	const text *right = (const text *) DatumGetPointer(b);
	int			n = VARSIZE_ANY_EXHDR(left);
	int			m = VARSIZE_ANY_EXHDR(right);
	int			order = memcmp(VARDATA_ANY(left), VARDATA_ANY(right), Min(n, m));

	return order != 0 ? order : n - m;
}

/* Places of one kind: weight, receipts, the last day (unknown before known, as SQL sorts), the word. */
static int
by_place(const void *a, const void *b)
{
	const Taste *left = a;
	const Taste *right = b;
	int			order = -onec_numeric_compare(left->weight, right->weight);

	if (order != 0)
		return order;
	if (left->receipts != right->receipts)
		return left->receipts > right->receipts ? -1 : 1;
	if (left->has_last != right->has_last)
		return left->has_last ? 1 : -1;
	if (left->last != right->last)
		return left->last > right->last ? -1 : 1;
	order = compare_text(left->order, right->order);
	return order != 0 ? order : compare_text(left->value, right->value);
}

/* What the book says of a word; stores are ordered by their titles. */
static Taste
taste_named(const Book *book, Kind kind, int word)
{
	const int32 *found = bsearch(&word, book->word, book->words, sizeof(int32), onec_by_number);
	int			place = found - book->word;

	if (!found)
		elog(ERROR, "word %d of tastes is not in the book", word);
	return (Taste) {
		.word = word, .value = book->value[place], .title = book->title[place],
		.order = kind == STORE ? book->title[place] : book->value[place]
	};
}

/* One word from its mentions, which come by receipt. */
static Taste
taste_of(const History *h, Kind kind, const Mention *mention, int n, DateADT *day)
{
	Taste		t = taste_named(h->book, kind, mention[0].word);
	const Line *counted = NULL;

	for (int i = 0; i < n; i++)
	{
		const Line *line = &h->line[mention[i].line];
		bool		sold = kind == STORE || (line->is_purchase && line->sign > 0);
		Timestamp	moment = kind == STORE ? line->at : line->period;

		if (sold && (counted == NULL || onec_compare_uuid(&counted->receipt, &line->receipt) != 0))
		{
			t.receipts++;
			counted = line;
		}
		if ((kind == STORE || line->sign > 0) && (!t.has_last || moment > t.last))
		{
			t.has_last = true;
			t.last = moment;
		}
		if (kind == STORE)
			day[i] = line->day;
		else
			t.weight = onec_numeric_sum(t.weight, line->weight);
	}
	if (kind == STORE)
		t.weight = int64_to_numeric(onec_distinct_days(day, n));
	t.liked = onec_numeric_compare(t.weight, onec_numeric_zero()) > 0;
	return t;
}

/* The words of one kind, best first; how many. */
static int
tastes_of_kind(const History *h, Kind kind, Taste *taste)
{
	Mention    *mention = palloc(h->lines * sizeof(Mention));
	DateADT    *day = palloc(h->lines * sizeof(DateADT));
	int			n = 0;
	int			found = 0;

	for (int i = 0; i < h->lines; i++)
		if (h->line[i].word[kind] > 0)
			mention[n++] = (Mention) {h->line[i].word[kind], i};
	qsort(mention, n, sizeof(Mention), by_word);
	for (int i = 0, next; i < n; i = next)
	{
		for (next = i; next < n && mention[next].word == mention[i].word; next++)
			;
		taste[found++] = taste_of(h, kind, mention + i, next - i, day);
	}
	qsort(taste, found, sizeof(Taste), by_place);
	return found;
}

/* The tastes of all kinds, one kind behind the other, as columns OUT_WORDS to OUT_LASTS. */
typedef struct TasteArrays
{
	int			n;
	Datum	   *value[OUT_LASTS - OUT_WORDS + 1];
	bool	   *isnull[OUT_LASTS - OUT_WORDS + 1];
} TasteArrays;

static void
append(TasteArrays *a, int column, Datum value, bool isnull)
{
	a->value[column - OUT_WORDS][a->n] = value;
	a->isnull[column - OUT_WORDS][a->n] = isnull;
}

/* What is said of one kind as a whole. */
typedef struct KindSums
{
	Numeric		total;			/* of what is liked; NULL: nothing is */
	Numeric		diversity;		/* 1 - the squares of the shares */
} KindSums;

static KindSums
append_kind(TasteArrays *a, const Taste *taste, int n)
{
	KindSums	sums = {0};
	Numeric		squares = NULL;

	for (int i = 0; i < n && taste[i].liked; i++)
		sums.total = onec_numeric_sum(sums.total, taste[i].weight);
	for (int i = 0; i < n; i++, a->n++)
	{
		const Taste *t = &taste[i];

		if (t->liked)
		{
			Numeric		share = numeric_div_opt_error(t->weight, sums.total, NULL);

			squares = onec_numeric_sum(squares, numeric_mul_opt_error(share, share, NULL));
		}
		append(a, OUT_WORDS, Int32GetDatum(t->word), false);
		append(a, OUT_WEIGHTS, NumericGetDatum(t->weight), false);
		append(a, OUT_WORD_RECEIPTS, Int32GetDatum(t->receipts), false);
		append(a, OUT_LASTS, TimestampGetDatum(t->last), !t->has_last);
	}
	if (squares)
		sums.diversity = numeric_sub_opt_error(int64_to_numeric(1), squares, NULL);
	return sums;
}

/* The best of what is liked: categories by their values, which the site knows, others by their titles. */
static Datum
favorites(Kind kind, const Taste *taste, int n)
{
	Datum		favorite[FAVORITES];
	bool		no_null[FAVORITES] = {false};
	int			kept_ones = 0;

	for (; kept_ones < Min(n, FAVORITES) && taste[kept_ones].liked; kept_ones++)
		favorite[kept_ones] = kind == CATEGORY ? taste[kept_ones].value : taste[kept_ones].title;
	return PointerGetDatum(onec_array(favorite, no_null, kept_ones, TEXTOID, -1, false, TYPALIGN_INT));
}

static Datum
numerics_of_kinds(const Numeric *value)
{
	Datum		datum[KINDS];
	bool		isnull[KINDS];

	for (int kind = 0; kind < KINDS; kind++)
	{
		datum[kind] = NumericGetDatum(value[kind]);
		isnull[kind] = value[kind] == NULL;
	}
	return PointerGetDatum(onec_array(datum, isnull, KINDS, NUMERICOID, -1, false, TYPALIGN_INT));
}

void
onec_put_tastes(Row *row, const History *h)
{
	TasteArrays a = {0};
	Taste	   *taste = palloc(h->lines * sizeof(Taste));
	Datum		found[KINDS];
	bool		no_null[KINDS] = {false};
	Numeric		total[KINDS];
	Numeric		diversity[KINDS];

	for (size_t i = 0; i < lengthof(a.value); i++)
	{
		a.value[i] = palloc(KINDS * h->lines * sizeof(Datum));
		a.isnull[i] = palloc(KINDS * h->lines * sizeof(bool));
	}
	for (int kind = 0; kind < KINDS; kind++)
	{
		int			n = tastes_of_kind(h, kind, taste);
		KindSums	sums = append_kind(&a, taste, n);

		found[kind] = Int32GetDatum(n);
		total[kind] = sums.total;
		diversity[kind] = sums.diversity;
		onec_put(row, OUT_CATEGORIES + kind, favorites(kind, taste, n));
	}
#define COLUMN(out, type, length, by_value, align) \
	onec_put(row, out, PointerGetDatum(onec_array(a.value[out - OUT_WORDS], a.isnull[out - OUT_WORDS], a.n, \
												  type, length, by_value, align)))
	COLUMN(OUT_WORDS, INT4OID, sizeof(int32), true, TYPALIGN_INT);
	COLUMN(OUT_WEIGHTS, NUMERICOID, -1, false, TYPALIGN_INT);
	COLUMN(OUT_WORD_RECEIPTS, INT4OID, sizeof(int32), true, TYPALIGN_INT);
	COLUMN(OUT_LASTS, TIMESTAMPOID, sizeof(Timestamp), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
#undef COLUMN
	onec_put(row, OUT_FOUND, PointerGetDatum(onec_array(found, no_null, KINDS, INT4OID, sizeof(int32), true,
														TYPALIGN_INT)));
	onec_put(row, OUT_TOTALS, numerics_of_kinds(total));
	onec_put(row, OUT_DIVERSITY, numerics_of_kinds(diversity));
}
