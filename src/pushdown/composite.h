/*-------------------------------------------------------------------------
 *
 * composite.h
 *	  Conditions on a value of several types: the value and its type, as one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_COMPOSITE_H
#define ONEC_COMPOSITE_H

#include "postgres.h"

#include "nodes/pg_list.h"

#include "pushdown/deparse.h"

/*
 * "X = value", one of the ANDed "quals", together with "X_Type = type" among them.  False when "qual" is no
 * such comparison, or has no such companion, or the option push_composite is off.
 */
extern bool onec_composite_pair(OnecDeparse *deparse, List *quals, Expr *qual, OnecTerm *term);

#endif							/* ONEC_COMPOSITE_H */
