/*-------------------------------------------------------------------------
 *
 * row.h
 *	  Rows of 1C as rows of a foreign table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_ROW_H
#define ONEC_ROW_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "fdw/generated.h"
#include "protocol/json/json_rows.h"
#include "reading/pager.h"
#include "table/columns.h"
#include "table/decode.h"
#include "table/options.h"

/* The columns that are read of each row. */
typedef struct OnecRowReader
{
	Oid			relid;			/* of the foreign table */
	const OnecOptions *options;
	int			nwanted;
	OnecDecoder *decoders;
	bool		calls_out;		/* any of them */
	const char **names;			/* properties, UTF-8 */
	bool	   *optional;		/* which of them rows may lack */
	OnecGenerated *generated;	/* columns that are computed from them; NULL: none */
	MemoryContext memory;		/* of the values, until the next row or some rows longer */
} OnecRowReader;

/* A reader without columns, with room for so many.  The caller sets "generated" and "memory". */
extern OnecRowReader onec_row_reader(Oid relid, const OnecOptions *options, int room);

/* Have a column read too. */
extern void onec_row_want(OnecRowReader *reader, const OnecColumn *column);

/*
 * Decode the fields that "pager" gave, row number "number" of the answer, into a virtual slot, the other
 * columns of which become NULL.  ERROR for what a column does not take, with the column and the row in the
 * CONTEXT.
 */
extern void onec_row_decode(OnecRowReader *reader, OnecPager *pager, const OnecField *fields, int64 number,
							TupleTableSlot *slot);

/*
 * Decode the fields of one object, with which 1C has answered, into a virtual slot of the table and store it;
 * the other columns, and what the answer leaves out, are as in "given", the generated ones computed anew.
 * The values last until the next row.
 */
extern void onec_row_decode_over(OnecRowReader *reader, const OnecField *fields, TupleTableSlot *given,
								 TupleTableSlot *slot);

/* The slot is complete but for the generated columns: compute them, and make it a row. */
extern void onec_row_store(OnecRowReader *reader, TupleTableSlot *slot);

#endif							/* ONEC_ROW_H */
