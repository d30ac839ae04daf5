/*-------------------------------------------------------------------------
 *
 * largest_page.h
 *	  Rows of the largest page that a base is known to have sent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_LARGEST_PAGE_H
#define ONEC_LARGEST_PAGE_H

#include "postgres.h"

#include "session/session.h"

/*
 * Rows of the largest page that the base is known to have sent, to this backend or before, within a day; 0:
 * of none.  A page that is shorter than one that came before was not cut by the server.
 */
extern int64 onec_session_largest_page(OnecSession *session);

/* A page of so many rows has come. */
extern void onec_session_note_page(OnecSession *session, int64 rows);

/* Forget how large pages were. */
extern void onec_session_forget_pages(OnecSession *session);

#endif							/* ONEC_LARGEST_PAGE_H */
