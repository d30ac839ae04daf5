/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Text on its way between the database's encoding and UTF-8, which is 1C's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TEXT_H
#define ONEC_TEXT_H

#include "postgres.h"

/* Text of the database's encoding as UTF-8; itself where that is the encoding, else palloc'd. */
extern const char *onec_utf8(const char *text);

/*
 * UTF-8 of 1C in the database's encoding; itself where that is UTF-8, else palloc'd.  ERROR for what it does
 * not hold.
 */
extern char *onec_server_text(const char *utf8);

#endif							/* ONEC_TEXT_H */
