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

#endif							/* ONEC_KEY_PARTS_H */
