-- Models of customers: who still buys, how often and for how much.  The formulas are in src/stats/clv.c, one
-- SQL function for each; onec.fit_clv finds their parameters from visits, onec.customer_clv applies them.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('clv.model', 'text', 'mbgnbd', '{mbgnbd,bgnbd}', NULL, NULL,
	 'Модель визитов; bgnbd считает каждого, кто пришёл один раз, живым'),
	('clv.discount', 'numeric', '0.01', NULL, 0, 1, 'Ставка дисконта в месяц для ценности покупателя'),
	('clv.penalizer', 'numeric', '0', NULL, 0, 1000000,
	 'Штраф за величину параметров модели; помогает, когда данных мало');

CREATE FUNCTION onec.bgnbd_palive(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
								  b float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_bgnbd_palive';
COMMENT ON FUNCTION onec.bgnbd_palive(float8, float8, float8, float8, float8, float8, float8) IS
	'BG/NBD: вероятность, что покупатель ещё покупает; x — визитов после первого, t_x и t — недель от '
	'первого визита до последнего и до сегодня';

CREATE FUNCTION onec.mbgnbd_palive(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
								   b float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_mbgnbd_palive';
COMMENT ON FUNCTION onec.mbgnbd_palive(float8, float8, float8, float8, float8, float8, float8) IS
	'MBG/NBD: вероятность, что покупатель ещё покупает; аргументы как у bgnbd_palive';

CREATE FUNCTION onec.bgnbd_expected(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
									b float8, horizon float8)
	RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_bgnbd_expected';
COMMENT ON FUNCTION onec.bgnbd_expected(float8, float8, float8, float8, float8, float8, float8, float8) IS
	'BG/NBD: сколько визитов ждать за столько недель вперёд; x = t = 0 — от нового покупателя';

CREATE FUNCTION onec.mbgnbd_expected(x float8, t_x float8, t float8, r float8, alpha float8, a float8,
									 b float8, horizon float8)
	RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_mbgnbd_expected';
COMMENT ON FUNCTION onec.mbgnbd_expected(float8, float8, float8, float8, float8, float8, float8, float8) IS
	'MBG/NBD: сколько визитов ждать за столько недель вперёд; аргументы как у bgnbd_expected';

CREATE FUNCTION onec.gamma_gamma_expected(x float8, m float8, p float8, q float8, v float8) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_gamma_gamma_expected';
COMMENT ON FUNCTION onec.gamma_gamma_expected(float8, float8, float8, float8, float8) IS
	'Gamma-Gamma: ожидаемая сумма визита; x — повторных визитов, m — их средняя сумма (не важна при x = 0)';

CREATE FUNCTION onec.bgnbd_value(x float8, t_x float8, t float8, r float8, alpha float8, a float8, b float8,
								 spend float8, months int DEFAULT 12,
								 discount float8 DEFAULT 0.01) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_bgnbd_value';
COMMENT ON FUNCTION onec.bgnbd_value(float8, float8, float8, float8, float8, float8, float8, float8,
									 int, float8) IS
	'BG/NBD: дисконтированная выручка будущих месяцев (по 30.44 дня); spend — ожидаемая сумма визита, '
	'discount — ставка в месяц';

CREATE FUNCTION onec.mbgnbd_value(x float8, t_x float8, t float8, r float8, alpha float8, a float8, b float8,
								  spend float8, months int DEFAULT 12,
								  discount float8 DEFAULT 0.01) RETURNS float8
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_mbgnbd_value';
COMMENT ON FUNCTION onec.mbgnbd_value(float8, float8, float8, float8, float8, float8, float8, float8,
									  int, float8) IS
	'MBG/NBD: дисконтированная выручка будущих месяцев; аргументы как у bgnbd_value';

CREATE FUNCTION onec_internal.fit_visit_model(model text, x float8[], t_x float8[], t float8[],
											  penalizer float8,
											  OUT status text, OUT customers int, OUT repeaters int,
											  OUT r float8, OUT alpha float8, OUT a float8, OUT b float8,
											  OUT log_likelihood float8)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_fit_visits';
COMMENT ON FUNCTION onec_internal.fit_visit_model(text, float8[], float8[], float8[], float8) IS
	'Параметры модели визитов по максимуму правдоподобия (служебная)';

CREATE FUNCTION onec_internal.fit_spend_model(x float8[], m float8[], penalizer float8,
											  OUT status text, OUT customers int,
											  OUT p float8, OUT q float8, OUT v float8,
											  OUT log_likelihood float8, OUT correlation float8)
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'onec_fit_spend';
COMMENT ON FUNCTION onec_internal.fit_spend_model(float8[], float8[], float8) IS
	'Параметры модели суммы визита по максимуму правдоподобия (служебная)';

CREATE TABLE onec.clv_model (
	server name NOT NULL,
	as_of date NOT NULL,
	model text NOT NULL CHECK (model IN ('mbgnbd', 'bgnbd')),
	status text NOT NULL,
	customers int NOT NULL,
	repeaters int NOT NULL,
	r float8,
	alpha float8,
	a float8,
	b float8,
	log_likelihood float8,
	spend_status text NOT NULL,
	spend_customers int NOT NULL,
	p float8,
	q float8,
	v float8,
	spend_log_likelihood float8,
	correlation float8,
	warning text,
	fitted_at timestamptz NOT NULL,
	PRIMARY KEY (server, as_of, model)
);
COMMENT ON TABLE onec.clv_model IS
	'Модели покупателей: параметры, найденные onec.fit_clv, или причина, почему их нет';
COMMENT ON COLUMN onec.clv_model.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.clv_model.as_of IS 'По покупкам до этого дня включительно';
COMMENT ON COLUMN onec.clv_model.model IS 'mbgnbd или bgnbd';
COMMENT ON COLUMN onec.clv_model.status IS
	'ok; few customers — меньше 100 покупателей; few repeaters — меньше 30 повторных; no dropout — по данным '
	'не видно, что покупатели уходят; not converged; bad data';
COMMENT ON COLUMN onec.clv_model.customers IS 'Покупателей';
COMMENT ON COLUMN onec.clv_model.repeaters IS 'Из них пришедших в другой день снова';
COMMENT ON COLUMN onec.clv_model.r IS 'Форма распределения частоты визитов';
COMMENT ON COLUMN onec.clv_model.alpha IS 'Масштаб распределения частоты визитов, недель';
COMMENT ON COLUMN onec.clv_model.a IS 'Первый параметр распределения вероятности ухода';
COMMENT ON COLUMN onec.clv_model.b IS 'Второй параметр распределения вероятности ухода';
COMMENT ON COLUMN onec.clv_model.log_likelihood IS 'Логарифм правдоподобия визитов';
COMMENT ON COLUMN onec.clv_model.spend_status IS
	'То же о модели суммы; no mean spend — среднего у найденного распределения нет';
COMMENT ON COLUMN onec.clv_model.spend_customers IS 'Повторных покупателей с суммой больше нуля';
COMMENT ON COLUMN onec.clv_model.p IS 'Gamma-Gamma: форма распределения суммы визита';
COMMENT ON COLUMN onec.clv_model.q IS 'Gamma-Gamma: форма различий между покупателями';
COMMENT ON COLUMN onec.clv_model.v IS 'Gamma-Gamma: масштаб различий между покупателями, рублей';
COMMENT ON COLUMN onec.clv_model.spend_log_likelihood IS 'Логарифм правдоподобия сумм';
COMMENT ON COLUMN onec.clv_model.correlation IS
	'Корреляция средней суммы и числа повторных визитов; модель считает их независимыми';
COMMENT ON COLUMN onec.clv_model.warning IS 'Чему в модели не верить';
COMMENT ON COLUMN onec.clv_model.fitted_at IS 'Когда найдены параметры';
SELECT pg_catalog.pg_extension_config_dump('onec.clv_model', '');

-- Visits on any day, as if later sales did not exist yet.
CREATE FUNCTION onec_internal.visit_history(server name, as_of date)
	RETURNS TABLE (customer_id uuid, x int, t_x float8, t float8, m float8)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	SELECT x.customer_id, (x.h).visits - 1, ((x.h).last_day - (x.h).first_day) / 7.0::float8,
		   ($2 - (x.h).first_day) / 7.0::float8,
		   coalesce((x.h).repeat_net / nullif((x.h).visits - 1, 0), 0)::float8
	FROM onec_internal.visit_histories($1, $2, NULL, NULL) x WHERE (x.h).visits > 0
$$;
COMMENT ON FUNCTION onec_internal.visit_history(name, date) IS
	'Визиты покупателей на дату: повторных, недель до последнего и до даты, средняя '
	'сумма повторного (служебная)';

CREATE FUNCTION onec.fit_clv(server name DEFAULT NULL, as_of date DEFAULT NULL,
							 model text DEFAULT NULL) RETURNS onec.clv_model
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
	kind text := coalesce(model, onec.get('clv.model', srv));
	penalty float8 := onec.get('clv.penalizer', srv)::float8;
	history record;
	visits record;
	spend record;
	result onec.clv_model;
BEGIN
	PERFORM onec_internal.must_write('fit_clv');
	SELECT coalesce(array_agg(h.x::float8), '{}') AS x, coalesce(array_agg(h.t_x), '{}') AS t_x,
		   coalesce(array_agg(h.t), '{}') AS t,
		   coalesce(array_agg(h.x::float8) FILTER (WHERE h.x > 0 AND h.m > 0), '{}') AS spend_x,
		   coalesce(array_agg(h.m) FILTER (WHERE h.x > 0 AND h.m > 0), '{}') AS spend_m
	INTO history FROM onec_internal.visit_history(srv, day) h;
	SELECT f.* INTO visits
	FROM onec_internal.fit_visit_model(kind, history.x, history.t_x, history.t, penalty) f;
	SELECT f.* INTO spend FROM onec_internal.fit_spend_model(history.spend_x, history.spend_m, penalty) f;
	result := ROW(srv, day, kind, visits.status, visits.customers, visits.repeaters, visits.r, visits.alpha,
				  visits.a, visits.b,
		visits.log_likelihood, spend.status, spend.customers, spend.p, spend.q, spend.v, spend.log_likelihood,
		spend.correlation,
		CASE WHEN spend.correlation > 0.3 THEN
			format('Кто чаще приходит, тот и тратит больше (корреляция %s): ценность постоянных занижена',
				   round(spend.correlation::numeric, 2)) END,
		clock_timestamp());
	DELETE FROM onec.clv_model c WHERE c.server = srv AND c.as_of = day AND c.model = kind;
	-- another session that did the same at this moment has the same result
	INSERT INTO onec.clv_model SELECT (result).* ON CONFLICT DO NOTHING;
	RETURN result;
END $$;
COMMENT ON FUNCTION onec.fit_clv(name, date, text) IS
	'Найти параметры модели покупателей на дату и записать в onec.clv_model; когда данных мало — '
	'записывается причина, а не ошибка';
REVOKE EXECUTE ON FUNCTION onec.fit_clv(name, date, text) FROM PUBLIC;

CREATE FUNCTION onec.customer_clv_at(server name DEFAULT NULL, as_of date DEFAULT NULL,
									 model text DEFAULT NULL)
	RETURNS TABLE (server name, customer_id uuid, repeat_visits int, weeks_since_first numeric,
				   weeks_since_last numeric,
				   p_alive numeric, churn_risk numeric, expected_3m numeric, expected_12m numeric,
				   expected_spend numeric, clv_12m numeric,
				   model text, model_as_of date)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
AS $$
	WITH wanted AS MATERIALIZED (
		SELECT s.server, coalesce($2, onec.local_now(s.server)::date) AS day,
			   coalesce($3, onec.get('clv.model', s.server)) AS model,
			   onec.get('clv.discount', s.server)::float8 AS discount
		FROM (SELECT onec_internal.server_meant($1) AS server) s),
	-- the last one that can be used; a later attempt that failed does not take it away
	params AS MATERIALIZED (
		SELECT c.*, w.day, w.discount FROM wanted w
		JOIN onec.clv_model c ON c.server = w.server AND c.model = w.model
		WHERE c.status = 'ok' AND c.as_of <= w.day
		ORDER BY c.as_of DESC LIMIT 1),
	score AS (
		SELECT k.server, h.*, k.model, k.as_of,
			   CASE k.model WHEN 'bgnbd' THEN onec.bgnbd_palive(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b)
					ELSE onec.mbgnbd_palive(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b) END AS p_alive,
			   CASE k.model WHEN 'bgnbd'
					THEN onec.bgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 3 * 30.44 / 7)
					ELSE onec.mbgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b,
											  3 * 30.44 / 7) END AS expected_3m,
			   CASE k.model WHEN 'bgnbd'
					THEN onec.bgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 12 * 30.44 / 7)
					ELSE onec.mbgnbd_expected(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b,
											  12 * 30.44 / 7) END AS expected_12m,
			   -- of one ruble a visit: months are discounted, the spend multiplies
			   CASE k.model WHEN 'bgnbd'
					THEN onec.bgnbd_value(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 1, 12, k.discount)
					ELSE onec.mbgnbd_value(h.x, h.t_x, h.t, k.r, k.alpha, k.a, k.b, 1, 12,
										   k.discount) END AS discounted,
			   CASE WHEN k.spend_status = 'ok'
					THEN onec.gamma_gamma_expected(h.x, h.m, k.p, k.q, k.v) END AS spend
		FROM params k CROSS JOIN LATERAL onec_internal.visit_history(k.server, k.day) h)
	SELECT s.server, s.customer_id, s.x, round(s.t::numeric, 2), round((s.t - s.t_x)::numeric, 2),
		   round(s.p_alive::numeric, 6), round((1 - s.p_alive)::numeric, 6), round(s.expected_3m::numeric, 4),
		   round(s.expected_12m::numeric, 4),
		   round(s.spend::numeric, 2), round((s.discounted * s.spend)::numeric, 2), s.model, s.as_of
	FROM score s
$$;
COMMENT ON FUNCTION onec.customer_clv_at(name, date, text) IS
	'Оценки покупателей на дату по последней годной модели не новее этой даты; нет модели — нет строк '
	'(причина в onec.clv_model)';

CREATE VIEW onec.customer_clv AS
	-- a model may outlive its server
	SELECT c.* FROM onec_internal.known_servers s CROSS JOIN LATERAL onec.customer_clv_at(s.server) c;
COMMENT ON VIEW onec.customer_clv IS
	'Покупатели сегодня по последней годной модели: вероятность ухода, ожидаемые визиты и выручка';
COMMENT ON COLUMN onec.customer_clv.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_clv.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_clv.repeat_visits IS 'Визитов после первого (не больше одного в день)';
COMMENT ON COLUMN onec.customer_clv.weeks_since_first IS 'Недель с первого визита';
COMMENT ON COLUMN onec.customer_clv.weeks_since_last IS 'Недель с последнего визита';
COMMENT ON COLUMN onec.customer_clv.p_alive IS 'Вероятность, что ещё покупает';
COMMENT ON COLUMN onec.customer_clv.churn_risk IS 'Вероятность, что ушёл: 1 − p_alive';
COMMENT ON COLUMN onec.customer_clv.expected_3m IS 'Ожидаемых визитов за три месяца';
COMMENT ON COLUMN onec.customer_clv.expected_12m IS 'Ожидаемых визитов за год';
COMMENT ON COLUMN onec.customer_clv.expected_spend IS
	'Ожидаемая сумма визита; пусто, если модель суммы не годится';
COMMENT ON COLUMN onec.customer_clv.clv_12m IS
	'Ожидаемая выручка за год, дисконтированная помесячно; выручка, а не прибыль';
COMMENT ON COLUMN onec.customer_clv.model IS 'Модель';
COMMENT ON COLUMN onec.customer_clv.model_as_of IS 'На какую дату найдены её параметры';

-- Scores of all customers, kept: to work them out for a million lines takes seconds, too long for every look
-- at a customer.
CREATE TABLE onec.customer_value (
	server name NOT NULL,
	customer_id uuid NOT NULL,
	p_alive numeric,
	churn_risk numeric,
	expected_3m numeric,
	expected_12m numeric,
	expected_spend numeric,
	clv_12m numeric,
	as_of date NOT NULL,
	PRIMARY KEY (server, customer_id)
);
COMMENT ON TABLE onec.customer_value IS
	'Оценки покупателей по модели на день последнего недельного пересчёта; сегодняшние — onec.customer_clv';
COMMENT ON COLUMN onec.customer_value.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.customer_value.customer_id IS 'Покупатель (контрагент)';
COMMENT ON COLUMN onec.customer_value.p_alive IS 'Вероятность, что ещё покупает';
COMMENT ON COLUMN onec.customer_value.churn_risk IS 'Вероятность, что ушёл: 1 − p_alive';
COMMENT ON COLUMN onec.customer_value.expected_3m IS 'Ожидаемых визитов за три месяца';
COMMENT ON COLUMN onec.customer_value.expected_12m IS 'Ожидаемых визитов за год';
COMMENT ON COLUMN onec.customer_value.expected_spend IS
	'Ожидаемая сумма визита; по модели, а если она не годится — средний чек';
COMMENT ON COLUMN onec.customer_value.clv_12m IS
	'Ожидаемая выручка за год: по модели, дисконтированная помесячно; без модели суммы — визиты за год, '
	'умноженные на средний чек';
COMMENT ON COLUMN onec.customer_value.as_of IS 'На какой день';
SELECT pg_catalog.pg_extension_config_dump('onec.customer_value', '');

CREATE FUNCTION onec.refresh_value(server name DEFAULT NULL, as_of date DEFAULT NULL,
								   OUT rows_inserted bigint, OUT rows_updated bigint, OUT rows_deleted bigint)
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp
	SET jit = off
AS $$
DECLARE
	srv name := onec_internal.server_meant(server);
	day date := coalesce(as_of, onec.local_now(srv)::date);
BEGIN
	PERFORM onec_internal.must_write('refresh_value');
	PERFORM onec_internal.lock_people(srv, false);
	CREATE TEMPORARY TABLE onec_value ON COMMIT DROP AS
		SELECT c.server, c.customer_id, c.p_alive, c.churn_risk, c.expected_3m, c.expected_12m,
			   coalesce(c.expected_spend, p.average_check) AS expected_spend,
			   coalesce(c.clv_12m, round(c.expected_12m * p.average_check, 2)) AS clv_12m, day AS as_of
		FROM onec.customer_clv_at(srv, day) c
		LEFT JOIN onec.customer_profile p ON p.server = c.server AND p.customer_id = c.customer_id;
	SELECT k.* INTO rows_inserted, rows_updated, rows_deleted
	FROM onec_internal.write_changed_rows('onec.customer_value', 'onec_value', srv, NULL) k;
	DROP TABLE pg_temp.onec_value;
END $$;
COMMENT ON FUNCTION onec.refresh_value(name, date) IS
	'Пересчитать оценки всех покупателей по последней годной модели; нет модели — нет строк';
REVOKE EXECUTE ON FUNCTION onec.refresh_value(name, date) FROM PUBLIC;
