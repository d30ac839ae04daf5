-- What a call asks for is refused before any work: words that are none of a list (keys, names, kinds), with
-- the nearest; calls that write where nothing can be written.

-- A read-only transaction, above all one of a standby, is told of by the name of what was called.
CREATE FUNCTION onec_internal.must_write(what text) RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF current_setting('transaction_read_only')::boolean THEN
		RAISE read_only_sql_transaction USING
			MESSAGE = format('cannot execute onec.%s in a read-only transaction', what),
			HINT = CASE WHEN pg_is_in_recovery() THEN 'This is a standby: call it on the primary server.'
				   ELSE 'Set transaction_read_only, or default_transaction_read_only, to off.' END;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.must_write(text) IS 'Отказать, если транзакция только читает (служебная)';

-- Those of a list that a word was perhaps meant to be: at least two fifths of their pairs of letters are the
-- same.
CREATE FUNCTION onec_internal.nearest_words(word text, known text[]) RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH word (is_known, name, pair) AS (
		SELECT DISTINCT w.is_known, w.name, substr(' ' || lower(w.name) || ' ', i, 2)
		FROM (SELECT true, unnest($2) UNION ALL SELECT false, left($1, 100)) w (is_known, name),
			generate_series(1, length(w.name) + 1) i),
	alike AS (
		SELECT k.name, 2.0 * count(w.pair) / (count(*) + (SELECT count(*) FROM word a
														  WHERE NOT a.is_known)) AS share
		FROM word k LEFT JOIN word w ON NOT w.is_known AND w.pair = k.pair WHERE k.is_known GROUP BY 1)
	SELECT string_agg(a.name, ', ' ORDER BY a.share DESC, a.name)
	FROM (SELECT * FROM alike WHERE share >= 0.4 ORDER BY share DESC, name LIMIT 3) a
$$;
COMMENT ON FUNCTION onec_internal.nearest_words(text, text[]) IS
	'Похожие слова перечня для подсказки (служебная)';

-- The word, if it is one of those that are known, or NULL; else an error that names the nearest, and all
-- where they are few.
CREATE FUNCTION onec_internal.checked_word(what text, word text, known text[]) RETURNS text
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF word <> ALL (known) THEN
		RAISE invalid_parameter_value USING
			MESSAGE = format('unrecognized %s "%s"', what, word),
			HINT = concat_ws(' ', 'Perhaps you meant: ' || onec_internal.nearest_words(word, known) || '.',
							 CASE WHEN cardinality(known) <= 20
								  THEN format('Known are: %s.', array_to_string(known, ', ')) END);
	END IF;
	RETURN word;
END $$;
COMMENT ON FUNCTION onec_internal.checked_word(text, text, text[]) IS
	'Слово, если оно есть в перечне, иначе ошибка с похожими (служебная)';
