/*-------------------------------------------------------------------------
 *
 * direct.c
 *	  Changes of foreign tables of write_mode 'direct': sent to 1C at once, and what 1C made of them.
 *
 * What is written in 1C stays written whatever becomes of the transaction.  So a transaction block is refused
 * unless the session asks for it, a transaction or a savepoint that is rolled back warns of what it leaves
 * behind, none that has written can be prepared for a commit in two phases, and every error says how far the
 * statement had come.  Nothing is sent twice: where the outcome is unknown, the error names the key, by which
 * the object can be looked up.
 *
 * What 1C says of a change may quote it: it is told to the client, and kept out of the server's log.
 *
 * Memory: the caller's context, but for what a transaction remembers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "compat.h"
#include "fdw/direct.h"
#include "protocol/json/json_rows.h"
#include "session/log.h"
#include "session/session.h"
#include "table/text.h"
#include "writing/change.h"

bool		onec_direct_modify = false;

/* ---- what a rollback leaves behind ---- */

/* The subtransactions that have written, one entry an object; in the memory of the transaction. */
static List *written = NIL;

static void
warn_of_rollback(int count)
{
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg_plural("rolled back, but %d object stays written in 1C",
						   "rolled back, but %d objects stay written in 1C", count, count),
			 errdetail("Tables of write_mode 'direct' send at once: ROLLBACK does not undo it.")));
}

/*
 * A prepared transaction may be rolled back later by another session, which could not warn of what stays in
 * 1C; and whoever prepares relies on nothing having happened until then.  So it is an error, as with
 * postgres_fdw, after which the transaction is rolled back, and warns.
 */
static void
refuse_prepare(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that has written to 1C by foreign tables of write_mode "
					"'direct'"),
			 errdetail("What they have sent is in 1C already: neither COMMIT PREPARED nor ROLLBACK PREPARED "
					   "would decide about it."),
			 errhint("COMMIT it; or queue the rows: write_mode 'outbox'.")));
}

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_PREPARE && written != NIL)
		refuse_prepare();
	if (event == XACT_EVENT_ABORT && written != NIL)
		warn_of_rollback(list_length(written));
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		written = NIL;
}

/* Those within a subtransaction have greater numbers than it has. */
static void
at_end_of_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			before = 0;

	if (event != SUBXACT_EVENT_ABORT_SUB || written == NIL)
		return;
	while (before < list_length(written) && (SubTransactionId) list_nth_oid(written, before) < mine)
		before++;
	if (before < list_length(written))
		warn_of_rollback(list_length(written) - before);
	written = list_truncate(written, before);
}

static void
remember_written(void)
{
	static bool registered = false;
	MemoryContext old;

	if (!registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		RegisterSubXactCallback(at_end_of_subtransaction, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	written = lappend_oid(written, (Oid) GetCurrentSubTransactionId());
	MemoryContextSwitchTo(old);
}

/* ---- begin ---- */

static void
refuse_transaction_block(Relation rel)
{
	/* an exception handler is one, too */
	if (IsTransactionBlock() && !onec_direct_modify)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("foreign table \"%s\" cannot be written inside a transaction block",
						RelationGetRelationName(rel)),
				 errdetail("Its option write_mode is 'direct': rows are sent to 1C at once, and ROLLBACK "
						   "does not undo that."),
				 errhint("Send them as a statement of its own; or, if what a rollback leaves in 1C does no "
						 "harm, SET onec_fdw.direct_modify = on; or queue them: write_mode 'outbox'.")));
}

OnecDirect *
onec_direct_begin(ResultRelInfo *result, EState *estate, const OnecOptions *options,
				  const OnecColumn *columns, int ncolumns)
{
	Relation	rel = result->ri_RelationDesc;
	OnecDirect *direct = palloc0(sizeof(OnecDirect));
	List	   *all = NIL;

	refuse_transaction_block(rel);
	direct->options = options;
	direct->login = onec_foreign_modify_user(result, estate);
	/* who has no login learns it before anything is sent */
	(void) onec_session_get(options, direct->login);
	onec_outbox_find(ONEC_TAKER_WRITE_NOW, &direct->write_now);
	direct->reader = onec_row_reader(RelationGetRelid(rel), options, ncolumns);
	direct->reader.memory = AllocSetContextCreate(CurrentMemoryContext, "onec_fdw answer",
												  ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < ncolumns; i++)
	{
		all = lappend_int(all, i + 1);
		if (columns[i].attnum != 0 && columns[i].argument == NULL)
			onec_row_want(&direct->reader, &columns[i]);
	}
	direct->reader.generated = onec_generated_begin(RelationGetRelid(rel), all);
	direct->answer = ExecInitExtraTupleSlot(estate, CreateTupleDescCopy(RelationGetDescr(rel)),
											&TTSOpsVirtual);
	return direct;
}

/* ---- one change ---- */

typedef struct Sending
{
	const OnecDirect *direct;
	const char *key;
	int64		asked;			/* requests of this backend before */
	bool		stored;
} Sending;

/* How far the statement had come. */
static int
tell_place(const Sending *sending)
{
	const OnecDirect *direct = sending->direct;

	errcontext("row %d of the statement, \"%s\" with Ref_Key %s, sent to 1C at once; %d before it written",
			   direct->sent + 1, direct->options->entity_set, sending->key, direct->sent);
	return 0;
}

static void
sending_context(void *arg)
{
	const Sending *sending = arg;

	if (sending->stored)
		errcontext("the object is stored in 1C");
	else if (onec_log_counters().requests > sending->asked)
		errcontext("the object may be stored in 1C");
	(void) tell_place(sending);
}

/* What onec_internal.write_now() answers. */
typedef struct Outcome
{
	char	   *verdict;
	char	   *message;		/* NULL: none */
	Jsonb	   *stored;			/* NULL: nothing to show */
	char	   *differs;		/* names of properties; NULL: none */
} Outcome;

static Datum
part_of(HeapTupleHeader row, int number)
{
	bool		isnull;
	Datum		value = GetAttributeByNum(row, number, &isnull);

	return isnull ? (Datum) 0 : value;
}

/* The change through the delivery's own way, by the login of whoever writes. */
static Outcome
carry(OnecDirect *direct, const char *operation, Datum key, Datum body, Datum version)
{
	NameData	server;
	NullableDatum arguments[6];
	Oid			before = onec_write_login;
	HeapTupleHeader row = NULL;
	Outcome		outcome = {0};
	Datum		part;

	namestrcpy(&server, direct->options->server_name);
	arguments[0] = onec_outbox_argument(NameGetDatum(&server));
	arguments[1] = onec_outbox_argument(CStringGetTextDatum(direct->options->entity_set));
	arguments[2] = onec_outbox_argument(CStringGetTextDatum(operation));
	arguments[3] = onec_outbox_argument(key);
	arguments[4] = onec_outbox_argument(body);
	arguments[5] = onec_outbox_argument(version);
	onec_write_login = direct->login;
	PG_TRY();
	{
		row = DatumGetHeapTupleHeader(onec_outbox_call(&direct->write_now, arguments, 6));
	}
	PG_FINALLY();
	{
		onec_write_login = before;
	}
	PG_END_TRY();
	outcome.verdict = TextDatumGetCString(part_of(row, 1));
	part = part_of(row, 2);
	outcome.message = part ? TextDatumGetCString(part) : NULL;
	part = part_of(row, 3);
	outcome.stored = part ? DatumGetJsonbP(part) : NULL;
	part = part_of(row, 4);
	outcome.differs = part ? TextDatumGetCString(part) : NULL;
	return outcome;
}

/* What each verdict that is no success is called. */
static const struct
{
	const char *verdict;
	int			sqlstate;
	const char *message;
	const char *hint;
}			refusals[] = {
	{"unknown", ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN,
		"whether \"%s\" of server \"%s\" was written is not known: Ref_Key %s",
	"It is not sent again by itself. 1C may still be at work: look the object up by its key after a while."},
	{"passing", ERRCODE_FDW_ERROR, "\"%s\" of server \"%s\" was not written, 1C is busy: Ref_Key %s",
	"Nothing of it is stored: it may be sent again."},
	{"conflict", ERRCODE_T_R_SERIALIZATION_FAILURE,
		"\"%s\" of server \"%s\" was not written, the object is not what it was: Ref_Key %s",
	"Nothing is overwritten: read it again."},
	{"blocked", ERRCODE_INSUFFICIENT_PRIVILEGE,
	"\"%s\" of server \"%s\" was not written, the user of 1C may not: Ref_Key %s", NULL},
	{"login", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	"\"%s\" of server \"%s\" was not written, the login was refused: Ref_Key %s", NULL},
	{"failed", ERRCODE_FDW_ERROR, "\"%s\" of server \"%s\" was not written, 1C refuses it: Ref_Key %s",
	"Nothing of it is stored."},
};

static void
refuse(const Sending *sending, const Outcome *outcome)
{
	const OnecOptions *options = sending->direct->options;
	size_t		i = 0;

	while (i < lengthof(refusals) - 1 && strcmp(outcome->verdict, refusals[i].verdict) != 0)
		i++;
	ereport(ERROR,
			(errcode(refusals[i].sqlstate),
			 errmsg(refusals[i].message, options->entity_set, options->server_name, sending->key),
			 outcome->message ? errdetail("%s", outcome->message) : 0,
			 outcome->message ?
			 errdetail_log("What 1C says may quote what was sent: it is told to the client.") : 0,
			 refusals[i].hint ? errhint("%s", refusals[i].hint) : 0,
			 tell_place(sending)));
}

/* What 1C has stored, in place of what was sent; what its answer does not hold stays. */
static void
show_stored(OnecDirect *direct, Jsonb *stored, TupleTableSlot *slot)
{
	OnecRowReader *reader = &direct->reader;
	char	   *given = JsonbToCString(NULL, &stored->root, VARSIZE(stored));
	const char *text = onec_utf8(given);
	OnecRows   *rows = onec_rows_create(reader->names, reader->nwanted);
	const OnecField *fields;
	OnecError	error = {0};
	size_t		consumed;

	if (rows == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	PG_TRY();
	{
		onec_rows_reset(rows, true);
		if (onec_rows_next(rows, text, strlen(text), true, &consumed, &error) != ONEC_ROWS_ROW)
			ereport(ERROR, (errcode(ERRCODE_FDW_REPLY_HANDLE), errmsg("%s", error.message)));
		fields = onec_rows_fields(rows);
		onec_row_decode_over(reader, fields, slot, direct->answer);
		ExecCopySlot(slot, direct->answer);
	}
	PG_FINALLY();
	{
		onec_rows_free(rows);
	}
	PG_END_TRY();
}

void
onec_direct_send(OnecDirect *direct, const char *operation, Datum key, Datum body, Datum version,
				 TupleTableSlot *slot)
{
	Sending		sending = {direct, DatumGetCString(DirectFunctionCall1(uuid_out, key)),
	onec_log_counters().requests, false};
	ErrorContextCallback callback = {error_context_stack, sending_context, &sending};
	Outcome		outcome;

	error_context_stack = &callback;
	outcome = carry(direct, operation, key, body, version);
	error_context_stack = callback.previous;
	if (strcmp(outcome.verdict, "done") != 0)
		refuse(&sending, &outcome);
	remember_written();
	sending.stored = true;
	error_context_stack = &callback;
	if (outcome.differs != NULL)
		ereport(WARNING,
				(errmsg("1C has stored \"%s\" otherwise than it was sent: %s", direct->options->entity_set,
						outcome.differs)));
	if (slot != NULL && outcome.stored != NULL)
		show_stored(direct, outcome.stored, slot);
	error_context_stack = callback.previous;
	direct->sent++;
}
