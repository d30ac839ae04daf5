/*-------------------------------------------------------------------------
 *
 * page_overlap.c
 *	  Rows that share the date where a page was cut.
 *
 * "seen" holds a hash of each row of the date reached.  When the next page begins, they become
 * "expected": rows that will come again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "protocol/json/json_rows.h"
#include "reading/page_overlap.h"

typedef struct Hashes
{
	uint64	   *items;
	int			count;
	int			room;
} Hashes;

struct OnecTie
{
	int		   *key;			/* fields by which a row is known; none: all of them */
	int			nkey;
	MemoryContext context;
	bool		descending;
	bool		disorder;
	uint64		last;			/* hash of the last row */
	char		bound[ONEC_DATE_SIZE];	/* of the page */
	char		date[ONEC_DATE_SIZE];	/* of the last row; empty before the first */
	Hashes		seen;			/* rows of "date" that have come */
	Hashes		expected;		/* those of them that this page will repeat */
};

OnecTie *
onec_tie_create(const int *key, int nkey)
{
	OnecTie    *tie = palloc0(sizeof(OnecTie));

	tie->nkey = nkey;
	tie->key = palloc(sizeof(int) * (nkey + 1));
	for (int i = 0; i < nkey; i++)
		tie->key[i] = key[i];
	tie->context = CurrentMemoryContext;
	return tie;
}

void
onec_tie_reset(OnecTie *tie, bool descending)
{
	tie->descending = descending;
	tie->disorder = false;
	tie->bound[0] = '\0';
	tie->date[0] = '\0';
	tie->seen.count = 0;
	tie->expected.count = 0;
}

static void
add_hash(OnecTie *tie, Hashes *hashes, uint64 hash)
{
	if (hashes->count == hashes->room)
	{
		hashes->room = hashes->room ? hashes->room * 2 : 64;
		hashes->items = hashes->items ?
			repalloc_huge(hashes->items, sizeof(uint64) * hashes->room) :
			MemoryContextAlloc(tie->context, sizeof(uint64) * hashes->room);
	}
	hashes->items[hashes->count++] = hash;
}

/* Take "hash" out; false when it is not there.  Rows mostly come again in the order they came in. */
static bool
take_hash(Hashes *hashes, uint64 hash)
{
	for (int i = 0; i < hashes->count; i++)
	{
		if (hashes->items[i] != hash)
			continue;
		memmove(hashes->items + i, hashes->items + i + 1,
				sizeof(uint64) * (hashes->count - i - 1));
		hashes->count--;
		return true;
	}
	return false;
}

void
onec_tie_page(OnecTie *tie, const char *bound, bool on)
{
	if (on)
		return;
	strlcpy(tie->bound, bound, sizeof(tie->bound));
	tie->expected.count = 0;
	if (strcmp(tie->date, bound) != 0)
		return;
	for (int i = 0; i < tie->seen.count; i++)
		add_hash(tie, &tie->expected, tie->seen.items[i]);
}

/* Both halves of a product of 64 bits by 64. */
static inline uint64
fold(uint64 a, uint64 b)
{
#ifdef HAVE_INT128
	uint128		product = (uint128) a * b;

	return (uint64) product ^ (uint64) (product >> 64);
#else
	return hash_combine64(murmurhash64(a), murmurhash64(b));
#endif
}

static inline uint64
word_at(const char *text)
{
	uint64		word;

	memcpy(&word, text, sizeof(word));
	return word;
}

/* At most seven bytes, as a number that differs for all of one length. */
static inline uint64
short_word(const char *text, size_t len)
{
	uint32		low;
	uint32		high;

	if (len < sizeof(low))
		return len == 0 ? 0 : (uint64) (unsigned char) text[0] << 16 |
			(uint64) (unsigned char) text[len / 2] << 8 | (unsigned char) text[len - 1];
	memcpy(&low, text, sizeof(low));
	memcpy(&high, text + len - sizeof(high), sizeof(high));
	return (uint64) high << 32 | low;
}

/*
 * Every row of a page ends here with all its wanted values, some hundreds of bytes, so sixteen of them are
 * taken by one multiplication, as wyhash does; hash_bytes_extended() took a sixth of the time of a scan.  The
 * last bytes are taken with some of those before them.  The constants are digits of pi.
 */
static inline uint64
hash_text(const char *text, size_t len, uint64 hash)
{
	const char *end = text + len;

	hash ^= len;
	if (len < 8)
		return fold(short_word(text, len) ^ UINT64CONST(0xA4093822299F31D0),
					hash ^ UINT64CONST(0x082EFA98EC4E6C89));
	for (; end - text > 16; text += 16)
		hash = fold(word_at(text) ^ UINT64CONST(0x243F6A8885A308D3), word_at(text + 8) ^ hash);
	if (len >= 16)
		text = end - 16;
	return fold(word_at(text) ^ UINT64CONST(0x13198A2E03707344), word_at(end - 8) ^ hash);
}

static inline uint64
hash_field(const OnecField *field, uint64 hash)
{
	if (field->kind > ONEC_FIELD_NULL)
		return hash_text(field->text, field->len, hash + field->kind);
	return fold(hash + field->kind, UINT64CONST(0xBE5466CF34E90C6D));
}

uint64
onec_tie_hash(const OnecTie *tie, const OnecField *fields, int nfields)
{
	uint64		hash = UINT64CONST(0x452821E638D01377);

	for (int i = 0; i < tie->nkey; i++)
		hash = hash_field(&fields[tie->key[i]], hash);
	return tie->nkey > 0 ? hash : onec_tie_hash_all(fields, nfields);
}

uint64
onec_tie_hash_all(const OnecField *fields, int nfields)
{
	uint64		hash = UINT64CONST(0x452821E638D01377);

	for (int i = 0; i < nfields; i++)
		hash = hash_field(&fields[i], hash);
	return hash;
}

/* Begin with the rows of another date. */
static void
next_date(OnecTie *tie, const OnecField *date)
{
	int			order = memcmp(date->text, tie->date, ONEC_DATE_SIZE - 1);

	if (tie->date[0] != '\0' && (tie->descending ? order > 0 : order < 0))
		tie->disorder = true;
	memcpy(tie->date, date->text, ONEC_DATE_SIZE - 1);
	tie->date[ONEC_DATE_SIZE - 1] = '\0';
	tie->seen.count = 0;
	tie->expected.count = 0;
}

bool
onec_tie_row(OnecTie *tie, const OnecField *fields, int nfields, const OnecField *date)
{
	uint64		hash;

	if (date->kind != ONEC_FIELD_STRING || date->len != ONEC_DATE_SIZE - 1)
	{
		tie->disorder = true;
		tie->last = 0;
		return true;
	}
	if (memcmp(date->text, tie->date, ONEC_DATE_SIZE - 1) != 0)
		next_date(tie, date);
	hash = tie->last = onec_tie_hash(tie, fields, nfields);
	if (tie->expected.count > 0 && take_hash(&tie->expected, hash))
		return false;
	add_hash(tie, &tie->seen, hash);
	return true;
}

bool
onec_tie_has_key(const OnecTie *tie)
{
	return tie->nkey > 0;
}

uint64
onec_tie_last(const OnecTie *tie)
{
	return tie->last;
}

int
onec_tie_expected(const OnecTie *tie)
{
	return tie->expected.count;
}

int
onec_tie_seen(const OnecTie *tie)
{
	return tie->seen.count;
}

bool
onec_tie_moved(const OnecTie *tie)
{
	return strcmp(tie->date, tie->bound) != 0;
}

void
onec_tie_bound(const OnecTie *tie, char bound[ONEC_DATE_SIZE])
{
	strlcpy(bound, tie->date, ONEC_DATE_SIZE);
}

bool
onec_tie_disorder(const OnecTie *tie)
{
	return tie->disorder;
}
