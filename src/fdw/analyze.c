/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE of a foreign table: rows counted by 1C, a sample from pages spread over the set.
 *
 * A set that is not much larger than the sample is read whole.  A larger one is sampled by pages at even
 * distances, since 1C pays for every row it skips: rows of a page are neighbours, which
 * makes the sample of columns that follow the order a little too uniform.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/vacuum.h"
#include "executor/tuptable.h"
#include "foreign/fdwapi.h"
#include "miscadmin.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "fdw/analyze.h"
#include "fdw/generated.h"
#include "fdw/row.h"
#include "protocol/json/json_rows.h"
#include "protocol/odata/edm_types.h"
#include "reading/page_request.h"
#include "reading/pager.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/columns.h"
#include "table/options.h"

#define SAMPLE_PAGES 20			/* pages of a set that is not read whole */

/* What reading a sample needs. */
typedef struct Sample
{
	Relation	rel;
	OnecOptions *options;
	OnecRowReader reader;
	TupleTableSlot *slot;
	OnecPager  *pager;
	OnecSpent	spent;
	HeapTuple  *rows;
	int			target;
	int			count;
	double		seen;			/* rows looked at */
	ReservoirStateData reservoir;
	double		to_skip;		/* rows to pass by before the next one is taken; < 0: not chosen */
} Sample;

static void
open_sample(Sample *sample)
{
	Oid			relid = RelationGetRelid(sample->rel);
	int			natts;
	OnecColumn *columns = onec_columns_of_table(relid, &natts);
	OnecWanted	wanted = {0};
	List	   *attrs = NIL;

	sample->options = onec_options_of_table(relid);
	sample->reader = onec_row_reader(relid, sample->options, natts);
	for (int i = 0; i < natts; i++)
	{
		attrs = lappend_int(attrs, i + 1);
		/* long values are not worth their way, and have no statistics to speak of */
		if (columns[i].attnum == 0 || columns[i].argument != NULL ||
			columns[i].edm == ONEC_EDM_BINARY || columns[i].edm == ONEC_EDM_STREAM ||
			columns[i].edm == ONEC_EDM_COLLECTION)
			continue;
		onec_row_want(&sample->reader, &columns[i]);
	}
	sample->slot = MakeSingleTupleTableSlot(RelationGetDescr(sample->rel), &TTSOpsVirtual);
	sample->reader.generated = onec_generated_begin(relid, attrs);
	wanted.names = sample->reader.names;
	wanted.nnames = sample->reader.nwanted;
	wanted.date = onec_columns_date(columns, natts);
	sample->pager = onec_pager_create(onec_session_get(sample->options, GetUserId()),
									  sample->options, &wanted, &sample->spent);
	sample->reader.memory = AllocSetContextCreate(CurrentMemoryContext, "onec_fdw sample",
												  ALLOCSET_SMALL_SIZES);
}

static HeapTuple
make_tuple(Sample *sample, const OnecField *fields)
{
	TupleTableSlot *slot = sample->slot;

	onec_row_decode(&sample->reader, sample->pager, fields, (int64) sample->seen, slot);
	onec_row_store(&sample->reader, slot);
	return heap_form_tuple(RelationGetDescr(sample->rel), slot->tts_values, slot->tts_isnull);
}

/* Vitter's reservoir, as for local tables. */
static void
take_row(Sample *sample, const OnecField *fields)
{
	int			at = sample->count;

	sample->seen++;
	if (sample->count == sample->target)
	{
		if (sample->to_skip < 0)
			sample->to_skip = reservoir_get_next_S(&sample->reservoir, sample->seen - 1,
												   sample->target);
		if (sample->to_skip-- > 0)
			return;
		at = (int) (sample->target * sampler_random_fract(&sample->reservoir.randstate));
		heap_freetuple(sample->rows[at]);
		sample->to_skip = -1;
	}
	else
		sample->count++;
	sample->rows[at] = make_tuple(sample, fields);
}

/* Read rows from the pager until it ends or "most" have come. */
static void
read_rows(Sample *sample, const OnecQuery *query, double most)
{
	const OnecField *fields;
	double		rows = 0;

	onec_pager_start(sample->pager, query);
	while (rows < most && (fields = onec_pager_next(sample->pager)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		take_row(sample, fields);
		rows++;
	}
	onec_pager_stop(sample->pager);
}

static int
acquire_sample(Relation rel, int level, HeapTuple *rows, int target, double *total, double *dead)
{
	Sample		sample = {.rel = rel, .rows = rows, .target = target, .to_skip = -1};
	OnecQuery	query = {.hint = -1};
	int64		count = -1;
	int64		page = target / SAMPLE_PAGES + 1;

	open_sample(&sample);
	reservoir_init_selection_state(&sample.reservoir, target);
	if (sample.options->function == NULL && !onec_pager_count(sample.pager, &query, &count))
		count = -1;
	if (count < 0 || count <= (int64) target * 2)
		read_rows(&sample, &query, get_float8_infinity());
	else
	{
		for (int i = 0; i < SAMPLE_PAGES; i++)
		{
			query.skip = (count - page) / SAMPLE_PAGES * i;
			query.hint = page;
			read_rows(&sample, &query, page);
		}
	}
	ExecDropSingleTupleTableSlot(sample.slot);
	*total = count >= 0 ? count : sample.seen;
	*dead = 0;
	ereport(level,
			(errmsg("\"%s\": %.0f rows in 1C, %d rows in sample, " INT64_FORMAT " requests",
					RelationGetRelationName(rel), *total, sample.count, sample.spent.requests)));
	return sample.count;
}

bool
onec_analyze_table(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages)
{
	(void) relation;
	*func = acquire_sample;
	*totalpages = 1;
	return true;
}
