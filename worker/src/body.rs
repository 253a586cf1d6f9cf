//! A model's answer as it comes in: read chunk by chunk, and not waited for longer than it is worth.
//!
//! An answer has a chunk for every word, so what is done for each of them is most of what the Worker
//! costs. Hence one timer and one pair of callbacks for all reads of a stream, where a `Delay` and a
//! `JsFuture` for each would make new ones every time.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use docent_core::ports::{ByteStream, Fault};
use futures_util::future::{Either, select};
use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use worker::Delay;

use crate::bindings::thrown;

#[wasm_bindgen]
extern "C" {
    /// What a stream's reader answers.
    type Chunk;
    #[wasm_bindgen(method, getter)]
    fn done(this: &Chunk) -> bool;
    #[wasm_bindgen(method, getter)]
    fn value(this: &Chunk) -> Option<Uint8Array>;
}

/// Guards a call that may fall silent: before its first byte, and between two later ones.
pub(crate) struct Watch {
    controller: web_sys::AbortController,
    complete: bool,
    /// Who is waited for.
    service: &'static str,
    /// Longest wait for what comes next, milliseconds. A pause is noticed after one to two of these:
    /// an alarm that rings after something was heard is only set again.
    patience_ms: u64,
    idle_ms: u64,
    heard: bool,
    alarm: Delay,
}

impl Watch {
    pub(crate) fn start(service: &'static str, first_byte_ms: u64, idle_ms: u64) -> Result<Self, Fault> {
        let controller = web_sys::AbortController::new().map_err(thrown)?;
        let alarm = Delay::from(Duration::from_millis(first_byte_ms));
        Ok(Self { controller, complete: false, service, patience_ms: first_byte_ms, idle_ms, heard: false, alarm })
    }

    /// Aborts the call when it is not waited for any more.
    pub(crate) fn signal(&self) -> web_sys::AbortSignal {
        self.controller.signal()
    }

    /// Waits for something, but not longer than patience lasts.
    pub(crate) async fn over<F: Future + Unpin>(&mut self, mut awaited: F) -> Result<F::Output, Fault> {
        loop {
            match select(&mut awaited, &mut self.alarm).await {
                Either::Left((heard, _)) => {
                    self.heard = true;
                    return Ok(heard);
                }
                Either::Right(_) if !self.heard => {
                    return Err(Fault::TimedOut { service: self.service, ms: self.patience_ms });
                }
                Either::Right(_) => self.set_alarm(),
            }
        }
    }

    /// All is there; the rest of the call need not be aborted.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    /// The first byte is there: from now on pauses count.
    fn begun(&mut self) {
        if self.patience_ms != self.idle_ms {
            self.patience_ms = self.idle_ms;
            self.set_alarm();
        }
    }

    fn set_alarm(&mut self) {
        self.heard = false;
        self.alarm = Delay::from(Duration::from_millis(self.patience_ms));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // An answer that nobody reads further must not go on being written, and billed.
        if !self.complete {
            self.controller.abort();
        }
    }
}

/// The body of a chat answer.
pub(crate) struct Body {
    reads: Option<Reads>,
    event_stream: bool,
    log_id: Option<String>,
    watch: Watch,
}

impl Body {
    pub(crate) fn new(
        reader: web_sys::ReadableStreamDefaultReader,
        event_stream: bool,
        log_id: Option<String>,
        watch: Watch,
    ) -> Self {
        Self { reads: Some(Reads::of(reader)), event_stream, log_id, watch }
    }
}

impl ByteStream for Body {
    fn is_event_stream(&self) -> bool {
        self.event_stream
    }

    fn log_id(&self) -> Option<String> {
        self.log_id.clone()
    }

    fn complete(&mut self) {
        self.watch.complete();
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let Some(reads) = &self.reads else { return Ok(None) };
        reads.begin();
        let chunk = self.watch.over(poll_fn(|context| reads.poll(context.waker()))).await?;
        self.watch.begun();
        let chunk: Chunk = chunk.map_err(thrown)?.unchecked_into();
        self.watch.complete = chunk.done();
        Ok(if self.watch.complete { None } else { chunk.value().map(|bytes| bytes.to_vec()) })
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let Some(reads) = self.reads.take() else { return };
        if reads.slot.borrow().pending {
            // The callbacks must outlive the read that will call them; aborting makes that soon.
            wasm_bindgen_futures::spawn_local(async move {
                drop(poll_fn(|context| reads.poll(context.waker())).await);
            });
        }
    }
}

/// The reads of one stream, one after the other.
struct Reads {
    reader: web_sys::ReadableStreamDefaultReader,
    slot: Rc<RefCell<Slot>>,
    arrived: Closure<dyn FnMut(JsValue)>,
    failed: Closure<dyn FnMut(JsValue)>,
}

/// Where the callbacks leave the result of a read.
#[derive(Default)]
struct Slot {
    pending: bool,
    result: Option<Result<JsValue, JsValue>>,
    waiting: Option<Waker>,
}

impl Reads {
    fn of(reader: web_sys::ReadableStreamDefaultReader) -> Self {
        let slot = Rc::<RefCell<Slot>>::default();
        let settle = |wrap: fn(JsValue) -> Result<JsValue, JsValue>| {
            let slot = Rc::clone(&slot);
            Closure::new(move |value| {
                let mut slot = slot.borrow_mut();
                slot.pending = false;
                slot.result = Some(wrap(value));
                if let Some(waker) = slot.waiting.take() {
                    waker.wake();
                }
            })
        };
        Self { arrived: settle(Ok), failed: settle(Err), reader, slot }
    }

    fn begin(&self) {
        self.slot.borrow_mut().pending = true;
        drop(self.reader.read().then2(&self.arrived, &self.failed));
    }

    fn poll(&self, waker: &Waker) -> Poll<Result<JsValue, JsValue>> {
        let mut slot = self.slot.borrow_mut();
        let Some(result) = slot.result.take() else {
            slot.waiting = Some(waker.clone());
            return Poll::Pending;
        };
        Poll::Ready(result)
    }
}
