/*-------------------------------------------------------------------------
 *
 * key_parts.h
 *	  Of which part of a long list of keys a row is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_KEY_PARTS_H
#define ONEC_KEY_PARTS_H

#include "postgres.h"

#include "protocol/json/json_rows.h"
#include "reading/pager.h"

/* Whether a row with this value of what tells the parts apart belongs to another one. */
extern bool onec_pager_is_foreign(OnecPager *pager, const OnecField *field);

/* A page begins: notes which keys its part asks for, if for any. */
extern void onec_pager_note_keys(OnecPager *pager);

/* Whether the row has one of them, or none can be told. */
extern bool onec_pager_is_asked_for(const OnecPager *pager, const OnecField *fields);

/* How many of the part's keys have not come yet; -1: it does not ask for keys. */
extern int64 onec_pager_keys_left(const OnecPager *pager);

#endif							/* ONEC_KEY_PARTS_H */
