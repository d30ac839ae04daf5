/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the PostgreSQL versions we build for, and nowhere else.
 *
 * The rest of the source is written for the newest of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_COMPAT_H
#define ONEC_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "onec_fdw is made for PostgreSQL 15 to 18: see \"a version of PostgreSQL\" in CONTRIBUTING.md"
#endif

#include "access/stratnum.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "access/cmptype.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* Before a function that does not return. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* Whether "role" may use the server. */
static inline AclResult
onec_server_aclcheck(Oid serverid, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, serverid, role, ACL_USAGE);
#else
	return pg_foreign_server_aclcheck(serverid, role, ACL_USAGE);
#endif
}

/* Whether "role" may call the function. */
static inline AclResult
onec_function_aclcheck(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
#else
	return pg_proc_aclcheck(function, role, ACL_EXECUTE);
#endif
}

/* The role whose user mapping serves a foreign scan. */
static inline Oid
onec_foreign_scan_user(ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
#if PG_VERSION_NUM >= 160000
	Oid			user = plan->checkAsUser;
#else
	int			rti = plan->scan.scanrelid > 0 ? (int) plan->scan.scanrelid :
		bms_next_member(plan->fs_relids, -1);
	Oid			user = exec_rt_fetch(rti, node->ss.ps.state)->checkAsUser;
#endif

	return OidIsValid(user) ? user : GetUserId();
}

/* The role whose user mapping serves what is written to a foreign table. */
static inline Oid
onec_foreign_modify_user(ResultRelInfo *result, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	Oid			user = ExecGetResultRelCheckAsUser(result, estate);
#else
	ResultRelInfo *root = result->ri_RootResultRelInfo ? result->ri_RootResultRelInfo : result;
	Oid			user = root->ri_RangeTableIndex == 0 ? InvalidOid :
		exec_rt_fetch(root->ri_RangeTableIndex, estate)->checkAsUser;
#endif

	return OidIsValid(user) ? user : GetUserId();
}

/*
 * What an operator is in a btree family: BTLessStrategyNumber and so on, ONEC_STRATEGY_NE for <>, 0 for
 * none.  Later versions have comparison types with the same numbers.
 */
#define ONEC_STRATEGY_NE 6

static inline int
onec_operator_strategy(Oid opno, Oid opfamily)
{
	ListCell   *lc;

#if PG_VERSION_NUM >= 180000
	StaticAssertStmt((int) COMPARE_NE == ONEC_STRATEGY_NE && (int) COMPARE_GT == BTGreaterStrategyNumber,
					 "types of comparison have the numbers of btree");
	foreach(lc, get_op_index_interpretation(opno))
	{
		OpIndexInterpretation *found = lfirst(lc);

		if (found->opfamily_id == opfamily)
			return (int) found->cmptype;
	}
#else
	StaticAssertStmt((int) ROWCOMPARE_NE == ONEC_STRATEGY_NE, "<> has the number behind those of btree");
	foreach(lc, get_op_btree_interpretation(opno))
	{
		OpBtreeInterpretation *found = lfirst(lc);

		if (found->opfamily_id == opfamily)
			return found->strategy;
	}
#endif
	return 0;
}

/* Whether a PathKey asks for the greatest first. */
#if PG_VERSION_NUM >= 180000
#define onec_pathkey_descends(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define onec_pathkey_descends(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/*
 * create_foreignscan_path() and create_foreign_upper_path() without what we never give: a target, a path
 * beside it, nodes that are disabled, clauses that are checked elsewhere.
 */
#if PG_VERSION_NUM >= 180000
#define onec_make_foreign_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, pathkeys, outer, NULL, NIL, private)
#define onec_make_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, NIL, NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define onec_make_foreign_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, NULL, NIL, private)
#define onec_make_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, NULL, NIL, private)
#else
#define onec_make_foreign_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, NULL, private)
#define onec_make_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, NULL, private)
#endif

/* What pg_stat_activity shows of a wait: its name, or, before 17, one that all extensions share. */
static inline uint32
onec_wait_event(const char *name)
{
#if PG_VERSION_NUM >= 170000
	return WaitEventExtensionNew(name);
#else
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

/* A path that is made of another has those of its nodes that are disabled; before 18 the cost told. */
#if PG_VERSION_NUM >= 180000
#define onec_take_disabled(path, from) ((path)->disabled_nodes += (from)->disabled_nodes)
#else
#define onec_take_disabled(path, from) ((void) 0)
#endif

/* Bytes as pg_b64_encode() takes them. */
#if PG_VERSION_NUM >= 180000
#define onec_b64_source(bytes) ((const uint8 *) (bytes))
#else
#define onec_b64_source(bytes) ((const char *) (bytes))
#endif

#endif							/* ONEC_COMPAT_H */
