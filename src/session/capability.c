/*-------------------------------------------------------------------------
 *
 * capability.c
 *	  What a base was found to refuse, by entity set.
 *
 * A base refuses an option altogether, or conditions of one shape: a field with an operator or a function,
 * whatever the value.  A session learns by itself; what onec.remember_refusals() wrote to the table
 * onec_internal.refusal is where a new session begins, so that not each backend has to be refused first.
 * Names are UTF-8 here, and in the encoding of the database there.  After a day all of it is tried again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "protocol/odata/odata.h"
#include "session/capability.h"
#include "session/largest_page.h"
#include "session/session.h"
#include "session/session_private.h"
#include "table/options.h"
#include "table/text.h"

PG_FUNCTION_INFO_V1(onec_session_refusals_sql);
PG_FUNCTION_INFO_V1(onec_forget_session_refusals_sql);

/* What was learned longer ago is tried again. */
#define LIFETIME_MS (24 * 60 * 60 * 1000)

/* A longer shape is not remembered: it has to fit into an index. */
#define LONGEST_SHAPE 1000

typedef struct Condition
{
	char	   *shape;
	TimestampTz since;
} Condition;

/* Columns of onec_internal.refusal. */
enum
{
	COLUMN_SERVER = 1,
	COLUMN_ENTITY_SET,
	COLUMN_CAPABILITY,
	COLUMN_CONDITION,
	COLUMN_FOUND_AT
};

/* Capabilities as users read them; conditions of one shape come after those that are a flag. */
static const char *const capability_names[] = {"filter", "order", "count", "dates", "condition"};

#define FLAGS 4

typedef struct SetRefusals
{
	char	   *entity_set;
	OnecRefusals refusals;
	TimestampTz since[FLAGS];	/* 0: not set, or set since we last looked */
} SetRefusals;

static bool *
flag_of(OnecRefusals *refusals, int capability)
{
	bool	   *const flags[FLAGS] = {
		&refusals->filter, &refusals->order, &refusals->count, &refusals->dates
	};

	return flags[capability];
}

bool
onec_session_is_old(TimestampTz since)
{
	return TimestampDifferenceExceeds(since, GetCurrentTimestamp(), LIFETIME_MS);
}

/* Forget what is old, and note when the rest was learned. */
static void
look_through(SetRefusals *set)
{
	ListCell   *lc;

	for (int i = 0; i < FLAGS; i++)
	{
		bool	   *flag = flag_of(&set->refusals, i);

		if (*flag && set->since[i] == 0)
			set->since[i] = GetCurrentTimestamp();
		*flag = *flag && !onec_session_is_old(set->since[i]);
		if (!*flag)
			set->since[i] = 0;
	}
	foreach(lc, set->refusals.conditions)
		if (onec_session_is_old(((Condition *) lfirst(lc))->since))
			set->refusals.conditions = foreach_delete_current(set->refusals.conditions, lc);
}

/* ---- shapes of conditions ---- */

static void put_shape(StringInfo out, const OnecExpr *expr);

/* "a op b", operations in parentheses. */
static void
put_operand(StringInfo out, const OnecExpr *expr)
{
	bool		plain = expr->kind == ONEC_EXPR_FIELD || expr->kind == ONEC_EXPR_LITERAL ||
		expr->kind == ONEC_EXPR_CALL;

	appendStringInfoString(out, plain ? "" : "(");
	put_shape(out, expr);
	appendStringInfoString(out, plain ? "" : ")");
}

static void
put_operands(StringInfo out, const OnecExpr *expr, const char *between)
{
	for (int i = 0; i < expr->nargs; i++)
	{
		appendStringInfoString(out, i > 0 ? between : "");
		put_operand(out, expr->args[i]);
	}
}

/* The condition without its values: "endswith(RecordType, ?)", "Code eq ?". */
static void
put_shape(StringInfo out, const OnecExpr *expr)
{
	switch (expr->kind)
	{
		case ONEC_EXPR_FIELD:
			appendStringInfoString(out, expr->name);
			break;
		case ONEC_EXPR_LITERAL:
			appendStringInfoChar(out, '?');
			break;
		case ONEC_EXPR_IN:
			put_operand(out, expr->args[0]);
			appendStringInfoString(out, " eq ?");
			break;
		case ONEC_EXPR_NOT:
			appendStringInfoString(out, "not ");
			put_operand(out, expr->args[0]);
			break;
		case ONEC_EXPR_CALL:
			appendStringInfo(out, "%s(", expr->name);
			put_operands(out, expr, ", ");
			appendStringInfoChar(out, ')');
			break;
		default:
			put_operands(out, expr, expr->kind == ONEC_EXPR_AND ? " and " :
						 expr->kind == ONEC_EXPR_OR ? " or " : psprintf(" %s ", expr->op));
	}
}

static char *
shape_of(const OnecExpr *expr)
{
	StringInfoData text;

	initStringInfo(&text);
	put_shape(&text, expr);
	return text.data;
}

static bool
has_shape(const OnecRefusals *refusals, const char *shape)
{
	ListCell   *lc;

	foreach(lc, refusals->conditions)
		if (strcmp(((Condition *) lfirst(lc))->shape, shape) == 0)
			return true;
	return false;
}

bool
onec_refusals_hold_whole(const OnecRefusals *refusals, const OnecExpr *condition)
{
	return refusals->conditions != NIL && has_shape(refusals, shape_of(condition));
}

bool
onec_refusals_hold(const OnecRefusals *refusals, const OnecExpr *condition)
{
	if (refusals->conditions == NIL || condition->kind == ONEC_EXPR_FIELD ||
		condition->kind == ONEC_EXPR_LITERAL)
		return false;
	if (has_shape(refusals, shape_of(condition)))
		return true;
	for (int i = 0; i < condition->nargs; i++)
		if (onec_refusals_hold(refusals, condition->args[i]))
			return true;
	return false;
}

/* In the current context, which has to be that of the list. */
static void
add_shape(OnecRefusals *refusals, const char *shape, TimestampTz since)
{
	Condition  *condition;

	if (strlen(shape) > LONGEST_SHAPE || has_shape(refusals, shape))
		return;
	condition = palloc(sizeof(Condition));
	condition->shape = pstrdup(shape);
	condition->since = since;
	refusals->conditions = lappend(refusals->conditions, condition);
}

void
onec_session_refuse(OnecSession *session, const char *entity_set, const OnecExpr *condition)
{
	OnecRefusals *refusals = onec_session_refusals(session, entity_set);
	char	   *shape = shape_of(condition);
	MemoryContext old = MemoryContextSwitchTo(session->context);

	add_shape(refusals, shape, GetCurrentTimestamp());
	MemoryContextSwitchTo(old);
}

/* ---- remembered ---- */

Relation
onec_session_open_table(const char *name)
{
	Oid			schema = get_namespace_oid("onec_internal", true);
	Oid			table = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	return OidIsValid(table) ? table_open(table, AccessShareLock) : NULL;
}

static bool
text_is(HeapTuple tuple, int column, TupleDesc desc, const char *utf8)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return !isnull && strcmp(onec_server_text(utf8), TextDatumGetCString(value)) == 0;
}

/* In the context of "set". */
static void
take_row(SetRefusals *set, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	TimestampTz since = DatumGetTimestampTz(heap_getattr(tuple, COLUMN_FOUND_AT, desc, &isnull));
	char	   *shape = TextDatumGetCString(heap_getattr(tuple, COLUMN_CONDITION, desc, &isnull));

	if (onec_session_is_old(since))
		return;
	if (shape[0] != '\0')
		add_shape(&set->refusals, pg_server_to_any(shape, strlen(shape), PG_UTF8), since);
	for (int i = 0; i < FLAGS; i++)
	{
		if (!text_is(tuple, COLUMN_CAPABILITY, desc, capability_names[i]))
			continue;
		*flag_of(&set->refusals, i) = true;
		set->since[i] = since;
	}
}

static void
recall(const char *server, SetRefusals *set)
{
	Relation	rel = onec_session_open_table("refusal");
	SysScanDesc scan;
	HeapTuple	tuple;

	if (rel == NULL)
		return;
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		name = heap_getattr(tuple, COLUMN_SERVER, RelationGetDescr(rel), &isnull);

		if (!isnull && strcmp(NameStr(*DatumGetName(name)), server) == 0 &&
			text_is(tuple, COLUMN_ENTITY_SET, RelationGetDescr(rel), set->entity_set))
			take_row(set, tuple, RelationGetDescr(rel));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* ---- of a session ---- */

/* In the current context. */
static SetRefusals *
make_set(const char *server, const char *entity_set)
{
	SetRefusals *set = palloc0(sizeof(SetRefusals));

	set->entity_set = pstrdup(entity_set);
	recall(server, set);
	return set;
}

OnecRefusals *
onec_session_refusals(OnecSession *session, const char *entity_set)
{
	MemoryContext old;
	SetRefusals *set;
	ListCell   *lc;

	foreach(lc, session->refusals)
	{
		set = lfirst(lc);
		if (strcmp(set->entity_set, entity_set) != 0)
			continue;
		look_through(set);
		return &set->refusals;
	}
	old = MemoryContextSwitchTo(session->context);
	set = make_set(session->server_name, entity_set);
	session->refusals = lappend(session->refusals, set);
	MemoryContextSwitchTo(old);
	return &set->refusals;
}

const OnecRefusals *
onec_session_foresee(const OnecOptions *options, Oid userid)
{
	OnecSession *session = onec_session_find(options->serverid, userid);

	if (session != NULL)
		return onec_session_refusals(session, options->entity_set);
	return &make_set(options->server_name, options->entity_set)->refusals;
}

void
onec_session_forget_refusals(OnecSession *session)
{
	ListCell   *lc;

	foreach(lc, session->refusals)
	{
		SetRefusals *set = lfirst(lc);

		memset(&set->refusals, 0, sizeof(set->refusals));
		memset(set->since, 0, sizeof(set->since));
	}
}

static void
put_refusal(ReturnSetInfo *result, const OnecSession *session, const SetRefusals *set, int capability,
			const char *shape, TimestampTz since)
{
	Datum		values[5];
	bool		nulls[5] = {false};

	values[0] = DirectFunctionCall1(namein, CStringGetDatum(session->server_name));
	values[1] = CStringGetTextDatum(onec_server_text(set->entity_set));
	values[2] = CStringGetTextDatum(capability_names[capability]);
	values[3] = CStringGetTextDatum(onec_server_text(shape));
	values[4] = TimestampTzGetDatum(since);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_set(ReturnSetInfo *result, const OnecSession *session, SetRefusals *set)
{
	ListCell   *lc;

	look_through(set);
	for (int i = 0; i < FLAGS; i++)
		if (*flag_of(&set->refusals, i))
			put_refusal(result, session, set, i, "", set->since[i]);
	foreach(lc, set->refusals.conditions)
	{
		const Condition *condition = lfirst(lc);

		put_refusal(result, session, set, FLAGS, condition->shape, condition->since);
	}
}

/* onec.session_refusals() */
Datum
onec_session_refusals_sql(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *sessions = onec_session_all();
	ListCell   *lc;
	ListCell   *set;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, sessions)
	{
		OnecSession *session = lfirst(lc);

		foreach(set, session->refusals)
			put_set(result, session, lfirst(set));
	}
	return (Datum) 0;
}

/* onec_internal.forget_session_refusals(server): this session tries everything again. */
Datum
onec_forget_session_refusals_sql(PG_FUNCTION_ARGS)
{
	const char *server = NameStr(*PG_GETARG_NAME(0));
	ListCell   *lc;

	foreach(lc, onec_session_all())
	{
		OnecSession *session = lfirst(lc);

		if (strcmp(session->server_name, server) != 0)
			continue;
		onec_session_forget_refusals(session);
		onec_session_forget_pages(session);
	}
	PG_RETURN_VOID();
}
