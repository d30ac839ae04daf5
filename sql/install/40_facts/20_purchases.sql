-- Facts: which rows count, whose they are, what a receipt, a purchase, a visit is, what a point is worth.
-- Every reader, mart, document and report asks here; nothing else decides it (test/lint: one_fact).
--
-- All of it is views and functions that the planner looks into: a condition on a customer reaches the index
-- of the lines.  "till" is the moment up to which things are known, itself left out: the day after as_of;
-- NULL means the end of today.  It is a day's end and not the minute because documents that close a shift are
-- dated ahead within their day.

INSERT INTO onec.setting (key, type, initial, choices, lowest, highest, description) VALUES
	('count_free_receipts', 'bool', 'false', NULL, NULL, NULL,
	 'Считать покупками чеки, в которых всё отдано даром; оплаченные баллами считаются всегда'),
	('loyalty.rule', 'text', 'auto', '{auto,signed,unsigned}', NULL, NULL,
	 'Как складываются движения баллов: signed — расход со знаком минус, unsigned — начислено без '
	 'списанного, auto — как сходится с остатками 1С');

-- ---- points ----

CREATE TABLE onec.loyalty_rule (
	server name PRIMARY KEY,
	rule text NOT NULL CHECK (rule IN ('signed', 'unsigned')),
	cards int NOT NULL,
	agree int NOT NULL,
	message text,
	checked_at timestamptz NOT NULL
);
COMMENT ON TABLE onec.loyalty_rule IS 'Какое правило сложения баллов сходится с остатками самой 1С';
COMMENT ON COLUMN onec.loyalty_rule.server IS 'Внешний сервер';
COMMENT ON COLUMN onec.loyalty_rule.rule IS
	'signed — расход со знаком минус, unsigned — начислено без списанного';
COMMENT ON COLUMN onec.loyalty_rule.cards IS 'Карт сравнено; 0 — остатков 1С не дала';
COMMENT ON COLUMN onec.loyalty_rule.agree IS 'У скольких из них остаток равен остатку 1С';
COMMENT ON COLUMN onec.loyalty_rule.message IS 'Почему остатки 1С не прочитаны';
COMMENT ON COLUMN onec.loyalty_rule.checked_at IS 'С какого времени сравнение даёт этот итог';
SELECT pg_catalog.pg_extension_config_dump('onec.loyalty_rule', '');

-- The rule in force.  1C says of each movement whether it is a receipt or an expense, unless the register
-- knows turnovers only.
CREATE FUNCTION onec_internal.loyalty_rule_in_force(server name) RETURNS text
	LANGUAGE plpgsql STABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	told text := onec.get('loyalty.rule', server);
BEGIN
	RETURN CASE told
		WHEN 'auto' THEN coalesce((SELECT r.rule FROM onec.loyalty_rule r
								   WHERE r.server = loyalty_rule_in_force.server), 'signed')
		ELSE told END;
END $$;
COMMENT ON FUNCTION onec_internal.loyalty_rule_in_force(name) IS
	'Действующее правило сложения баллов (служебная)';

-- What one movement adds.  Only under "signed" does an expense subtract: a register without signs writes what
-- is spent in a column of its own.
CREATE FUNCTION onec_internal.movement_points(kind text, accrued numeric, spent numeric,
											  rule text) RETURNS numeric
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN CASE WHEN rule = 'signed' AND kind = 'Expense' THEN -1 ELSE 1 END
		* (coalesce(accrued, 0) - coalesce(spent, 0));
COMMENT ON FUNCTION onec_internal.movement_points(text, numeric, numeric, text) IS
	'Что прибавляет движение баллов (служебная)';

-- What is asked of every shop: its clock, its rules.  Worked out once for a query, whatever the planner takes
-- the other tables for: of those just filled it knows nothing, and would ask for each line.
CREATE VIEW onec_internal.shop_rules AS
	WITH shop AS MATERIALIZED (
		SELECT c.server, c.now, c.now::date AS today,
			   onec.get('exclude_recorder_types', c.server)::text[] AS excluded,
			   nullif(onec.get('organization_ids', c.server)::uuid[], '{}') AS organizations,
			   onec.get('count_free_receipts', c.server)::boolean AS counts_free,
			   onec.get('loyalty.enabled', c.server)::boolean AS has_loyalty,
			   onec_internal.loyalty_rule_in_force(c.server) AS points_rule
		FROM onec_internal.base_clock c),
	numbered AS MATERIALIZED (
		SELECT s.*, n.number,
			   ARRAY(SELECT t.number FROM onec_internal.term t
					 WHERE t.word = ANY (s.excluded)) AS excluded_terms,
			   CASE WHEN s.organizations IS NOT NULL
					THEN ARRAY(SELECT r.number FROM onec_internal.reference r
							   WHERE r.id = ANY (s.organizations)) END AS organization_numbers
		FROM shop s LEFT JOIN onec_internal.server_number n ON n.server = s.server)
	SELECT s.server, s.now, s.today, s.excluded, s.organizations, s.counts_free, s.has_loyalty,
		   s.points_rule, s.number, s.excluded_terms, s.organization_numbers
	FROM numbered s;
COMMENT ON VIEW onec_internal.shop_rules IS 'Часы и правила серверов (служебное)';
COMMENT ON COLUMN onec_internal.shop_rules.server IS 'Внешний сервер';
COMMENT ON COLUMN onec_internal.shop_rules.now IS 'Который час в базе 1С';
COMMENT ON COLUMN onec_internal.shop_rules.today IS 'Какой там день';
COMMENT ON COLUMN onec_internal.shop_rules.excluded IS 'Документы, которые не покупки';
COMMENT ON COLUMN onec_internal.shop_rules.organizations IS 'Учитываемые организации; NULL — все';
COMMENT ON COLUMN onec_internal.shop_rules.counts_free IS
	'Считаются ли покупками чеки, в которых всё отдано даром';
COMMENT ON COLUMN onec_internal.shop_rules.has_loyalty IS 'Читаются ли баллы';
COMMENT ON COLUMN onec_internal.shop_rules.points_rule IS 'Действующее правило сложения баллов';
COMMENT ON COLUMN onec_internal.shop_rules.number IS 'Номер сервера в строках больших таблиц';
COMMENT ON COLUMN onec_internal.shop_rules.organization_numbers IS
	'Номера учитываемых организаций; NULL — все';
COMMENT ON COLUMN onec_internal.shop_rules.excluded_terms IS 'Номера видов документов, которые не покупки';

CREATE VIEW onec_internal.counted_points AS
	SELECT w.server, m.card_id, m.period, m.recorder,
		   onec_internal.movement_points(k.word, m.accrued, m.spent, w.points_rule) AS points
	FROM onec_internal.shop_rules w JOIN onec_internal.loyalty_movement m ON m.server = w.number
	LEFT JOIN onec_internal.term k ON k.number = m.kind
	WHERE m.active IS NOT FALSE AND m.period IS NOT NULL;
COMMENT ON VIEW onec_internal.counted_points IS
	'Что прибавляет каждое движение баллов по действующему правилу (служебное)';
COMMENT ON COLUMN onec_internal.counted_points.points IS 'Баллов; меньше нуля — списано';

-- Expiry is written together with the accrual, with a date ahead, and what is spent meanwhile is taken back
-- from it in a row of the same date: so movements ahead are added up by card and moment.  One row for what a
-- card has (period NULL), one for each moment ahead, up to "till" if that is given.
CREATE FUNCTION onec_internal.points_ahead(server name, at timestamp, till timestamp)
	RETURNS TABLE (card_id uuid, period timestamp, points numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.card_id, CASE WHEN p.period > $2 THEN p.period END, sum(p.points)
		FROM onec_internal.counted_points p WHERE p.server = $1 AND (p.period < $3) IS NOT FALSE
		GROUP BY 1, 2;
	END;
COMMENT ON FUNCTION onec_internal.points_ahead(name, timestamp, timestamp) IS
	'Остатки баллов по картам на момент (period пуст) и суммы будущих движений по '
	'картам и моментам (служебная)';

-- ---- lines ----

-- An empty date is none, whichever way it is written; what is dated ahead is not yet.
CREATE FUNCTION onec_internal.is_dated_before(period timestamp, till timestamp) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN period >= '0001-01-02'::timestamp AND period < till;
COMMENT ON FUNCTION onec_internal.is_dated_before(timestamp, timestamp) IS
	'Есть ли у строки дата, и раньше ли она указанного времени (служебная)';

-- Whether a row sells or takes back anything: it is switched on, and not one of cost alone.
CREATE FUNCTION onec_internal.sells(active boolean, quantity numeric, amount numeric) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN active IS NOT FALSE AND NOT (coalesce(quantity, 0) = 0 AND coalesce(amount, 0) = 0);
COMMENT ON FUNCTION onec_internal.sells(boolean, numeric, numeric) IS
	'Есть ли в строке продажа или возврат (служебная)';

-- Whether the shop counts what documents of that type, of that organization, hold.
CREATE FUNCTION onec_internal.is_let_in(recorder_type smallint, organization_id int,
										excluded_terms smallint[], organizations int[]) RETURNS boolean
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN recorder_type <> ALL (excluded_terms)
		AND coalesce(organization_id = ANY (organizations), organizations IS NULL);
COMMENT ON FUNCTION onec_internal.is_let_in(smallint, int, smallint[], int[]) IS
	'Учитываются ли документы этого вида и этой организации (служебная)';

-- The document of which a row is a part.
CREATE FUNCTION onec_internal.receipt_of(document_id uuid, recorder uuid) RETURNS uuid
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN coalesce(document_id, recorder);
COMMENT ON FUNCTION onec_internal.receipt_of(uuid, uuid) IS 'Документ покупки (служебная)';

-- The lines that count.  They are chosen by numbers; of the words only those are looked up that somebody asks
-- for.
CREATE VIEW onec_internal.counted_line AS
	SELECT w.server, onec_internal.buyer_id(l.attribution, l.person_id) AS customer_id,
		   onec_internal.receipt_of(l.document_id, l.recorder) AS receipt_id,
		   CASE WHEN l.document_id IS NOT NULL THEN d.word ELSE r.word END AS receipt_type,
		   l.period, l.product_id, t.id AS store_id, coalesce(l.quantity, 0) AS quantity,
		   coalesce(l.amount, 0) AS amount, l.cost, l.card_id,
		   onec_internal.line_document(l.document_id, l.document_type, l.recorder) AS document_id,
		   d.word AS document_type, l.recorder, r.word AS recorder_type, l.line_no::bigint AS line_no,
		   a.word AS attribution, w.today, w.counts_free
	FROM onec_internal.shop_rules w JOIN onec_internal.sale_line l ON l.server = w.number
	LEFT JOIN onec_internal.term r ON r.number = l.recorder_type
	LEFT JOIN onec_internal.term d
		ON d.number = onec_internal.line_document_type(l.document_type, l.recorder_type)
	LEFT JOIN onec_internal.term a ON a.number = l.attribution
	LEFT JOIN onec_internal.reference t ON t.number = l.store_id
	WHERE onec_internal.sells(l.active, l.quantity, l.amount)
	  AND onec_internal.is_let_in(l.recorder_type, l.organization_id, w.excluded_terms,
									w.organization_numbers);
COMMENT ON VIEW onec_internal.counted_line IS 'Учитываемые строки продаж (служебное)';
COMMENT ON COLUMN onec_internal.counted_line.customer_id IS
	'Покупатель: контрагент, у карты без владельца — карта; пусто — неизвестен';
COMMENT ON COLUMN onec_internal.counted_line.receipt_id IS 'Документ покупки';
COMMENT ON COLUMN onec_internal.counted_line.receipt_type IS 'Вид документа покупки';
COMMENT ON COLUMN onec_internal.counted_line.today IS 'Какой в базе день';
COMMENT ON COLUMN onec_internal.counted_line.counts_free IS
	'Считаются ли покупками чеки, в которых всё отдано даром';

-- Those of a shop that are known by "till": all of them, also of unknown buyers, or those of some customers.
-- Of the two arms one is empty before it begins, and the other is found by its own index: "all or these" in
-- one condition would forbid that.  The time of some customers' lines is written so that no index of it can
-- be taken: a planner without statistics thinks that all lines before now are few.
CREATE FUNCTION onec_internal.counted_lines(server name, till timestamp,
											customers uuid[]) RETURNS SETOF onec_internal.counted_line
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND $3 IS NULL
		  AND onec_internal.is_dated_before(l.period, coalesce($2, l.today + 1))
		UNION ALL
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND l.customer_id = ANY ($3)
		  AND onec_internal.is_dated_before(l.period + interval '0', coalesce($2, l.today + 1));
	END;
COMMENT ON FUNCTION onec_internal.counted_lines(name, timestamp, uuid[]) IS
	'Учитываемые строки продаж до указанного времени: все или названных покупателей (служебная)';

-- Those of some days, through their index.
CREATE FUNCTION onec_internal.counted_lines_between(server name, since timestamp,
													till timestamp) RETURNS SETOF onec_internal.counted_line
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND l.period >= $2 AND onec_internal.is_dated_before(l.period, $3);
	END;
COMMENT ON FUNCTION onec_internal.counted_lines_between(name, timestamp, timestamp) IS
	'Учитываемые строки продаж с одного времени до другого (служебная)';

-- Those that were dated ahead on a day, and have come to pass since.  Of the view itself: a run with nothing
-- new asks this, too, and must find by the index of the period that there are none.
CREATE FUNCTION onec_internal.lines_come_since(server name, day date) RETURNS SETOF onec_internal.counted_line
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.* FROM onec_internal.counted_line l
		WHERE l.server = $1 AND $2 < l.today AND l.period >= ($2 + 1)::timestamp
		  AND onec_internal.is_dated_before(l.period, l.today + 1);
	END;
COMMENT ON FUNCTION onec_internal.lines_come_since(name, date) IS
	'Строки продаж, которые в этот день были ещё впереди, а теперь наступили (служебная)';

-- ---- receipts ----

-- Whether points were spent in a document, on its day: that they will expire is written with it, too.
CREATE FUNCTION onec_internal.paid_with_points(server name, recorder uuid, at timestamp) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN EXISTS (
		SELECT FROM onec.loyalty_movement m
		WHERE m.server = $1 AND m.recorder = $2 AND m.active IS NOT FALSE AND m.period < $3::date + 1
		  AND onec_internal.movement_points(m.kind, m.accrued, m.spent,
											onec_internal.loyalty_rule_in_force($1)) < 0);
COMMENT ON FUNCTION onec_internal.paid_with_points(name, uuid, timestamp) IS
	'Списаны ли документом баллы (служебная)';

-- A receipt is a purchase if something was sold and not all came back, or if all was given for nothing
-- ("given" of it) and that counts: because the shop says so, or because points paid for it.
CREATE FUNCTION onec_internal.is_purchase(sold boolean, net numeric, free boolean, given numeric,
										  counts_free boolean,
										  server name, recorder text, at timestamp) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
	RETURN sold AND net > 0
		OR free AND given > 0 AND (counts_free OR onec_internal.paid_with_points(server, recorder::uuid, at));
COMMENT ON FUNCTION onec_internal.is_purchase(boolean, numeric, boolean, numeric, boolean, name, text,
											  timestamp) IS
	'Покупка ли чек (служебная)';

-- A receipt is a document and a customer, for a report of a shift holds many of them; its time is that of its
-- first line.
CREATE FUNCTION onec_internal.receipts_till(server name, till timestamp, customers uuid[])
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, net numeric, gross numeric,
				   returned numeric, lines bigint, items numeric, is_purchase boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.customer_id, l.receipt_id, min(l.period), sum(l.amount),
			   sum(l.amount) FILTER (WHERE l.amount > 0), sum(l.amount) FILTER (WHERE l.amount < 0), count(*),
			   sum(l.quantity),
			   onec_internal.is_purchase(bool_or(l.amount > 0), sum(l.amount), bool_and(l.amount = 0),
										 sum(l.quantity) FILTER (WHERE l.amount = 0),
										 bool_or(l.counts_free), $1,
										 min(l.recorder::text) FILTER (WHERE l.amount = 0), min(l.period))
		FROM onec_internal.counted_lines($1, $2, $3) l GROUP BY l.customer_id, l.receipt_id;
	END;
COMMENT ON FUNCTION onec_internal.receipts_till(name, timestamp, uuid[]) IS
	'Чеки до указанного времени: все или названных покупателей (служебная)';

-- The lines again, each with the time of its receipt and whether that is a purchase.
CREATE FUNCTION onec_internal.receipt_lines_till(server name, till timestamp, customers uuid[])
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, is_purchase boolean, period timestamp,
				   product_id uuid, store_id uuid, quantity numeric, amount numeric)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT l.customer_id, l.receipt_id, min(l.period) OVER w,
			   onec_internal.is_purchase(
				   bool_or(l.amount > 0) OVER w, sum(l.amount) OVER w, bool_and(l.amount = 0) OVER w,
				   sum(l.quantity) FILTER (WHERE l.amount = 0) OVER w, l.counts_free, $1,
				   min(l.recorder::text) FILTER (WHERE l.amount = 0) OVER w, min(l.period) OVER w),
			   l.period, l.product_id, l.store_id, l.quantity, l.amount
		FROM onec_internal.counted_lines($1, $2, $3) l
		WINDOW w AS (PARTITION BY l.customer_id, l.receipt_id);
	END;
COMMENT ON FUNCTION onec_internal.receipt_lines_till(name, timestamp, uuid[]) IS
	'Учитываемые строки продаж с временем чека и тем, покупка ли он (служебная)';

-- A visit is a day with a purchase: the day of a receipt.
CREATE FUNCTION onec_internal.visit_day(at timestamp) RETURNS date
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN at::date;
COMMENT ON FUNCTION onec_internal.visit_day(timestamp) IS 'День визита: день чека (служебная)';

-- Weight halves with age.  After seven hundred halvings nothing is left that any rounding would show, and
-- more would be an error of underflow.
CREATE FUNCTION onec_internal.faded_weight(at timestamp, moment timestamp,
										   half_life_days float8) RETURNS float8
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	RETURN power(2, -least(greatest(date_part('epoch', moment - at) / 86400, 0) / half_life_days, 700));
COMMENT ON FUNCTION onec_internal.faded_weight(timestamp, timestamp, float8) IS
	'Что осталось от веса к моменту, если за столько дней он падает вдвое (служебная)';
