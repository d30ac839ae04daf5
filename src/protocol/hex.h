/*-------------------------------------------------------------------------
 *
 * hex.h
 *	  Hexadecimal digits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ONEC_HEX_H
#define ONEC_HEX_H

/*
 * The number that "count" digits at "text" make, small letters or capitals; -1 when another character is
 * among them.
 */
static inline int
onec_hex(const char *text, int count)
{
	int			number = 0;

	for (int i = 0; i < count; i++)
	{
		char		small = text[i] | 0x20;

		if (text[i] >= '0' && text[i] <= '9')
			number = number << 4 | (text[i] - '0');
		else if (small >= 'a' && small <= 'f')
			number = number << 4 | (small - 'a' + 10);
		else
			return -1;
	}
	return number;
}

#endif							/* ONEC_HEX_H */
