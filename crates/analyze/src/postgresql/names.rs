//! Fixed vocabularies of PostgreSQL. Lists of what is harmless are complete statements ("nothing else is");
//! the list of what is dangerous only makes the refusal louder, because everything unknown is refused anyway.

/// Built-in functions marked volatile that change nothing.
pub(super) const HARMLESS_VOLATILE: &[&str] = &[
    "clock_timestamp",
    "currval",
    "gen_random_uuid",
    "lastval",
    "pg_column_compression",
    "pg_column_size",
    "pg_column_toast_chunk_id",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_index_column_has_property",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_my_temp_schema",
    "pg_relation_size",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "random",
    "random_normal",
    "timeofday",
    "uuidv4",
    "uuidv7",
];

/// Built-in functions that write although they only look like reading a value.
pub(super) const SEQUENCE_WRITERS: &[&str] = &["nextval", "setval"];

/// Built-in functions that are declared to read only and yet have the transaction written down.
pub(super) const ASSIGNS_TRANSACTION: &[&str] = &["pg_current_xact_id", "txid_current"];

/// Functions that are refused by name, in whatever schema: they reach files, other servers, other sessions, settings,
/// the write-ahead log or replication, or run text as SQL.
const DANGEROUS: &[&str] = &[
    "brin_desummarize_range",
    "brin_summarize_new_values",
    "brin_summarize_range",
    "connectby",
    "crosstab",
    "crosstab2",
    "crosstab3",
    "crosstab4",
    "crosstabn",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "gin_clean_pending_list",
    "heap_force_freeze",
    "heap_force_kill",
    "http",
    "http_delete",
    "http_get",
    "http_head",
    "http_patch",
    "http_post",
    "http_put",
    "loread",
    "lowrite",
    "pg_buffercache_evict",
    "pg_buffercache_evict_all",
    "pg_buffercache_evict_relation",
    "pg_cancel_backend",
    "pg_checkpoint",
    "pg_clear_attribute_stats",
    "pg_clear_relation_stats",
    "pg_config",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_copy_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_current_logfile",
    "pg_export_snapshot",
    "pg_extension_config_dump",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_import_system_collations",
    "pg_log_backend_memory_contexts",
    "pg_log_standby_snapshot",
    "pg_notify",
    "pg_prewarm",
    "pg_promote",
    "pg_reload_conf",
    "pg_restore_attribute_stats",
    "pg_restore_relation_stats",
    "pg_rotate_logfile",
    "pg_set_attribute_stats",
    "pg_set_relation_stats",
    "pg_show_all_file_settings",
    "pg_show_all_settings",
    "pg_stat_file",
    "pg_stat_force_next_flush",
    "pg_switch_wal",
    "pg_switch_xlog",
    "pg_sync_replication_slots",
    "pg_terminate_backend",
    "pg_truncate_visibility_map",
    "pg_unlink",
    "plpgsql_call_handler",
    "plpgsql_inline_handler",
    "plpgsql_validator",
    "postgres_fdw_disconnect",
    "postgres_fdw_disconnect_all",
    "postgres_fdw_get_connections",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "set_config",
    "set_limit",
    "setseed",
    "suppress_redundant_updates_trigger",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "table_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
    "unique_key_recheck",
    "xpath_table",
    "xslt_process",
];

/// Families of functions that are refused by the start of their name.
const DANGEROUS_PREFIXES: &[&str] = &[
    "binary_upgrade_",
    "dblink",
    "lo_",
    "pg_advisory_",
    "pg_backup_",
    "pg_create_",
    "pg_drop_",
    "pg_file_",
    "pg_logdir_",
    "pg_logical_",
    "pg_ls_",
    "pg_read_",
    "pg_replication_",
    "pg_sleep",
    "pg_start_backup",
    "pg_stat_reset",
    "pg_stop_backup",
    "pg_try_advisory_",
    "pg_wal_replay_",
    "pg_write_",
];

/// Whether `name` is in one of the long lists, which are in order.
pub(super) fn among(list: &[&str], name: &str) -> bool {
    list.binary_search(&name).is_ok()
}

/// True if a function of that bare name is refused wherever it lives.
pub(super) fn is_dangerous(name: &str) -> bool {
    let name = name.to_lowercase();
    among(DANGEROUS, &name) || DANGEROUS_PREFIXES.iter().any(|p| name.starts_with(p))
}

/// Symbols of the server's own operators. Any other symbol was defined by users or an extension.
pub(super) const OPERATORS: &[&str] = &[
    "!!", "!=", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<", "&<|", "&>", "*", "*<",
    "*<=", "*<>", "*=", "*>", "*>=", "+", "-", "->", "->>", "-|-", "/", "<", "<->", "<<", "<<=", "<<|", "<=", "<>",
    "<@", "<^", "=", ">", ">=", ">>", ">>=", ">^", "?", "?#", "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?",
    "@@", "@@@", "^", "^@", "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~", "~>~", "~~",
    "~~*",
];

/// The server's own types that a statement may name.
pub(super) const TYPES: &[&str] = &[
    "any",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oidvector",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
];

/// Columns that every table has without listing them.
pub(super) const SYSTEM_COLUMNS: &[&str] = &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "oid"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_are_searched_are_in_order() {
        for list in [DANGEROUS, HARMLESS_VOLATILE, OPERATORS, TYPES] {
            assert!(list.is_sorted(), "{list:?}");
            assert!(list.iter().all(|name| among(list, name)));
        }
    }

    #[test]
    fn dangerous_and_harmless_do_not_overlap() {
        assert!(DANGEROUS.len() + DANGEROUS_PREFIXES.len() >= 100);
        for name in HARMLESS_VOLATILE.iter().chain(SEQUENCE_WRITERS) {
            assert!(!is_dangerous(name), "{name}");
        }
        for name in ["PG_READ_FILE", "lo_import", "dblink_exec", "pg_sleep_for", "query_to_xml", "set_config"] {
            assert!(is_dangerous(name), "{name}");
        }
        for name in ["lower", "log", "lower_inc", "count", "pg_typeof", "generate_series"] {
            assert!(!is_dangerous(name), "{name}");
        }
    }
}
