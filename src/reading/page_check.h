/*-------------------------------------------------------------------------
 *
 * page_check.h
 *	  Whether the objects of a page are rows, each of which came once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_PAGE_CHECK_H
#define ONEC_PAGE_CHECK_H

#include "postgres.h"

#include "compat.h"
#include "protocol/json/json_rows.h"
#include "reading/page_repeat.h"
#include "reading/pager.h"

/* Whether a row so far lacked the wanted property number "i" that others had; not what they may lack. */
extern bool onec_pager_lacked(const OnecPager *pager, int i);

/* Find the key among the wanted properties. */
extern void onec_pager_find_key(OnecPager *pager);

/* Raise an error if an object is no row: it lacks its key, or all that was asked for. */
extern void onec_pager_check_row(const OnecPager *pager, const OnecField *fields);

/* A wanted property that no row of the page has had so far, and that rows must not lack; or NULL. */
extern const char *onec_pager_missing(const OnecPager *pager);

/* Raise an error if the page, which has ended, lacks a property or has come before. */
extern void onec_pager_check_page(OnecPager *pager);

/*
 * Whether the page begins as an earlier one, reached by a smaller $skip, did: its end will tell whether it is
 * that one again.
 */
extern bool onec_pager_begins_again(const OnecPager *pager);

/*
 * The page broke off after some rows, and what follows them will be asked for: raise an error if they came
 * before.
 */
extern void onec_pager_check_broken(OnecPager *pager);

/* The page has the rows of an earlier one. */
pg_noreturn extern void onec_pager_raise_repeated(const OnecPager *pager, const OnecMark *earlier);

/* A page begins; of the one before only rows that came twice are of interest. */
extern void onec_pager_begin_set(OnecPager *pager);

/* Note a row by its values, where its key is wanted; whether it came with this page already. */
extern bool onec_pager_is_twice(OnecPager *pager, const OnecField *fields);

/* Whether the row last noted came with the page before, of which $skip passed by too few. */
extern bool onec_pager_has_come(const OnecPager *pager);

/* Rows of the page, each once. */
extern int64 onec_pager_page_rows(const OnecPager *pager);

#endif							/* ONEC_PAGE_CHECK_H */
