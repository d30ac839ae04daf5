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

#include "fmgr.h"
#include "pgtime.h"
#include "utils/uuid.h"

#include "compat.h"
#include "table/options.h"
#include "protocol/odata/edm.h"
#include "protocol/json/json_rows.h"
#include "protocol/odata/odata.h"

#define ONEC_EMPTY_DATE "0001-01-01T00:00:00"	/* of 1C; reads as NULL */

/* SQL type that IMPORT gives a property: "uuid", "timestamp", "numeric" … */
extern const char *onec_type_sql(OnecEdmType edm);

/*
 * What a column without edm_type is taken for, by its PostgreSQL type and property name.  Text may be
 * a composite value, so it stays UNKNOWN, which is never pushed.
 */
extern OnecEdmType onec_type_infer(Oid type, const char *property);

typedef struct OnecDecoder OnecDecoder;

/* Turns fields of one column into Datums. */
struct OnecDecoder
{
	OnecColumn	column;
	bool		empty_as_null;
	bool		converts_zones;
	const char *timezone;		/* of the server; NULL: that of the session */
	pg_tz	   *zone;			/* … once it was needed */
	Datum		(*convert) (OnecDecoder *decoder, const OnecField *field, bool *isnull);
	bool		nested;			/* it takes nested values */
	bool		calls_out;		/* converting may run other people's code, which may read tables of its own */
	Oid			type;			/* of the column, or what its domain is over */
	int32		typmod;
	FmgrInfo	input;			/* exact fall-back: the type's own input function */
	Oid			ioparam;
	void	   *domain;			/* what domain_check() keeps */
	MemoryContext context;		/* … where */
	const char *entity_set;		/* for messages */
	union
	{
		pg_uuid_t	uuid;
		char		text[VARATT_SHORT_MAX + 1];
	}			last;			/* memory of the last value, where that is small */
};

extern void onec_decoder_init(OnecDecoder *decoder, const OnecColumn *column,
							  const OnecOptions *options);

/*
 * The value of a field, which lasts until the next one of this decoder, or as long as the current memory context.  Absent and
 * JSON null are NULL; so are the empty date and the zero guid unless empty_as_null is off.  ERROR of class 22 for what the
 * type does not take, for words where a number or a date has to be, and for a number that numeric(p,s) would round (other
 * types round as they always do); of class 23 for what a domain, checked for NULLs too, does not take.
 */
extern Datum onec_decode(OnecDecoder *decoder, const OnecField *field, bool *isnull);

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
	char	   *next;			/* BETWEEN: the neighbour above; NULL when there is none.  ABOUT: the upper end */
	bool		above;			/* OUTSIDE: above all, else below all */
} OnecConstant;

/* Write a value of type "type" as the literal that the column is compared with. */
extern void onec_type_encode(const OnecColumn *column, Oid type, Datum value,
							 OnecConstant *constant);

/* Text of the server's encoding as UTF-8; itself when that is the encoding. */
extern const char *onec_utf8(const char *text);

#endif							/* ONEC_TYPES_H */
