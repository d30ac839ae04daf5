/*-------------------------------------------------------------------------
 *
 * types.h
 *	  Edm types and PostgreSQL types: which is which, how values go over, what compares alike.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_TYPES_H
#define ONEC_TYPES_H

#include "postgres.h"

#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "table/columns.h"

#define ONEC_EMPTY_DATE "0001-01-01T00:00:00"	/* of 1C; reads as NULL */
#define ONEC_EMPTY_GUID "00000000-0000-0000-0000-000000000000"	/* likewise */

/* What 1C does with a comparison of a column, against what PostgreSQL does. */
typedef enum OnecVerdict
{
	ONEC_NO,					/* must stay here */
	ONEC_SUPERSET,				/* 1C returns all matching rows, maybe more */
	ONEC_EXACT					/* 1C returns just the matching rows */
} OnecVerdict;

typedef enum OnecCompare
{
	ONEC_EQ,
	ONEC_NE,
	ONEC_LT,
	ONEC_LE,
	ONEC_GT,
	ONEC_GE,
	ONEC_COMPARES				/* count */
} OnecCompare;

/* How a constant fared on its way into a literal. */
typedef enum OnecSent
{
	ONEC_SENT_AS_IS,			/* "text" is the value */
	ONEC_SENT_BETWEEN,			/* it lies between "text" and "next", which 1C holds side by side */
	ONEC_SENT_ABOUT,			/* it lies somewhere from "text" to "next" */
	ONEC_SENT_OUTSIDE,			/* it lies above (or below) everything that 1C can hold */
	ONEC_SENT_NOT				/* cannot be said */
} OnecSent;

typedef struct OnecConstant
{
	OnecSent	sent;
	OnecLiteralKind kind;
	char	   *text;			/* palloc'd, UTF-8 */
	char	   *next;			/* BETWEEN: the neighbour above; NULL when there is none.  ABOUT: the upper
								 * end */
	bool		above;			/* OUTSIDE: above all, else below all */
} OnecConstant;

/* SQL type that IMPORT gives a property: "uuid", "timestamp", "numeric" … */
extern const char *onec_type_sql(OnecEdmType edm);

/*
 * What a column without edm_type is taken for, by its PostgreSQL type and property name.  Text may be
 * a composite value, so it stays UNKNOWN, which is never pushed.
 */
extern OnecEdmType onec_type_infer(Oid type, const char *property);

/*
 * The verdict table.  "why" (static text, never NULL for NO) says what keeps a comparison here.
 * A verdict EXACT supposes that rows with the empty value are excluded where they read as NULL:
 * onec_type_empty() tells what to exclude.
 */
extern OnecVerdict onec_type_compare(const OnecColumn *column, OnecCompare op, const char **why);

/* Whether 1C orders the column as PostgreSQL does. */
extern bool onec_type_orders(const OnecColumn *column);

/*
 * The value 1C keeps for "empty" that reads as NULL, as a literal of kind *kind; NULL when the
 * column has none (or empty_as_null is off).
 */
extern const char *onec_type_empty(const OnecColumn *column, bool empty_as_null,
								   OnecLiteralKind *kind);

/* Write a value of type "type" as the literal that the column is compared with. */
extern void onec_type_encode(const OnecColumn *column, Oid type, Datum value,
							 OnecConstant *constant);

#endif							/* ONEC_TYPES_H */
