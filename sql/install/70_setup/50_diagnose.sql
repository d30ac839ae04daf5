-- onec.diagnose: what works with a base, what does not, and what to do, each with the statement to run.

CREATE FUNCTION onec_internal.try_statement(statement text, OUT value text, OUT error text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	code text;
	detail text;
	context text;
BEGIN
	EXECUTE statement INTO value;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, error = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
	context = PG_EXCEPTION_CONTEXT;
	error := onec_internal.message_without_values(code, error, detail, context);
END $$;
COMMENT ON FUNCTION onec_internal.try_statement(text) IS
	'Выполнить запрос и вернуть значение или ошибку (служебная)';

-- Requests of this statement to the set of a table.
CREATE FUNCTION onec_internal.requests_of_table(server name, tab regclass) RETURNS TABLE (url text,
	status int, error text)
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r.url, r.status, r.error FROM onec.last_requests() r
	WHERE r.server = requests_of_table.server AND r.at >= statement_timestamp()
		AND starts_with(r.url, (SELECT o.option_value
								FROM pg_foreign_table f, pg_options_to_table(f.ftoptions) o
								WHERE f.ftrelid = tab AND o.option_name = 'entity_set') || '?') $$;
COMMENT ON FUNCTION onec_internal.requests_of_table(name, regclass) IS
	'Запросы этой команды к набору таблицы (служебная)';

-- The statement that gives an option of a server a value, whether it has one now or not.
CREATE FUNCTION onec_internal.option_statement(server name, option text, value text) RETURNS text
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('ALTER SERVER %I OPTIONS (%s %I %L);', server,
				  CASE WHEN onec_internal.server_option(server, option) IS NULL THEN 'ADD' ELSE 'SET' END,
				  option, value) $$;
COMMENT ON FUNCTION onec_internal.option_statement(name, text, text) IS
	'Команда, задающая параметр сервера (служебная)';

-- Whether 1C takes an order without a word and does not follow it, which would lose rows between pages:
-- "newest" is what it gave as the last date.  Rows that lie by date begin with the oldest in both orders.
CREATE FUNCTION onec_internal.base_ignores_order(tab text, date_column text, newest timestamp) RETURNS boolean
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	oldest timestamp;
	other text;
BEGIN
	SELECT value::timestamp INTO oldest FROM onec_internal.try_statement(
		format('SELECT %1$I FROM %2$s WHERE %1$I IS NOT NULL ORDER BY %1$I LIMIT 1', date_column, tab));
	IF oldest > newest THEN
		RETURN true;
	END IF;
	SELECT value INTO other
	FROM onec_internal.try_statement(format('SELECT %1$I FROM %2$s WHERE %1$I %3$s %4$L::timestamp LIMIT 1',
											date_column, tab,
		CASE WHEN oldest = newest THEN '<>' ELSE '<' END, oldest));
	RETURN other IS NOT NULL;
END $$;
COMMENT ON FUNCTION onec_internal.base_ignores_order(text, text, timestamp) IS
	'Принимает ли база порядок, не соблюдая его (служебная)';

-- Whether DataVersion tells what has changed, once that is known.
CREATE FUNCTION onec_internal.diagnose_versions(server name, target text)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $2 || ': versions', CASE WHEN u.broken IS NULL THEN 'ok' ELSE 'warning' END,
		   coalesce(u.broken, format(
				'bytes: %s a row, %s a key with version, %s a row by key; changed: %s %%',
				coalesce(round(u.whole_bytes)::text, '?'), coalesce(round(u.header_bytes)::text, '?'),
				coalesce(round(u.key_bytes)::text, '?'),
				coalesce(round(100 * u.changed_share, 1)::text, '?'))),
		   CASE WHEN u.broken IS NOT NULL THEN
				'Набор читается целиком. Если 1С снова меняет DataVersion при каждой записи: '
				|| format('SELECT onec.set(%L, %L, %L);', 'sync.versions', 'on', $1) END
	FROM onec_internal.version_use u WHERE u.server = $1 AND u.target = $2
$$;
COMMENT ON FUNCTION onec_internal.diagnose_versions(name, text) IS
	'Можно ли верить DataVersion набора и что она экономит (служебная)';

-- One entity set: how many rows, whether conditions and order are taken, what fields were not found.
CREATE FUNCTION onec_internal.diagnose_target(server name, target text)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := format('%I.%I', server, target);
	date_column text := onec_internal.date_column(target);
	missing text;
	t record;
BEGIN
	SELECT string_agg(f.field, ', ' ORDER BY f.ordinal) FILTER (WHERE a.attname IS NULL) INTO missing
	FROM onec.field_source f
	LEFT JOIN pg_attribute a ON a.attrelid = tab::regclass AND a.attname = f.field AND NOT a.attisdropped
	WHERE f.target = diagnose_target.target;
	SELECT * INTO t FROM onec_internal.try_statement(format('SELECT count(*) FROM %s', tab));
	RETURN QUERY SELECT target || ': rows', CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
		coalesce(t.value, t.error),
		CASE WHEN t.error IS NOT NULL THEN 'Дайте пользователю 1С право чтения этого объекта' END;
	IF t.error IS NOT NULL THEN
		RETURN;
	END IF;
	RETURN QUERY SELECT v.* FROM onec_internal.diagnose_versions(server, target) v;
	IF missing IS NOT NULL THEN
		RETURN QUERY SELECT target || ': fields', 'warning', 'no property for ' || missing,
			'Добавьте имя свойства в onec.field_source и повторите onec.setup, если '
			'оно есть под другим именем'::text;
	END IF;
	IF date_column IS NOT NULL THEN
		SELECT * INTO t
		FROM onec_internal.try_statement(format('SELECT %1$I FROM %2$s WHERE %1$I IS NOT NULL '
												'ORDER BY %1$I DESC LIMIT 1', date_column, tab));
		RETURN QUERY SELECT target || ': newest', CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no rows'), NULL::text;
		-- where the rows were sorted here, there is nothing to find out
		IF EXISTS (SELECT FROM onec_internal.requests_of_table(server, tab) r
				   WHERE r.status = 200 AND r.url ~ '[$]orderby=[^&]* desc')
			AND onec_internal.base_ignores_order(tab, date_column, t.value::timestamp) THEN
			RETURN QUERY SELECT target || ': order', 'failed',
				'1C takes the order and gives rows as they lie'::text,
				onec_internal.option_statement(diagnose_target.server, 'push_order', 'off');
		END IF;
		RETURN QUERY
			SELECT target || ': conditions and order',
				   CASE WHEN bool_or(r.status <> 200) THEN 'warning' ELSE 'ok' END,
				   coalesce('refused: ' || string_agg(DISTINCT left(r.error, 120), '; ')
							FILTER (WHERE r.status <> 200), 'accepted'),
				   CASE WHEN bool_or(r.status <> 200)
						THEN onec_internal.option_statement(diagnose_target.server, 'push_order', 'off') END
			FROM onec_internal.requests_of_table(diagnose_target.server, tab) r;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_target(name, text) IS 'Проверить один набор 1С (служебная)';

-- Shares that tell whether the shop's habits are those that the sync supposes; telephones and owners are only
-- counted.
CREATE FUNCTION onec_internal.diagnose_shop(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
BEGIN
	IF to_regclass(format('%I.discount_card', server)) IS NOT NULL THEN
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT round(100.0 * count(onec.normalize_phone(c.barcode)) / nullif(count(*), 0), 1) || '' '
			'%%'' FROM (SELECT barcode FROM %I.discount_card LIMIT 1000) c', server));
		RETURN QUERY SELECT 'cards with a telephone as barcode'::text,
			CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no cards'), NULL::text;
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT round(100.0 * count(c.owner_id) / nullif(count(*), 0), 1) || '' %%'' FROM (SELECT '
			'owner_id FROM %I.discount_card LIMIT 1000) c', server));
		RETURN QUERY SELECT 'cards with an owner'::text,
			CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no cards'), NULL::text;
	END IF;
	IF to_regclass(format('%I.sale_line', server)) IS NOT NULL THEN
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT round(100.0 * count(*) FILTER (WHERE s.customer_id IS NULL) / nullif(count(*), 0),
						  1) || '' %%''
			 FROM (SELECT customer_id FROM %I.sale_line
				   WHERE period >= %L::timestamp) s', server, onec.local_now(server)::date - 30));
		RETURN QUERY SELECT 'anonymous sales of 30 days'::text,
			CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
			coalesce(t.value, t.error, 'no sales'), NULL::text;
		SELECT * INTO t FROM onec_internal.try_statement(format(
			'SELECT count(*) FROM %I.sale_line WHERE period > %L::timestamp', server,
			onec.local_now(server) + interval '1 hour'));
		RETURN QUERY SELECT 'sales in the future'::text,
			CASE WHEN t.error IS NOT NULL THEN 'failed' WHEN t.value <> '0' THEN 'warning' ELSE 'ok' END,
			coalesce(t.value, t.error),
			CASE WHEN t.value <> '0' THEN 'Проверьте параметр timezone сервера и часы 1С' END;
	END IF;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_shop(name) IS
	'Проверить, похож ли магазин на ожидаемый (служебная)';

-- Whether 1C finds a text by its letters in the other case: the wrapper drops such rows, but tells how many
-- came.
CREATE FUNCTION onec_internal.diagnose_case(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	t record;
	other text;
	found bigint;
BEGIN
	IF to_regclass(format('%I.product', server)) IS NULL THEN
		RETURN;
	END IF;
	SELECT * INTO t
	FROM onec_internal.try_statement(format('SELECT max(name) FROM (SELECT name FROM %I.product LIMIT 200) p '
											'WHERE upper(name) <> lower(name)', server));
	IF t.value IS NULL THEN
		RETURN;
	END IF;
	other := CASE WHEN upper(t.value) <> t.value THEN upper(t.value) ELSE lower(t.value) END;
	SELECT * INTO t
	FROM onec_internal.try_statement(format('SELECT count(*) FROM %I.product WHERE name = %L',
											server, other));
	SELECT r.rows INTO found FROM onec_internal.recent_readings() r ORDER BY r.number DESC LIMIT 1;
	RETURN QUERY SELECT 'text without case'::text, CASE WHEN t.error IS NOT NULL THEN 'failed' ELSE 'ok' END,
		coalesce(t.error, CASE WHEN found > 0 THEN '1C ignores case'
							   ELSE '1C does not find a text by other case' END),
		CASE WHEN found > 0 THEN onec_internal.option_statement(server, 'ignores_case', 'on') END;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_case(name) IS
	'Проверить, различает ли база регистр букв (служебная)';

-- Whether the recorder of a sale can be asked for by cast(): tried with the option on, which is then as it
-- was.
CREATE FUNCTION onec_internal.diagnose_composite(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tab text := format('%I.sale_line', server);
	recorder text;
	recorder_type text;
	found text;
BEGIN
	IF to_regclass(tab) IS NULL OR NOT EXISTS (
		SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(tab) AND a.attname = 'recorder'
			AND a.attfdwoptions @> '{edm_type=Composite}') THEN
		RETURN;
	END IF;
	IF current_setting('transaction_read_only')::boolean THEN
		RETURN QUERY SELECT 'values of several types'::text, 'warning'::text,
			'not tried: it takes a transaction that may write'::text,
			CASE WHEN pg_is_in_recovery() THEN 'Запустите onec.diagnose на основном сервере' END;
		RETURN;
	END IF;
	BEGIN
		EXECUTE format('SELECT recorder::text, recorder_type FROM %s WHERE recorder IS NOT NULL LIMIT 1',
					   tab) INTO recorder, recorder_type;
		EXECUTE format('ALTER FOREIGN TABLE %s OPTIONS (ADD push_composite ''on'')', tab);
		EXECUTE format('SELECT count(*) FROM %s WHERE recorder::text IS NOT NULL AND recorder = '
					   '%L AND recorder_type = %L', tab, recorder, recorder_type) INTO found;
		RAISE EXCEPTION USING ERRCODE = 'OC001', MESSAGE = coalesce(found, '0');
	EXCEPTION WHEN SQLSTATE 'OC001' THEN
		found := SQLERRM;
	WHEN OTHERS THEN
		found := '0';
	END;
	RETURN QUERY SELECT 'values of several types'::text, 'ok'::text,
		CASE WHEN found <> '0' THEN '1C finds them by cast()' ELSE '1C does not find them by cast()' END,
		CASE WHEN found <> '0' THEN onec_internal.option_statement(server, 'push_composite', 'on') END;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_composite(name) IS
	'Проверить, ищет ли база по значениям составного типа (служебная)';

-- Whether an exchange plan can tell what has changed: its node, and the tables that are read by it.
CREATE FUNCTION onec_internal.diagnose_plan(server name)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	w record;
	t record;
	p onec_internal.plan_state;
	plans text := (SELECT string_agg(e.entity_set, ', ' ORDER BY e.entity_set)
				   FROM onec.entity_sets(diagnose_plan.server) e
				   WHERE e.entity_set ~ '^ExchangePlan_[^_]+$');
BEGIN
	SELECT * INTO w FROM onec_internal.plan_wanted(server);
	IF w.plan IS NULL THEN
		RETURN QUERY SELECT 'exchange plan'::text, 'ok'::text, 'not asked; published: ' || plans,
			format('Если в нём есть узел, которым больше никто не пользуется: ALTER SERVER %I OPTIONS (ADD '
				   'change_source ''plan'', ADD exchange_plan …, ADD exchange_node …);', server)
			WHERE plans IS NOT NULL;
		RETURN;
	END IF;
	SELECT * INTO p FROM onec_internal.plan_state s WHERE s.server = diagnose_plan.server;
	SELECT * INTO t FROM onec_internal.try_statement(format(
		'SELECT format(''message %%s received, %%s sent'', n.received, n.sent) '
		'FROM onec_internal.plan_node(%L, %L, NULL) n', server, w.named));
	RETURN QUERY SELECT 'exchange plan'::text,
		CASE WHEN t.error IS NOT NULL THEN 'failed' WHEN p.failed IS NOT NULL THEN 'warning' ELSE 'ok' END,
		coalesce(t.error, p.failed, t.value),
		CASE WHEN t.error IS NOT NULL
			 THEN 'Опубликуйте план обмена, дайте пользователю 1С право читать и менять его и назовите узел: '
				  'ALTER SERVER, параметры exchange_plan и exchange_node'
			 WHEN p.failed ~ 'somebody else'
			 THEN format('Если узлом больше никто не пользуется: SELECT onec.take_exchange_node(%L);', server)
			 WHEN p.failed IS NOT NULL THEN 'Таблицы читаются без плана' END;
	RETURN QUERY SELECT u.target || ': exchange plan',
		CASE WHEN u.broken IS NULL THEN 'ok' ELSE 'warning' END,
		coalesce(u.broken, CASE WHEN u.checked_at IS NULL THEN 'told of, not compared yet'
								ELSE 'told of; compared at ' || date_trunc('second', u.checked_at) END),
		CASE WHEN u.broken IS NOT NULL
			 THEN 'План сообщает не обо всём: неделю таблица читается без него' END
		FROM onec_internal.plan_use u WHERE u.server = diagnose_plan.server ORDER BY 1;
END $$;
COMMENT ON FUNCTION onec_internal.diagnose_plan(name) IS
	'Может ли план обмена сообщать об изменениях (служебная)';

CREATE FUNCTION onec.diagnose(server name DEFAULT NULL)
	RETURNS TABLE ("check" text, status text, detail text, advice text)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.live_server_meant(server);
	zone text := (SELECT s.timezone FROM onec_internal.live_servers s WHERE s.server = srv);
	t record;
	v record;
BEGIN
	SELECT * INTO t
	FROM onec_internal.try_statement(format('SELECT count(*) FROM onec.entity_sets(%L)', srv));
	RETURN QUERY SELECT 'connection and metadata'::text,
		CASE WHEN t.error IS NULL THEN 'ok' ELSE 'failed' END,
		coalesce(t.value || ' entity sets', t.error),
		CASE WHEN t.error IS NOT NULL
			 THEN 'Проверьте адрес, логин и пароль: ALTER SERVER, ALTER USER MAPPING' END;
	IF t.error IS NOT NULL THEN
		RETURN;
	END IF;
	RETURN QUERY SELECT 'time zone'::text, CASE WHEN zone IS NULL THEN 'warning' ELSE 'ok' END,
		coalesce(zone, 'not set, that of the session is used: ' || current_setting('TimeZone')),
		CASE WHEN zone IS NULL
			 THEN format('ALTER SERVER %I OPTIONS (ADD timezone ''Europe/Moscow'');', srv) END;
	-- what is switched off is nobody's trouble, and a register's balances are long in coming
	FOR v IN
		SELECT k.target FROM onec_internal.sync_steps(srv, NULL) k
		WHERE k.source = 'set' AND k.entity_set <> '' AND k.function IS NULL
		  AND onec_internal.is_switched_on(srv, k)
		ORDER BY 1
	LOOP
		IF to_regclass(format('%I.%I', srv, v.target)) IS NULL THEN
			RETURN QUERY SELECT v.target, 'warning',
				onec_internal.entity_set_of(srv, v.target) || ' is not published, or onec.setup was not run',
				format('SELECT * FROM onec.setup(%L);', srv);
		ELSE
			RETURN QUERY SELECT d.* FROM onec_internal.diagnose_target(srv, v.target) d;
		END IF;
	END LOOP;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_plan(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_case(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_composite(srv) d;
	RETURN QUERY SELECT d.* FROM onec_internal.diagnose_shop(srv) d;
	-- a standby looks, too, but what it finds it cannot remember
	IF NOT current_setting('transaction_read_only')::boolean THEN
		PERFORM onec.remember_refusals(srv);
	END IF;
END $$;
COMMENT ON FUNCTION onec.diagnose(name) IS
	'Проверить базу 1С: связь, права, наборы, поля, условия и порядок, часовой пояс, доли '
	'телефонов и владельцев; с советом';
REVOKE EXECUTE ON FUNCTION onec.diagnose(name) FROM PUBLIC;
