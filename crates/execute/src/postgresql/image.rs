//! Old rows, read by a second session while the change is still open.
//!
//! To every other session the old version of a changed row is still the row, and its header names the transaction that
//! changed it. So a plain read finds exactly what the statement, its triggers and cascades changed, whatever the statement
//! was. Where the counts do not agree (a row locked by others too, a subtransaction, a policy that hides rows), nothing is
//! kept, and a run without it is as good as before.

use sqlx::postgres::PgConnection;
use wire::order::Sample;

use super::session::{literal, quote, run, table};
use crate::image::{BYTES_MAX, Cell, Change, ImageColumn, Images, ROWS_MAX};

/// Blocks of the largest relation that is read for it (8 kB each: 400 MB).
const PAGES_MAX: u64 = 50_000;
/// Milliseconds that reading may take.
pub(super) const READ_MS: u32 = 2_000;
/// Types that can be compared as they are; others are compared as text.
const COMPARABLE: [&str; 18] = [
    "int2",
    "int4",
    "int8",
    "bool",
    "text",
    "varchar",
    "numeric",
    "float4",
    "float8",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "uuid",
    "bytea",
    "jsonb",
    "interval",
    "inet",
];

/// What one relation lost or had changed in this transaction, as its own session counts it.
struct Counted {
    schema: String,
    name: String,
    change: Change,
    rows: u64,
}

/// The one relation that was changed, if its rows were changed in one way only.
async fn counted(db: &mut PgConnection) -> Option<Counted> {
    let sql = "SELECT schemaname::text, relname::text, n_tup_ins::text, n_tup_upd::text, n_tup_del::text FROM pg_catalog.pg_stat_xact_all_tables
               WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n_tup_ins + n_tup_upd + n_tup_del > 0 LIMIT 2";
    let mut rows = table(db, sql).await.ok()?;
    let row: Vec<String> = rows.pop().filter(|_| rows.is_empty())?.into_iter().collect::<Option<_>>()?;
    let [schema, name, inserted, updated, deleted] = <[String; 5]>::try_from(row).ok()?;
    let (change, rows) = match (inserted.parse().ok()?, updated.parse().ok()?, deleted.parse().ok()?) {
        (rows, 0, 0) => (Change::Inserted, rows),
        (0, rows, 0) => (Change::Updated, rows),
        (0, 0, rows) => (Change::Deleted, rows),
        _ => return None,
    };
    Some(Counted { schema, name, change, rows })
}

/// Names, keys and types of the relation's columns.
async fn described(reader: &mut PgConnection, of: &Counted) -> Option<(Vec<ImageColumn>, Vec<String>)> {
    let sql = format!(
        "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), (a.attgenerated <> '')::text, (a.attidentity = 'a')::text, t.typname::text,
           coalesce((SELECT a.attnum = ANY (i.indkey) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), false)::text,
           c.relpages::text, c.relkind::text
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         WHERE n.nspname = {} AND c.relname = {} ORDER BY a.attnum",
        literal(&of.schema),
        literal(&of.name)
    );
    let (mut columns, mut types) = (Vec::new(), Vec::new());
    for row in table(reader, &sql).await.ok()? {
        let row: Vec<String> = row.into_iter().collect::<Option<_>>()?;
        let [name, type_name, generated, always, base, key, pages, kind] = <[String; 8]>::try_from(row).ok()?;
        // A relation that was never analyzed has -1 pages and is small or new.
        if kind != "r" || pages.parse::<i64>().ok()? > i64::try_from(PAGES_MAX).ok()? {
            return None;
        }
        columns.push(ImageColumn {
            name,
            key: key == "true",
            computed: generated == "true",
            always: always == "true",
            as_text: !COMPARABLE.contains(&base.as_str()),
        });
        types.push(type_name);
    }
    (!columns.is_empty()).then_some((columns, types))
}

/// Rows whose header names the transaction, in `xmax` (old versions) or `xmin` (new ones).
async fn rows(
    db: &mut PgConnection,
    of: &Counted,
    columns: &[ImageColumn],
    types: &[String],
    (header, transaction): (&str, &str),
) -> Option<Vec<Vec<Cell>>> {
    if transaction.is_empty() || !transaction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let listed: Vec<String> = columns.iter().map(|column| format!("{}::text", quote(&column.name))).collect();
    let sql = format!(
        "SELECT {} FROM ONLY {}.{} WHERE {header} = '{transaction}'::pg_catalog.xid8::pg_catalog.xid LIMIT {}",
        listed.join(", "),
        quote(&of.schema),
        quote(&of.name),
        ROWS_MAX + 1
    );
    let found = table(db, &sql).await.ok()?;
    let cell = |(shown, type_name): (Option<String>, &String)| {
        let value = shown.as_deref().map_or("NULL".to_owned(), literal);
        Cell { shown, constant: format!("{value}::{type_name}") }
    };
    let rows: Vec<Vec<Cell>> = found.into_iter().map(|row| row.into_iter().zip(types).map(cell).collect()).collect();
    let bytes: usize = rows.iter().flatten().map(|cell| cell.constant.len()).sum();
    (rows.len() <= ROWS_MAX && bytes <= BYTES_MAX).then_some(rows)
}

/// Old versions of what one transaction changed.
pub(super) struct Before {
    of: Counted,
    types: Vec<String>,
    images: Images,
    transaction: String,
}

impl Before {
    /// Reads them with `reader` while the transaction of `db` is open. None where they cannot be told.
    pub(super) async fn read(
        db: &mut PgConnection,
        reader: &mut PgConnection,
        transaction: &str,
        all: bool,
    ) -> Option<Self> {
        let of = counted(db).await?;
        if all && of.rows > ROWS_MAX as u64 {
            return None;
        }
        run(reader, &format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {READ_MS}")).await.ok()?;
        let found = async {
            let (columns, types) = described(reader, &of).await?;
            let rows = match of.change {
                Change::Inserted => vec![],
                Change::Updated | Change::Deleted => rows(reader, &of, &columns, &types, ("xmax", transaction)).await?,
            };
            Some((columns, types, rows))
        };
        let found = found.await;
        run(reader, "ROLLBACK").await.ok()?;
        let (columns, types, old) = found?;
        if all && of.change != Change::Inserted && old.len() as u64 != of.rows {
            return None;
        }
        let images = Images {
            relation: format!("{}.{}", quote(&of.schema), quote(&of.name)),
            name: format!("{}.{}", of.schema, of.name),
            columns,
            rows: old.into_iter().map(|row| (Some(row), None)).collect(),
        };
        Some(Self { of, types, images, transaction: transaction.to_owned() })
    }

    /// With the new versions, read by a session that may see them. For deletes there are none. Of what was inserted, `all`
    /// rows have to be there still as they were.
    pub(super) async fn with_after(mut self, db: &mut PgConnection, all: bool) -> Result<Images, Self> {
        if self.of.change == Change::Deleted {
            return Ok(self.images);
        }
        let read = rows(db, &self.of, &self.images.columns, &self.types, ("xmin", &self.transaction)).await;
        let Some(new) = read else { return Err(self) };
        if self.of.change == Change::Inserted {
            if all && new.len() as u64 != self.of.rows {
                return Err(self);
            }
            self.images.rows = new.into_iter().map(|row| (None, Some(row))).collect();
            return Ok(self.images);
        }
        let key = |row: &[Cell]| -> Vec<String> {
            let cells = self.images.columns.iter().zip(row).filter(|(column, _)| column.key);
            cells.map(|(_, cell)| cell.constant.clone()).collect()
        };
        let mut new: std::collections::BTreeMap<_, _> = new.into_iter().map(|row| (key(&row), row)).collect();
        let pairs: Option<Vec<_>> = self
            .images
            .rows
            .iter()
            .map(|(before, _)| Some((before.clone(), Some(new.remove(&key(before.as_deref()?))?))))
            .collect();
        match pairs {
            Some(pairs) => {
                self.images.rows = pairs;
                Ok(self.images)
            }
            None => Err(self),
        }
    }

    /// Old versions alone, for people.
    pub(super) fn sample(&self) -> Sample {
        self.images.sample()
    }
}
