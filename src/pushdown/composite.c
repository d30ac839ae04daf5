/*-------------------------------------------------------------------------
 *
 * composite.c
 *	  Conditions on a value of several types: the value and its type, as one.
 *
 * 1C compares such a value with a bare identifier without an error and without rows; the documented
 * form is "X eq cast(guid'…','Document_Y')" (doc/1c-odata.md 6.2).  Nobody has confirmed it for the recorder
 * of a register, and a wrong answer would be a lost row: hence the option, which is off at first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "protocol/odata/edm_types.h"
#include "protocol/odata/odata.h"
#include "pushdown/composite.h"
#include "pushdown/deparse.h"
#include "pushdown/filter.h"
#include "pushdown/operand.h"
#include "table/columns.h"
#include "table/guid.h"
#include "table/text.h"
#include "table/types.h"

#define TYPE_PREFIX "StandardODATA."
#define TYPE_PREFIX_LEN (sizeof(TYPE_PREFIX) - 1)

/* "column = value" of texts, or of identifiers where the column was made so. */
static const OnecColumn *
read_equal(OnecDeparse *deparse, Expr *qual, OnecOperand *value)
{
	OpExpr	   *op = (OpExpr *) qual;
	const OnecColumn *column;
	OnecCompare compare;
	bool		swapped;

	if (!IsA(op, OpExpr) || list_length(op->args) != 2)
		return NULL;
	column = onec_operand_column(deparse, linitial(op->args));
	swapped = column == NULL;
	if (swapped)
		column = onec_operand_column(deparse, lsecond(op->args));
	if (column == NULL || (column->type != TEXTOID && column->type != UUIDOID) || column->computed ||
		!onec_operator_compare(op->opno, column->type, &compare) || compare != ONEC_EQ ||
		!onec_operand_read(deparse, swapped ? linitial(op->args) : lsecond(op->args), value) ||
		value->type != column->type)
		return NULL;
	return column;
}

static bool
is_type_of(const OnecColumn *type, const OnecColumn *column)
{
	size_t		len = strlen(column->property);

	return strncmp(type->property, column->property, len) == 0 &&
		strcmp(type->property + len, "_Type") == 0;
}

static bool
is_guid(const char *text)
{
	unsigned char bytes[UUID_LEN];
	bool		zero;

	return onec_guid_parse(text, strlen(text), bytes, &zero);
}

static OnecTerm
compare_reference(const OnecColumn *column, const OnecOperand *value, const OnecOperand *type)
{
	OnecExpr   *literal;
	char	   *guid;
	char	   *name;

	if ((value->known && value->isnull) || (type->known && type->isnull))
		return onec_term_none();
	if (!value->known || !type->known)
		return onec_term_tree(ONEC_SUPERSET, onec_make_compare(column, ONEC_EQ,
															   onec_operand_placeholder(value->known ? type :
																						value)));
	guid = value->type == UUIDOID ? DatumGetCString(DirectFunctionCall1(uuid_out, value->value)) :
		TextDatumGetCString(value->value);
	name = TextDatumGetCString(type->value);
	if (!is_guid(guid) || strncmp(name, TYPE_PREFIX, TYPE_PREFIX_LEN) != 0)
		return onec_term_no("the value is not a reference");
	literal = onec_make_literal(ONEC_LIT_REFERENCE, guid);
	literal->lit_type = onec_utf8(name + TYPE_PREFIX_LEN);
	return onec_term_tree(ONEC_SUPERSET, onec_make_compare(column, ONEC_EQ, literal));
}

bool
onec_composite_pair(OnecDeparse *deparse, List *quals, Expr *qual, OnecTerm *term)
{
	OnecOperand value;
	const OnecColumn *column;
	ListCell   *lc;

	if (!deparse->composites)
		return false;
	column = read_equal(deparse, qual, &value);
	if (column == NULL || column->edm != ONEC_EDM_COMPOSITE)
		return false;
	foreach(lc, quals)
	{
		OnecOperand type;
		const OnecColumn *beside = read_equal(deparse, lfirst(lc), &type);

		if (beside == NULL || type.type != TEXTOID || !is_type_of(beside, column))
			continue;
		*term = compare_reference(column, &value, &type);
		return term->verdict != ONEC_NO;
	}
	return false;
}
