//! An address on loopback for the bot to call: a webhook or a tool, as good and as bad as it is told to be.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// What it does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// With this status, and words that are for nobody.
    Answer(u16),
    /// With this status, content type and body.
    Say(u16, &'static str, String),
    /// To an address where it would be taken.
    Redirect,
    /// Its head at once, and its body byte by byte.
    Drip,
    Hang,
    HangUp,
}

/// An address on loopback.
pub(crate) struct Endpoint {
    port: u16,
    got: Arc<Mutex<Vec<Call>>>,
    acts: Arc<Mutex<VecDeque<Act>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Endpoint {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (got, acts) = (Arc::<Mutex<Vec<Call>>>::default(), Arc::<Mutex<VecDeque<Act>>>::default());
        let hook = Self { port, got: Arc::clone(&got), acts: Arc::clone(&acts) };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (got, acts) = (Arc::clone(&got), Arc::clone(&acts));
                std::thread::spawn(move || serve(stream, &got, &acts));
            }
        });
        hook
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// What it does next; afterwards it takes everything.
    pub(crate) fn will(&self, acts: &[Act]) {
        *self.acts.lock().unwrap() = acts.iter().cloned().collect();
        self.got.lock().unwrap().clear();
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.got.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, got: &Mutex<Vec<Call>>, acts: &Mutex<VecDeque<Act>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let call = Call { line: lines.remove(0), headers, body: serde_json::from_slice(&body).unwrap_or_default() };
    got.lock().unwrap().push(call);
    let act = acts.lock().unwrap().pop_front().unwrap_or(Act::Answer(202));
    let private = || "private words of the help desk".to_owned();
    let (answer, body) = match act {
        Act::Answer(status) => (format!("{status} x\r\n"), private()),
        Act::Say(status, content_type, body) => (format!("{status} x\r\ncontent-type: {content_type}\r\n"), body),
        Act::Redirect => ("307 x\r\nlocation: /elsewhere\r\n".to_owned(), private()),
        Act::Drip => {
            let _ =
                stream.write_all(b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n");
            while stream.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(300));
            }
            return;
        }
        Act::Hang => return std::thread::sleep(Duration::from_secs(30)),
        Act::HangUp => return,
    };
    let _ = write!(stream, "HTTP/1.1 {answer}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
}
