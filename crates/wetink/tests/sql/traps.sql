-- One statement a line. Each is refused by analysis, or its effect holds at the server.
SELECT set_config('role', 'none', true), query_to_xml('select * from customers', true, true, '')
SELECT * FROM quiet; DELETE FROM quiet
COPY quiet TO PROGRAM 'true'
COPY quiet FROM '/etc/passwd'
DO $$ BEGIN DELETE FROM quiet; END $$
PREPARE p AS DELETE FROM quiet
EXPLAIN ANALYZE DELETE FROM quiet WHERE id = 1
SELECT * INTO copied FROM quiet
CREATE TABLE copied AS SELECT * FROM customers
WITH gone AS (DELETE FROM quiet WHERE id = 2 RETURNING *) SELECT * FROM gone
WITH gone AS (DELETE FROM quiet WHERE id = 2 RETURNING *) SELECT 1
SELECT (SELECT log_it('x')) IS NULL
SELECT * FROM quiet q, LATERAL log_it(q.b)
SELECT * FROM quiet WHERE log_it(b) IS NULL
SELECT count(*) FILTER (WHERE region_of(id) = 'north') FROM customers
SELECT customers FROM customers
SELECT c.* FROM customers c WHERE c.id = 1
SELECT row_to_json(c) FROM customers c
SELECT (c).email FROM customers c
SELECT email FROM ONLY customers TABLESAMPLE SYSTEM (10)
SELECT "email" FROM "public"."customers"
SELECT U&"\0065mail" FROM customers
SELECT e'\x64', email FROM customers
TABLE customers
VALUES ((SELECT max(email) FROM customers))
SELECT xmin, ctid FROM quiet
SELECT tableoid::regclass FROM parted
SELECT * FROM parted_low
SELECT * FROM parted FOR SHARE
SELECT * FROM rich r JOIN customers c USING (id)
SELECT 1 FROM rich
INSERT INTO quiet_ones (id, a) VALUES (900, 1)
DELETE FROM quiet_ones WHERE id = 3
UPDATE open_orders SET amount = 3 WHERE id = 4
INSERT INTO lines (order_id) VALUES (1)
INSERT INTO lines DEFAULT VALUES
INSERT INTO numbered DEFAULT VALUES
INSERT INTO numbered (a) SELECT a FROM quiet WHERE id = 1
INSERT INTO customers AS c (id, name) VALUES (1, 'x') ON CONFLICT ON CONSTRAINT customers_pkey DO UPDATE SET name = c.email || excluded.name
INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT DO NOTHING
UPDATE orders SET amount = DEFAULT WHERE id = 5
UPDATE orders SET (status, note) = (SELECT region, name FROM customers WHERE customers.id = orders.customer) WHERE id = 6
UPDATE orders o SET note = c.name FROM customers c WHERE c.id = o.customer AND o.id = 7 RETURNING o.*, c.email
UPDATE watched SET b = 'x' WHERE id = 1
DELETE FROM watched WHERE id = 1
DELETE FROM customers c USING orders o WHERE o.customer = c.id AND o.id = 8
DELETE FROM orders WHERE id IN (SELECT order_id FROM lines WHERE sku = 's1')
UPDATE customers SET id = 700 WHERE id = 2
UPDATE parted SET id = 60 WHERE id = 10
MERGE INTO stock s USING (SELECT sku, count(*) n FROM lines GROUP BY sku) l ON l.sku = s.sku WHEN MATCHED AND s.qty > l.n THEN DELETE WHEN NOT MATCHED THEN INSERT (sku, qty) VALUES (l.sku, 1)
SELECT nextval('ticket_numbers'), currval('ticket_numbers')
SELECT setval('ticket_numbers', 5)
SELECT last_value FROM ticket_numbers
TRUNCATE quiet
LOCK TABLE quiet
VACUUM quiet
REFRESH MATERIALIZED VIEW per_region
ALTER TABLE quiet ADD COLUMN c int
CREATE INDEX ON quiet (double_of(a))
GRANT ALL ON quiet TO PUBLIC
SET search_path TO evil
SET ROLE boss
RESET ALL
LISTEN x
NOTIFY x, 'y'
CALL nothing()
CALL settle(3)
CALL settle(o => 4, s => 'late')
CALL settle((SELECT max(order_id) FROM lines))
CALL told(7)
CALL any_table('quiet')
CALL commits()
CALL tidy(log_it('x')::text::int)
SELECT pg_sleep(0)
SELECT lo_import('/etc/passwd')
SELECT pg_read_file('/etc/passwd')
SELECT dblink('x', 'y')
SELECT currval('ticket_numbers')
SELECT random() < 2, clock_timestamp() IS NOT NULL, gen_random_uuid() IS NOT NULL
SELECT 'DELETE FROM quiet' AS text, $q$; DROP TABLE quiet; $q$ AS more
SELECT /* DELETE FROM quiet */ 1 -- ; DROP TABLE quiet
SELECT double_of(3), stock_of('s1'), region_of(1)
SELECT * FROM generate_series(1, 3) g, quiet WHERE quiet.id = g
SELECT * FROM quiet NATURAL JOIN numbered
SELECT * FROM quiet a JOIN numbered b USING (id, a) ORDER BY 1
SELECT a.id FROM quiet a WHERE EXISTS (TABLE customers)
SELECT ARRAY(SELECT email FROM customers ORDER BY 1)
SELECT id FROM quiet ORDER BY (SELECT max(email) FROM customers)
SELECT id FROM quiet LIMIT (SELECT count(*) FROM customers)
SELECT CASE WHEN false THEN (SELECT max(email) FROM customers) END
SELECT coalesce(1, (SELECT min(qty) FROM stock))
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n, (SELECT count(*) FROM audit) FROM r
SELECT what FROM audit WHERE at > now() - interval '1 day'
SELECT relname FROM pg_class LIMIT 1
SELECT table_name FROM information_schema.tables LIMIT 1
SELECT rolpassword FROM pg_authid
SELECT usename FROM pg_user LIMIT 1
SELECT 1::positive, 'sad'::mood
SELECT '5'::public.positive
SELECT current_user, session_user, current_schema
SELECT version()
SELECT f.qty FROM stock f, orders o, lines l WHERE f.sku = l.sku AND l.order_id = o.id AND o.status = 'paid' LIMIT 3
SELECT sum(amount) OVER (PARTITION BY customer ORDER BY id) FROM orders WINDOW w AS (ORDER BY note)
SELECT grouping(region), region, count(*) FROM customers GROUP BY ROLLUP (region)
SELECT json_agg(o) FROM open_orders o
SELECT mode() WITHIN GROUP (ORDER BY qty) FROM stock
