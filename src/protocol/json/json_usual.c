/*-------------------------------------------------------------------------
 *
 * json_usual.c
 *	  Members of a row that are as those of the row before: many bytes at a time.
 *
 * 1C writes one row like the other, so what comes is foretold and only compared: 32 bytes at a time where
 * the processor has AVX2, 16 with SSE2 or NEON, which every processor of those kinds has.  A guess that
 * proves right costs no waiting: where the next member begins is known before this one has been looked
 * at.
 *
 * Memory: none.  Errors: none; whatever is unusual is left where it stands.
 *
 *-------------------------------------------------------------------------
 */
#include "protocol/json/json_usual.h"

#if defined(__SSE2__)
#define HAVE_16
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON) && defined(__AARCH64EL__)
#define HAVE_16
#include <arm_neon.h>
#endif

#ifdef HAVE_16
#define EVERY_BYTE UINT64_C(0x0101010101010101)

/* How many digits stand at "p", where eight bytes can be read: up to eight. */
static inline int
digits(const char *p)
{
	uint64_t	turned = onec_json_word(p) ^ EVERY_BYTE * '0';
	uint64_t	others = (turned | (turned + EVERY_BYTE * (0x80 - 10))) & EVERY_BYTE * 0x80;

	return others == 0 ? 8 : __builtin_ctzll(others) / 8;
}

/* Behind all digits at "p"; NULL when there is none, or not enough behind them. */
static inline const char *
behind_digits(const char *p, const char *end)
{
	const char *first = p;

	while (end - p >= 8)
	{
		int			n = digits(p);

		p += n;
		if (n < 8)
			return p > first ? p : NULL;
	}
	return NULL;
}

/* Behind a number as JSON has it, of digits and a point; NULL when something else stands there. */
static inline const char *
number(const char *p, const char *end)
{
	const char *first = p + (*p == '-');

	p = behind_digits(first, end);
	if (p == NULL || (*first == '0' && p > first + 1))
		return NULL;
	if (*p == '.' && (p = behind_digits(p + 1, end)) == NULL)
		return NULL;
	return *p == 'e' || *p == 'E' ? NULL : p;
}

/* Behind a number or a word, of which a few bytes can be read; NULL when something else stands there. */
static inline const char *
scalar(const char *p, const char *end, OnecFieldKind *kind)
{
	*kind = ONEC_FIELD_NUMBER;
	if (*p < 'a')
		return number(p, end);
	*kind = ONEC_FIELD_BOOL;
	if (memcmp(p, "true", 4) == 0)
		return p + 4;
	if (memcmp(p, "false", 5) == 0)
		return p + 5;
	*kind = ONEC_FIELD_NULL;
	return memcmp(p, "null", 4) == 0 ? p + 4 : NULL;
}
#endif

/*
 * What bytes are compared with.  In memory, and reached by a pointer, since gcc makes constants anew for
 * every member.
 */
typedef struct Patterns
{
	char		ones[2 * ONEC_USUAL_WIDTH]; /* from "len" bytes before the middle: so many ones, then zeros */
	char		turn[ONEC_USUAL_WIDTH];
	char		space[ONEC_USUAL_WIDTH];
	char		slash[ONEC_USUAL_WIDTH];
} Patterns;

typedef int (*Members) (OnecCursor *c, const OnecShape *shape, int member, OnecField *fields, int *taken,
						const Patterns *patterns);

/* Nothing is looked at. */
static int
members_none(OnecCursor *c, const OnecShape *shape, int member, OnecField *fields, int *taken,
			 const Patterns *patterns)
{
	(void) c;
	(void) shape;
	(void) fields;
	(void) taken;
	(void) patterns;
	return member;
}

/* ---- 16 bytes ---- */

#ifdef HAVE_16
#define WIDTH 16
#define TARGET
#define NAME(x) x##_16

#ifdef __SSE2__
typedef __m128i Bytes_16;

static inline Bytes_16
load_16(const void *p)
{
	return _mm_loadu_si128(p);
}

static inline Bytes_16
differ_16(Bytes_16 a, Bytes_16 b)
{
	return _mm_xor_si128(a, b);
}

static inline Bytes_16
either_16(Bytes_16 a, Bytes_16 b)
{
	return _mm_or_si128(a, b);
}

static inline Bytes_16
least_16(Bytes_16 a, Bytes_16 b)
{
	return _mm_min_epu8(a, b);
}

static inline Bytes_16
equal_16(Bytes_16 a, Bytes_16 b)
{
	return _mm_cmpeq_epi8(a, b);
}

static inline bool
is_none_16(Bytes_16 bits)
{
	return _mm_movemask_epi8(_mm_cmpeq_epi8(bits, _mm_setzero_si128())) == 0xFFFF;
}

static inline bool
is_none_before_16(Bytes_16 bits, size_t len, const Patterns *patterns)
{
	return is_none_16(_mm_and_si128(bits, load_16(patterns->ones + ONEC_USUAL_WIDTH - len)));
}

static inline bool
is_ascii_16(Bytes_16 bytes)
{
	return _mm_movemask_epi8(bytes) == 0;
}

static inline bool
is_ascii_before_16(Bytes_16 bytes, size_t len, const Patterns *patterns)
{
	return is_ascii_16(_mm_and_si128(bytes, load_16(patterns->ones + ONEC_USUAL_WIDTH - len)));
}
#else
typedef uint8x16_t Bytes_16;

static inline Bytes_16
load_16(const void *p)
{
	return vld1q_u8(p);
}

static inline Bytes_16
differ_16(Bytes_16 a, Bytes_16 b)
{
	return veorq_u8(a, b);
}

static inline Bytes_16
either_16(Bytes_16 a, Bytes_16 b)
{
	return vorrq_u8(a, b);
}

static inline Bytes_16
least_16(Bytes_16 a, Bytes_16 b)
{
	return vminq_u8(a, b);
}

static inline Bytes_16
equal_16(Bytes_16 a, Bytes_16 b)
{
	return vceqq_u8(a, b);
}

static inline bool
is_none_16(Bytes_16 bits)
{
	return vmaxvq_u8(bits) == 0;
}

static inline bool
is_none_before_16(Bytes_16 bits, size_t len, const Patterns *patterns)
{
	return is_none_16(vandq_u8(bits, load_16(patterns->ones + ONEC_USUAL_WIDTH - len)));
}

static inline bool
is_ascii_16(Bytes_16 bytes)
{
	return vmaxvq_u8(bytes) < 0x80;
}

static inline bool
is_ascii_before_16(Bytes_16 bytes, size_t len, const Patterns *patterns)
{
	return is_ascii_16(vandq_u8(bytes, load_16(patterns->ones + ONEC_USUAL_WIDTH - len)));
}
#endif

#include "protocol/json/json_usual_loop.h"

#undef WIDTH
#undef TARGET
#undef NAME
#endif

/* ---- 32 bytes ---- */

#if defined(__SSE2__) && defined(__GNUC__)
#define HAVE_32
#define WIDTH 32
#define TARGET __attribute__((target("avx2")))
#define NAME(x) x##_32

typedef __m256i Bytes_32;

TARGET static inline Bytes_32
load_32(const void *p)
{
	return _mm256_loadu_si256(p);
}

TARGET static inline Bytes_32
differ_32(Bytes_32 a, Bytes_32 b)
{
	return _mm256_xor_si256(a, b);
}

TARGET static inline Bytes_32
either_32(Bytes_32 a, Bytes_32 b)
{
	return _mm256_or_si256(a, b);
}

TARGET static inline Bytes_32
least_32(Bytes_32 a, Bytes_32 b)
{
	return _mm256_min_epu8(a, b);
}

TARGET static inline Bytes_32
equal_32(Bytes_32 a, Bytes_32 b)
{
	return _mm256_cmpeq_epi8(a, b);
}

TARGET static inline bool
is_none_32(Bytes_32 bits)
{
	return _mm256_testz_si256(bits, bits);
}

TARGET static inline bool
is_none_before_32(Bytes_32 bits, size_t len, const Patterns *patterns)
{
	return _mm256_testz_si256(bits, load_32(patterns->ones + ONEC_USUAL_WIDTH - len));
}

TARGET static inline bool
is_ascii_32(Bytes_32 bytes)
{
	return _mm256_movemask_epi8(bytes) == 0;
}

TARGET static inline bool
is_ascii_before_32(Bytes_32 bytes, size_t len, const Patterns *patterns)
{
	return is_ascii_32(_mm256_and_si256(bytes, load_32(patterns->ones + ONEC_USUAL_WIDTH - len)));
}

#include "protocol/json/json_usual_loop.h"

#undef WIDTH
#undef TARGET
#undef NAME
#endif

/* ---- the choice ---- */

static Members chosen = NULL;	/* until it is needed */
static Patterns patterns;
static bool shapeless = false;

bool
onec_usual_choose(OnecUsualWay way)
{
	memset(patterns.ones, 0xFF, ONEC_USUAL_WIDTH);
	memset(patterns.turn, '"' ^ ' ', ONEC_USUAL_WIDTH);
	memset(patterns.space, ' ', ONEC_USUAL_WIDTH);
	memset(patterns.slash, '\\', ONEC_USUAL_WIDTH);
	shapeless = way == ONEC_USUAL_NONE;
	chosen = members_none;
#ifdef HAVE_16
	if (way == ONEC_USUAL_BEST || way == ONEC_USUAL_16)
		chosen = members_16;
#endif
#ifdef HAVE_32
	if ((way == ONEC_USUAL_BEST || way == ONEC_USUAL_32) && __builtin_cpu_supports("avx2"))
		chosen = members_32;
#endif
	return way == ONEC_USUAL_BEST || way == ONEC_USUAL_NONE || chosen != members_none;
}

bool
onec_usual_wants_shape(void)
{
	return !shapeless;
}

int
onec_usual_members(OnecCursor *c, const OnecShape *shape, int member, OnecField *fields, int *taken)
{
	if (member >= shape->count)
		return member;
	if (chosen == NULL)
		(void) onec_usual_choose(ONEC_USUAL_BEST);
	return chosen(c, shape, member, fields, taken, &patterns);
}
