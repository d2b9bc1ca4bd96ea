//! Each frequent query uses its index: with 200,000 messages a scan or a sort would delay every client.

use rusqlite::types::Null;

use crate::queue::sqlite::{
    change, command_log, history_index, history_search, inspection_query, lease_query, settlement, startup_check,
};

use super::*;

/// SQLite's plan for `sql`.
fn plan(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = vec![Null; statement.parameter_count()];
    let steps = statement.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3)).unwrap();
    steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[test]
fn each_query_has_its_index() {
    let conn = Connection::open_in_memory().unwrap();
    upgrade(&conn, NEW).unwrap();
    for (sql, way) in [
        (lease_query::CLIENT_MESSAGES, "COVERING INDEX message_line (pool=? AND lane=? AND client_key=? AND due>?)"),
        (startup_check::NEXT_CLIENT, "COVERING INDEX message_line ((pool,lane,client_key)>(?,?,?))"),
        (inspection_query::FIRST_LANE, "COVERING INDEX message_place (state=? AND (pool,lane)>(?,?))"),
        (inspection_query::NEXT_LANE, "COVERING INDEX message_place (state=? AND (pool,lane)>(?,?))"),
        (inspection_query::PLACE, "COVERING INDEX message_place (state=? AND pool=? AND lane=? AND id>?)"),
        (inspection_query::OLDEST, "INDEX message_place (state=? AND pool=? AND lane=?)"),
        (inspection_query::DEFERRED, "COVERING INDEX message_deferred (state=? AND pool=? AND lane=? AND due<?)"),
        (inspection_query::FINISHED, "COVERING INDEX message_finished (state=? AND finished>?)"),
        (settlement::UNREPORTED, "COVERING INDEX message_untold"),
        (command_log::PAGE, "INTEGER PRIMARY KEY (rowid<?)"),
        (command_log::COUNT, "COVERING INDEX command_at (at>? AND at<?)"),
        (command_log::OLD, "COVERING INDEX command_at (at>? AND at<?)"),
        (startup_check::COUNT, "COVERING INDEX message_place (state=?)"),
        (change::OLD_CONTENT, "INDEX message_content (finished>? AND finished<?)"),
        (history_index::NEXT, "SCAN history_new"),
        (history_index::EMPTY_BLOCK, "SCAN history_block USING INDEX history_empty"),
        (history_index::TERM, "SEARCH history_term USING PRIMARY KEY (block=? AND term=?)"),
        (history_search::TERMS, "SEARCH history_term USING PRIMARY KEY (block=? AND term>? AND term<?)"),
        (history_search::IN_STATE, "INDEX message_place (state=?)"),
        (history_search::NEW, "SCAN history_new; SEARCH message USING INTEGER PRIMARY KEY (rowid=?)"),
    ] {
        let plan = plan(&conn, sql);
        // To go through all of a partial index, or of a table of what is still to be done, is no scan: it has what is asked
        // for, and nothing else.
        assert!(
            plan.starts_with("SEARCH") || sql == settlement::UNREPORTED || way.starts_with("SCAN"),
            "{sql}: {plan}"
        );
        assert!(plan.ends_with(way) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

/// What a new database has and what an old one becomes are the same.
#[test]
fn an_upgraded_database_is_like_a_new_one() {
    let shape = |conn: &Connection| -> Vec<String> {
        let columns = "SELECT s.name || '.' || c.cid || ' ' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || \
                       ifnull(c.dflt_value, '-') FROM sqlite_schema s JOIN pragma_table_info(s.name) c \
                       WHERE s.type = 'table' UNION ALL SELECT sql FROM sqlite_schema WHERE type = 'index' ORDER BY 1";
        let mut statement = conn.prepare(columns).unwrap();
        let lines = statement.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
        lines.map(|line| line.unwrap().unwrap_or_default()).collect()
    };
    let new = Connection::open_in_memory().unwrap();
    upgrade(&new, NEW).unwrap();
    let first = Connection::open_in_memory().unwrap();
    first.execute_batch(include_str!("../../../../tests/queue/queue_format_1.sql")).unwrap();
    let second = Connection::open_in_memory().unwrap();
    upgrade(&second, &[TABLES, SHARED]).unwrap();
    let third = Connection::open_in_memory().unwrap();
    upgrade(&third, &[TABLES, SHARED, CLIENTS]).unwrap();
    let fourth = Connection::open_in_memory().unwrap();
    upgrade(&fourth, &[TABLES, SHARED, CLIENTS, TIME]).unwrap();
    for (version, old) in [(1, first), (2, second), (3, third), (4, fourth)] {
        upgrade(&old, from(version)).unwrap();
        assert_eq!(shape(&old), shape(&new), "from version {version}");
        // A step that fails takes back those before it.
        assert!(upgrade(&old, from(version)).is_err() && old.is_autocommit());
        assert_eq!(shape(&old), shape(&new));
    }
}
