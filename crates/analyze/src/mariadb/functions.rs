//! MariaDB's own functions (<https://mariadb.com/kb/en/function-and-operator-reference/>). Closed: what is not here is not known.

/// What to make of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgment {
    /// Computes a value.
    Pure,
    /// Reaches files, other sessions, settings or the clock of the server.
    Refused,
    /// Not one of those known: it may be a user's.
    Unknown,
}

pub(super) fn judge(name: &str) -> Judgment {
    if PURE.split_whitespace().any(|known| known == name) {
        Judgment::Pure
    } else if REFUSED.split_whitespace().any(|known| known == name) {
        Judgment::Refused
    } else {
        Judgment::Unknown
    }
}

const PURE: &str = "abs acos adddate addtime ascii asin atan atan2 avg bin bit_and bit_count bit_length bit_or bit_xor cast ceil ceiling
char char_length character_length coalesce concat concat_ws conv convert convert_tz cos cot count crc32 cume_dist curdate current_date
current_time current_timestamp curtime date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear degrees
dense_rank elt exp export_set extract field find_in_set first_value floor format from_base64 from_days from_unixtime get_format greatest
group_concat hex hour if ifnull inet_aton inet_ntoa inet6_aton inet6_ntoa insert instr interval is_ipv4 is_ipv6 isnull json_array
json_array_append json_array_insert json_arrayagg json_compact json_contains json_contains_path json_depth json_detailed json_equals
json_exists json_extract json_insert json_keys json_length json_loose json_merge_patch json_merge_preserve json_normalize json_object
json_objectagg json_overlaps json_query json_quote json_remove json_replace json_search json_set json_type json_unquote json_valid
json_value lag last_day last_value lcase lead least left length ln locate log log10 log2 lower lpad ltrim make_set makedate maketime max
md5 median microsecond mid min minute mod month monthname natural_sort_key now nth_value ntile nullif nvl nvl2 oct octet_length ord
percent_rank period_add period_diff pi position pow power quarter quote radians rand rank regexp_instr regexp_replace regexp_substr
repeat replace reverse right round row_number rpad rtrim sec_to_time second sha sha1 sha2 sign sin soundex space sqrt std stddev
stddev_pop stddev_samp str_to_date strcmp subdate substr substring substring_index subtime sum tan time time_format time_to_sec timediff
timestamp timestampadd timestampdiff to_base64 to_char to_days to_seconds trim truncate ucase unhex unix_timestamp upper utc_date utc_time
utc_timestamp uuid uuid_short values var_pop var_samp variance week weekday weekofyear weight_string year yearweek";

const REFUSED: &str = "load_file sleep benchmark get_lock release_lock release_all_locks is_free_lock is_used_lock master_pos_wait
master_gtid_wait sys_exec sys_eval sys_get sys_set lastval nextval setval last_insert_id row_count found_rows version user current_user
session_user system_user connection_id database schema current_role aes_encrypt aes_decrypt des_encrypt des_decrypt encode decode
encrypt password old_password name_const extractvalue updatexml load_data binlog_gtid_pos column_get decode_oracle";
