//! D1 over REST and as the binding sends it: limits, batches, migrations, full text.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking

use docent_local::{Cloud, CloudConfig, DatabaseConfig};
use serde_json::{Value, json};
use ureq::Agent;

struct Api {
    cloud: Cloud,
    agent: Agent,
}

impl Api {
    /// With the shipped schema.
    fn start() -> Self {
        Self::with(CloudConfig::default())
    }

    fn with(config: CloudConfig) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { cloud: Cloud::start(config).unwrap(), agent }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/accounts/a/d1/database{path}", self.cloud.api_base()))
            .header("authorization", "Bearer token")
            .header("content-type", "application/json")
            .body(body.to_string())
            .unwrap();
        let mut response = self.agent.run(request).unwrap();
        (response.status().as_u16(), response.body_mut().with_config().limit(1 << 28).read_json().unwrap())
    }

    /// Results of each statement.
    fn run(&self, body: Value) -> Vec<Value> {
        let (status, answer) = self.call("POST", "/docent/query", &body);
        assert_eq!((status, &answer["success"]), (200, &json!(true)), "{answer}");
        answer["result"].as_array().unwrap().clone()
    }

    /// Rows of a statement.
    fn rows(&self, sql: &str, params: Value) -> Value {
        self.run(json!({ "sql": sql, "params": params }))[0]["results"].clone()
    }

    /// What is said to a call that fails as SQL does.
    fn refusal(&self, body: &Value) -> String {
        let (status, answer) = self.call("POST", "/docent/query", body);
        assert_eq!(
            (status, &answer["errors"][0]["code"], &answer["result"]),
            (400, &json!(7500), &json!([])),
            "{answer}"
        );
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    }

    /// As the binding's code in the runtime calls.
    fn binding(&self, path: &str, body: &Value) -> Value {
        let request = ureq::http::Request::builder()
            .method("POST")
            .uri(format!("{}{path}", self.cloud.base_url()))
            .header("host", "d1")
            .header("docent-binding", "d1:docent")
            .header("content-type", "application/json")
            .body(body.to_string())
            .unwrap();
        self.agent.run(request).unwrap().body_mut().read_json().unwrap()
    }
}

fn sql(sql: impl Into<String>) -> Value {
    json!({ "sql": sql.into() })
}

#[test]
fn a_batch_is_carried_out_whole_or_not_at_all() {
    let api = Api::start();
    api.run(sql("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"));
    let insert = |name: &str| json!({ "sql": "INSERT INTO t (name) VALUES (?)", "params": [name] });
    assert_eq!(
        api.refusal(&json!({ "batch": [insert("a"), insert("b"), insert("a")] })),
        "UNIQUE constraint failed: t.name: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)"
    );
    assert_eq!(
        api.refusal(&sql("INSERT INTO t (name) VALUES ('a'); SELECT * FROM x")),
        "no such table: x: SQLITE_ERROR"
    );
    assert_eq!(api.rows("SELECT * FROM t", Value::Null), json!([]));
    let done = api.run(json!({ "batch": [insert("a"), insert("b"), sql("SELECT name FROM t")] }));
    assert_eq!(done[2]["results"], json!([{ "name": "a" }, { "name": "b" }]));
    assert_eq!((&done[1]["meta"]["changes"], &done[1]["meta"]["last_row_id"]), (&json!(1), &json!(2)));
    assert_eq!(done[1]["meta"]["rows_written"], 2, "the row, and its entry in the index");
    assert_eq!(done[2]["meta"]["rows_read"], 2);
    let joined = api.run(sql("INSERT INTO t (name) VALUES ('c'); SELECT count(*) AS n FROM t; -- done"));
    assert_eq!((joined.len(), &joined[1]["results"]), (2, &json!([{ "n": 3 }])));
}

#[test]
fn limits_are_those_of_d1() {
    let api = Api::start();
    let list = |what: &str, count: usize| vec![what; count].join(", ");
    let ones = vec!["1"; 101];
    api.run(json!({ "sql": format!("SELECT {}", list("?", 100)), "params": ones[..100] }));
    assert_eq!(
        api.refusal(&json!({ "sql": format!("SELECT {}", list("?", 101)), "params": ones })),
        "too many SQL variables at offset 307: SQLITE_ERROR"
    );
    let columns = |count: usize| (0..count).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    api.run(sql(format!("CREATE TABLE wide ({})", columns(100))));
    assert_eq!(
        api.refusal(&sql(format!("CREATE TABLE wider ({})", columns(101)))),
        "too many columns on wider: SQLITE_ERROR"
    );
    api.run(sql("CREATE TABLE big (value)"));
    let insert = |bytes: usize| json!({ "sql": "INSERT INTO big VALUES (?)", "params": ["x".repeat(bytes)] });
    api.run(insert(1_999_900));
    assert_eq!(api.refusal(&insert(2_000_001)), "string or blob too big: SQLITE_TOOBIG");
    api.run(sql(format!("SELECT '{}'", "x".repeat(100_000 - 9))));
    assert_eq!(api.refusal(&sql(format!("SELECT '{}'", "x".repeat(100_000)))), "statement too long: SQLITE_TOOBIG");
    let like = |bytes: usize| sql(format!("SELECT 'a' LIKE '{}'", "%".repeat(bytes)));
    api.run(like(50));
    assert_eq!(api.refusal(&like(51)), "LIKE or GLOB pattern too complex: SQLITE_ERROR");
    let union = |terms: usize| sql(vec!["SELECT 1"; terms].join(" UNION ALL "));
    api.run(union(5));
    assert_eq!(api.refusal(&union(6)), "too many terms in compound SELECT: SQLITE_ERROR");
    api.run(sql(format!("INSERT INTO big VALUES {}", list("(1)", 500))));
}

#[test]
fn what_d1_does_not_allow_is_refused_in_its_words() {
    let api = Api::start();
    for statement in ["ATTACH 'x' AS y", "CREATE TEMP TABLE t (a)", "CREATE TABLE _cf_t (a)", "PRAGMA journal_mode"] {
        assert_eq!(api.refusal(&sql(statement)), "not authorized: SQLITE_AUTH", "{statement}");
    }
    for statement in ["BEGIN", "BEGIN TRANSACTION", "COMMIT", "ROLLBACK", "SAVEPOINT a", "RELEASE a"] {
        assert!(api.refusal(&sql(statement)).starts_with("To execute a transaction, please use the state.storage"));
    }
    assert_eq!(api.refusal(&sql("SELEC 1")), "near \"SELEC\": syntax error at offset 0: SQLITE_ERROR");
    assert_eq!(api.refusal(&sql(" -- nothing")), "No SQL statements detected.");
    for wrong in [json!({ "sql": "SELECT ?" }), json!({ "sql": "SELECT 1", "params": ["1"] })] {
        assert_eq!(api.refusal(&wrong), "Wrong number of parameter bindings for SQL query.");
    }
    api.run(sql("PRAGMA foreign_keys = off"));
    assert_eq!(
        api.refusal(&sql("INSERT INTO live VALUES (1, 1, 0)")),
        "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
    );
    // Put off to the end of the call, it fails there, and takes the whole call with it.
    let put_off = "PRAGMA defer_foreign_keys = on; INSERT INTO live VALUES (1, 1, 0)";
    assert!(api.refusal(&sql(put_off)).starts_with("FOREIGN KEY constraint failed"));
    assert_eq!(api.rows("SELECT * FROM live", Value::Null), json!([]));
}

#[test]
fn values_are_those_of_javascript() {
    let api = Api::start();
    let types = api.rows(
        "SELECT typeof(?) AS number, typeof(?) AS text, typeof(?) AS bytes, typeof(?) AS empty",
        json!([1, "1", [1, 2], null]),
    );
    assert_eq!(types, json!([{ "number": "real", "text": "text", "bytes": "blob", "empty": "null" }]));
    api.run(sql("CREATE TABLE t (id INTEGER, name TEXT)"));
    let stored = api.run(json!({ "batch": [
        { "sql": "INSERT INTO t VALUES (?, ?)", "params": ["7", 7] },
        { "sql": "SELECT typeof(id) AS id, name, 2.0 AS whole, 1e999 AS infinite, x'00ff' AS bytes FROM t" },
    ] }));
    let expected = json!([{ "id": "integer", "name": "7.0", "whole": 2, "infinite": null, "bytes": [0, 255] }]);
    assert_eq!(stored[1]["results"], expected);
    let (status, answer) = api.call("POST", "/docent/query", &json!({ "sql": "SELECT ?", "params": [{}] }));
    assert_eq!((status, &answer["errors"][0]["code"]), (400, &json!(7400)));
}

#[test]
fn databases_are_made_listed_and_described() {
    let api = Api::start();
    let (status, made) = api.call("POST", "", &json!({ "name": "other" }));
    assert_eq!(status, 200, "{made}");
    let id = made["result"]["uuid"].as_str().unwrap();
    assert_eq!(api.call("POST", "", &json!({ "name": "other" })).1["errors"][0]["code"], 7502);
    let (_, found) = api.call("GET", "?name=other", &Value::Null);
    assert_eq!((&found["result"][0]["uuid"], &found["result_info"]["count"]), (&json!(id), &json!(1)));
    assert_eq!(api.call("GET", "", &Value::Null).1["result"].as_array().unwrap().len(), 2);
    api.call("POST", &format!("/{id}/query"), &sql("CREATE TABLE t (a, b)"));
    assert_eq!(api.call("GET", &format!("/{id}"), &Value::Null).1["result"]["num_tables"], 1);
    let (_, raw) = api.call("POST", &format!("/{id}/raw"), &sql("INSERT INTO t VALUES (1, 2) RETURNING *"));
    assert_eq!(raw["result"][0]["results"], json!({ "columns": ["a", "b"], "rows": [[1, 2]] }));
    for path in ["/nowhere", "/nowhere/query"] {
        let method = if path.ends_with("query") { "POST" } else { "GET" };
        let (status, answer) = api.call(method, path, &sql("SELECT 1"));
        assert_eq!((status, &answer["errors"][0]["code"]), (404, &json!(7404)), "{path}");
    }
}

#[test]
fn migrations_are_applied_once_each_as_a_whole_and_state_survives_a_restart() {
    let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let migration = |name: &str, sql: &str| std::fs::write(folder.path().join(name), sql).unwrap();
    let config = || CloudConfig {
        state: Some(state.path().to_owned()),
        databases: vec![DatabaseConfig { migrations: Some(folder.path().to_owned()), ..DatabaseConfig::default() }],
        ..CloudConfig::default()
    };
    migration("2_b.sql", "INSERT INTO t VALUES ('two');");
    migration("1_a.sql", "-- a table\nCREATE TABLE t (a);\n");
    migration("10_c.sql", "INSERT INTO t VALUES ('ten'); INSERT INTO t VALUES ('twenty')");
    let api = Api::with(config());
    assert!(api.cloud.describe().contains(&"database docent: applied 1_a.sql, 2_b.sql, 10_c.sql".to_owned()));
    let rows = || json!([{ "a": "two" }, { "a": "ten" }, { "a": "twenty" }]);
    assert_eq!(api.rows("SELECT a FROM t", Value::Null), rows());
    api.run(sql("DELETE FROM t WHERE a = 'ten'"));
    drop(api);

    migration("11_bad.sql", "INSERT INTO t VALUES ('lost'); INSERT INTO absent VALUES (1);");
    let error = Cloud::start(config()).unwrap_err().to_string();
    assert!(error.contains("11_bad.sql: no such table: absent"), "{error}");
    migration("11_bad.sql", "INSERT INTO t VALUES ('mended')");
    let api = Api::with(config());
    assert_eq!(api.rows("SELECT a FROM t", Value::Null), json!([{ "a": "two" }, { "a": "twenty" }, { "a": "mended" }]));
    let applied = api.rows("SELECT id, name FROM d1_migrations ORDER BY id", Value::Null);
    assert_eq!(applied[3], json!({ "id": 4, "name": "11_bad.sql" }));
}

#[test]
fn the_shipped_schema_finds_names_as_they_are_and_words_by_their_stem() {
    let api = Api::start();
    let chunk = |id: &str, text: &str, identifiers: &str| {
        let columns = "id, path, url, anchor, title, heading, lang, version, product, text, identifiers";
        json!({
            "sql": format!("INSERT INTO chunk ({columns}) VALUES (?, 'p', 'u', '', 'Title', 'h', 'en', '', '', ?, ?)"),
            "params": [id, text, identifiers],
        })
    };
    let stored = api.run(json!({ "batch": [
        chunk("a", "How the Worker is configured.", "max_top_k --flag-name CamelCase 3040"),
        chunk("b", "Naïve words, other than those.", "max_top topk"),
    ] }));
    assert_eq!(stored[0]["meta"]["rows_written"], 4, "the chunk, its id in the index, and two of full text");
    let found = |table: &str, query: &str| -> Value {
        let sql = format!(
            "SELECT group_concat(chunk.id, ' ') AS ids FROM {table} JOIN chunk ON number = {table}.rowid WHERE {table} MATCH ?"
        );
        api.rows(&sql, json!([query]))[0]["ids"].clone()
    };
    for name in ["max_top_k", "--flag-name", "camelcase", "3040"] {
        assert_eq!(found("chunk_identifiers", &format!("\"{name}\"")), "a", "{name}");
    }
    assert_eq!(found("chunk_identifiers", "top"), Value::Null);
    assert_eq!((found("chunk_words", "configuring"), found("chunk_words", "naive")), (json!("a"), json!("b")));
    assert_eq!(found("chunk_words", "title"), "a b");
    api.run(sql("DELETE FROM chunk WHERE id = 'a'"));
    assert_eq!(found("chunk_words", "configuring"), Value::Null);
    assert_eq!(
        api.refusal(&sql("SELECT * FROM chunk_words WHERE chunk_words MATCH '\"'")),
        "unterminated string: SQLITE_ERROR"
    );
}

#[test]
fn the_binding_is_answered_as_its_code_in_the_runtime_reads_it() {
    let api = Api::start();
    let one = json!({ "sql": "SELECT ? AS a, 2 AS b", "params": ["x"] });
    let table = api.binding("/query?resultsFormat=ROWS_AND_COLUMNS", &one);
    assert_eq!(table[0]["results"], json!({ "columns": ["a", "b"], "rows": [["x", 2]] }));
    assert_eq!((&table[0]["success"], &table[0]["meta"]["changes"]), (&json!(true), &json!(0)));
    let objects = api.binding("/query?resultsFormat=ARRAY_OF_OBJECTS", &json!([one, one]));
    assert_eq!(objects[1]["results"], json!([{ "a": "x", "b": 2 }]));
    let ran = api.binding("/execute?resultsFormat=NONE", &json!([{ "sql": "CREATE TABLE t (a)" }]));
    assert_eq!(ran[0]["success"], true, "{ran}");
    let failed = api.binding("/query?resultsFormat=NONE", &json!([one, { "sql": "SELECT * FROM x", "params": [] }]));
    assert_eq!(failed, json!({ "success": false, "error": "no such table: x: SQLITE_ERROR" }));
}

#[test]
fn the_whole_state_can_be_seen_in_a_form_to_compare() {
    let api = Api::start();
    let url = |path: &str| format!("{}/accounts/a/{path}", api.cloud.api_base());
    let send = |method: &str, path: &str, kind: &str, body: &[u8]| {
        let request = ureq::http::Request::builder().method(method).uri(url(path));
        let request = request.header("authorization", "Bearer t").header("content-type", kind).body(body).unwrap();
        assert!(api.agent.run(request).unwrap().status().is_success());
    };
    let index = json!({ "name": "docs", "config": { "dimensions": 2, "metric": "cosine" } }).to_string();
    send("POST", "vectorize/v2/indexes", "application/json", index.as_bytes());
    let vector = json!({ "id": "v", "values": [1, 0], "metadata": { "gen": 1 } }).to_string();
    send("POST", "vectorize/v2/indexes/docs/upsert", "application/x-ndjson", vector.as_bytes());
    send("PUT", "storage/kv/namespaces/n/values/text", "text/plain", "ü".as_bytes());
    send("PUT", "storage/kv/namespaces/n/values/bytes", "text/plain", &[0, 255]);
    api.run(sql("INSERT INTO lease VALUES (1, 'o', 'h', 2)"));
    let state = api.cloud.dump().unwrap();
    assert_eq!(state["vectorize"]["docs"]["v"]["metadata"], json!({ "gen": 1 }), "visible at once: {state}");
    assert_eq!(state["vectorize"]["docs"]["v"]["values"].as_str().unwrap().len(), 16);
    assert_eq!(state["kv"]["n"], json!({ "text": "ü", "bytes": "00ff" }));
    let tables = state["d1"]["docent"].as_object().unwrap();
    assert_eq!(tables["lease"], json!([{ "one": 1, "owner": "o", "holder": "h", "expires_at": 2 }]));
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    let kept = ["answer", "chunk", "chunk_life", "document", "feedback", "generation", "lease", "live", "trace"];
    assert_eq!(names, kept, "no tables of full text");
    let shown: Value = api
        .agent
        .get(format!("{}/__docent/state", api.cloud.base_url()))
        .call()
        .unwrap()
        .body_mut()
        .read_json()
        .unwrap();
    assert_eq!(shown, state);
}

#[test]
fn calls_are_counted_and_logged_without_their_bulk() {
    let api = Api::start();
    let insert = |n: usize| {
        json!({ "sql": "INSERT INTO document VALUES (?, 1, NULL, 'u', 't', 'h', ?)",
                                    "params": [n.to_string(), "x".repeat(100_000)] })
    };
    api.run(json!({ "batch": (0..20).map(insert).collect::<Vec<_>>() }));
    api.rows("SELECT 1", Value::Null);
    let report = api.cloud.requests();
    let counters = &report["counters"];
    assert_eq!(
        (&counters["d1.batch"], &counters["d1.query"], &counters["d1.rows_written"]),
        (&json!(1), &json!(1), &json!(20))
    );
    assert_eq!(report["requests"][0]["target"], "docent");
    assert!(report["requests"][0].to_string().len() < 10_000);
}
