/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  The functions of the extension that take changes, for foreign tables.
 *
 * They run with the rights of the extension's owner and look themselves whether the role of the session may
 * write the set.  They are called directly: of a query with parameters auto_explain would log the bodies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "compat.h"
#include "fdw/outbox.h"

#define MOST_ARGUMENTS 10

typedef struct TakerDef
{
	const char *schema;
	const char *name;
	int			narguments;
	Oid			types[MOST_ARGUMENTS];
} TakerDef;

static const TakerDef takers[] = {
	[ONEC_TAKER_ENQUEUE] = {"onec", "enqueue", 10,
	{NAMEOID, TEXTOID, TEXTOID, UUIDOID, JSONBOID, INT8ARRAYOID, TEXTOID, TEXTOID, TEXTARRAYOID, BOOLOID}},
	[ONEC_TAKER_ENQUEUE_NEW] = {"onec_internal", "enqueue_new", 4,
	{NAMEOID, TEXTOID, UUIDARRAYOID, JSONBARRAYOID}},
	[ONEC_TAKER_WRITE_NOW] = {"onec_internal", "write_now", 6,
	{NAMEOID, TEXTOID, TEXTOID, UUIDOID, JSONBOID, TEXTOID}},
};

static Oid
function_of(const TakerDef *def)
{
	Oid			schema = get_namespace_oid(def->schema, false);
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(def->name),
										   PointerGetDatum(buildoidvector(def->types, def->narguments)),
										   ObjectIdGetDatum(schema));

	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s.%s is not there", def->schema, def->name),
				 errhint("ALTER EXTENSION onec_fdw UPDATE;")));
	return function;
}

void
onec_outbox_find(OnecTaker taker, FmgrInfo *info)
{
	AclResult	may = onec_function_aclcheck(function_of(&takers[ONEC_TAKER_ENQUEUE]), GetUserId());

	if (may != ACLCHECK_OK)
		aclcheck_error(may, OBJECT_FUNCTION, "onec.enqueue");
	fmgr_info(function_of(&takers[taker]), info);
}

Datum
onec_outbox_call(FmgrInfo *info, const NullableDatum *arguments, int narguments)
{
	LOCAL_FCINFO(fcinfo, MOST_ARGUMENTS);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, info, info->fn_nargs, DEFAULT_COLLATION_OID, NULL, NULL);
	for (int i = 0; i < info->fn_nargs; i++)
		fcinfo->args[i] = i < narguments ? arguments[i] : onec_outbox_argument((Datum) 0);
	result = FunctionCallInvoke(fcinfo);
	return fcinfo->isnull ? (Datum) 0 : result;
}
