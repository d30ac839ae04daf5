/*-------------------------------------------------------------------------
 *
 * edm_types.c
 *	  What the types of properties are called, in $metadata and in options.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/odata/edm_types.h"

#include <string.h>
#include <strings.h>

/* In the order of OnecEdmType; up to Stream, "Edm." before it is the name in the document. */
static const char *const labels[] = {
	"String", "Guid", "DateTime", "Double", "Int16", "Int32", "Int64", "Boolean", "Binary", "Stream",
	"Composite", "Collection", "Complex", "Unknown"
};

_Static_assert(sizeof(labels) / sizeof(labels[0]) == ONEC_EDM_UNKNOWN + 1, "a label for each type");

const char *
onec_edm_type_label(OnecEdmType type)
{
	return labels[type];
}

bool
onec_edm_type_from_label(const char *label, OnecEdmType *type)
{
	if (strncasecmp(label, "Edm.", 4) == 0)
		label += 4;
	for (int i = 0; i <= ONEC_EDM_UNKNOWN; i++)
	{
		if (strcasecmp(label, labels[i]) == 0)
		{
			*type = (OnecEdmType) i;
			return true;
		}
	}
	return false;
}

OnecEdmType
onec_edm_type_of_name(const char *name)
{
	if (strncmp(name, "Collection(", 11) == 0)
		return ONEC_EDM_COLLECTION;
	if (strncmp(name, "Edm.", 4) != 0)
		return name[0] ? ONEC_EDM_COMPLEX : ONEC_EDM_UNKNOWN;
	for (int i = 0; i <= ONEC_EDM_STREAM; i++)
		if (strcmp(name + 4, labels[i]) == 0)
			return (OnecEdmType) i;
	return ONEC_EDM_UNKNOWN;
}
