/*-------------------------------------------------------------------------
 *
 * turnovers.c
 *	  Sums over a register of turnovers that 1C answers from its totals.
 *
 * 1C counts active records only, knows dimensions and the period, and takes both ends of a period in
 * (doc/1c-odata.md 5).  So the query must ask for active records, and for nothing but dimensions,
 * sums of resources and a period.  Registers with balances subtract expenses: they are left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "fdw/rel.h"
#include "fdw/turnovers.h"
#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "pushdown/deparse.h"
#include "pushdown/filter.h"
#include "pushdown/operand.h"
#include "table/columns.h"
#include "table/options.h"
#include "table/types.h"

#define RECORDS "_RecordType"

/* What a condition is about. */
typedef enum QualKind
{
	QUAL_OTHER,
	QUAL_ACTIVE,				/* Active */
	QUAL_PERIOD,				/* Period op value */
	QUAL_DIMENSIONS				/* only dimensions, which the rows of Turnovers have too */
} QualKind;

/* ---- the table ---- */

static bool
is_dimension(const OnecOptions *options, const OnecColumn *column)
{
	const char *why;

	return column != NULL && column->argument == NULL &&
		onec_columns_names_contain(options->dimensions, column->property) &&
		onec_type_compare(column, ONEC_EQ, &why) == ONEC_EXACT;
}

static bool
is_resource(const OnecOptions *options, const OnecColumn *column)
{
	return column != NULL && column->type == NUMERICOID && column->typmod < 0 &&
		onec_columns_names_contain(options->resources, column->property);
}

static bool
is_register_of_turnovers(const OnecRel *info)
{
	const OnecOptions *options = info->options;
	size_t		len = strlen(options->entity_set);

	if (!options->push_sum || !options->push_filter || options->function != NULL ||
		options->resources == NULL || options->dimensions == NULL ||
		len <= strlen(RECORDS) || strcmp(options->entity_set + len - strlen(RECORDS), RECORDS) != 0)
		return false;
	for (int i = 0; i < info->ncolumns; i++)
		if (info->columns[i].attnum > 0 && strcmp(info->columns[i].property, "RecordType") == 0)
			return false;
	return true;
}

/* ---- the conditions ---- */

static const OnecColumn *
column_named(const OnecDeparse *deparse, Node *node, const char *name)
{
	const OnecColumn *column = onec_operand_column(deparse, node);

	return column != NULL && strcmp(column->property, name) == 0 ? column : NULL;
}

/* "Period op value": the comparison and the value. */
static bool
read_period(OnecDeparse *deparse, Node *qual, OnecCompare *op, OnecOperand *value)
{
	OpExpr	   *expr = (OpExpr *) qual;
	const OnecColumn *column;
	const char *why;
	bool		left;

	if (!IsA(expr, OpExpr) || list_length(expr->args) != 2)
		return false;
	column = column_named(deparse, linitial(expr->args), "Period");
	left = column != NULL;
	column = left ? column : column_named(deparse, lsecond(expr->args), "Period");
	if (column == NULL || onec_type_compare(column, ONEC_LT, &why) != ONEC_EXACT)
		return false;
	if (!onec_operator_compare(expr->opno, TIMESTAMPOID, op) || *op == ONEC_EQ || *op == ONEC_NE ||
		!onec_operand_read(deparse, left ? lsecond(expr->args) : linitial(expr->args), value))
		return false;
	*op = left ? *op : onec_commuted[*op];
	return value->type == TIMESTAMPOID || value->type == DATEOID;
}

static bool
only_dimensions(const OnecRel *info, OnecDeparse *deparse, Node *qual)
{
	ListCell   *lc;

	foreach(lc, pull_var_clause(qual, PVC_INCLUDE_PLACEHOLDERS))
		if (!is_dimension(info->options, onec_operand_column(deparse, lfirst(lc))))
			return false;
	return !contain_volatile_functions(qual);
}

static QualKind
kind_of_qual(const OnecRel *info, RelOptInfo *rel, Node *qual)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, true);
	OnecOperand value;
	OnecCompare op;

	if (column_named(&deparse, qual, "Active") != NULL)
		return QUAL_ACTIVE;
	if (read_period(&deparse, qual, &op, &value))
		return QUAL_PERIOD;
	return only_dimensions(info, &deparse, qual) ? QUAL_DIMENSIONS : QUAL_OTHER;
}

/* Whether Turnovers takes all conditions, and active records are asked for. */
static bool
takes_conditions(const OnecRel *info, RelOptInfo *rel)
{
	bool		active = false;
	bool		start = false;
	bool		end = false;
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		OnecDeparse deparse = onec_rel_deparse(info, rel, true);
		OnecOperand value;
		OnecCompare op;

		if (rinfo->pseudoconstant)
			return false;
		switch (kind_of_qual(info, rel, (Node *) rinfo->clause))
		{
			case QUAL_ACTIVE:
				active = true;
				break;
			case QUAL_PERIOD:
				(void) read_period(&deparse, (Node *) rinfo->clause, &op, &value);
				*(op == ONEC_GE || op == ONEC_GT ? &start : &end) = true;
				break;
			case QUAL_DIMENSIONS:
				break;
			default:
				return false;
		}
	}
	/* before an end alone there are records without a date, which are none of the wanted */
	return active && (start || !end);
}

/* ---- the query ---- */

static bool
is_sum(const OnecRel *info, const OnecDeparse *deparse, Aggref *agg)
{
	if (agg->aggfnoid != F_SUM_NUMERIC || agg->aggfilter != NULL || agg->aggdistinct != NIL ||
		agg->aggorder != NIL || agg->agglevelsup != 0 || list_length(agg->args) != 1)
		return false;
	return is_resource(info->options,
					   onec_operand_column(deparse, (Node *) linitial_node(TargetEntry, agg->args)->expr));
}

bool
onec_turnovers_possible(PlannerInfo *root, RelOptInfo *rel, const OnecRel *info)
{
	OnecDeparse deparse = onec_rel_deparse(info, rel, true);
	Query	   *parse = root->parse;
	ListCell   *lc;

	if (!is_register_of_turnovers(info) || !parse->hasAggs || parse->groupingSets != NIL ||
		parse->hasWindowFuncs || parse->hasTargetSRFs || parse->rowMarks != NIL ||
		!bms_equal(rel->relids, root->all_baserels) || !bms_is_empty(rel->lateral_relids))
		return false;
	foreach(lc, pull_var_clause((Node *) list_make2(root->processed_tlist, parse->havingQual),
								PVC_INCLUDE_AGGREGATES | PVC_INCLUDE_PLACEHOLDERS))
	{
		Node	   *node = lfirst(lc);

		if (IsA(node, Aggref) ? !is_sum(info, &deparse, (Aggref *) node) :
			!is_dimension(info->options, onec_operand_column(&deparse, node)))
			return false;
	}
	return takes_conditions(info, rel);
}

List *
onec_turnovers_quals(const OnecRel *info, RelOptInfo *rel, List *quals, List **periods)
{
	List	   *dimensions = NIL;
	ListCell   *lc;

	*periods = NIL;
	foreach(lc, quals)
	{
		QualKind	kind = kind_of_qual(info, rel, lfirst(lc));

		if (kind == QUAL_PERIOD)
			*periods = lappend(*periods, lfirst(lc));
		else if (kind == QUAL_DIMENSIONS)
			dimensions = lappend(dimensions, lfirst(lc));
	}
	return dimensions;
}

/* ---- the period ---- */

/* First second that is not before "value", and the last that is not after it. */
static Timestamp
whole_second(Timestamp value, bool up)
{
	Timestamp	rest = ((value % USECS_PER_SEC) + USECS_PER_SEC) % USECS_PER_SEC;

	if (rest == 0)
		return value;
	return up ? value - rest + USECS_PER_SEC : value - rest;
}

/* The moment that a comparison makes an end of the period; both belong to it. */
static Timestamp
bound_of(OnecCompare op, const OnecOperand *value)
{
	int			overflow;
	Timestamp	at = value->type == TIMESTAMPOID ? DatumGetTimestamp(value->value) :
		date2timestamp_opt_overflow(DatumGetDateADT(value->value), &overflow);

	if (TIMESTAMP_NOT_FINITE(at))
		return at;
	switch (op)
	{
		case ONEC_GE:
			return whole_second(at, true);
		case ONEC_GT:
			return whole_second(at, false) + USECS_PER_SEC;
		case ONEC_LE:
			return whole_second(at, false);
		default:
			return whole_second(at, true) - USECS_PER_SEC;
	}
}

static OnecExpr *
moment(Timestamp at)
{
	OnecColumn	column = {.type = TIMESTAMPOID, .typmod = -1, .edm = ONEC_EDM_DATETIME, .property = ""};
	OnecConstant constant;

	onec_type_encode(&column, TIMESTAMPOID, TimestampGetDatum(at), &constant);
	return constant.sent == ONEC_SENT_AS_IS ? onec_make_literal(ONEC_LIT_DATETIME, constant.text) : NULL;
}

bool
onec_turnovers_period(OnecDeparse *deparse, List *periods, OnecExpr **start, OnecExpr **end)
{
	Timestamp	low = DT_NOBEGIN;
	Timestamp	high = DT_NOEND;
	ListCell   *lc;

	*start = *end = NULL;
	foreach(lc, periods)
	{
		OnecOperand value;
		OnecCompare op;
		bool		lower;

		if (!read_period(deparse, lfirst(lc), &op, &value))
			elog(ERROR, "a condition on the period is not what it was");
		lower = op == ONEC_GE || op == ONEC_GT;
		if (!value.known)
			*(lower ? start : end) = onec_operand_placeholder(&value);
		else if (value.isnull)
			return false;
		else if (lower)
			low = Max(low, bound_of(op, &value));
		else
			high = Min(high, bound_of(op, &value));
	}
	if (low == DT_NOEND || high == DT_NOBEGIN || low > high)
		return false;
	if (low != DT_NOBEGIN)
		*start = moment(low);
	if (high != DT_NOEND)
		*end = moment(high);
	/* what 1C cannot hold lies before or after everything */
	return !(low != DT_NOBEGIN && *start == NULL && low > 0) &&
		!(high != DT_NOEND && *end == NULL && high < 0);
}

/* ---- the virtual table ---- */

OnecOptions *
onec_turnovers_options(const OnecOptions *options)
{
	OnecOptions *totals = palloc(sizeof(OnecOptions));

	*totals = *options;
	totals->entity_set = pnstrdup(options->entity_set, strlen(options->entity_set) - strlen(RECORDS));
	totals->function = pstrdup("Turnovers");
	totals->key = NULL;
	return totals;
}

OnecColumn *
onec_turnovers_columns(const OnecOptions *options, const OnecColumn *columns, int ncolumns)
{
	OnecColumn *totals = palloc(sizeof(OnecColumn) * (ncolumns + 1));

	memcpy(totals, columns, sizeof(OnecColumn) * ncolumns);
	for (int i = 0; i < ncolumns; i++)
		if (columns[i].attnum > 0 && is_resource(options, &columns[i]))
			totals[i].property = psprintf("%sTurnover", columns[i].property);
	return totals;
}
