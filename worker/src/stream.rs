//! The answer as it comes: from the question flow into the response's body.
//!
//! The body is one end of an identity stream. The other end is written by a task of its own, kept
//! alive by `wait_until`: when the reader leaves, writing fails, the task goes on without it, and
//! the turn is stored whole, unless the reader has stopped it.

use std::pin::Pin;
use std::rc::Rc;

use docent_core::answer::{self, Prepared};
use docent_core::draft::Reader;
use docent_core::settings::Settings;
use docent_core::sse::{DONE, Part};
use js_sys::Uint8Array;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use worker::{Context, Response, ResponseBuilder};

use crate::bindings::Doors;

#[wasm_bindgen]
extern "C" {
    /// A pair of byte streams, joined; an API of Workers that web-sys does not know.
    type IdentityTransformStream;

    #[wasm_bindgen(constructor)]
    fn new() -> IdentityTransformStream;

    #[wasm_bindgen(method, getter)]
    fn readable(this: &IdentityTransformStream) -> web_sys::ReadableStream;

    #[wasm_bindgen(method, getter)]
    fn writable(this: &IdentityTransformStream) -> web_sys::WritableStream;
}

/// Starts the answer and returns the response that carries it.
pub(crate) fn answer(
    settings: Rc<Result<Settings, Vec<String>>>,
    doors: Doors,
    prepared: Prepared,
    context: &Context,
) -> worker::Result<Response> {
    let pipe = IdentityTransformStream::new();
    let mut browser = Browser { writer: pipe.writable().get_writer()?, buffer: Vec::new() };
    context.wait_until(async move {
        if let Ok(settings) = settings.as_ref() {
            let outcome = answer::respond(&doors, settings, prepared, &mut browser).await;
            // The reader has all of it while the trace and the cache are written.
            let closed = JsFuture::from(browser.writer.close());
            outcome.afterwards.keep(&doors).await;
            // A reader that leaves at the very end has missed nothing.
            drop(closed.await);
        }
    });
    Ok(ResponseBuilder::new()
        .with_header("content-type", "text/event-stream; charset=utf-8")?
        .with_header("cache-control", "no-store")?
        .with_header("x-vercel-ai-ui-message-stream", "v1")?
        .with_header("x-accel-buffering", "no")?
        .stream(pipe.readable()))
}

thread_local! {
    /// Handles the failure of a write, which only says that the reader has left.
    static LEFT: Closure<dyn FnMut(JsValue)> = Closure::new(drop::<JsValue>);
}

/// The reader at the other end of the connection.
///
/// Writes are not waited for: an answer is short, so what a slow reader has not taken yet may wait
/// in memory, and a reader that takes nothing must not keep the turn from being stored.
struct Browser {
    writer: web_sys::WritableStreamDefaultWriter,
    buffer: Vec<u8>,
}

impl Browser {
    fn write(&mut self, parts: &[Part<'_>], end: &[u8]) {
        self.buffer.clear();
        for part in parts {
            part.encode(&mut self.buffer);
        }
        self.buffer.extend_from_slice(end);
        let written = self.writer.write_with_chunk(&Uint8Array::from(self.buffer.as_slice()));
        LEFT.with(|left| drop(written.catch(left)));
    }
}

impl Reader for Browser {
    fn send(&mut self, parts: &[Part<'_>]) {
        self.write(parts, &[]);
    }

    fn close(&mut self, parts: &[Part<'_>]) {
        self.write(parts, DONE);
    }

    /// Known when a write has failed, and not before: the runtime does not tell of a reader that leaves while
    /// nothing is written.
    fn left(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let closed = JsFuture::from(self.writer.closed());
        Box::pin(async move { drop(closed.await) })
    }
}
