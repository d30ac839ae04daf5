/*-------------------------------------------------------------------------
 *
 * json_told.h
 *	  A message of an exchange plan in JSON.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_JSON_TOLD_H
#define ONEC_JSON_TOLD_H

#include <stddef.h>

#include "protocol/told.h"

/*
 * Add what a whole document tells.  False with "error" (REPLY, LIMIT, MEMORY), and then "told" is of no use.
 */
extern bool onec_told_json(OnecTold *told, const char *data, size_t len, OnecError *error);

#endif							/* ONEC_JSON_TOLD_H */
