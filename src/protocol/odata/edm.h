/*-------------------------------------------------------------------------
 *
 * edm.h
 *	  $metadata of a base: entity sets, properties, keys, functions.
 *
 * The document is 5-17 MB of XML; it is parsed while it arrives and only the
 * parts below are kept.  Everything of an OnecEdm lives in one arena and goes
 * with onec_edm_free().  DTDs are refused.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_EDM_H
#define ONEC_EDM_H

#include <stdbool.h>
#include <stddef.h>

#include "onec_error.h"
#include "protocol/odata/edm_types.h"

typedef struct OnecProperty
{
	const char *name;
	OnecEdmType type;
	const char *type_name;		/* as declared, e.g. "Edm.Guid" */
	bool		nullable;
	bool		is_key;
	int			length;			/* MaxLength; 0: not told, or without limit */
} OnecProperty;

/* An EntityType or ComplexType. */
typedef struct OnecEdmStruct
{
	const char *name;			/* without the namespace */
	OnecProperty *properties;
	int			nproperties;
	const char **keys;			/* names in the order of <Key> */
	int			nkeys;
} OnecEdmStruct;

typedef struct OnecEntitySet
{
	const char *name;
	const OnecEdmStruct *type;	/* NULL when the document does not declare it */
} OnecEntitySet;

typedef struct OnecParameter
{
	const char *name;
	OnecEdmType type;
} OnecParameter;

/* A FunctionImport that reads (IsSideEffecting="false"). */
typedef struct OnecFunction
{
	const char *name;			/* Balance, SliceLast … */
	const char *bound_to;		/* type name of bindingParameter = entity set name, or EntitySetPath; NULL:
								 * neither */
	const OnecEdmStruct *result;	/* row type; NULL when unknown */
	OnecParameter *parameters;	/* without bindingParameter */
	int			nparameters;
} OnecFunction;

typedef struct OnecEdm
{
	OnecEntitySet *sets;		/* in document order */
	int			nsets;
	OnecEdmStruct *types;
	int			ntypes;
	OnecFunction *functions;
	int			nfunctions;
	const char **odd;			/* names that were left out since they hold control characters, escaped */
	int			nodd;
	size_t		bytes;			/* size of the document */
} OnecEdm;

typedef struct OnecEdmParser OnecEdmParser;

/* NULL when out of memory.  "max_bytes" bounds the document (error LIMIT). */
extern OnecEdmParser *onec_edm_begin(size_t max_bytes);

/* Give the next bytes; false with "error" set (REPLY, LIMIT, MEMORY) when the document is not $metadata. */
extern bool onec_edm_feed(OnecEdmParser *parser, const char *data, size_t len, OnecError *error);

/* End of the document: the result, or NULL with "error" set.  The parser is freed either way. */
extern OnecEdm *onec_edm_finish(OnecEdmParser *parser, OnecError *error);

/* Give up; NULL is allowed. */
extern void onec_edm_abandon(OnecEdmParser *parser);

extern void onec_edm_free(OnecEdm *edm);

/* Look-ups by exact name; NULL when absent. */
extern const OnecEntitySet *onec_edm_find_set(const OnecEdm *edm, const char *name);
extern const OnecEdmStruct *onec_edm_find_type(const OnecEdm *edm, const char *name);

#endif							/* ONEC_EDM_H */
