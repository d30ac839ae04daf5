/*-------------------------------------------------------------------------
 *
 * told_atom.h
 *	  A message of an exchange plan as 1C gives it when nobody asks for JSON: an Atom feed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TOLD_ATOM_H
#define ONEC_TOLD_ATOM_H

#include <stddef.h>

#include "protocol/told.h"

/* Add what a whole feed tells.  False with "error" (REPLY, MEMORY), and then "told" is of no use. */
extern bool onec_told_atom(OnecTold *told, const char *data, size_t len, OnecError *error);

#endif							/* ONEC_TOLD_ATOM_H */
