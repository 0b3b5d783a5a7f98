//! The second, generic walk over a statement: every relation, column and call, wherever it stands, found by the shape of its
//! node alone. It knows no statement kinds, so it catches a part that the careful walk forgot.
//!
//! The tree's own serialization is the walk: it visits every field there is, also those of a newer grammar. Nothing is built.

use pg_query::NodeEnum;
use serde::Serialize;
use serde::ser::{self, Impossible, Serializer};

use super::walk::Seen;

/// The places in `statement`, as the careful walk records them; none if the tree cannot be walked.
pub(super) fn places(statement: &NodeEnum) -> Option<Seen> {
    let mut net = Net { seen: Seen::new(), name: None, number: -1 };
    statement.serialize(&mut net).ok()?;
    Some(net.seen)
}

struct Net {
    seen: Seen,
    /// The name being read, its parts so far; none outside of a name.
    name: Option<String>,
    /// The last number met.
    number: i64,
}

impl Net {
    fn part_of_name(&mut self, part: &str) {
        if let Some(name) = &mut self.name {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(part);
        }
    }
}

/// What a node is called, and which of its fields say where and what it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relation,
    Function,
    Column,
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "RangeVar" => Self::Relation,
            "FuncCall" => Self::Function,
            "ColumnRef" => Self::Column,
            _ => Self::Other,
        }
    }

    fn name_field(self) -> &'static str {
        match self {
            Self::Relation => "relname",
            Self::Function => "funcname",
            Self::Column => "fields",
            Self::Other => "",
        }
    }
}

/// A node whose fields are being visited.
struct Fields<'n> {
    net: &'n mut Net,
    kind: Kind,
    name: String,
    location: i64,
}

type Done = Result<(), serde_json::Error>;

impl ser::SerializeStruct for Fields<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Done {
        if self.kind != Kind::Other {
            if key == self.kind.name_field() {
                self.net.name = Some(String::new());
                value.serialize(&mut *self.net)?;
                self.name = self.net.name.take().unwrap_or_default();
                return Ok(());
            }
            if key == "location" {
                value.serialize(&mut *self.net)?;
                self.location = self.net.number;
                return Ok(());
            }
        }
        value.serialize(&mut *self.net)
    }

    fn end(self) -> Done {
        let what = match self.kind {
            Kind::Relation => "relation",
            Kind::Function => "function",
            Kind::Column => "column",
            Kind::Other => return Ok(()),
        };
        self.net.seen.insert((what, self.location, self.name));
        Ok(())
    }
}

/// Anything whose elements are visited one after the other.
struct Elements<'n>(&'n mut Net);

macro_rules! elements {
    ($($kind:ident $method:ident),*) => {$(
        impl ser::$kind for Elements<'_> {
            type Ok = ();
            type Error = serde_json::Error;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
                value.serialize(&mut *self.0)
            }
            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

elements!(SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field);

macro_rules! plain {
    ($($method:ident $kind:ty),*) => {$(
        fn $method(self, _: $kind) -> Done {
            Ok(())
        }
    )*};
}

impl<'n> Serializer for &'n mut Net {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Elements<'n>;
    type SerializeTuple = Elements<'n>;
    type SerializeTupleStruct = Elements<'n>;
    type SerializeTupleVariant = Elements<'n>;
    type SerializeMap = Impossible<(), serde_json::Error>;
    type SerializeStruct = Fields<'n>;
    type SerializeStructVariant = Impossible<(), serde_json::Error>;

    plain!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i64 i64, serialize_u8 u8, serialize_u16 u16,
        serialize_u32 u32, serialize_u64 u64, serialize_f32 f32, serialize_f64 f64, serialize_char char,
        serialize_bytes &[u8], serialize_unit_struct &'static str
    );

    fn serialize_i32(self, number: i32) -> Done {
        self.number = i64::from(number);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> Done {
        self.part_of_name(text);
        Ok(())
    }

    fn serialize_none(self) -> Done {
        Ok(())
    }

    fn serialize_unit(self) -> Done {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Done {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'n>, serde_json::Error> {
        Ok(Elements(self))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'n>, serde_json::Error> {
        Ok(Elements(self))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements<'n>, serde_json::Error> {
        Ok(Elements(self))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Elements<'n>, serde_json::Error> {
        Ok(Elements(self))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, serde_json::Error> {
        // The tree has none. One that had would not be walked, and the statement not understood.
        Err(ser::Error::custom("a map in the tree"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'n>, serde_json::Error> {
        if name == "AStar" {
            self.part_of_name("*");
        }
        Ok(Fields { net: self, kind: Kind::of(name), name: String::new(), location: -1 })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, serde_json::Error> {
        Err(ser::Error::custom("a struct variant in the tree"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sql: &str) -> std::collections::BTreeSet<String> {
        let parsed = pg_query::parse(sql, 0).unwrap().protobuf;
        let statement = parsed.stmts[0].stmt.as_ref().unwrap().node.as_ref().unwrap();
        let places = places(statement).unwrap();
        places.iter().map(|(what, _, name)| format!("{} {name}", &what[..1])).collect()
    }

    #[test]
    fn it_sees_whatever_stands_anywhere() {
        for (sql, wanted) in [
            (
                "SELECT a.id, count(*), s.f(b.*) FROM x.a, LATERAL (SELECT * FROM b WHERE n IN (TABLE c)) q",
                "c a.id, c *, c b.*, c n, f count, f s.f, r a, r b, r c",
            ),
            (
                "WITH w AS (DELETE FROM t USING u WHERE t.i = 1 RETURNING *) INSERT INTO v SELECT lower(j) FROM w ON CONFLICT (k) DO UPDATE SET k = e.k",
                "c t.i, c *, c j, c e.k, f lower, r t, r u, r v, r w",
            ),
            ("MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET n = g(s.i)", "c s.i, f g, r t, r s"),
            (
                "SELECT sum(x) FILTER (WHERE y) OVER (PARTITION BY z ORDER BY f(w)) FROM t",
                "c x, c y, c z, c w, f sum, f f, r t",
            ),
            ("SELECT ROW(h), (i).j, CASE k WHEN l THEN m END, ARRAY[e]", "c h, c i, c k, c l, c m, c e"),
        ] {
            assert_eq!(seen(sql), wanted.split(", ").map(str::to_owned).collect(), "{sql}");
        }
    }
}
