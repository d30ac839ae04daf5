/*-------------------------------------------------------------------------
 *
 * edm_types.h
 *	  The types of $metadata and what they are called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_EDM_TYPES_H
#define ONEC_EDM_TYPES_H

#include <stdbool.h>

typedef enum OnecEdmType
{
	ONEC_EDM_STRING,
	ONEC_EDM_GUID,
	ONEC_EDM_DATETIME,
	ONEC_EDM_DOUBLE,
	ONEC_EDM_INT16,
	ONEC_EDM_INT32,
	ONEC_EDM_INT64,
	ONEC_EDM_BOOLEAN,
	ONEC_EDM_BINARY,
	ONEC_EDM_STREAM,
	ONEC_EDM_COMPOSITE,			/* Edm.String X with a sibling X_Type and no X_Base64Data */
	ONEC_EDM_COLLECTION,		/* Collection(StandardODATA.X_RowType) */
	ONEC_EDM_COMPLEX,			/* a ComplexType, e.g. TypeDescription */
	ONEC_EDM_UNKNOWN			/* read as text */
} OnecEdmType;

/* The type that $metadata names: "Edm.Guid", "Collection(StandardODATA.X)". */
extern OnecEdmType onec_edm_type_of_name(const char *name);

/* "String", "Guid" …: the value of the column option edm_type. */
extern const char *onec_edm_type_label(OnecEdmType type);

/* The reverse, ASCII case ignored, an "Edm." before it tolerated; false when unknown. */
extern bool onec_edm_type_from_label(const char *label, OnecEdmType *type);

#endif							/* ONEC_EDM_TYPES_H */
