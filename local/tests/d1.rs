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
