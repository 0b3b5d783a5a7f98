//! Statements from a seed, each with what it certainly needs: those are the parts that a weakened effect may lack.

use artifact::effect::Verb;

/// A part of an effect without which the server must refuse the statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    pub relation: String,
    pub verb: Verb,
    /// None: the verb as a whole.
    pub column: Option<String>,
}

/// A statement and its needs.
pub struct Statement {
    pub sql: String,
    pub needs: Vec<Need>,
}

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

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let at = self.below(items.len());
        &items[at]
    }
}

/// Tables whose own columns a statement may use freely: name, whole numbers, texts.
const TABLES: &[(&str, &[&str], &[&str])] = &[
    ("customers", &["id"], &["name", "email", "region"]),
    ("orders", &["id", "customer"], &["status", "note"]),
    ("lines", &["id", "order_id"], &["sku"]),
    ("stock", &["qty"], &["sku", "place"]),
    ("quiet", &["id", "a"], &["b"]),
    ("watched", &["id", "a"], &["b"]),
    ("parted", &["id", "a"], &["b"]),
    ("numbered", &["id", "a"], &["b"]),
];

/// Tables that are written, with a column that may take any small number and one that takes any text.
const WRITTEN: &[(&str, &str, &str, &str)] = &[
    ("quiet", "id", "a", "b"),
    ("watched", "id", "a", "b"),
    ("parted", "id", "a", "b"),
    ("numbered", "id", "a", "b"),
    ("stock", "qty", "qty", "place"),
    ("orders", "id", "amount", "note"),
    ("customers", "id", "id", "name"),
];

/// One level of a query: aliases and tables in FROM.
struct Level {
    from: Vec<(String, usize)>,
}

struct Making<'r> {
    random: &'r mut Random,
    needs: Vec<Need>,
    aliases: usize,
}

/// The next statement.
pub fn statement(random: &mut Random) -> Statement {
    let kind = random.below(14);
    let mut making = Making { random, needs: Vec::new(), aliases: 0 };
    let sql = match kind {
        0..=4 => making.query(2),
        5 | 6 => making.update(),
        7 => making.delete(),
        8 | 9 => making.insert(),
        10 => making.writing_cte(),
        11 => making.merge(),
        12 => making.special(),
        _ => making.locking(),
    };
    let mut needs = making.needs;
    needs.sort();
    needs.dedup();
    Statement { sql, needs }
}

impl Making<'_> {
    fn need(&mut self, relation: &str, verb: Verb, column: Option<&str>) {
        let relation = if relation.contains('.') { relation.to_owned() } else { format!("public.{relation}") };
        self.needs.push(Need { relation, verb, column: column.map(str::to_owned) });
    }

    fn column(&mut self, level: &Level, text: bool) -> String {
        let (alias, table) = self.random.of(&level.from).clone();
        let (name, numbers, texts) = TABLES[table];
        let column = *self.random.of(if text { texts } else { numbers });
        self.need(name, Verb::Read, Some(column));
        format!("{alias}.{column}")
    }

    fn number(&mut self, level: &Level, depth: usize) -> String {
        match self.random.below(if depth == 0 { 3 } else { 9 }) {
            0 => self.random.below(60).to_string(),
            1 | 2 => self.column(level, false),
            3 => format!("({} + {})", self.number(level, depth - 1), self.number(level, depth - 1)),
            4 => format!("abs({})", self.number(level, depth - 1)),
            5 => format!("length({})", self.words(level, depth - 1)),
            6 => {
                format!("CASE WHEN {} THEN 1 ELSE {} END", self.truth(level, depth - 1), self.number(level, depth - 1))
            }
            7 => {
                let inner = self.level(1);
                let value = self.number(&inner, depth - 1);
                format!("(SELECT coalesce(max({value}), 0) FROM {})", self.from(&inner))
            }
            _ => format!("double_of({})", self.number(level, depth - 1)),
        }
    }

    fn words(&mut self, level: &Level, depth: usize) -> String {
        match self.random.below(if depth == 0 { 2 } else { 6 }) {
            0 => format!("'t{}'", self.random.below(30)),
            1 | 2 => self.column(level, true),
            3 => format!("upper({})", self.words(level, depth - 1)),
            4 => format!("({} || {})", self.words(level, depth - 1), self.words(level, depth - 1)),
            _ => format!("({})::text", self.number(level, depth - 1)),
        }
    }

    fn truth(&mut self, level: &Level, depth: usize) -> String {
        match self.random.below(if depth == 0 { 2 } else { 8 }) {
            // A condition without a column is worked out while planning, and what it guards is then never looked at.
            0 => format!("{} < {}", self.column(level, false), self.random.below(60)),
            1 => format!("{} = {}", self.column(level, true), self.words(level, 0)),
            2 => format!("{} BETWEEN {} AND 50", self.column(level, false), self.number(level, depth - 1)),
            3 => format!("({} OR {})", self.truth(level, depth - 1), self.truth(level, depth - 1)),
            4 => format!("NOT ({} AND {})", self.truth(level, depth - 1), self.truth(level, depth - 1)),
            5 => format!("{} LIKE {}", self.column(level, true), self.words(level, depth - 1)),
            6 => {
                let inner = self.level(1);
                let value = self.number(&inner, 0);
                format!("{} IN (SELECT {value} FROM {})", self.column(level, false), self.from(&inner))
            }
            _ => {
                let mut inner = self.level(1);
                let own = inner.from.len();
                inner.from.extend(level.from.iter().cloned());
                let condition = self.truth(&inner, depth - 1);
                inner.from.truncate(own);
                format!("EXISTS (SELECT 1 FROM {} WHERE {condition})", self.from(&inner))
            }
        }
    }

    fn level(&mut self, most: usize) -> Level {
        let count = 1 + self.random.below(most);
        let from = (0..count).map(|_| {
            self.aliases += 1;
            (format!("t{}", self.aliases), self.random.below(TABLES.len()))
        });
        Level { from: from.collect() }
    }

    fn from(&mut self, level: &Level) -> String {
        for (_, table) in &level.from {
            self.need(TABLES[*table].0, Verb::Read, None);
        }
        let names: Vec<String> =
            level.from.iter().map(|(alias, table)| format!("{} AS {alias}", TABLES[*table].0)).collect();
        names.join(", ")
    }

    fn query(&mut self, depth: usize) -> String {
        let level = self.level(2);
        let from = self.from(&level);
        let condition = self.truth(&level, depth);
        match self.random.below(7) {
            0 => format!("SELECT count(*) FROM {from} WHERE {condition}"),
            1 => {
                let (key, value) = (self.words(&level, 1), self.number(&level, 1));
                format!("SELECT {key} AS k, sum({value}) FROM {from} WHERE {condition} GROUP BY 1 ORDER BY k LIMIT 20")
            }
            2 => {
                let (key, value) = (self.number(&level, 0), self.number(&level, 0));
                format!(
                    "SELECT {value}, row_number() OVER (PARTITION BY {key} ORDER BY {value}) FROM {from} WHERE {condition} LIMIT 20"
                )
            }
            3 => {
                let value = self.words(&level, 1);
                let other = self.level(1);
                let (there, second) = (self.from(&other), self.words(&other, 1));
                format!("SELECT {value} FROM {from} WHERE {condition} UNION SELECT {second} FROM {there} LIMIT 30")
            }
            4 => {
                let value = self.number(&level, 1);
                format!(
                    "WITH w AS (SELECT {value} AS v FROM {from} WHERE {condition} LIMIT 20) SELECT v + 1 FROM w WHERE v > 3"
                )
            }
            5 => {
                let value = self.words(&level, 2);
                format!("SELECT DISTINCT {value} FROM {from} WHERE {condition} LIMIT 20")
            }
            _ => {
                let (a, b) = (self.number(&level, depth), self.words(&level, depth));
                format!("SELECT {a} AS a, {b} AS b FROM {from} WHERE {condition} LIMIT 20")
            }
        }
    }

    fn written(&mut self) -> (&'static (&'static str, &'static str, &'static str, &'static str), Level) {
        let target = self.random.of(WRITTEN);
        let table = TABLES.iter().position(|(name, ..)| *name == target.0).unwrap_or(0);
        (target, Level { from: vec![(target.0.to_owned(), table)] })
    }

    fn update(&mut self) -> String {
        let (target, level) = self.written();
        let (name, key, number, text) = *target;
        self.need(name, Verb::Update, Some(text));
        self.need(name, Verb::Read, Some(key));
        let value = self.words(&level, 1);
        let mut set = format!("{text} = {value}");
        if self.random.below(2) == 0 && number != key && name != "stock" {
            self.need(name, Verb::Update, Some(number));
            set += &format!(", {number} = {}", self.number(&level, 1));
        }
        let condition = format!("{name}.{key} = {} AND {}", self.random.below(20), self.truth(&level, 1));
        if self.random.below(3) == 0 {
            self.need(name, Verb::Read, Some(text));
            return format!("UPDATE {name} SET {set} WHERE {condition} RETURNING {name}.{text}");
        }
        format!("UPDATE {name} SET {set} WHERE {condition}")
    }

    fn delete(&mut self) -> String {
        let (target, level) = self.written();
        let (name, key, ..) = *target;
        self.need(name, Verb::Delete, None);
        self.need(name, Verb::Read, Some(key));
        let value = self.random.below(25);
        let condition = self.truth(&level, 1);
        format!("DELETE FROM {name} WHERE {name}.{key} = {value} AND {condition}")
    }

    fn insert(&mut self) -> String {
        let (name, key, number, text) = *self.random.of(&WRITTEN[..4]);
        let id = 1000 + self.random.below(1_000_000);
        self.need(name, Verb::Insert, Some(number));
        self.need(name, Verb::Insert, Some(text));
        let id = if name == "parted" { 100 + id % 800 } else { id };
        match self.random.below(4) {
            0 if name == "numbered" => {
                self.need("ticket_numbers", Verb::Insert, None);
                format!("INSERT INTO {name} ({number}, {text}) VALUES ({}, 'x')", self.random.below(9))
            }
            1 => {
                let level = self.level(1);
                let from = self.from(&level);
                let (a, b) = (self.number(&level, 1), self.words(&level, 1));
                self.need(name, Verb::Insert, Some(key));
                format!("INSERT INTO {name} ({key}, {number}, {text}) SELECT {id}, {a}, {b} FROM {from} LIMIT 1")
            }
            2 if name != "parted" => {
                for column in [key, number, text] {
                    self.need(name, Verb::Insert, Some(column));
                }
                self.need(name, Verb::Update, Some(text));
                self.need(name, Verb::Read, Some(key));
                let id = self.random.below(40);
                format!(
                    "INSERT INTO {name} ({key}, {number}, {text}) VALUES ({id}, 1, 'y') ON CONFLICT ({key}) DO UPDATE SET {text} = excluded.{text}"
                )
            }
            _ => {
                self.need(name, Verb::Insert, Some(key));
                self.need(name, Verb::Read, Some(text));
                format!("INSERT INTO {name} ({key}, {number}, {text}) VALUES ({id}, 1, 'z') RETURNING {text}")
            }
        }
    }

    fn writing_cte(&mut self) -> String {
        let (name, key, _, text) = *self.random.of(&WRITTEN[..3]);
        self.need(name, Verb::Update, Some(text));
        self.need(name, Verb::Read, Some(key));
        let level = self.level(1);
        let from = self.from(&level);
        let value = self.number(&level, 1);
        let at = self.random.below(20);
        format!(
            "WITH w AS (UPDATE {name} SET {text} = 'cte' WHERE {key} = {at} RETURNING {key} AS k) SELECT w.k, {value} FROM w, {from} LIMIT 5"
        )
    }

    fn merge(&mut self) -> String {
        self.need("quiet", Verb::Update, Some("b"));
        self.need("quiet", Verb::Insert, Some("id"));
        self.need("quiet", Verb::Read, Some("id"));
        self.need("numbered", Verb::Read, Some("id"));
        self.need("numbered", Verb::Read, Some("b"));
        let at = self.random.below(30);
        format!(
            "MERGE INTO quiet q USING numbered n ON q.id = n.id WHEN MATCHED AND n.a < {at} THEN UPDATE SET b = n.b WHEN NOT MATCHED THEN INSERT (id, a, b) VALUES (n.id + 5000, n.a, n.b)"
        )
    }

    /// What runs by itself: views, functions, triggers, sequences, cascades.
    fn special(&mut self) -> String {
        let n = self.random.below(20);
        match self.random.below(14) {
            0 => {
                self.need("rich", Verb::Read, Some("total"));
                format!("SELECT name, total FROM rich WHERE id < {n}")
            }
            1 => {
                self.need("open_orders", Verb::Read, Some("amount"));
                format!("SELECT sum(amount) FROM open_orders WHERE id > {n}")
            }
            2 => {
                self.need("stock", Verb::Read, Some("qty"));
                self.need("stock", Verb::Read, Some("sku"));
                format!("SELECT stock_of('s{n}')")
            }
            3 => {
                self.need("customers", Verb::Read, Some("region"));
                format!("SELECT region_of({n})")
            }
            4 => {
                self.need("audit", Verb::Insert, Some("what"));
                format!("SELECT log_it('t{n}')")
            }
            5 => {
                self.need("ticket_numbers", Verb::Insert, None);
                "SELECT nextval('ticket_numbers')".to_owned()
            }
            6 => {
                self.need("customers", Verb::Delete, None);
                self.need("customers", Verb::Read, Some("id"));
                format!("DELETE FROM customers WHERE id = {}", n + 1)
            }
            7 => {
                self.need("per_region", Verb::Read, Some("n"));
                "SELECT n FROM per_region".to_owned()
            }
            8 => {
                self.need("quiet_ones", Verb::Update, Some("a"));
                format!("UPDATE quiet_ones SET a = {n} WHERE id = {n}")
            }
            12 => {
                self.need("orders", Verb::Update, Some("status"));
                self.need("orders", Verb::Read, Some("id"));
                self.need("audit", Verb::Insert, Some("what"));
                format!("CALL settle({}, 's{n}')", n + 1)
            }
            13 => {
                self.need("quiet", Verb::Delete, None);
                self.need("stock", Verb::Read, Some("qty"));
                format!("CALL tidy((SELECT max(qty) FROM stock WHERE sku = 's{n}'))")
            }
            9 => {
                self.need("watched", Verb::Update, Some("a"));
                self.need("audit", Verb::Insert, Some("what"));
                format!("UPDATE watched SET a = a + 1 WHERE id = {}", n + 1)
            }
            10 => {
                self.need("customers", Verb::Update, Some("id"));
                format!("UPDATE customers SET id = {} WHERE id = {}", n + 500, n + 1)
            }
            _ => {
                self.need("lines", Verb::Insert, Some("order_id"));
                format!("INSERT INTO lines (order_id, sku) VALUES ({}, 's1')", n + 1)
            }
        }
    }

    fn locking(&mut self) -> String {
        let (name, key, ..) = *self.random.of(&WRITTEN[..4]);
        self.need(name, Verb::Update, None);
        self.need(name, Verb::Read, Some(key));
        format!("SELECT {key} FROM {name} WHERE {key} = {} FOR UPDATE", self.random.below(20))
    }
}
