-- Receipts that are kept, so that what tells of the whole shop need not put all lines together each time.
--
-- A part of a receipt is what one document adds to it at one moment, of one buyer, store and organization: it
-- follows from the lines alone, whatever the shop's rules are, and these are applied when it is read.
-- Triggers of the lines keep it, of the documents touched, whoever writes them.  Most receipts are one part,
-- which says so: only the others are put together.
--
-- A dump leaves it out: who restores the lines makes it again.

CREATE TABLE onec_internal.receipt_part (
	period timestamp NOT NULL,
	part int NOT NULL,
	lines int NOT NULL,
	store_id onec_internal.reference_number,
	organization_id onec_internal.reference_number,
	server smallint NOT NULL,
	recorder_type onec_internal.term_number NOT NULL,
	alone boolean NOT NULL,
	receipt_id uuid NOT NULL,
	recorder uuid,
	customer_id uuid,
	quantity numeric NOT NULL,
	net numeric NOT NULL,
	gross numeric,
	returned numeric,
	given numeric,
	PRIMARY KEY (receipt_id, part, server)
);
-- The key finds the parts of a receipt when its lines change.
-- Receipts of some days.
CREATE INDEX receipt_part_period ON onec_internal.receipt_part (period, server);
-- Receipts of somebody.
CREATE INDEX receipt_part_customer ON onec_internal.receipt_part (customer_id) WHERE customer_id IS NOT NULL;
-- Those that have to be put together.
CREATE INDEX receipt_part_several ON onec_internal.receipt_part (period, server) WHERE NOT alone;
COMMENT ON TABLE onec_internal.receipt_part IS
	'Части чеков: что в чек внёс один документ в один момент, одного покупателя, магазина и организации';
COMMENT ON COLUMN onec_internal.receipt_part.period IS 'Дата и время строк';
COMMENT ON COLUMN onec_internal.receipt_part.part IS 'Номер части у чека';
COMMENT ON COLUMN onec_internal.receipt_part.lines IS 'Строк';
COMMENT ON COLUMN onec_internal.receipt_part.server IS 'Номер внешнего сервера';
COMMENT ON COLUMN onec_internal.receipt_part.recorder_type IS 'Номер вида документа';
COMMENT ON COLUMN onec_internal.receipt_part.alone IS 'Единственная часть чека этого покупателя';
COMMENT ON COLUMN onec_internal.receipt_part.receipt_id IS 'Документ покупки';
COMMENT ON COLUMN onec_internal.receipt_part.recorder IS
	'Документ, чьи это строки; пусто — документ самой покупки';
COMMENT ON COLUMN onec_internal.receipt_part.customer_id IS 'Покупатель; пусто — неизвестен';
COMMENT ON COLUMN onec_internal.receipt_part.store_id IS 'Номер магазина';
COMMENT ON COLUMN onec_internal.receipt_part.organization_id IS 'Номер организации';
COMMENT ON COLUMN onec_internal.receipt_part.quantity IS 'Штук';
COMMENT ON COLUMN onec_internal.receipt_part.net IS 'Сумма за вычетом возвратов';
COMMENT ON COLUMN onec_internal.receipt_part.gross IS 'Продано; пусто — ничего';
COMMENT ON COLUMN onec_internal.receipt_part.returned IS 'Возвращено, меньше нуля; пусто — ничего';
COMMENT ON COLUMN onec_internal.receipt_part.given IS 'Штук, отданных даром; пусто — таких строк нет';

-- What may be divided by years (50_people/35_years.sql): lines, and the receipts that follow them.
CREATE FUNCTION onec_internal.tables_by_year() RETURNS SETOF regclass
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp
	RETURN unnest('{onec_internal.sale_line,onec_internal.receipt_part}'::regclass[]);
COMMENT ON FUNCTION onec_internal.tables_by_year() IS 'Таблицы, которые делятся по годам (служебная)';

-- ---- kept with the lines ----

-- The receipts that a statement touches, anew: the parts of the documents that it touches from their lines,
-- those of others as they were.  What is there is locked first, in one order: who changes lines of the same
-- receipt waits here, then sees the other's.  Where nothing is there yet, the lines that came are all; else
-- documents are looked up one by one, whatever the planner takes the tables for.  Receipts are gone through
-- in the order of the key: neighbours are on one page of its index.
CREATE FUNCTION onec_internal.keep_receipts() RETURNS trigger
	LANGUAGE plpgsql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	SET jit = off SET work_mem = '64MB' SET enable_seqscan = off SET enable_hashjoin = off
	SET enable_mergejoin = off
AS $$
DECLARE
	servers smallint[];
	receipts uuid[];
	recorders uuid[];
	locked bigint;
	known bigint;
	fresh boolean;
BEGIN
	IF current_setting('onec_store.moves_rows', true) = 'on' THEN
		-- the lines are what they were, in another table (50_people/35_years.sql)
		RETURN NULL;
	ELSIF TG_OP = 'TRUNCATE' THEN
		DELETE FROM onec_internal.receipt_part;
		RETURN NULL;
	ELSIF TG_OP = 'UPDATE' THEN
		SELECT array_agg(x.server), array_agg(x.id), array_agg(x.recorder) INTO servers, receipts, recorders
		FROM (SELECT l.server, onec_internal.receipt_of(l.document_id, l.recorder) AS id, l.recorder
			  FROM former_line l
			  UNION
			  SELECT l.server, onec_internal.receipt_of(l.document_id, l.recorder), l.recorder
			  FROM changed_line l ORDER BY id) x;
	ELSE
		SELECT array_agg(x.server), array_agg(x.id), array_agg(x.recorder) INTO servers, receipts, recorders
		FROM (SELECT DISTINCT l.server, onec_internal.receipt_of(l.document_id, l.recorder) AS id, l.recorder
			  FROM changed_line l ORDER BY id) x;
	END IF;
	-- a dump is being restored, whose years have no keys yet
	IF EXISTS (SELECT FROM pg_inherits i
			   WHERE i.inhparent IN (SELECT t FROM onec_internal.tables_by_year() t)
				 AND NOT EXISTS (SELECT FROM pg_index x
								 WHERE x.indrelid = i.inhrelid AND x.indisprimary)) THEN
		PERFORM set_config('enable_hashjoin', 'on', true);
	END IF;
	LOOP
		PERFORM FROM unnest(servers, receipts) k (server, id)
		JOIN onec_internal.receipt_part p ON p.receipt_id = k.id AND p.server = k.server
		ORDER BY p.receipt_id, p.part, p.server FOR UPDATE OF p;
		GET DIAGNOSTICS locked = ROW_COUNT;
		-- whom it has waited for has put others in their place
		known := (SELECT count(*) FROM unnest(servers, receipts) k (server, id)
				  JOIN onec_internal.receipt_part p ON p.receipt_id = k.id AND p.server = k.server);
		EXIT WHEN known = locked;
	END LOOP;
	fresh := TG_OP = 'INSERT' AND known = 0;
	WITH former AS (
		DELETE FROM onec_internal.receipt_part p
		USING (SELECT u.server, u.id, array_agg(u.recorder) AS recorders
			   FROM unnest(servers, receipts, recorders) u (server, id, recorder) GROUP BY 1, 2) k
		WHERE known > 0 AND p.receipt_id = k.id AND p.server = k.server
		RETURNING p.*, onec_internal.receipt_of(p.recorder, p.receipt_id) = ANY (k.recorders) AS is_anew)
	INSERT INTO onec_internal.receipt_part
	SELECT g.period, row_number() OVER (PARTITION BY g.id, g.server
									   ORDER BY g.customer_id, g.recorder, g.period, g.store_id,
												g.organization_id, g.recorder_type), g.lines, g.store_id,
		   g.organization_id, g.server, g.recorder_type,
		   count(*) OVER (PARTITION BY g.id, g.server, g.customer_id) = 1, g.id, nullif(g.recorder, g.id),
		   g.customer_id, g.quantity, g.net, g.gross, g.returned, g.given
	FROM (SELECT l.period, count(*) AS lines, l.server, l.recorder_type,
				 onec_internal.receipt_of(l.document_id, l.recorder) AS id, l.recorder,
				 onec_internal.buyer_id(l.attribution, l.person_id) AS customer_id, l.store_id,
				 l.organization_id, sum(coalesce(l.quantity, 0)) AS quantity,
				 sum(coalesce(l.amount, 0)) AS net, sum(l.amount) FILTER (WHERE l.amount > 0) AS gross,
				 sum(l.amount) FILTER (WHERE l.amount < 0) AS returned,
				 sum(l.quantity) FILTER (WHERE coalesce(l.amount, 0) = 0) AS given
		  FROM (SELECT c.* FROM changed_line c WHERE fresh
				UNION ALL
				SELECT s.* FROM unnest(servers, receipts, recorders) k (server, id, recorder)
				JOIN onec_internal.sale_line s ON s.server = k.server AND s.recorder = k.recorder
				WHERE NOT fresh AND onec_internal.receipt_of(s.document_id, s.recorder) = k.id) l
		  WHERE l.period IS NOT NULL AND onec_internal.sells(l.active, l.quantity, l.amount)
		  GROUP BY l.server, 5, l.recorder, l.period, l.recorder_type, 7, l.store_id, l.organization_id
		  UNION ALL
		  SELECT f.period, f.lines, f.server, f.recorder_type, f.receipt_id,
				 onec_internal.receipt_of(f.recorder, f.receipt_id), f.customer_id, f.store_id,
				 f.organization_id, f.quantity, f.net, f.gross, f.returned, f.given
		  FROM former f WHERE NOT f.is_anew) g;
	RETURN NULL;
END $$;
COMMENT ON FUNCTION onec_internal.keep_receipts() IS 'Части чеков следуют строкам продаж (служебная)';
CREATE TRIGGER keep_receipts_inserted AFTER INSERT ON onec_internal.sale_line
	REFERENCING NEW TABLE AS changed_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();
CREATE TRIGGER keep_receipts_updated AFTER UPDATE ON onec_internal.sale_line
	REFERENCING OLD TABLE AS former_line NEW TABLE AS changed_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();
CREATE TRIGGER keep_receipts_deleted AFTER DELETE ON onec_internal.sale_line
	REFERENCING OLD TABLE AS changed_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();
CREATE TRIGGER keep_receipts_truncated AFTER TRUNCATE ON onec_internal.sale_line
	FOR EACH STATEMENT EXECUTE FUNCTION onec_internal.keep_receipts();

-- ---- read by the shop's rules ----

CREATE VIEW onec_internal.counted_part AS
	SELECT w.server, p.customer_id, p.receipt_id, p.period, t.id AS store_id,
		   onec_internal.receipt_of(p.recorder, p.receipt_id) AS recorder, p.lines,
		   p.quantity AS items, p.net, p.gross, p.returned, p.given, p.alone, w.today, w.counts_free
	FROM onec_internal.shop_rules w JOIN onec_internal.receipt_part p ON p.server = w.number
	LEFT JOIN onec_internal.reference t ON t.number = p.store_id
	WHERE onec_internal.is_let_in(p.recorder_type, p.organization_id, w.excluded_terms,
									w.organization_numbers);
COMMENT ON VIEW onec_internal.counted_part IS 'Части чеков из учитываемых строк (служебное)';
COMMENT ON COLUMN onec_internal.counted_part.items IS 'Штук';

-- The receipts of a shop that are known by "till": what onec_internal.receipts_till puts together of lines.
CREATE FUNCTION onec_internal.kept_receipts(server name, till timestamp)
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, net numeric, gross numeric,
				   returned numeric, lines bigint, items numeric, is_purchase boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.customer_id, p.receipt_id, p.period, p.net, p.gross, p.returned, p.lines::bigint, p.items,
			   onec_internal.is_purchase(p.gross IS NOT NULL, p.net,
										 p.gross IS NULL AND p.returned IS NULL, p.given, p.counts_free, $1,
										 p.recorder::text, p.period)
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		UNION ALL
		SELECT p.customer_id, p.receipt_id, min(p.period), sum(p.net), sum(p.gross), sum(p.returned),
			   sum(p.lines), sum(p.items),
			   onec_internal.is_purchase(bool_or(p.gross IS NOT NULL), sum(p.net),
										 bool_and(p.gross IS NULL AND p.returned IS NULL), sum(p.given),
										 bool_or(p.counts_free), $1,
										 min(p.recorder::text) FILTER (WHERE p.given IS NOT NULL),
										 min(p.period))
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND NOT p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		GROUP BY p.customer_id, p.receipt_id;
	END;
COMMENT ON FUNCTION onec_internal.kept_receipts(name, timestamp) IS
	'Все чеки магазина до указанного времени, из хранимых частей (служебная)';

-- Their parts, each with the time of its receipt and whether that is a purchase; "is_first" is true of the
-- first part of each receipt, "once" of one of each receipt and store.
CREATE FUNCTION onec_internal.kept_parts(server name, till timestamp)
	RETURNS TABLE (customer_id uuid, receipt_id uuid, at timestamp, is_purchase boolean, period timestamp,
				   store_id uuid, items numeric, net numeric, gross numeric, returned numeric,
				   is_first boolean, once boolean)
	LANGUAGE sql STABLE PARALLEL SAFE
	BEGIN ATOMIC
		SELECT p.customer_id, p.receipt_id, p.period,
			   onec_internal.is_purchase(p.gross IS NOT NULL, p.net,
										 p.gross IS NULL AND p.returned IS NULL, p.given, p.counts_free, $1,
										 p.recorder::text, p.period),
			   p.period, p.store_id, p.items, p.net, p.gross, p.returned, true, true
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		UNION ALL
		SELECT p.customer_id, p.receipt_id, min(p.period) OVER w,
			   onec_internal.is_purchase(
				   bool_or(p.gross IS NOT NULL) OVER w, sum(p.net) OVER w,
				   bool_and(p.gross IS NULL AND p.returned IS NULL) OVER w, sum(p.given) OVER w,
				   p.counts_free, $1, min(p.recorder::text) FILTER (WHERE p.given IS NOT NULL) OVER w,
				   min(p.period) OVER w),
			   p.period, p.store_id, p.items, p.net, p.gross, p.returned,
			   row_number() OVER (w ORDER BY p.period) = 1,
			   row_number() OVER (PARTITION BY p.customer_id, p.receipt_id, p.store_id) = 1
		FROM onec_internal.counted_part p
		WHERE p.server = $1 AND NOT p.alone
		  AND onec_internal.is_dated_before(p.period, coalesce($2, p.today + 1))
		WINDOW w AS (PARTITION BY p.customer_id, p.receipt_id);
	END;
COMMENT ON FUNCTION onec_internal.kept_parts(name, timestamp) IS
	'Части чеков магазина с временем чека и тем, покупка ли он (служебная)';
