//! Rows before and after, read by a second session while the change is still open.
//!
//! A read of committed rows gives them as they were, a read of uncommitted ones as they are to be; what differs between the
//! two is what the statement, its triggers and foreign keys changed, whatever the statement was. What others change in the
//! same moment differs as well, so the number has to agree with what the storage engine was told; else nothing is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use artifact::effect::{RelationUse, Verb};
use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;
use wire::order::{Job, Undo};

use super::mint::Minted;
use super::session::{literal, login, quote, run, table};
use crate::image::{BYTES_MAX, Cell, Change, ImageColumn, Images, ROWS_MAX, Versions};

/// Rows of the largest relation that is read for it, as the engine estimates them.
const TABLE_ROWS_MAX: u64 = 200_000;
/// Bytes of it, likewise.
const TABLE_BYTES_MAX: u64 = 256 << 20;
/// Seconds after which no further reading is begun, and that one may take: meanwhile the change holds its locks.
const READ_S: u32 = 2;

/// Who reads. Never the session that ran the artifact.
pub(super) enum Reader<'a> {
    /// A second session of the registered login, made when it is needed.
    Login { credential: &'a [u8], session: Option<MySqlConnection> },
    /// The session that minted the user.
    Minter(&'a mut Minted),
}

impl Reader<'_> {
    async fn session(&mut self, job: &Job) -> Option<&mut MySqlConnection> {
        match self {
            Self::Minter(minted) => Some(minted.minter()),
            Self::Login { credential, session } => {
                if session.is_none() {
                    *session = Some(login(&job.target, credential).await.ok()?);
                }
                session.as_mut()
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Login { session: Some(session), .. } = self {
            let _ = session.close().await;
        }
    }
}

/// How values of a column are read, written and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Exact numbers, as they are.
    Number,
    /// Read as double, which says every digit.
    Real,
    Bits,
    Bytes,
    /// Compared byte by byte, since the collation may call different text equal. Bool: already UTF-8.
    Text(bool),
    /// Days, moments, addresses: text to people, compared as their own type.
    Other,
}

impl Class {
    fn of(data_type: &str, charset: &str) -> Option<Self> {
        Some(match data_type {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "year" => Self::Number,
            "float" | "double" => Self::Real,
            "bit" => Self::Bits,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Bytes,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "json" => {
                Self::Text(charset.starts_with("utf8") || charset == "ascii")
            }
            "date" | "time" | "datetime" | "timestamp" | "uuid" | "inet4" | "inet6" => Self::Other,
            _ => return None,
        })
    }

    /// The expression that reads it.
    fn read(self, column: &str) -> String {
        match self {
            Self::Number | Self::Other => column.to_owned(),
            Self::Real => format!("CAST({column} AS DOUBLE)"),
            Self::Bits => format!("CAST({column} AS UNSIGNED)"),
            Self::Bytes => format!("HEX({column})"),
            Self::Text(true) => format!("CAST({column} AS BINARY)"),
            Self::Text(false) => format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY)"),
        }
    }

    /// What a read value is as a constant. None if it cannot stand in a statement.
    fn cell(self, shown: Option<String>) -> Option<Cell> {
        let constant = match (self, shown.as_deref()) {
            (_, None) => "NULL".to_owned(),
            (Self::Number | Self::Bits, Some(text)) => text.to_owned(),
            (Self::Real, Some(text)) if text.contains('e') => text.to_owned(),
            (Self::Real, Some(text)) => format!("{text}e0"),
            (Self::Bytes, Some(hex)) => format!("x'{hex}'"),
            (Self::Text(_) | Self::Other, Some(text)) if text.contains(['\0', char::REPLACEMENT_CHARACTER]) => {
                return None;
            }
            (Self::Text(_) | Self::Other, Some(text)) => literal(text),
        };
        let shown = if self == Self::Bytes { shown.map(|hex| format!("0x{hex}")) } else { shown };
        Some(Cell { shown, constant })
    }

    /// Whether the column still is the constant.
    fn still(self, column: &str, constant: &str) -> String {
        match self {
            Self::Text(_) if constant != "NULL" => format!("{} <=> {constant}", self.read(column)),
            _ => format!("{column} <=> {constant}"),
        }
    }
}

/// A relation as it is read.
struct Described {
    images: Images,
    classes: Vec<Class>,
    /// Columns that the server sets by itself when a row changes.
    stamped: Vec<usize>,
}

impl Described {
    /// Columns, key and types. None where rows cannot be told apart or cannot be put back.
    async fn read(reader: &mut MySqlConnection, used: &RelationUse) -> Option<Self> {
        let (database, name) = used.name.split_once('.')?;
        let only = format!("TABLE_SCHEMA = {} AND TABLE_NAME = {}", literal(database), literal(name));
        let sql = format!(
            "SELECT TABLE_TYPE, ENGINE, CAST(TABLE_ROWS AS CHAR), CAST(DATA_LENGTH AS CHAR) FROM information_schema.TABLES WHERE {only}"
        );
        let row: Vec<String> = table(reader, &sql).await.ok()?.pop()?.into_iter().collect::<Option<_>>()?;
        let [kind, engine, rows, bytes] = <[String; 4]>::try_from(row).ok()?;
        let small = rows.parse::<u64>().ok()? <= TABLE_ROWS_MAX && bytes.parse::<u64>().ok()? <= TABLE_BYTES_MAX;
        if kind != "BASE TABLE" || engine != "InnoDB" || !small {
            return None;
        }
        let sql = format!(
            "SELECT COLUMN_NAME, DATA_TYPE, COALESCE(CHARACTER_SET_NAME, ''), COLUMN_KEY, EXTRA FROM information_schema.COLUMNS WHERE {only} ORDER BY ORDINAL_POSITION"
        );
        let (mut columns, mut classes, mut stamped) = (Vec::new(), Vec::new(), Vec::new());
        for row in table(reader, &sql).await.ok()? {
            let row: Vec<String> = row.into_iter().collect::<Option<_>>()?;
            let [name, data_type, charset, key, extra] = <[String; 5]>::try_from(row).ok()?;
            let extra = extra.to_ascii_lowercase();
            if extra.contains("on update") {
                stamped.push(columns.len());
            }
            classes.push(Class::of(&data_type, &charset)?);
            columns.push(ImageColumn {
                name,
                key: key == "PRI",
                computed: extra.contains("generated"),
                always: false,
                as_text: false,
            });
        }
        let relation = format!("{}.{}", quote(database), quote(name));
        let images = Images { relation, name: used.name.clone(), columns, rows: vec![] };
        images.columns.iter().any(|column| column.key).then_some(Self { images, classes, stamped })
    }

    fn expression(&self, at: usize) -> String {
        self.classes[at].read(&quote(&self.images.columns[at].name))
    }

    fn keys(&self) -> Vec<usize> {
        (0..self.images.columns.len()).filter(|at| self.images.columns[*at].key).collect()
    }

    /// Each row's key and a digest of the whole row.
    async fn digests(&self, reader: &mut MySqlConnection) -> Option<BTreeMap<Vec<String>, String>> {
        let keys = self.keys();
        let mut listed: Vec<String> = keys.iter().map(|at| self.expression(*at)).collect();
        // QUOTE tells NULL from text, and where a value ends.
        let whole: Vec<String> =
            (0..self.images.columns.len()).map(|at| format!("QUOTE({})", self.expression(at))).collect();
        listed.push(format!("MD5(CONCAT({}))", whole.join(", ")));
        let found = table(reader, &format!("SELECT {} FROM {}", listed.join(", "), self.images.relation)).await.ok()?;
        let split = |mut row: Vec<Option<String>>| {
            let digest = row.pop()??;
            let key: Option<Vec<String>> =
                row.into_iter().zip(&keys).map(|(value, at)| Some(self.classes[*at].cell(value)?.constant)).collect();
            Some((key?, digest))
        };
        found.into_iter().map(split).collect()
    }

    /// The rows with these keys.
    async fn rows(
        &self,
        reader: &mut MySqlConnection,
        wanted: &BTreeSet<Vec<String>>,
    ) -> Option<BTreeMap<Vec<String>, Vec<Cell>>> {
        let keys = self.keys();
        let names: Vec<String> = keys.iter().map(|at| quote(&self.images.columns[*at].name)).collect();
        let tuples: Vec<String> = wanted.iter().map(|key| format!("({})", key.join(", "))).collect();
        let listed: Vec<String> = (0..self.images.columns.len()).map(|at| self.expression(at)).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE ({}) IN ({})",
            listed.join(", "),
            self.images.relation,
            names.join(", "),
            tuples.join(", ")
        );
        let (mut rows, mut bytes) = (BTreeMap::new(), 0);
        for row in table(reader, &sql).await.ok()? {
            let cells: Option<Vec<Cell>> =
                row.into_iter().zip(&self.classes).map(|(value, class)| class.cell(value)).collect();
            let cells = cells?;
            bytes += cells.iter().map(|cell| cell.constant.len()).sum::<usize>();
            if bytes > BYTES_MAX {
                return None;
            }
            rows.insert(keys.iter().map(|at| cells[*at].constant.clone()).collect(), cells);
        }
        Some(rows)
    }
}

/// What a statement changed in the one relation where it changed rows.
pub(super) struct Changed(Described);

impl Changed {
    /// Reads it while the transaction is open. `told` is how many rows the engine was told to change; with none, some rows
    /// for a sample are enough.
    pub(super) async fn read(reader: &mut Reader<'_>, job: &Job, told: Option<u64>) -> Option<Self> {
        if job.effect.commits_itself || told.is_some_and(|told| told == 0 || told > ROWS_MAX as u64) {
            return None;
        }
        let session = reader.session(job).await?;
        let until = Instant::now() + Duration::from_secs(READ_S.into());
        run(session, &format!("SET SESSION max_statement_time = {READ_S}")).await.ok()?;
        let mut one = None;
        for used in job.effect.relations.iter().filter(|r| r.verbs.iter().any(|verb| *verb > Verb::Read)) {
            let mut described = Described::read(session, used).await?;
            let rows = differing(session, &described, told, until).await?;
            if rows.is_empty() {
                continue;
            }
            if told.is_some() && one.is_some() {
                return None;
            }
            described.images.rows = rows;
            one.get_or_insert(described);
        }
        let one = one?;
        told.is_none_or(|told| one.images.rows.len() as u64 == told).then_some(Self(one))
    }

    pub(super) const fn images(&self) -> &Images {
        &self.0.images
    }

    /// The statement that puts the rows back, where there is one.
    pub(super) fn inverse(&self) -> Option<Undo> {
        let statement = match self.0.images.change()? {
            Change::Updated => self.put_back(),
            Change::Deleted => self.add_again(),
            Change::Inserted => Some(format!("DELETE FROM {}\nWHERE {}", self.0.images.relation, self.as_left()?)),
        }?;
        (statement.len() <= BYTES_MAX).then_some(Undo { statement, rows: self.0.images.rows.len() as u64 })
    }

    fn name(&self, at: usize) -> String {
        quote(&self.0.images.columns[at].name)
    }

    /// A condition for each row: its key, and that it still is as the run left it.
    fn as_left(&self) -> Option<String> {
        let (mut out, written) = (String::new(), self.written());
        for (_, after) in &self.0.images.rows {
            let after = after.as_deref()?;
            let mut meets: Vec<String> = Vec::with_capacity(after.len());
            for (at, cell) in after.iter().enumerate() {
                let column = &self.0.images.columns[at];
                if column.key {
                    meets.push(format!("{} = {}", self.name(at), cell.constant));
                } else if written.contains(&at) {
                    meets.push(self.0.classes[at].still(&self.name(at), &cell.constant));
                }
            }
            let _ = write!(out, "{}({})", if out.is_empty() { "" } else { "\n   OR " }, meets.join(" AND "));
            if out.len() > BYTES_MAX {
                return None;
            }
        }
        Some(out)
    }

    /// Columns that the run changed in any row; of added rows, all.
    fn written(&self) -> BTreeSet<usize> {
        let differs = |at: &usize| {
            let differs = |(before, after): &Versions| match (before, after) {
                (Some(before), Some(after)) => before.get(*at) != after.get(*at),
                _ => true,
            };
            !self.0.images.columns[*at].computed && self.0.images.rows.iter().any(differs)
        };
        (0..self.0.images.columns.len()).filter(differs).collect()
    }

    /// The server has no join of an UPDATE with constants that every version reads, so each column is a CASE by key.
    fn put_back(&self) -> Option<String> {
        let (images, keys) = (&self.0.images, self.0.keys());
        let written = self.written();
        if written.is_empty() || written.iter().any(|at| images.columns[*at].key) {
            return None;
        }
        let mut set = Vec::new();
        for at in written.iter().copied().chain(self.0.stamped.iter().copied().filter(|at| !written.contains(at))) {
            let mut cases = String::new();
            for (before, _) in &images.rows {
                let before = before.as_deref()?;
                let key: Vec<String> =
                    keys.iter().map(|key| format!("{} = {}", self.name(*key), before[*key].constant)).collect();
                let _ = write!(cases, "\n  WHEN {} THEN {}", key.join(" AND "), before[at].constant);
                if cases.len() > BYTES_MAX {
                    return None;
                }
            }
            let name = self.name(at);
            set.push(format!("{name} = CASE{cases} ELSE {name} END"));
        }
        Some(format!("UPDATE {} SET {}\nWHERE {}", images.relation, set.join(", "), self.as_left()?))
    }

    fn add_again(&self) -> Option<String> {
        let images = &self.0.images;
        let stored: Vec<usize> = (0..images.columns.len()).filter(|at| !images.columns[*at].computed).collect();
        let names: Vec<String> = stored.iter().map(|at| self.name(*at)).collect();
        let mut rows = String::new();
        for (before, _) in &images.rows {
            let before = before.as_deref()?;
            // A key of 0 would be taken for "the next number".
            if images.columns.iter().zip(before).any(|(column, cell)| column.key && cell.constant == "0") {
                return None;
            }
            let cells: Vec<&str> = stored.iter().map(|at| before[*at].constant.as_str()).collect();
            let _ = write!(rows, "{}  ({})", if rows.is_empty() { "" } else { ",\n" }, cells.join(", "));
            if rows.len() > BYTES_MAX {
                return None;
            }
        }
        Some(format!("INSERT INTO {} ({})\nVALUES\n{rows}", images.relation, names.join(", ")))
    }
}

/// Rows of the relation that are not the same to a reader of committed and to a reader of uncommitted rows. With `told`, all
/// of them or none; else as many as a sample needs.
async fn differing(
    reader: &mut MySqlConnection,
    of: &Described,
    told: Option<u64>,
    until: Instant,
) -> Option<Vec<Versions>> {
    let in_time = || (Instant::now() < until).then_some(());
    in_time()?;
    let begin = async |reader: &mut MySqlConnection, level: &str| {
        run(reader, &format!("SET TRANSACTION ISOLATION LEVEL {level}")).await.ok()?;
        run(reader, "START TRANSACTION READ ONLY").await.ok()
    };
    begin(reader, "READ UNCOMMITTED").await?;
    let after = of.digests(reader).await;
    run(reader, "ROLLBACK").await.ok()?;
    let after = after?;
    in_time()?;
    begin(reader, "REPEATABLE READ").await?;
    let old = async {
        let before = of.digests(reader).await?;
        let differs = |(key, digest): &(&Vec<String>, &String)| after.get(*key) != Some(*digest);
        let mut keys: BTreeSet<Vec<String>> = before.iter().filter(differs).map(|(key, _)| key.clone()).collect();
        keys.extend(after.keys().filter(|key| !before.contains_key(*key)).cloned());
        if told.is_none() {
            keys = keys.into_iter().take(ROWS_MAX).collect();
        }
        if keys.is_empty() || keys.len() > ROWS_MAX {
            return Some((keys, BTreeMap::new()));
        }
        let rows = of.rows(reader, &keys).await?;
        Some((keys, rows))
    };
    let old = old.await;
    run(reader, "ROLLBACK").await.ok()?;
    let (keys, mut before) = old?;
    if keys.is_empty() {
        return Some(vec![]);
    }
    if keys.len() > ROWS_MAX {
        return None;
    }
    begin(reader, "READ UNCOMMITTED").await?;
    let new = of.rows(reader, &keys).await;
    run(reader, "ROLLBACK").await.ok()?;
    let mut new = new?;
    Some(keys.iter().map(|key| (before.remove(key), new.remove(key))).collect())
}
