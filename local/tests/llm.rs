//! A server with the chat API of other providers behind the stand-in: its words in Workers AI's
//! shape, its errors as Workers AI's codes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use docent_local::{Cloud, CloudConfig, LlmConfig};
use serde_json::{Value, json};
use ureq::Agent;

const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
                      data: {\"choices\":[{\"delta\":{\"content\":\"Hé\"}}]}\n\n\
                      data: {\"choices\":[{\"delta\":{\"content\":\"llo\"},\"finish_reason\":\"stop\"}]}\n\n\
                      data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n\
                      data: [DONE]\n\n";

/// Answers one call, and tells what was asked.
fn server(status: &'static str, body: &'static str) -> (String, JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let answered = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        while reader.read_line(&mut head).unwrap() > 2 {
            if let Some(value) = head.lines().last().unwrap().to_lowercase().strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut asked = vec![0; length];
        reader.read_exact(&mut asked).unwrap();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
            .unwrap();
        (head, serde_json::from_slice(&asked).unwrap())
    });
    (url, answered)
}

fn ask(url: &str, stream: bool) -> (u16, String) {
    let llm = LlmConfig { url: url.to_owned(), model: "llama3.1:8b".to_owned(), key: Some("k".to_owned()) };
    let cloud = Cloud::start(CloudConfig { llm: Some(llm), ..CloudConfig::default() }).unwrap();
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("{}/accounts/a/ai/run/@cf/meta/llama-3.1-8b-instruct-fast", cloud.api_base());
    let messages = json!([{ "role": "user", "content": "hello" }]);
    let body = json!({ "messages": messages, "stream": stream, "max_tokens": 99, "temperature": 0.2 });
    let mut response = agent.post(&url).header("authorization", "Bearer t").send_json(&body).unwrap();
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn its_stream_becomes_workers_ai_s() {
    let (url, server) = server("200 OK", STREAM);
    let (status, body) = ask(&url, true);
    assert_eq!(status, 200);
    let events: Vec<&str> = body.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    let said = |event: &str| serde_json::from_str::<Value>(event).unwrap()["response"].as_str().unwrap().to_owned();
    assert_eq!((said(events[0]), said(events[1])), ("Hé".to_owned(), "llo".to_owned()));
    let usage: Value = serde_json::from_str(events[2]).unwrap();
    assert_eq!(usage["usage"], json!({ "prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9 }));
    assert_eq!(events[3..], ["[DONE]"]);
    let (head, asked) = server.join().unwrap();
    assert!(head.starts_with("POST /v1/chat/completions ") && head.contains("Bearer k"), "{head}");
    assert_eq!(
        (&asked["model"], &asked["stream"], &asked["max_tokens"]),
        (&json!("llama3.1:8b"), &json!(true), &json!(99))
    );
}

#[test]
fn a_stream_that_breaks_off_ends_without_done() {
    let (url, _server) = server("200 OK", "data: {\"choices\":[{\"delta\":{\"content\":\"Hé\"}}]}\n\n");
    let (status, body) = ask(&url, true);
    assert!(status == 200 && body.contains("Hé") && !body.contains("[DONE]"), "{body}");
}

#[test]
fn its_errors_become_codes_of_workers_ai() {
    for (answer, body, expected) in [
        ("404 Not Found", "model not found", (400, 5007)),
        ("401 Unauthorized", "no", (403, 3041)),
        ("429 Too Many Requests", "slow down", (429, 3040)),
        ("503 Service Unavailable", "loading", (429, 3040)),
        ("400 Bad Request", "exceeds the context length", (413, 5021)),
        ("400 Bad Request", "bad role", (400, 5006)),
    ] {
        let (url, _server) = server(answer, body);
        let (status, body) = ask(&url, false);
        let code = serde_json::from_str::<Value>(&body).unwrap()["errors"][0]["code"].as_u64().unwrap();
        assert_eq!((status, code), expected, "{answer}: {body}");
    }
    assert_eq!(ask("http://127.0.0.1:1/v1", false).0, 429, "nobody answers");
}
