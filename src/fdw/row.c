/*-------------------------------------------------------------------------
 *
 * row.c
 *	  Rows of 1C as rows of a foreign table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/row.h"
#include "protocol/odata/edm_types.h"
#include "table/text.h"

OnecRowReader
onec_row_reader(Oid relid, const OnecOptions *options, int room)
{
	return (OnecRowReader) {
		.relid = relid,
		.options = options,
		.decoders = palloc0(sizeof(OnecDecoder) * (room + 1)),
		.names = palloc0(sizeof(char *) * (room + 1)),
		.optional = palloc0(sizeof(bool) * (room + 1)),
	};
}

void
onec_row_want(OnecRowReader *reader, const OnecColumn *column)
{
	OnecDecoder *decoder = &reader->decoders[reader->nwanted];

	onec_decoder_init(decoder, column, reader->options);
	reader->calls_out |= decoder->calls_out;
	/* 1C names the value in $metadata, and sends it elsewhere */
	reader->optional[reader->nwanted] = column->edm == ONEC_EDM_STREAM;
	reader->names[reader->nwanted++] = onec_utf8(column->property);
}

/* What is being decoded, for the context of an error. */
typedef struct Decoding
{
	const OnecRowReader *reader;
	const OnecDecoder *decoder;
	int64		row;
} Decoding;

static void
decoding_context(void *arg)
{
	Decoding   *decoding = arg;
	const OnecRowReader *reader = decoding->reader;
	char	   *column;

	if (decoding->decoder == NULL)
		return;
	column = get_attname(reader->relid, decoding->decoder->column.attnum, true);
	errcontext("column \"%s\" (property \"%s\" of \"%s\"), row " INT64_FORMAT " of the answer",
			   column ? column : "?", decoding->decoder->column.property,
			   reader->options->entity_set, decoding->row);
}

/* The fields into the slot; with "keep" those that are absent stay as they are there. */
static void
decode_fields(OnecRowReader *reader, const OnecField *fields, int64 number, bool keep, TupleTableSlot *slot)
{
	Decoding	decoding = {reader, NULL, number};
	ErrorContextCallback callback = {error_context_stack, decoding_context, &decoding};
	MemoryContext old = MemoryContextSwitchTo(reader->memory);
	OnecDecoder *last = reader->decoders + reader->nwanted;
	Datum	   *values = slot->tts_values;
	bool	   *isnull = slot->tts_isnull;

	error_context_stack = &callback;
	for (OnecDecoder *decoder = reader->decoders; decoder < last; decoder++, fields++)
	{
		int			at = decoder->column.attnum - 1;

		if (keep && fields->kind == ONEC_FIELD_ABSENT)
			continue;
		decoding.decoder = decoder;
		values[at] = onec_decode(decoder, fields, &isnull[at]);
	}
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(old);
}

/* Emptying a context costs more than decoding a number: values stay until there are some of them. */
static void
forget_values(OnecRowReader *reader)
{
	if (MemoryContextMemAllocated(reader->memory, false) > ALLOCSET_DEFAULT_INITSIZE)
		MemoryContextReset(reader->memory);
}

void
onec_row_decode(OnecRowReader *reader, OnecPager *pager, const OnecField *fields, int64 number,
				TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	forget_values(reader);
	/* a trigger may have put a row of its own into the slot of the last one */
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	if (reader->calls_out)
		onec_pager_hold(pager, true);
	decode_fields(reader, fields, number, false, slot);
	if (reader->calls_out)
		onec_pager_hold(pager, false);
}

void
onec_row_decode_over(OnecRowReader *reader, const OnecField *fields, TupleTableSlot *given,
					 TupleTableSlot *slot)
{
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	MemoryContextReset(reader->memory);
	slot_getallattrs(given);
	memcpy(slot->tts_values, given->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, given->tts_isnull, sizeof(bool) * natts);
	decode_fields(reader, fields, 1, true, slot);
	onec_row_store(reader, slot);
}

void
onec_row_store(OnecRowReader *reader, TupleTableSlot *slot)
{
	ExecStoreVirtualTuple(slot);
	if (reader->generated != NULL)
		onec_generated_fill(reader->generated, slot);
}
