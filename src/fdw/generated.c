/*-------------------------------------------------------------------------
 *
 * generated.c
 *	  Generated columns of foreign tables: 1C knows nothing of them, they are computed here from the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "fdw/generated.h"

typedef struct GeneratedColumn
{
	int			attnum;
	ExprState  *state;
} GeneratedColumn;

struct OnecGenerated
{
	ExprContext *econtext;
	List	   *columns;		/* of GeneratedColumn */
};

/* What a column is computed from, or NULL for one that is not. */
static Node *
generation_expression(TupleDesc desc, int attnum)
{
	const TupleConstr *constr = desc->constr;

	if (!TupleDescAttr(desc, attnum - 1)->attgenerated || constr == NULL)
		return NULL;
	for (int i = 0; i < constr->num_defval; i++)
		if (constr->defval[i].adnum == attnum)
			return stringToNode(constr->defval[i].adbin);
	return NULL;
}

List *
onec_generated_sources(Oid relid, List *attrs)
{
	Relation	rel = table_open(relid, NoLock);
	Bitmapset  *used = NULL;
	ListCell   *lc;
	int			member = -1;

	foreach(lc, attrs)
	{
		Node	   *expr = generation_expression(RelationGetDescr(rel), lfirst_int(lc));

		if (expr != NULL)
			pull_varattnos(expr, 1, &used);
	}
	table_close(rel, NoLock);
	while ((member = bms_next_member(used, member)) >= 0)
		if (member + FirstLowInvalidHeapAttributeNumber > 0)
			attrs = list_append_unique_int(attrs, member + FirstLowInvalidHeapAttributeNumber);
	return attrs;
}

OnecGenerated *
onec_generated_begin(Oid relid, List *attrs)
{
	Relation	rel = table_open(relid, NoLock);
	OnecGenerated *generated = palloc0(sizeof(OnecGenerated));
	ListCell   *lc;

	foreach(lc, attrs)
	{
		Node	   *expr = generation_expression(RelationGetDescr(rel), lfirst_int(lc));
		GeneratedColumn *column;

		if (expr == NULL)
			continue;
		column = palloc(sizeof(GeneratedColumn));
		column->attnum = lfirst_int(lc);
		column->state = ExecInitExpr(expression_planner((Expr *) expr), NULL);
		generated->columns = lappend(generated->columns, column);
	}
	table_close(rel, NoLock);
	if (generated->columns == NIL)
		return NULL;
	generated->econtext = CreateStandaloneExprContext();
	return generated;
}

void
onec_generated_fill(OnecGenerated *generated, TupleTableSlot *slot)
{
	ListCell   *lc;

	ResetExprContext(generated->econtext);
	generated->econtext->ecxt_scantuple = slot;
	foreach(lc, generated->columns)
	{
		GeneratedColumn *column = lfirst(lc);
		int			at = column->attnum - 1;

		slot->tts_values[at] = ExecEvalExprSwitchContext(column->state, generated->econtext,
														 &slot->tts_isnull[at]);
	}
}
