/*-------------------------------------------------------------------------
 *
 * onec_fdw.c
 *	  Entry of the library: settings and the table of callbacks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "utils/guc.h"

#include "fdw/analyze.h"
#include "fdw/async.h"
#include "fdw/direct.h"
#include "fdw/explain.h"
#include "fdw/import.h"
#include "fdw/lookup_path.h"
#include "fdw/modify.h"
#include "fdw/plan.h"
#include "fdw/scan.h"
#include "reading/pager.h"
#include "session/log.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(onec_fdw_handler);

void		_PG_init(void);

void
_PG_init(void)
{
	DefineCustomBoolVariable("onec_fdw.log_requests",
							 "Log every request to 1C.",
							 "The address is logged decoded; credentials never are.",
							 &onec_log_requests, false, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("onec_fdw.enable_lookup",
							 "Let the planner join by looking up many keys with one request.",
							 NULL,
							 &onec_enable_lookup, true, PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	DefineCustomIntVariable("onec_fdw.page_size",
							"Rows of a page, in place of the option page_size.",
							"0 leaves it to the option.",
							&onec_page_size, 0, 0, 1000000, PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	DefineCustomBoolVariable("onec_fdw.short_page_ends",
							 "A page with fewer rows than were asked for may end a set.",
							 "If off, one more request always asks what follows.",
							 &onec_short_page_ends, true, PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	DefineCustomBoolVariable("onec_fdw.direct_modify",
							 "Let tables of write_mode 'direct' be written inside a transaction block.",
							 "What is sent is not undone by ROLLBACK.",
							 &onec_direct_modify, false, PGC_USERSET, 0, NULL, NULL, NULL);
	onec_lookup_init();
	MarkGUCPrefixReserved("onec_fdw");
}

Datum
onec_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = onec_plan_rel_size;
	routine->GetForeignPaths = onec_plan_paths;
	routine->GetForeignPlan = onec_plan_scan;
	routine->GetForeignUpperPaths = onec_plan_upper_paths;

	routine->BeginForeignScan = onec_scan_begin;
	routine->IterateForeignScan = onec_scan_iterate;
	routine->ReScanForeignScan = onec_scan_rescan;
	routine->EndForeignScan = onec_scan_end;
	routine->ExplainForeignScan = onec_scan_explain;

	routine->IsForeignRelUpdatable = onec_modify_is_updatable;
	routine->AddForeignUpdateTargets = onec_modify_add_targets;
	routine->PlanForeignModify = onec_modify_plan;
	routine->BeginForeignModify = onec_modify_begin;
	routine->BeginForeignInsert = onec_modify_begin_insert;
	routine->ExecForeignInsert = onec_modify_insert;
	routine->GetForeignModifyBatchSize = onec_modify_batch_size;
	routine->ExecForeignBatchInsert = onec_modify_insert_batch;
	routine->ExecForeignUpdate = onec_modify_update;
	routine->ExecForeignDelete = onec_modify_delete;
	routine->ExplainForeignModify = onec_modify_explain;

	routine->IsForeignPathAsyncCapable = onec_async_is_capable;
	routine->ForeignAsyncRequest = onec_async_request;
	routine->ForeignAsyncConfigureWait = onec_async_configure_wait;
	routine->ForeignAsyncNotify = onec_async_notify;

	routine->AnalyzeForeignTable = onec_analyze_table;
	routine->ImportForeignSchema = onec_import_schema;

	PG_RETURN_POINTER(routine);
}
