/*-------------------------------------------------------------------------
 *
 * wrapper.h
 *	  A server by its name, for functions that SQL calls.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_WRAPPER_H
#define ONEC_WRAPPER_H

#include "postgres.h"

#include "foreign/foreign.h"

/* The server of that name if it is one of ours and the caller may use it; else ERROR. */
extern ForeignServer *onec_wrapper_server(const char *name);

#endif							/* ONEC_WRAPPER_H */
