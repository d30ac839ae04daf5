/*-------------------------------------------------------------------------
 *
 * lookup_path.h
 *	  When the planner may choose a join that looks keys up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_LOOKUP_PATH_H
#define ONEC_LOOKUP_PATH_H

#include "postgres.h"

/* Setting onec_fdw.enable_lookup: let the planner choose such joins. */
extern bool onec_enable_lookup;

/* Have such joins considered; called once, when the library is loaded. */
extern void onec_lookup_init(void);

#endif							/* ONEC_LOOKUP_PATH_H */
