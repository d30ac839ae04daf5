/*-------------------------------------------------------------------------
 *
 * words.h
 *	  What 1C's own words mean, in Russian and English.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_WORDS_H
#define ONEC_WORDS_H

#include "postgres.h"

#include "onec_error.h"
#include "session/reply.h"

/* Whether the head of a body holds the phrase. */
extern bool onec_words_hold(const char *body, size_t len, const char *phrase);

/* Whether an error speaks of a session; of a lock, a session or a licence, which passes. */
extern bool onec_words_session(const OnecError *error);
extern bool onec_words_pass(const OnecError *error, const char *body, size_t len);

/* Whether it speaks of a segment of a path. */
extern bool onec_words_path(const OnecError *error);

/* The parts of the request that 1C's own words may mean; 0 where others speak, or name none. */
extern unsigned onec_words_blame(const OnecReply *reply, const OnecError *error, const char *body,
								 size_t len);

#endif							/* ONEC_WORDS_H */
