/*-------------------------------------------------------------------------
 *
 * history_private.h
 *	  What history.c and tastes.c share: a customer's lines, and the row that is made of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HISTORY_PRIVATE_H
#define ONEC_HISTORY_PRIVATE_H

#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

typedef enum Kind
{
	CATEGORY, BRAND, STORE, KINDS
} Kind;

typedef struct Line
{
	pg_uuid_t	receipt;
	Timestamp	at;				/* of the receipt */
	Timestamp	period;			/* of the line */
	DateADT		day;
	bool		is_purchase;
	int			sign;			/* of amount */
	Numeric		amount;
	Numeric		weight;			/* NULL: says nothing of tastes */
	int			word[KINDS];	/* 0: none */
} Line;

/* onec_internal.taste_book: products, stores and words ascend. */
typedef struct Book
{
	int			products;
	const pg_uuid_t *product;
	const int32 *category_of;	/* number of the word; 0: none */
	const int32 *brand_of;
	int			stores;
	const pg_uuid_t *store;
	const int32 *store_of;
	int			words;
	const int32 *word;
	Datum	   *value;			/* texts */
	Datum	   *title;
} Book;

typedef struct History
{
	Timestamp	since;			/* months seen whole */
	Timestamp	till;
	Timestamp	recent;			/* the window of RFM */
	int			lines;
	int			room;
	Line	   *line;
	const Book *book;
} History;

/* Columns of onec_internal.history, in order. */
enum
{
	OUT_RECEIPTS, OUT_SALE_NET, OUT_REPEAT_NET, OUT_MEDIAN_CHECK, OUT_FIRST_AT, OUT_LAST_AT,
	OUT_VISITS, OUT_FIRST_DAY, OUT_LAST_DAY, OUT_LOW_GAP, OUT_MEDIAN_GAP, OUT_HIGH_GAP,
	OUT_MARCH, OUT_NEW_YEAR, OUT_VALENTINE, OUT_SPAN_RECEIPTS, OUT_RECENT_RECEIPTS, OUT_RECENT_VISITS,
	OUT_MONTHS, OUT_SPAN_MONTHS,
	OUT_WORDS, OUT_WEIGHTS, OUT_WORD_RECEIPTS, OUT_LASTS, OUT_FOUND, OUT_TOTALS, OUT_DIVERSITY,
	OUT_CATEGORIES, OUT_BRANDS, OUT_STORES, OUT_COLUMNS
};

typedef struct Row
{
	Datum		value[OUT_COLUMNS];
	bool		isnull[OUT_COLUMNS];
} Row;

#endif							/* ONEC_HISTORY_PRIVATE_H */
