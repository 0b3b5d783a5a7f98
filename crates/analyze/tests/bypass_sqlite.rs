//! T-ANA-01 (ST-38) for SQLite: statements that have passed for less than they do.

mod common;

use analyze::{Code, headline};
use artifact::Kind;
use common::{check, exact, run, sqlite};

const CORPUS: &[(&str, &str)] = &[
    // Plain reads, which must stay reads.
    ("select 1", "read"),
    ("select id, status from orders", "read"),
    ("select id from main.orders;", "read"),
    ("select id from orders; -- done", "read"),
    ("select id from orders;;", "read"),
    ("select * from orders where status = 'x; drop table orders'", "read"),
    ("select count(*) from orders", "read"),
    ("select [id], `status`, \"amount\" from [orders]", "read"),
    ("values (1, 'a')", "read"),
    ("select o.id, c.name from orders o join customers c on c.id = o.customer_id", "read"),
    ("with x as (select id from orders) select id from x", "read"),
    ("with x as (select id from orders) select count(*) from x", "read"),
    ("with recursive t(n) as (select 1 union all select n + 1 from t where n < 9) select n from t", "read"),
    ("select id, row_number() over (partition by status order by amount) from orders", "read"),
    ("select status, sum(amount), group_concat(id) from orders group by status having count(*) > 1", "read"),
    ("select json_extract('{}', '$.a'), '{}' ->> '$.a'", "read"),
    ("select value from json_each('[1,2]')", "read"),
    ("select datetime('now'), strftime('%Y', 'now'), julianday(1)", "read"),
    ("select lower(name), upper(name), trim(name), substr(name, 1, 2), replace(name, 'a', 'b') from customers", "read"),
    ("select abs(-1), round(1.5), max(1, 2), min(1, 2), random(), hex('a'), typeof(1), coalesce(null, 1)", "read"),
    ("select printf('%d', 1), format('%s', 'a'), iif(1, 2, 3), nullif(1, 1), ifnull(null, 1)", "read"),
    ("select sign(-2), unicode('a'), char(65), unhex('41'), soundex('a')", "read"),
    ("select id, status from open_orders", "read"),
    ("select name from sqlite_schema", "read"),
    ("select sql from sqlite_master where type = 'table'", "read"),
    ("select seq from sqlite_sequence", "read"),
    ("select body from notes where notes match 'a'", "read"),
    ("select id from orders indexed by orders_status where status = 'a'", "read"),
    ("select rowid from orders", "read"),
    ("explain select id from orders", "read"),
    ("explain query plan select id from orders", "read"),
    ("select /* delete */ 1 /* from */", "read"),
    ("select case when amount > 1 then 'a' else 'b' end from orders order by 1 limit 5 offset 1", "read"),
    ("select id from orders union select id from customers except select 1", "read"),
    ("select 1 where exists (select 1 from orders where id = 1)", "read"),
    ("select x'00ff', 0x1f, 1e3, 'it''s'", "read"),
    ("select last_insert_rowid(), changes()", "read"),
    ("select name collate nocase from customers", "read"),
    ("select 1 /* open", "read"),
    // Writes, wherever they hide.
    ("insert into orders (id) values (1)", "insert main.orders"),
    ("insert into orders default values", "insert main.orders"),
    ("insert into orders select * from orders", "insert main.orders"),
    ("insert or ignore into orders (id) values (1)", "insert main.orders"),
    ("insert or replace into orders (id) values (1)", "delete main.orders"),
    ("INSERT OR/**/REPLACE INTO orders (id) values (1)", "delete main.orders"),
    ("replace into orders (id) values (1)", "delete main.orders"),
    ("update or replace orders set id = 2 where id = 1", "delete main.orders"),
    ("insert into unique_rows (k) values ('a')", "delete main.unique_rows"),
    ("insert into orders (id) values (1) on conflict (id) do update set status = 'x'", "update main.orders"),
    ("insert into orders (id) values (1) returning status", "insert main.orders"),
    ("update orders set status = 'x' where id = 1", "update main.orders"),
    ("update orders set status = 'x' from customers c where c.id = customer_id", "update main.orders"),
    ("update main.orders set (status, amount) = (select 'a', 1)", "update main.orders"),
    ("delete from orders where id = 1", "delete main.orders"),
    ("dElEtE/**/from/**/orders", "delete main.orders"),
    ("-- select 1\ndelete from orders", "delete main.orders"),
    ("with x as (select 1) delete from orders where id in (select * from x)", "delete main.orders"),
    ("with x as (select 1) insert into orders (id) select * from x", "insert main.orders"),
    ("explain delete from orders", "delete main.orders"),
    ("explain query plan delete from orders", "delete main.orders"),
    ("update audited set a = 'x' where id = 1", "update main.audited"),
    ("delete from open_orders where id = 1", "delete main.open_orders, main.orders"),
    ("delete from parents where id = 1", "delete main.children, main.parents"),
    ("insert into notes (body) values ('a')", "insert main.notes"),
    ("delete from sqlite_sequence", "delete main.sqlite_sequence"),
    // Definitions.
    ("create table t (a)", "define main.t"),
    ("create table t as select * from orders", "define main.t"),
    ("create temp table t (a)", "define temp.t"),
    ("create view v as select load_extension('x')", "define main.v"),
    ("create index i on orders (amount)", "define main.i, main.orders"),
    ("create trigger x after insert on orders begin delete from customers; end", "define main.orders"),
    ("drop table orders", "define main.orders"),
    ("drop view open_orders", "define main.open_orders"),
    ("drop index orders_status", "define main.orders"),
    ("drop trigger audit", "define main.audited"),
    ("alter table orders rename to o2", "define main.orders"),
    ("alter table orders rename column status to state", "define main.orders"),
    ("alter table orders add column x", "define main.orders"),
    ("alter table orders drop column amount", "define main.orders"),
    ("create virtual table v using fts5(a)", "define main.v"),
    ("reindex orders", "define main.orders_status"),
    // More than one statement.
    ("select 1; delete from orders", "refused"),
    ("select 1;;delete from orders", "refused"),
    ("select 1;\n-- x\ndrop table orders", "refused"),
    ("select 1 /* ; */; /* */ delete from orders", "refused"),
    ("select 1; select 1", "refused"),
    (";", "refused"),
    ("-- nothing", "refused"),
    ("/* nothing */ ;", "refused"),
    // Pragmas, in both forms.
    ("pragma writable_schema = 1", "refused"),
    ("pragma writable_schema", "refused"),
    ("PRAGMA main.journal_mode = off", "refused"),
    ("pragma foreign_keys = off", "refused"),
    ("pragma table_info(orders)", "refused"),
    ("pragma temp_store_directory = '/srv'", "refused"),
    ("pragma trusted_schema = 1", "refused"),
    ("explain pragma user_version = 3", "refused"),
    ("select * from pragma_table_info('orders')", "refused"),
    ("select count(*) from pragma_function_list", "refused"),
    ("select name from pragma_database_list", "refused"),
    // Files and other databases.
    ("attach '/srv/x' as x", "refused"),
    ("attach database ':memory:' as x", "refused"),
    ("attach 'file:/etc/passwd?mode=ro' as x", "refused"),
    ("detach main", "refused"),
    ("vacuum", "refused"),
    ("vacuum into '/srv/x'", "refused"),
    ("explain vacuum", "refused"),
    ("select load_extension('/srv/x.so')", "refused"),
    ("select load_extension('/srv/x.so', 'init')", "refused"),
    ("select 1 from orders where load_extension('x')", "refused"),
    ("select 1 from orders order by load_extension('x')", "refused"),
    ("select \"load_extension\"('x')", "refused"),
    ("select LOAD_EXTENSION ('x')", "refused"),
    ("insert into orders (status) values (load_extension('x'))", "refused"),
    ("insert into orders (id) values (1) returning load_extension('x')", "refused"),
    ("update orders set status = load_extension('x')", "refused"),
    ("with x as (select load_extension('x')) select * from x", "refused"),
    ("select readfile('/etc/passwd')", "refused"),
    ("select writefile('/srv/x', 'a')", "refused"),
    ("select edit('a', 'sh')", "refused"),
    ("select fts3_tokenizer('simple')", "refused"),
    ("select sqlite_offset(id) from orders", "refused"),
    ("select fts5_decode(1, 2)", "refused"),
    ("select no_such(1)", "refused"),
    ("select eval('delete from orders')", "refused"),
    ("select * from dbstat", "refused"),
    ("select count(*) from dbstat", "refused"),
    ("select * from sqlite_dbpage", "refused"),
    ("create virtual table v using csv(filename='/etc/passwd')", "refused"),
    ("create table t as select load_extension('x')", "refused"),
    // Transactions.
    ("begin", "refused"),
    ("begin exclusive", "refused"),
    ("commit", "refused"),
    ("end", "refused"),
    ("rollback", "refused"),
    ("savepoint a", "refused"),
    ("release a", "refused"),
    ("rollback to a", "refused"),
    // The schema table.
    ("insert into sqlite_master values ('table', 'x', 'x', 0, 'y')", "refused"),
    ("update sqlite_master set sql = 'x'", "refused"),
    ("delete from sqlite_schema", "refused"),
    ("insert into main.sqlite_schema (type) values ('a')", "refused"),
    ("update sqlite_temp_master set sql = 'x'", "refused"),
    // Names and parameters.
    ("select * from nowhere", "refused"),
    ("select nope from orders", "refused"),
    ("select \"nope\" from orders", "refused"),
    ("select * from evil.orders", "refused"),
    ("select ?", "refused"),
    ("select :a, @b, $c", "refused"),
    ("update orders set nope = 1", "refused"),
    // What is no SQLite.
    ("copy orders to program 'sh'", "refused"),
    ("select * into outfile '/srv/x' from orders", "refused"),
    (".shell id", "refused"),
    (".load evil", "refused"),
    ("select 'open", "refused"),
    ("select\u{202e} 1", "refused"),
    ("sel\u{200b}ect 1", "refused"),
    ("drop", "refused"),
    ("truncate orders", "refused"),
    ("grant all on orders to x", "refused"),
];

#[test]
fn nothing_is_shown_weaker_than_it_is() {
    assert!(CORPUS.len() >= 100);
    check(Kind::SqlSqlite, &sqlite(), CORPUS);
}

#[test]
fn effects_are_exact() {
    let catalog = sqlite();
    let cases = [
        ("select id, status from orders", "main.orders read r(id,status) w()"),
        ("select count(*) from orders", "main.orders read r() w()"),
        (
            "update orders set status = 'x', refunded_at = 'y' where id = 1",
            "main.orders read+update r(id) w(refunded_at,status)",
        ),
        ("delete from orders where status = 'x'", "main.orders read+delete r(status) w()"),
        ("insert into orders (id) values (1)", "main.orders insert r() w(*)"),
    ];
    for (sql, expected) in cases {
        assert_eq!(exact(&run(Kind::SqlSqlite, &catalog, sql)), expected, "{sql}");
    }
    let fired = run(Kind::SqlSqlite, &catalog, "update audited set a = 'x' where id = 1");
    assert!(fired.effect.relation("main.log").is_some(), "{:?}", fired.effect);
    assert!(fired.has(Code::TriggerFires));
    let view = run(Kind::SqlSqlite, &catalog, "select id from open_orders");
    assert!(view.effect.relation("main.orders").is_some());
    assert!(view.has(Code::ViewRead));
    let calls = run(Kind::SqlSqlite, &catalog, "select LOWER(name), Count(*) from customers");
    assert_eq!(calls.effect.functions, ["count", "lower"]);
}

#[test]
fn findings_say_why() {
    let catalog = sqlite();
    let cases = [
        ("delete from orders", Code::NoWhere),
        ("delete from orders where 1", Code::NoWhere),
        ("update orders set status = 'x' where true or id = 3", Code::NoWhere),
        ("replace into orders (id) values (1)", Code::ReplacesRows),
        ("select 1; select 2", Code::MultiStatement),
        ("pragma user_version", Code::PragmaStatement),
        ("attach 'x' as x", Code::AttachStatement),
        ("begin", Code::TransactionStatement),
        ("vacuum", Code::ServerControl),
        ("select load_extension('x')", Code::DangerousFunction),
        ("select ?1", Code::Parameter),
        ("drop table orders", Code::Ddl),
    ];
    for (sql, code) in cases {
        let analysis = run(Kind::SqlSqlite, &catalog, sql);
        assert!(analysis.has(code), "{sql}: {:?}", analysis.findings);
    }
    let all = run(Kind::SqlSqlite, &catalog, "delete from customers");
    assert_eq!(all.sentence, "Deletes ALL rows of main.customers");
    assert_eq!(headline(&all, None), "DELETES ALL rows in main.customers");
    let some = run(Kind::SqlSqlite, &catalog, "update orders set status = 'x', refunded_at = 'y' where id = 1");
    assert_eq!(some.sentence, "Changes rows of main.orders: refunded_at, status");
}

#[test]
fn a_hostile_or_broken_schema_is_not_built() {
    let hostile = [
        "create table t as with recursive x(n) as (select 1 union all select n + 1 from x) select * from x",
        "attach '/srv/x' as x",
        "pragma writable_schema = 1",
        "create table t (a default (load_extension('x'))); select 1",
        "drop",
        "create virtual table t using nothing_known(a)",
    ];
    for ddl in hostile {
        let mut catalog = sqlite();
        catalog.ddl.push(ddl.to_owned());
        let analysis = run(Kind::SqlSqlite, &catalog, "select id from orders");
        assert!(analysis.has(Code::CatalogUnusable), "{ddl}: {}", analysis.sentence);
    }
}
