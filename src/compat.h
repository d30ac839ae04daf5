/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the PostgreSQL versions we build for, and nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_COMPAT_H
#define ONEC_COMPAT_H

#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/plannodes.h"
#include "utils/acl.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "onec_fdw needs PostgreSQL 15 or later"
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

/* The last arguments of create_foreignscan_path() and its relatives grew in 17. */
#if PG_VERSION_NUM >= 170000
#define ONEC_FDW_RESTRICTINFO , NIL
#else
#define ONEC_FDW_RESTRICTINFO
#endif

#endif							/* ONEC_COMPAT_H */
