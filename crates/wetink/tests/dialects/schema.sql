CREATE TABLE customers (id int PRIMARY KEY, name varchar(80), email varchar(80), city varchar(40));
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers (id) ON DELETE CASCADE, amount int, status varchar(80), note varchar(80));
CREATE TABLE line_items (id int PRIMARY KEY, order_id int REFERENCES orders (id) ON DELETE CASCADE, qty int, sku varchar(80));
CREATE TABLE stock (id int PRIMARY KEY, qty int, sku varchar(80), place varchar(80));
CREATE TABLE watched (id int PRIMARY KEY, a int, b varchar(80));
CREATE TABLE quiet (id int PRIMARY KEY, a int, b varchar(80));
CREATE TABLE changes (at int, what varchar(80));
CREATE VIEW paid AS SELECT o.id, o.status, c.name FROM orders o JOIN customers c ON c.id = o.customer WHERE o.status = 'paid';
CREATE VIEW cities AS SELECT city, count(*) AS n FROM customers GROUP BY city;
