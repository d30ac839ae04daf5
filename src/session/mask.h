/*-------------------------------------------------------------------------
 *
 * mask.h
 *	  Secrets in texts of the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_MASK_H
#define ONEC_MASK_H

#include "postgres.h"

#include "session/session.h"

/* Mask the session's secrets in a text, which has room for "size" bytes; it does not grow. */
extern void onec_mask(const OnecSession *session, char *text, size_t size);

/* Take the secrets from the session's authorization; wipe them. */
extern void onec_mask_learn(OnecSession *session);
extern void onec_mask_forget(OnecSession *session);

#endif							/* ONEC_MASK_H */
