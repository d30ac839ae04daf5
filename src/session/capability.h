/*-------------------------------------------------------------------------
 *
 * capability.h
 *	  What a base was found to refuse, kept beyond the life of a backend.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_CAPABILITY_H
#define ONEC_CAPABILITY_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "protocol/odata/odata.h"
#include "session/session.h"
#include "table/options.h"

/* What a base was found to refuse, per entity set; nothing at first. */
typedef struct OnecRefusals
{
	bool		filter;
	bool		order;
	bool		count;
	bool		dates;			/* it does not order by dates, though it accepts that */
	List	   *conditions;		/* of some shape, see onec_refusals_hold(); private */
} OnecRefusals;

/*
 * What is remembered of an entity set; the caller may set its flags.  Lives as long as the session.  What was
 * noticed a day ago is forgotten by this call.
 */
extern OnecRefusals *onec_session_refusals(OnecSession *session, const char *entity_set);

/*
 * Remember that the base refuses conditions like this one: of the same fields, operators and functions,
 * whatever the values.
 */
extern void onec_session_refuse(OnecSession *session, const char *entity_set, const OnecExpr *condition);

/* Whether the base refuses the condition, or a part of it; only the condition as a whole. */
extern bool onec_refusals_hold(const OnecRefusals *refusals, const OnecExpr *condition);
extern bool onec_refusals_hold_whole(const OnecRefusals *refusals, const OnecExpr *condition);

/*
 * What this backend would know of the entity set of "options" if it asked as "userid" now: nothing is asked,
 * and no session is made.  palloc'd, or that of a session.
 */
extern const OnecRefusals *onec_session_foresee(const OnecOptions *options, Oid userid);

/* Have everything tried anew. */
extern void onec_session_forget_refusals(OnecSession *session);

/* A table of the extension, opened for reading; NULL when the extension lies elsewhere or is being made. */
extern Relation onec_session_open_table(const char *name);

/* Whether what was learned then is not to be relied on any more. */
extern bool onec_session_is_old(TimestampTz since);

#endif							/* ONEC_CAPABILITY_H */
