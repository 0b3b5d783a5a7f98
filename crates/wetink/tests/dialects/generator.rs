//! Statements from a seed, in what MariaDB and SQLite have in common, and in what each has of its own.

/// A small generator of numbers (xorshift64*), the same everywhere for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % n.max(1)
    }

    pub fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let at = self.below(items.len());
        &items[at]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Mariadb,
    Sqlite,
}

/// Table, whole numbers, texts.
const TABLES: &[(&str, &[&str], &[&str])] = &[
    ("customers", &["id"], &["name", "email", "city"]),
    ("orders", &["id", "customer", "amount"], &["status", "note"]),
    ("line_items", &["id", "order_id", "qty"], &["sku"]),
    ("stock", &["id", "qty"], &["sku", "place"]),
    ("watched", &["id", "a"], &["b"]),
    ("quiet", &["id", "a"], &["b"]),
];

/// Views with columns.
const VIEWS: &[(&str, &[&str])] = &[("paid", &["id", "status", "name"]), ("cities", &["city", "n"])];

pub struct Generator {
    pub random: Random,
    dialect: Dialect,
    fresh: u64,
}

impl Generator {
    pub fn new(seed: u64, dialect: Dialect) -> Self {
        Self { random: Random::new(seed), dialect, fresh: 1_000 }
    }

    fn table(&mut self) -> (&'static str, &'static [&'static str], &'static [&'static str]) {
        *self.random.of(TABLES)
    }

    fn number(&mut self) -> String {
        match self.random.below(5) {
            0 => "NULL".to_owned(),
            1 => format!("{}", self.random.below(3)),
            2 => format!("{} + 1", self.random.below(40)),
            3 => format!("abs(-{})", self.random.below(40)),
            _ => format!("{}", self.random.below(60)),
        }
    }

    fn text(&mut self) -> String {
        let words =
            ["'a'", "'it''s'", "'paid'", "'-- no comment'", "'/* none */'", "'c1@example.com'", "upper('x')", "'ž'"];
        (*self.random.of(&words)).to_owned()
    }

    /// A condition on columns of `alias`, a relation of that table.
    fn condition(&mut self, alias: &str, numbers: &[&str], texts: &[&str], depth: usize) -> String {
        let number = *self.random.of(numbers);
        let text = *self.random.of(texts);
        match self.random.below(if depth > 1 { 9 } else { 13 }) {
            0 => format!("{alias}{number} = {}", self.number()),
            1 => format!("{alias}{number} BETWEEN {} AND {}", self.random.below(10), 10 + self.random.below(30)),
            2 => format!("{alias}{text} LIKE '%{}%'", self.random.below(9)),
            3 => format!("{alias}{text} IN ({}, {})", self.text(), self.text()),
            4 => format!("{alias}{number} IS NOT NULL"),
            5 => format!("lower({alias}{text}) = {}", self.text()),
            6 => format!("NOT ({alias}{number} < {})", self.random.below(30)),
            7 => format!("coalesce({alias}{number}, 0) % 3 = {}", self.random.below(3)),
            8 => format!("length({alias}{text}) > {}", self.random.below(5)),
            9 => {
                let left = self.condition(alias, numbers, texts, depth + 1);
                let right = self.condition(alias, numbers, texts, depth + 1);
                format!("({left} OR {right})")
            }
            10 => {
                let left = self.condition(alias, numbers, texts, depth + 1);
                let right = self.condition(alias, numbers, texts, depth + 1);
                format!("{left} AND {right}")
            }
            11 => {
                let (table, others, words) = self.table();
                let inner = self.condition("x.", others, words, depth + 1);
                format!("{alias}{number} IN (SELECT x.{} FROM {table} x WHERE {inner})", self.random.of(others))
            }
            _ => {
                let (table, others, words) = self.table();
                let inner = self.condition("x.", others, words, depth + 1);
                format!(
                    "EXISTS (SELECT 1 FROM {table} AS x WHERE x.{} = {alias}{number} AND {inner})",
                    self.random.of(others)
                )
            }
        }
    }

    fn select(&mut self) -> String {
        let (table, numbers, texts) = self.table();
        let (number, text) = (*self.random.of(numbers), *self.random.of(texts));
        match self.random.below(14) {
            0 => format!("SELECT * FROM {table} WHERE {}", self.condition("", numbers, texts, 0)),
            1 => format!("SELECT {number}, {text} FROM {table} WHERE {} ORDER BY {number} LIMIT 5", self.condition("", numbers, texts, 0)),
            2 => format!("SELECT count(*) FROM {table}"),
            3 => format!("SELECT {text}, count(*) AS n, max({number}) FROM {table} GROUP BY {text} HAVING count(*) > 1 ORDER BY n"),
            4 => {
                let (other, others, words) = self.table();
                format!("SELECT a.{number}, b.{} FROM {table} a JOIN {other} b ON a.{number} = b.{} WHERE {}", self.random.of(words), self.random.of(others), self.condition("b.", others, words, 0))
            }
            5 => {
                let (other, others, _) = self.table();
                format!("SELECT a.* FROM {table} AS a LEFT JOIN {other} AS b ON b.{} = a.{number} WHERE b.{} IS NULL", self.random.of(others), self.random.of(others))
            }
            6 => format!("WITH w AS (SELECT {number} AS n, {text} AS t FROM {table}) SELECT n, t FROM w WHERE n > {}", self.random.below(20)),
            7 => {
                let (view, columns) = *self.random.of(VIEWS);
                format!("SELECT {} FROM {view}", self.random.of(columns))
            }
            8 => format!("SELECT d.{number} FROM (SELECT {number} FROM {table} WHERE {}) AS d", self.condition("", numbers, texts, 0)),
            9 => {
                let (other, others, _) = self.table();
                format!("SELECT {number} FROM {table} UNION SELECT {} FROM {other}", self.random.of(others))
            }
            10 => format!("SELECT CASE WHEN {number} > 5 THEN {text} ELSE 'few' END FROM {table} -- the rest"),
            11 => format!("SELECT {number}, row_number() OVER (PARTITION BY {text} ORDER BY {number}) FROM {table}"),
            12 => format!("/* what */ SELECT (SELECT max(x.{number}) FROM {table} x WHERE x.{text} = y.{text}) FROM {table} y"),
            _ => "SELECT c.name, o.status, l.sku FROM customers c JOIN orders o ON o.customer = c.id JOIN line_items l ON l.order_id = o.id WHERE c.city = 'x'".to_owned(),
        }
    }

    fn update(&mut self) -> String {
        let (table, numbers, texts) = self.table();
        let (text, number) = (*self.random.of(texts), numbers[numbers.len() - 1]);
        let condition = self.condition("", numbers, texts, 0);
        let value = self.text();
        match self.random.below(7) {
            0 => format!("UPDATE {table} SET {text} = {value}"),
            1 if number != "id" => format!("UPDATE {table} SET {number} = {number} + 1 WHERE {condition}"),
            2 => format!("UPDATE {table} SET {text} = concat({text}, '!') WHERE {condition}"),
            3 => format!(
                "UPDATE {table} SET {text} = (SELECT max(email) FROM customers WHERE id < {}) WHERE {condition}",
                self.random.below(9)
            ),
            4 if self.dialect == Dialect::Mariadb => {
                format!("UPDATE {table} a JOIN quiet q ON q.id = a.id SET a.{text} = q.b WHERE q.a > 3")
            }
            4 => format!("UPDATE {table} SET {text} = q.b FROM quiet q WHERE q.id = {table}.id AND q.a > 3"),
            _ => format!("UPDATE {table} SET {text} = {value} WHERE {condition}"),
        }
    }

    fn insert(&mut self) -> String {
        self.fresh += 1;
        let id = self.fresh;
        let (table, numbers, texts) = self.table();
        let (text, number) = (*self.random.of(texts), numbers[numbers.len() - 1]);
        let value = self.text();
        let parent = 1 + self.random.below(10);
        // A row that refers to another needs one that is there.
        let refers = match table {
            "orders" => format!("customer, {text}) VALUES ({id}, {parent}, {value}"),
            "line_items" => format!("order_id, {text}) VALUES ({id}, {parent}, {value}"),
            _ => format!("{text}) VALUES ({id}, {value}"),
        };
        match (self.random.below(7), self.dialect) {
            (0, _) => {
                format!("INSERT INTO quiet (id, b) SELECT id + {id}, b FROM watched WHERE a > {}", self.random.below(9))
            }
            (1, Dialect::Mariadb) => {
                format!("INSERT INTO {table} (id, {refers}) ON DUPLICATE KEY UPDATE {text} = VALUES({text})")
            }
            (1, Dialect::Sqlite) => {
                format!("INSERT INTO {table} (id, {refers}) ON CONFLICT (id) DO UPDATE SET {text} = excluded.{text}")
            }
            (2, _) => format!("REPLACE INTO quiet (id, a, b) VALUES ({}, 1, {value})", self.random.below(20)),
            (3, Dialect::Mariadb) => format!("INSERT IGNORE INTO {table} (id, {refers})"),
            (3, Dialect::Sqlite) => format!("INSERT OR IGNORE INTO {table} (id, {refers})"),
            (4, _) => format!("INSERT INTO quiet VALUES ({id}, {}, {value})", if number == "id" { "2" } else { "3" }),
            (5, _) => format!("INSERT INTO {table} (id, {refers}) RETURNING id, {text}"),
            _ => format!("INSERT INTO {table} (id, {refers})"),
        }
    }

    fn delete(&mut self) -> String {
        let (table, numbers, texts) = self.table();
        let condition = self.condition("", numbers, texts, 0);
        match self.random.below(5) {
            0 => format!("DELETE FROM {table}"),
            1 if self.dialect == Dialect::Mariadb => {
                format!("DELETE a FROM {table} a JOIN quiet q ON q.id = a.id WHERE q.a = 2")
            }
            2 => format!("DELETE FROM {table} WHERE {condition} RETURNING id"),
            _ => format!("DELETE FROM {table} WHERE {condition}"),
        }
    }

    /// One statement.
    pub fn statement(&mut self) -> String {
        match self.random.below(10) {
            0..=4 => self.select(),
            5 | 6 => self.update(),
            7 | 8 => self.insert(),
            _ => self.delete(),
        }
    }
}
