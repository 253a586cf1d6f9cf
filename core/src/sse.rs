//! Server-sent events both ways: the decoder of what models stream, and the encoder of what readers
//! get, which is the AI SDK's UI message stream, version 1.

use serde::Serialize;

use crate::api::{AnswerMetadata, Citation, Source, StartMetadata};
use crate::error::ApiError;
use crate::support::Support;
use crate::trace::Trace;

/// Most bytes that one event may have. An upstream that never ends a line must not fill the
/// isolate's memory, which other visitors share.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Splits a byte stream into the data of its events.
///
/// It works on bytes, because a network cut may fall inside a character, and it owns no
/// connection: bytes are pushed in, events come out, the same ones however the bytes were cut.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
}

/// An event was longer than a megabyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {MAX_EVENT_BYTES} bytes")]
pub struct TooLong;

impl Decoder {
    /// Takes the next bytes and gives the data of each event that they complete to `event`.
    ///
    /// # Errors
    /// [`TooLong`]; the decoder is of no use afterwards.
    pub fn push(&mut self, bytes: &[u8], mut event: impl FnMut(&str)) -> Result<(), TooLong> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, ended) = rest.split_at(at);
            self.line.extend_from_slice(line);
            self.end_line(&mut event);
            rest = match ended {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', tail @ ..] | [_, tail @ ..] => tail,
                [] => &[],
            };
        }
        self.line.extend_from_slice(rest);
        if self.line.len() + self.data.len() > MAX_EVENT_BYTES { Err(TooLong) } else { Ok(()) }
    }

    /// The stream is over: gives an event that lacks only its closing blank line. By the standard
    /// such an event is dropped, but models are seen that end on `data: [DONE]` without one.
    pub fn finish(mut self, mut event: impl FnMut(&str)) {
        self.end_line(&mut event);
        self.end_event(&mut event);
    }

    fn end_line(&mut self, event: &mut impl FnMut(&str)) {
        if self.line.is_empty() {
            return self.end_event(event);
        }
        // Other fields (event, id, retry) and comments carry nothing that an answer needs.
        if let Some(value) = self.line.strip_prefix(b"data:") {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            self.has_data = true;
        }
        self.line.clear();
    }

    fn end_event(&mut self, event: &mut impl FnMut(&str)) {
        if self.has_data {
            event(&String::from_utf8_lossy(&self.data));
        }
        self.data.clear();
        self.has_data = false;
    }
}

/// A part of the stream that readers get. Clients refuse a stream with a type they do not know, so
/// these are the AI SDK's own, and ours begin with `data-docent-`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Part<'a> {
    /// First of all.
    Start {
        /// Id of the answer, for feedback.
        message_id: &'a str,
        /// Session, trace and model.
        message_metadata: StartMetadata<'a>,
    },
    /// A page that the answer may cite; all of them come before the first token.
    SourceUrl {
        /// The number in `[n]`, as text.
        source_id: String,
        /// Address with anchor.
        url: &'a str,
        /// Page title.
        title: &'a str,
        /// What else is known, under `docent`.
        provider_metadata: ProviderMetadata<SourceDetail<'a>>,
    },
    /// The answer's text begins.
    TextStart {
        /// Always `0`: an answer has one text.
        id: &'static str,
    },
    /// More of the text.
    TextDelta {
        /// Always `0`.
        id: &'static str,
        /// Markdown, cut anywhere between characters.
        delta: &'a str,
    },
    /// A sentence with a citation is complete: once for each page that it cites.
    DataDocentCite {
        /// Which sentence, which source, and whether that has what the sentence says.
        data: &'a Citation,
    },
    /// A tool is being called.
    DataDocentTool {
        /// Which one.
        data: ToolStarted<'a>,
    },
    /// The text is complete.
    TextEnd {
        /// Always `0`.
        id: &'static str,
        /// Each citation of each sentence, in order, as the AI SDK has them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<CitedSource<'a>>,
    },
    /// The answer is complete.
    Finish {
        /// `stop`, `length` or `error`.
        finish_reason: &'static str,
        /// Usage and what became of the turn.
        message_metadata: &'a AnswerMetadata,
    },
    /// The way to the answer, for a question that asked for it; before the finish or the error.
    DataDocentTrace {
        /// All of it.
        data: &'a Trace,
    },
    /// Precedes [`Part::Error`] with what a program can branch on.
    DataDocentError {
        /// Code, sentence, seconds.
        data: &'a ApiError,
    },
    /// Something failed after the stream had begun; what was sent stays valid.
    Error {
        /// For a person.
        error_text: &'a str,
    },
}

/// Wrapper that the AI SDK wants around what is ours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ProviderMetadata<D> {
    /// Ours.
    pub docent: D,
}

/// A citation as the AI SDK has it. Its clients refuse a stream with one of another form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CitedSource<'a> {
    /// What is cited.
    pub source: CitedPage<'a>,
    /// Where the sentence begins in the text, UTF-16 units.
    pub start_index: u32,
    /// Where it ends, exclusive.
    pub end_index: u32,
}

/// The page of a [`CitedSource`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CitedPage<'a> {
    /// Always `source`.
    pub r#type: &'static str,
    /// Always `url`.
    pub source_type: &'static str,
    /// The number in `[n]`, as text.
    pub id: String,
    /// Address with anchor and text fragment.
    pub url: &'a str,
    /// Page title.
    pub title: &'a str,
    /// What the check found, under `docent`.
    pub provider_metadata: ProviderMetadata<CitationDetail>,
}

/// What the check of a citation found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CitationDetail {
    /// Whether the passages that the sentence cites have what it says.
    pub support: Support,
    /// What this passage has of it, 0 to 1.
    pub share: f64,
}

impl<'a> CitedSource<'a> {
    /// A citation, with the title of its source.
    pub fn new(citation: &'a Citation, sources: &'a [Source]) -> Self {
        let Citation { n, start, end, support, share, url } = citation;
        let source = sources.iter().find(|source| source.n == *n);
        let source = CitedPage {
            r#type: "source",
            source_type: "url",
            id: n.to_string(),
            url,
            title: source.map_or("", |source| &source.title),
            provider_metadata: ProviderMetadata { docent: CitationDetail { support: *support, share: *share } },
        };
        Self { source, start_index: *start, end_index: *end }
    }
}

/// What a source card shows beside title and address.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SourceDetail<'a> {
    /// Heading trail below the title.
    pub heading: &'a str,
    /// Beginning of the passage as plain text.
    pub snippet: &'a str,
    /// Cosine of question and passage.
    pub score: f64,
    /// Product version that the page is of; may be empty.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub version: &'a str,
}

/// A call of a tool that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ToolStarted<'a> {
    /// Of the tool, as it was declared.
    pub name: &'a str,
}

impl<'a> Part<'a> {
    /// The part for a source.
    pub fn source(source: &'a Source) -> Self {
        Self::SourceUrl {
            source_id: source.n.to_string(),
            url: &source.url,
            title: &source.title,
            provider_metadata: ProviderMetadata {
                docent: SourceDetail {
                    heading: &source.heading,
                    snippet: &source.snippet,
                    score: source.score,
                    version: &source.version,
                },
            },
        }
    }

    /// Appends `data: {…}` and a blank line.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        let start = out.len();
        if serde_json::to_writer(&mut *out, self).is_err() {
            // Not reached: these types hold only strings and numbers. A part that could not be
            // written is dropped whole, so that the stream stays readable.
            out.truncate(start - b"data: ".len());
            return;
        }
        out.extend_from_slice(b"\n\n");
    }
}

/// What ends every stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece, |data| events.push(data.to_owned())).unwrap();
        }
        decoder.finish(|data| events.push(data.to_owned()));
        events
    }

    /// As the service sends them, with the oddities seen: padding, comments, all three line ends,
    /// characters of two to four bytes, data over two lines, no blank line at the end.
    const STREAM: &str = "data: {\"response\":\"Grüße 🎉\",\"p\":\"abc\"}\n\n: keep-alive\n\nevent: x\r\ndata: {\"response\":\"日本\"}\r\n\r\ndata:first\rdata: second\r\rdata: {\"response\":\"\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]";

    #[test]
    fn the_example_stream_has_these_events() {
        assert_eq!(
            decode([STREAM.as_bytes()]),
            [
                "{\"response\":\"Grüße 🎉\",\"p\":\"abc\"}",
                "{\"response\":\"日本\"}",
                "first\nsecond",
                "{\"response\":\"\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
                "[DONE]"
            ]
        );
    }

    #[test]
    fn every_single_cut_and_every_byte_alone_decodes_the_same() {
        let bytes = STREAM.as_bytes();
        let whole = decode([bytes]);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(decode([head, tail]), whole, "cut at {at}");
        }
        assert_eq!(decode(bytes.chunks(1)), whole);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_the_same_however_they_are_cut(
            lines in prop::collection::vec("(data: ?|:|event: )?[^\r\n]{0,12}(\n|\r|\r\n)?", 0..12),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let text = lines.concat();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(decode(pieces), decode([bytes]));
        }
    }

    #[test]
    fn a_line_that_never_ends_is_refused() {
        let mut decoder = Decoder::default();
        let endless = vec![b'x'; 64 * 1024];
        let result = (0..40).try_for_each(|_| decoder.push(&endless, |_| {}));
        assert_eq!(result, Err(TooLong));
    }

    #[test]
    fn parts_are_those_of_the_ui_message_stream() {
        let source = Source {
            n: 2,
            title: "Install".into(),
            heading: "Windows".into(),
            url: "https://d.example/i#windows".into(),
            snippet: "Run \"it\"".into(),
            score: 0.5,
            ..Source::default()
        };
        let mut out = Vec::new();
        Part::source(&source).encode(&mut out);
        Part::TextStart { id: "0" }.encode(&mut out);
        Part::TextDelta { id: "0", delta: "a\n\"b\"" }.encode(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"data: {"type":"source-url","sourceId":"2","url":"https://d.example/i#windows","title":"Install","providerMetadata":{"docent":{"heading":"Windows","snippet":"Run \"it\"","score":0.5}}}"#,
                "\n\n",
                r#"data: {"type":"text-start","id":"0"}"#,
                "\n\n",
                r#"data: {"type":"text-delta","id":"0","delta":"a\n\"b\""}"#,
                "\n\n"
            )
        );
    }
}
