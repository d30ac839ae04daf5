/*-------------------------------------------------------------------------
 *
 * page_again.h
 *	  A page whose rows have no key is asked for again with it, where rows may have come twice.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGE_AGAIN_H
#define ONEC_PAGE_AGAIN_H

#include "postgres.h"

#include "reading/page_repeat.h"
#include "reading/pager.h"

/*
 * Raise an error if the page, whose rows have no key, holds rows twice, or those of "earlier" (NULL: of no
 * page in particular).  The pages behind it come with their key.
 */
extern void onec_pager_check_again(OnecPager *pager, const OnecMark *earlier);

#endif							/* ONEC_PAGE_AGAIN_H */
