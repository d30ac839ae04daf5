/*-------------------------------------------------------------------------
 *
 * fuzz_edm.c
 *	  libFuzzer target: any bytes as $metadata.
 *
 * Promises checked: a document gives the same outcome in one piece and in many; an error has a
 * kind that edm.h allows and a message in UTF-8; whatever is accepted can be walked and
 * looked up; a limit of size holds.
 *
 * The first byte of the input chooses the size of the pieces.  Expat is not instrumented, so
 * chance would not find its grammar: bytes from 0x80 on stand for fragments of metadata.
 * An input whose first byte is 0xFF is taken as it stands.
 *
 *-------------------------------------------------------------------------
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "onec_error.h"
#include "protocol/buf.h"
#include "protocol/json/json_scan.h"
#include "protocol/odata/edm.h"
#include "protocol/odata/edm_types.h"

#define MAX_DOCUMENT (1 << 16)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const fragments[] = {
	"<edmx:Edmx xmlns:edmx=\"http://schemas.microsoft.com/ado/2007/06/edmx\">", "</edmx:Edmx>",
	"<Edmx>", "</Edmx>", "<Schema xmlns=\"http://schemas.microsoft.com/ado/2009/11/edm\">", "</Schema>",
	"<EntityType Name=\"A\">", "<EntityType Name=\"Б_RecordType\">", "</EntityType>", "<EntityType/>",
	"<ComplexType Name=\"A\">", "<ComplexType Name=\"R\">", "</ComplexType>",
	"<Key><PropertyRef Name=\"X\"/></Key>", "<PropertyRef Name=\"X_Type\"/>", "<PropertyRef/>",
	"<Property Name=\"X\" Type=\"Edm.String\"/>", "<Property Name=\"X_Type\" Type=\"Edm.String\"/>",
	"<Property Name=\"X_Type_Type\" Type=\"Edm.String\" Nullable=\"false\"/>",
	"<Property Name=\"X_Base64Data\" Type=\"Edm.Binary\"/>", "<Property Name=\"_Type\" Type=\"Edm.String\"/>",
	"<Property Name=\"Й_Key\" Type=\"Edm.Guid\" MaxLength=\"-1\"/>", "<Property Name=\"\" Type=\"\"/>",
	"<Property Name=\"T\" Type=\"Collection(StandardODATA.R)\"/>",
	"<Property Name=\"C\" Type=\"StandardODATA.R\"/>",
	"<Property Name=\"", "\" Type=\"", "\" MaxLength=\"99999999999999999999\"", "\"/>", "\">", "Edm.Int64",
	"/>",
	"<EntityContainer>", "</EntityContainer>", "<EntitySet Name=\"A\" EntityType=\"StandardODATA.A\"/>",
	"<EntitySet Name=\"Б_RecordType\" EntityType=\"StandardODATA.Б_RecordType\"/>", "<EntitySet Name=\"A\"/>",
	"<FunctionImport Name=\"Balance\" IsSideEffecting=\"false\" ReturnType=\"Collection(StandardODATA.R)\">",
	"<FunctionImport Name=\"Post\" IsSideEffecting=\"true\">", "<FunctionImport>", "</FunctionImport>",
	"<Parameter Name=\"bindingParameter\" Type=\"StandardODATA.A\"/>",
	"<Parameter Name=\"Period\" Type=\"Edm.DateTime\"/>",
	"<!DOCTYPE x [<!ENTITY a \"b\">]>", "<!DOCTYPE html>", "<html>", "&amp;", "&a;", "&#x416;", "<![CDATA[",
	"]]>",
	"<!-- ", " -->", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "\xEF\xBB\xBF", "Ж"
};

#define NFRAGMENTS (sizeof(fragments) / sizeof(fragments[0]))

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static void
put_struct(OnecBuf *out, const OnecEdmStruct *type)
{
	onec_buf_puts(out, type->name);
	for (int i = 0; i < type->nproperties; i++)
	{
		const OnecProperty *property = &type->properties[i];

		check(property->name[0] != '\0');
		onec_buf_puts(out, property->name);
		onec_buf_puts(out, property->type_name);
		onec_buf_puts(out, onec_edm_type_label(property->type));
		onec_buf_putc(out, (char) ('0' + property->nullable + 2 * property->is_key));
	}
	for (int i = 0; i < type->nkeys; i++)
		onec_buf_puts(out, type->keys[i]);
}

static void
put_function(OnecBuf *out, const OnecFunction *function)
{
	onec_buf_puts(out, function->name);
	onec_buf_puts(out, function->bound_to);
	onec_buf_puts(out, function->result ? function->result->name : "-");
	for (int i = 0; i < function->nparameters; i++)
	{
		check(strcmp(function->parameters[i].name, "bindingParameter") != 0);
		onec_buf_puts(out, function->parameters[i].name);
		onec_buf_puts(out, onec_edm_type_label(function->parameters[i].type));
	}
}

static void
put_edm(OnecBuf *out, const OnecEdm *edm)
{
	for (int i = 0; i < edm->ntypes; i++)
	{
		check(onec_edm_find_type(edm, edm->types[i].name) != NULL);
		put_struct(out, &edm->types[i]);
	}
	for (int i = 0; i < edm->nsets; i++)
	{
		const OnecEntitySet *found = onec_edm_find_set(edm, edm->sets[i].name);

		check(found != NULL && strcmp(found->name, edm->sets[i].name) == 0);
		onec_buf_puts(out, edm->sets[i].name);
		onec_buf_puts(out, edm->sets[i].type ? edm->sets[i].type->name : "-");
	}
	for (int i = 0; i < edm->nfunctions; i++)
		put_function(out, &edm->functions[i]);
	check(onec_edm_find_set(edm, "no such set") == NULL && onec_edm_find_type(edm, "no such type") == NULL);
}

/* Parse in pieces of "step" bytes; the transcript tells the whole outcome.  Piece borders end allocations. */
static OnecErrorKind
read_document(const OnecBuf *document, size_t step, size_t limit, OnecBuf *out)
{
	OnecEdmParser *parser = onec_edm_begin(limit);
	OnecError	error = {.kind = ONEC_OK};
	OnecEdm    *edm;
	bool		good = true;

	for (size_t at = 0; good && at < document->len; at += step)
	{
		size_t		len = document->len - at < step ? document->len - at : step;
		char	   *piece = malloc(len);

		memcpy(piece, document->data + at, len);
		good = onec_edm_feed(parser, piece, len, &error);
		free(piece);
		check(good == (error.kind == ONEC_OK));
	}
	edm = onec_edm_finish(parser, &error);
	check((edm == NULL) == (error.kind != ONEC_OK) && (good || edm == NULL));
	check(onec_json_utf8(error.message, strlen(error.message)));
	if (edm != NULL)
	{
		check(edm->bytes == document->len && edm->bytes <= limit);
		put_edm(out, edm);
	}
	onec_edm_free(edm);
	return error.kind;
}

static void
make_document(const uint8_t *data, size_t size, OnecBuf *document)
{
	bool		plain = data[0] == 0xFF;

	for (size_t i = 1; i < size && document->len < MAX_DOCUMENT; i++)
	{
		if (plain || data[i] < 0x80)
			onec_buf_putc(document, (char) data[i]);
		else
			onec_buf_puts(document, fragments[(data[i] - 0x80) % NFRAGMENTS]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	OnecBuf		document;
	OnecBuf		whole;
	OnecBuf		pieces;
	OnecErrorKind kind;

	if (size == 0)
		return 0;
	onec_buf_init(&document);
	onec_buf_init(&whole);
	onec_buf_init(&pieces);
	make_document(data, size, &document);
	kind = read_document(&document, document.len + 1, MAX_DOCUMENT * 2, &whole);
	check(kind == ONEC_OK || kind == ONEC_ERR_REPLY);
	check(read_document(&document, (size_t) data[0] % 32 + 1, MAX_DOCUMENT * 2, &pieces) == kind);
	check(whole.len == pieces.len && (whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0));
	if (document.len > 0)
	{
		onec_buf_clear(&pieces);
		kind = read_document(&document, 7, document.len - 1, &pieces);
		check(kind == ONEC_ERR_LIMIT || kind == ONEC_ERR_REPLY);
	}
	onec_buf_free(&document);
	onec_buf_free(&whole);
	onec_buf_free(&pieces);
	return 0;
}
