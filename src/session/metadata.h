/*-------------------------------------------------------------------------
 *
 * metadata.h
 *	  Small answers read whole, and $metadata.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_METADATA_H
#define ONEC_METADATA_H

#include "postgres.h"

#include "onec_error.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/odata.h"
#include "session/reply.h"
#include "session/session.h"
#include "table/options.h"

/*
 * Send and read a small answer whole, with retries.  False with "error" for an error answer of 1C itself
 * (REFUSED, RIGHTS, NO_SET …, SERVER); anything else is raised.  *body is palloc'd and terminated.
 */
extern bool onec_session_fetch(OnecSession *session, const OnecOptions *options,
							   const OnecRequest *request, OnecSpent *spent,
							   char **body, size_t *len, OnecError *error);

/*
 * $metadata of the base, read now unless read lately; with "fresh", unless read since the current
 * statement began.  Lives until the next call.
 */
extern const OnecEdm *onec_session_edm(OnecSession *session, const OnecOptions *options, bool fresh);

#endif							/* ONEC_METADATA_H */
