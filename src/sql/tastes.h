/*-------------------------------------------------------------------------
 *
 * tastes.h
 *	  What a customer prefers, of the lines of a history.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TASTES_H
#define ONEC_TASTES_H

#include "funcapi.h"

#include "sql/history_private.h"

/* onec_internal.taste_book as C uses it, in the current memory context. */
extern void onec_read_taste_book(Book *book, HeapTupleHeader given);

/* The words of a line that is filled but for these; product or store may be NULL. */
extern void onec_name_tastes(Line *line, const Book *book, const pg_uuid_t *product, const pg_uuid_t *store);

/* One column of a row. */
extern void onec_put(Row *row, int column, Datum value);

/* Columns OUT_WORDS and those behind, of lines sorted by receipt. */
extern void onec_put_tastes(Row *row, const History *h);

#endif							/* ONEC_TASTES_H */
