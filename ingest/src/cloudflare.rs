//! The calls of Cloudflare's REST API that docent makes: Workers AI, Vectorize, D1 and KV.

use std::collections::BTreeSet;
use std::time::SystemTime;

use docent_core::embedding::SPEC;
use docent_core::vectorize::{Info, MAX_LIST_COUNT, MAX_UPSERT_BYTES, Match, Matches, Mutation, Vector};
use docent_core::workers_ai::{EmbedRequest, EmbedResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use crate::http::ApiError;
use crate::http::{Answer, Body, Http};
use crate::settings::Connection;

/// A client for one account, one index and one KV namespace.
pub struct Cloudflare {
    http: Http,
    /// Path of the index below the account.
    index: String,
    name: String,
    /// Path of the KV namespace.
    namespace: String,
    /// Path of the D1 database, if there is one.
    database: Option<String>,
}

/// A statement of SQL. D1's REST API takes parameters as text; a column of another type, or a
/// `CAST`, makes of them what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// One statement; `?1` is the first parameter.
    pub sql: &'static str,
    /// At most 100, of at most 2 MB each ("D1 limits").
    pub params: Vec<String>,
}

impl Statement {
    /// With its parameters.
    pub fn new<const N: usize>(sql: &'static str, params: [&dyn std::fmt::Display; N]) -> Self {
        Self { sql, params: params.iter().map(ToString::to_string).collect() }
    }
}

/// A write that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Shows up in the state of the index once it is visible.
    pub mutation_id: String,
    /// By the service's clock.
    pub at: Option<SystemTime>,
}

impl Cloudflare {
    /// Calls nothing yet.
    pub fn new(settings: &Connection) -> Self {
        Self {
            http: Http::new(settings),
            index: format!("/vectorize/v2/indexes/{}", settings.index),
            name: settings.index.clone(),
            namespace: format!("/storage/kv/namespaces/{}", settings.kv_id),
            database: settings.database.as_ref().map(|id| format!("/d1/database/{id}")),
        }
    }

    /// Dimensions and metric of the index; `None` if there is none.
    pub fn index(&self) -> Result<Option<(usize, String)>, ApiError> {
        #[derive(Deserialize)]
        struct Index {
            config: Config,
        }
        #[derive(Deserialize)]
        struct Config {
            dimensions: usize,
            metric: String,
        }
        match self.http.result::<Index>("GET", &self.index, None) {
            Ok((Index { config }, _)) => Ok(Some((config.dimensions, config.metric))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates the index as the spec wants it.
    pub fn create_index(&self) -> Result<(), ApiError> {
        let config = json!({ "dimensions": SPEC.dimensions, "metric": SPEC.metric });
        let body = json!({ "name": self.name, "config": config, "description": "documentation, kept by docent" });
        self.post::<Value>("/vectorize/v2/indexes", &body).map(drop)
    }

    /// Properties that can be filtered by.
    pub fn metadata_indexes(&self) -> Result<BTreeSet<String>, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct List {
            metadata_indexes: Vec<Property>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Property {
            property_name: String,
        }
        let path = format!("{}/metadata_index/list", self.index);
        let (list, _) = self.http.result::<List>("GET", &path, None)?;
        Ok(list.metadata_indexes.into_iter().map(|property| property.property_name).collect())
    }

    /// Makes a property filterable, for the vectors written from now on.
    pub fn create_metadata_index(&self, property: &str, kind: &str) -> Result<(), ApiError> {
        let body = json!({ "propertyName": property, "indexType": kind });
        self.post::<Value>(&format!("{}/metadata_index/create", self.index), &body).map(drop)
    }

    /// One vector a text, in order, or why there is none: a batch that is too large is halved until
    /// it is not, so that one text never sinks the others.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Result<Vec<f32>, ApiError>>, ApiError> {
        match self.embed_batch(texts) {
            Ok(vectors) => Ok(vectors.into_iter().map(Ok).collect()),
            Err(error) if error.is_too_large() && texts.len() > 1 => {
                let (left, right) = texts.split_at(texts.len() / 2);
                let mut vectors = self.embed(left)?;
                vectors.extend(self.embed(right)?);
                Ok(vectors)
            }
            Err(error) if error.is_too_large() => Ok(vec![Err(error)]),
            Err(error) => Err(error),
        }
    }

    fn embed_batch(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ApiError> {
        let path = format!("/ai/run/{}", SPEC.model);
        let request = EmbedRequest { text: texts.to_vec(), pooling: SPEC.pooling.to_owned() };
        let EmbedResponse { shape, data, pooling } = self.post(&path, &json!(request))?;
        let wrong = if data.len() != texts.len() {
            format!("{} vectors came for {} texts", data.len(), texts.len())
        } else if data.iter().any(|vector| vector.len() != SPEC.dimensions) {
            format!("a vector does not have {} components; the shape is given as {shape:?}", SPEC.dimensions)
        } else if data.iter().flatten().any(|component| !component.is_finite()) {
            "a vector has a component that is not finite".to_owned()
        } else if pooling.as_deref().is_some_and(|pooling| pooling != SPEC.pooling) {
            format!("the vectors were pooled by {pooling:?} instead of {:?}", SPEC.pooling)
        } else {
            return Ok(data);
        };
        Err(ApiError::answer(&format!("POST {path}"), wrong))
    }

    /// Stores vectors, in as few calls as their bytes allow: every call is a job of the service, and
    /// few large ones become visible sooner than many small ones. One vector that the service does
    /// not take makes it refuse the whole call, so a refused call is halved until that one is alone.
    pub fn upsert(
        &self,
        vectors: &[Vector],
        writes: &mut Vec<Acknowledged>,
        refused: &mut Vec<(String, ApiError)>,
    ) -> Result<(), ApiError> {
        let path = format!("{}/upsert", self.index);
        let mut lines = Vec::new();
        for vector in vectors {
            serde_json::to_writer(&mut lines, vector).map_err(|error| ApiError::answer(&path, error))?;
            lines.push(b'\n');
        }
        let body = Body { kind: "application/x-ndjson", bytes: &lines };
        let outcome = match lines.len() {
            length if length > MAX_UPSERT_BYTES => Err(ApiError::too_large(&path, length)),
            _ => self.http.result::<Mutation>("POST", &path, Some(body)),
        };
        match (outcome, vectors) {
            (Ok((Mutation { mutation_id }, at)), _) => writes.push(Acknowledged { mutation_id, at }),
            (Err(error), [one]) if error.is_bad_vector() => refused.push((one.id.clone(), error)),
            (Err(error), many) if error.is_bad_vector() => {
                let (left, right) = many.split_at(many.len() / 2);
                self.upsert(left, writes, refused)?;
                self.upsert(right, writes, refused)?;
            }
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }

    /// Deletes vectors; at most [`docent_core::vectorize::MAX_DELETE_IDS`].
    pub fn delete(&self, ids: &[String]) -> Result<Acknowledged, ApiError> {
        let path = format!("{}/delete_by_ids", self.index);
        let body = json!({ "ids": ids }).to_string();
        let body = Body { kind: "application/json", bytes: body.as_bytes() };
        let (Mutation { mutation_id }, at) = self.http.result("POST", &path, Some(body))?;
        Ok(Acknowledged { mutation_id, at })
    }

    /// State of the index.
    pub fn info(&self) -> Result<Info, ApiError> {
        Ok(self.http.result("GET", &format!("{}/info", self.index), None)?.0)
    }

    /// Ids of all vectors, a page at a time; a chain of pages is one snapshot.
    pub fn list(&self, each: &mut dyn FnMut(Vec<String>)) -> Result<(), ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct List {
            vectors: Vec<Listed>,
            #[serde(default)]
            next_cursor: Option<String>,
        }
        #[derive(Deserialize)]
        struct Listed {
            id: String,
        }
        let mut cursor = String::new();
        loop {
            let path = format!("{}/list?count={MAX_LIST_COUNT}{cursor}", self.index);
            let List { vectors, next_cursor } = self.http.result("GET", &path, None)?.0;
            each(vectors.into_iter().map(|vector| vector.id).collect());
            match next_cursor.filter(|cursor| !cursor.is_empty()) {
                Some(next) => cursor = format!("&cursor={}", encoded(&next)),
                None => return Ok(()),
            }
        }
    }

    /// Vectors with their metadata; at most [`docent_core::vectorize::MAX_GET_IDS`] ids. What is not there is left out.
    pub fn get(&self, ids: &[String]) -> Result<Vec<Vector>, ApiError> {
        self.post(&format!("{}/get_by_ids", self.index), &json!({ "ids": ids }))
    }

    /// The nearest chunks, best first, with their addresses.
    pub fn query(&self, vector: &[f32], top_k: usize, generation: u64) -> Result<Vec<Match>, ApiError> {
        let filter = json!({ "gen": { "$lte": generation } });
        let body = json!({ "vector": vector, "topK": top_k, "returnMetadata": "all", "filter": filter });
        self.post::<Matches>(&format!("{}/query", self.index), &body).map(|found| found.matches)
    }

    /// Runs statements one after the other as one transaction, and returns the rows of each. No
    /// database in the settings: no rows.
    pub fn sql<T: DeserializeOwned>(&self, statements: &[Statement]) -> Result<Vec<Vec<T>>, ApiError> {
        #[derive(Deserialize)]
        struct ResultSet<T> {
            results: Vec<T>,
        }
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let body = match statements {
            [one] => json!(one),
            many => json!({ "batch": many }),
        };
        let sets: Vec<ResultSet<T>> = self.post(&format!("{database}/query"), &body)?;
        Ok(sets.into_iter().map(|set| set.results).collect())
    }

    /// A value; `None` if the key is not there.
    pub fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, ApiError> {
        match self.http.call("GET", &format!("{}/values/{}", self.namespace, encoded(key)), None) {
            Ok(Answer { body, .. }) => Ok(Some(body)),
            // 10009 is a missing key; a missing namespace answers 404 as well.
            Err(error) if error.status == Some(404) && error.code.is_none_or(|code| code == 10_009) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores a value. KV takes one write a second of the same key.
    pub fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), ApiError> {
        let body = Body { kind: "application/octet-stream", bytes: value };
        self.http.call("PUT", &format!("{}/values/{}", self.namespace, encoded(key)), Some(body)).map(drop)
    }

    /// Deletes a value; one that is not there is none afterwards either.
    pub fn kv_delete(&self, key: &str) -> Result<(), ApiError> {
        match self.http.call("DELETE", &format!("{}/values/{}", self.namespace, encoded(key)), None) {
            Err(error) if error.status == Some(404) && error.code.is_none_or(|code| code == 10_009) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// The first thousand keys that begin so.
    pub fn kv_keys(&self, prefix: &str) -> Result<Vec<String>, ApiError> {
        #[derive(Deserialize)]
        struct Key {
            name: String,
        }
        let path = format!("{}/keys?limit=1000&prefix={}", self.namespace, encoded(prefix));
        let keys: Vec<Key> = self.http.result("GET", &path, None)?.0;
        Ok(keys.into_iter().map(|key| key.name).collect())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ApiError> {
        let bytes = body.to_string();
        let body = Body { kind: "application/json", bytes: bytes.as_bytes() };
        self.http.result("POST", path, Some(body)).map(|(result, _)| result)
    }
}

/// A segment of a path, or the value of a query.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;
    use crate::settings::Token;

    /// A service that gives these answers, one a connection, and tells the bodies it was sent.
    fn service(answers: Vec<(u16, String)>) -> (Cloudflare, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = Connection {
            api_base: format!("http://{}", listener.local_addr().unwrap()),
            account_id: "account".to_owned(),
            api_token: Token("secret".to_owned()),
            index: "docs".to_owned(),
            kv_id: "space".to_owned(),
            database: None,
        };
        let serve = move |(status, body): (u16, String)| {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).unwrap() > 2 {
                let header = line.to_lowercase();
                length = header.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
                line.clear();
            }
            let mut sent = vec![0; length];
            stream.read_exact(&mut sent).unwrap();
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
            String::from_utf8(sent).unwrap()
        };
        (Cloudflare::new(&settings), std::thread::spawn(move || answers.into_iter().map(serve).collect()))
    }

    fn vectors(firsts: &[f32]) -> String {
        let vector = |first: &f32| {
            let mut vector = vec![0.5; SPEC.dimensions];
            vector[0] = *first;
            vector
        };
        let data: Vec<Vec<f32>> = firsts.iter().map(vector).collect();
        let result = json!({ "shape": [firsts.len(), SPEC.dimensions], "data": data, "pooling": "cls" });
        json!({ "success": true, "result": result, "errors": [], "messages": [] }).to_string()
    }

    fn failure(code: u32, message: &str) -> String {
        json!({ "success": false, "result": null, "errors": [{ "code": code, "message": message }] }).to_string()
    }

    #[test]
    fn a_batch_that_is_too_large_is_halved_and_keeps_its_order() {
        let answers = vec![(413, failure(3_006, "too large")), (200, vectors(&[1.0])), (200, vectors(&[2.0, 3.0]))];
        let (cloud, service) = service(answers);
        let texts = ["a", "b", "c"].map(str::to_owned);
        let firsts: Vec<f32> = cloud.embed(&texts).unwrap().iter().map(|vector| vector.as_ref().unwrap()[0]).collect();
        assert_eq!(firsts, [1.0, 2.0, 3.0]);
        assert_eq!(service.join().unwrap()[2], r#"{"pooling":"cls","text":["b","c"]}"#);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_does_not_says_what_to_do() {
        let answers = vec![
            (502, "<html>bad gateway</html>".to_owned()),
            (200, vectors(&[1.0])),
            (429, failure(3_036, "you have used up your daily free allocation")),
            (403, failure(10_000, "Authentication error")),
            (200, vectors(&[1.0, 2.0])),
        ];
        let (cloud, service) = service(answers);
        let texts = ["a".to_owned()];
        assert!(cloud.embed(&texts).is_ok());
        let spent = cloud.embed(&texts).unwrap_err();
        assert!(spent.to_string().contains("00:00 UTC"), "{spent}");
        let refused = cloud.embed(&texts).unwrap_err();
        let shown = refused.to_string();
        assert!(
            refused.is_auth() && shown.starts_with("POST /ai/run/@cf/baai/bge-base-en-v1.5 answered 403, code 10000: ")
        );
        assert!(shown.contains("Workers AI: Read") && !shown.contains("secret"), "{shown}");
        assert!(cloud.embed(&texts).unwrap_err().to_string().contains("2 vectors came for 1 texts"));
        assert_eq!(service.join().unwrap().len(), 5);
    }
}
