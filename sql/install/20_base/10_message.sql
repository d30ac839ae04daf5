-- What of an error may be kept for readers: what happened and where, never a value or a row, for those are of
-- people.

-- Texts of 1C about a request, of the wrapper and of this extension hold none; those of PostgreSQL hold
-- values where a value is at fault (class 22), and rows in DETAIL; what a function of somebody else raises (a
-- trigger on a table of the store) may hold anything.
CREATE FUNCTION onec_internal.message_without_values(code text, message text, detail text,
													 context text) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN (code LIKE 'HV%' OR context ~ '^request to 1C: ') AND w.raised ~ '\monec(_internal)?\.'
			THEN concat_ws(': ', message, nullif(detail, ''))
		WHEN w.place <> '' AND message IN ('value of 1C does not fit the type of the column',
										   'value of 1C is not valid base64', 'value of 1C is too long',
			'number of 1C has more digits after the point than the column') THEN message || ': ' || w.place
		-- the innermost function that says so is another's
		WHEN w.raised !~ '\monec(_internal)?\.' OR left(code, 2) NOT IN ('08', '0A', '21', '22', '23', '25',
			'28', '2B', '2D', '3D', '3F', '40', '42', '53', '54', '55', '57', '58', 'XX')
			THEN 'an error whose text is not kept, for it may hold values (SQLSTATE ' || code || ')'
		WHEN left(code, 2) = '22' AND w.raised !~ 'RAISE$' THEN CASE code
			WHEN '22001' THEN 'a text is too long' WHEN '22003' THEN 'a number is out of range'
			WHEN '22007' THEN 'a date is not valid'
			WHEN '22008' THEN 'a date is out of range' WHEN '22012' THEN 'division by zero'
			WHEN '22P02' THEN 'a text is no value of the type'
			ELSE 'a value is not accepted' END
				|| concat(' (SQLSTATE ', code, ')', ': ' || nullif(w.place, ''))
		ELSE message END
	FROM (SELECT coalesce(substring(context FROM '(?n)^column "[^\n]* of the answer$'), '') AS place,
				 coalesce(substring(context FROM '(?n)^.*\mPL/.*$'), 'onec.') AS raised) w
$$;
COMMENT ON FUNCTION onec_internal.message_without_values(text, text, text, text) IS
	'Что из текста ошибки можно хранить и показывать: без значений и строк (служебная)';
