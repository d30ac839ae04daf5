/*-------------------------------------------------------------------------
 *
 * like.h
 *	  column LIKE pattern.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_LIKE_H
#define ONEC_LIKE_H

#include "postgres.h"

#include "pushdown/deparse.h"
#include "table/columns.h"

/*
 * column LIKE pattern (of the server's encoding), by what the pattern says in clear: how the text begins,
 * ends, and what it holds between.  Always a superset.
 */
extern OnecTerm onec_filter_like(const OnecColumn *column, const char *pattern);

#endif							/* ONEC_LIKE_H */
