/*-------------------------------------------------------------------------
 *
 * guid.h
 *	  Identifiers of 1C as sixteen bytes.
 *
 * Most columns of 1C hold them, so this is inline.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_GUID_H
#define ONEC_GUID_H

#include "postgres.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "utils/uuid.h"

#include "protocol/hex.h"

/*
 * Thirty-two hexadecimal digits as sixteen bytes; false for any other character.  Which digits come is
 * random, so branches would be mispredicted, and uuids are what most columns of 1C hold: all are taken at
 * once.
 */
#ifdef __SSE2__

/* The values of sixteen digits; the lanes of *good stay set where there is one. */
static inline __m128i
onec_guid_digits(__m128i text, __m128i *good)
{
	/* what has bit 0x40 may be a letter, and is made a small one */
	__m128i		small = _mm_or_si128(text, _mm_srli_epi16(_mm_and_si128(text, _mm_set1_epi8(0x40)), 1));
	__m128i		figure = _mm_sub_epi8(small, _mm_set1_epi8('0'));
	__m128i		letter = _mm_sub_epi8(small, _mm_set1_epi8('a'));
	__m128i		is_figure = _mm_cmpeq_epi8(_mm_min_epu8(figure, _mm_set1_epi8(9)), figure);
	__m128i		is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);

	*good = _mm_and_si128(*good, _mm_or_si128(is_figure, is_letter));
	return _mm_or_si128(_mm_and_si128(is_figure, figure),
						_mm_and_si128(is_letter, _mm_add_epi8(letter, _mm_set1_epi8(10))));
}

/* Two digits in each lane of 16 bits as one number. */
static inline __m128i
onec_guid_join(__m128i values)
{
	return _mm_and_si128(_mm_or_si128(_mm_slli_epi16(values, 4), _mm_srli_epi16(values, 8)),
						 _mm_set1_epi16(0xFF));
}

static inline bool
onec_guid_hex(const uint64 *text, unsigned char *out)
{
	__m128i		good = _mm_set1_epi8(-1);
	__m128i		first = onec_guid_digits(_mm_set_epi64x((int64) text[1], (int64) text[0]), &good);
	__m128i		second = onec_guid_digits(_mm_set_epi64x((int64) text[3], (int64) text[2]), &good);

	_mm_storeu_si128((__m128i *) out, _mm_packus_epi16(onec_guid_join(first), onec_guid_join(second)));
	return _mm_movemask_epi8(good) == 0xFFFF;
}

#else

static inline bool
onec_guid_hex(const uint64 *words, unsigned char *out)
{
	const char *text = (const char *) words;

	for (int i = 0; i < UUID_LEN; i++, text += 2)
	{
		int			byte = onec_hex(text, 2);

		if (byte < 0)
			return false;
		out[i] = (unsigned char) byte;
	}
	return true;
}

#endif

/*
 * Eight bytes, of two places: of "01234567-89ab-cdef-…" first "0123" and "4567", then "89ab" and "cdef".
 * They are joined in a register: copied to an array of sixteen bytes in pieces, they could not be read from
 * there as one vector until all pieces are written, which costs more than all the rest (a failed store
 * forwarding).
 */
static inline uint64
onec_guid_words(const char *first, const char *second)
{
	uint32		words[2];

	memcpy(&words[0], first, sizeof(uint32));
	memcpy(&words[1], second, sizeof(uint32));
#ifdef WORDS_BIGENDIAN
	return (uint64) words[0] << 32 | words[1];
#else
	return (uint64) words[1] << 32 | words[0];
#endif
}

/*
 * Read "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" into the sixteen bytes of "out"; false for any other form.
 * *zero: all are.
 */
static inline bool
onec_guid_parse(const char *text, size_t len, unsigned char *out, bool *zero)
{
	uint64		hex[4];
	uint64		halves[2];

	if (len != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
		return false;
	hex[0] = onec_guid_words(text, text + 4);
	hex[1] = onec_guid_words(text + 9, text + 14);
	hex[2] = onec_guid_words(text + 19, text + 24);
	hex[3] = onec_guid_words(text + 28, text + 32);
	if (!onec_guid_hex(hex, out))
		return false;
	memcpy(halves, out, sizeof(halves));
	*zero = (halves[0] | halves[1]) == 0;
	return true;
}

#endif							/* ONEC_GUID_H */
