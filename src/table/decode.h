/*-------------------------------------------------------------------------
 *
 * decode.h
 *	  Fields of a page as Datums.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_DECODE_H
#define ONEC_DECODE_H

#include "postgres.h"

#include "fmgr.h"
#include "pgtime.h"
#include "utils/uuid.h"

#include "compat.h"
#include "protocol/json/json_rows.h"
#include "table/columns.h"
#include "table/options.h"

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
	char		day[11];		/* the last "YYYY-MM-DDT", of which rows in the order of dates have many */
	Timestamp	midnight;		/* … where it begins */
	union
	{
		pg_uuid_t	uuid;
		char		text[VARATT_SHORT_MAX + 1];
	}			last;			/* memory of the last value, where that is small */
};

extern void onec_decoder_init(OnecDecoder *decoder, const OnecColumn *column,
							  const OnecOptions *options);

/*
 * The value of a field, which lasts until the next one of this decoder, or as long as the current memory
 * context.  Absent and JSON null are NULL; so are the empty date and the zero guid unless empty_as_null is
 * off.  ERROR of class 22 for what the type does not take, for words where a number or a date has to be, and
 * for a number that numeric(p,s) would round (other types round as they always do); of class 23 for what a
 * domain, checked for NULLs too, does not take.
 */
extern Datum onec_decode(OnecDecoder *decoder, const OnecField *field, bool *isnull);

#endif							/* ONEC_DECODE_H */
