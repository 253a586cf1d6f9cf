//! The calls of Cloudflare's REST API that an ingest makes: Workers AI, Vectorize and KV.

use std::collections::BTreeSet;
use std::time::SystemTime;

use docent_core::embedding::SPEC;
use docent_core::vectorize::{Info, MAX_UPSERT_BYTES, Mutation, Vector};
use docent_core::workers_ai::{EmbedRequest, EmbedResponse};
use serde::Deserialize;
use serde_json::{Value, json};

pub use crate::http::ApiError;
use crate::http::{Answer, Body, Http};
use crate::settings::Settings;

/// A client for one account, one index and one KV namespace.
pub struct Cloudflare {
    http: Http,
    /// Path of the index below the account.
    index: String,
    name: String,
    /// Path of the values of the KV namespace.
    values: String,
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
    pub fn new(settings: &Settings) -> Self {
        Self {
            http: Http::new(settings),
            index: format!("/vectorize/v2/indexes/{}", settings.index),
            name: settings.index.clone(),
            values: format!("/storage/kv/namespaces/{}/values", settings.kv_id),
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

    /// One vector a text. A batch that is too large is halved until it is not.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ApiError> {
        match self.embed_batch(texts) {
            Err(error) if error.is_too_large() && texts.len() > 1 => {
                let (left, right) = texts.split_at(texts.len() / 2);
                let mut vectors = self.embed(left)?;
                vectors.extend(self.embed(right)?);
                Ok(vectors)
            }
            result => result,
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
    /// few large ones become visible sooner than many small ones.
    pub fn upsert(&self, vectors: &[Vector]) -> Result<Acknowledged, ApiError> {
        let path = format!("{}/upsert", self.index);
        let mut lines = Vec::new();
        for vector in vectors {
            serde_json::to_writer(&mut lines, vector).map_err(|error| ApiError::answer(&path, error))?;
            lines.push(b'\n');
        }
        if lines.len() > MAX_UPSERT_BYTES && vectors.len() > 1 {
            let (left, right) = vectors.split_at(vectors.len() / 2);
            self.upsert(left)?;
            return self.upsert(right);
        }
        let body = Body { kind: "application/x-ndjson", bytes: &lines };
        let (Mutation { mutation_id }, at) = self.http.result("POST", &path, Some(body))?;
        Ok(Acknowledged { mutation_id, at })
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

    /// A value; `None` if the key is not there.
    pub fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, ApiError> {
        match self.http.call("GET", &format!("{}/{key}", self.values), None) {
            Ok(Answer { body, .. }) => Ok(Some(body)),
            // 10009 is a missing key; a missing namespace answers 404 as well.
            Err(error) if error.status == Some(404) && error.code.is_none_or(|code| code == 10_009) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores a value. KV takes one write a second of the same key.
    pub fn kv_put(&self, key: &str, value: &str) -> Result<(), ApiError> {
        let body = Body { kind: "application/octet-stream", bytes: value.as_bytes() };
        self.http.call("PUT", &format!("{}/{key}", self.values), Some(body)).map(drop)
    }

    fn post<T: serde::de::DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ApiError> {
        let bytes = body.to_string();
        let body = Body { kind: "application/json", bytes: bytes.as_bytes() };
        self.http.result("POST", path, Some(body)).map(|(result, _)| result)
    }
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
        let settings = Settings {
            sources: Vec::new(),
            api_base: format!("http://{}", listener.local_addr().unwrap()),
            account_id: "account".to_owned(),
            api_token: Token("secret".to_owned()),
            index: "docs".to_owned(),
            kv_id: "space".to_owned(),
            concurrency: 1,
            dry_run: false,
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
        let firsts: Vec<f32> = cloud.embed(&texts).unwrap().iter().map(|vector| vector[0]).collect();
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
