//! HTML to a tree, within bounds whatever the page holds.
//!
//! A browser gives up on a page that hangs; an ingest must not. The parser's work grows with nodes
//! times depth, and within a tag with the square of its attributes, so all three have a limit that
//! no real page comes near.

use std::cell::Cell;

use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use scraper::{Html, HtmlTreeSink};

/// Elements inside elements; browsers stop at 512. Real pages stay below 60, and what walks the tree
/// by recursion fits the stack of any thread.
const MAX_DEPTH: usize = 256;
/// Elements, texts and comments of a page: about ten times those of a 10,000-row table.
const MAX_NODES: usize = 1_000_000;
/// Attributes of one tag.
const MAX_ATTRIBUTES: usize = 4_096;

/// The tree, and whether the page goes on beyond it.
pub(super) fn parse(html: &str) -> (Html, bool) {
    let readable = readable(html);
    let builder = TreeBuilder::new(HtmlTreeSink::new(Html::new_document()), TreeBuilderOpts::default());
    let bounded = Bounded { builder, cut: Cell::new(readable.len() < html.len()) };
    let tokenizer = Tokenizer::new(bounded, TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(readable));
    // The tokenizer stops where a browser would run a script, and goes on when asked again.
    while let TokenizerResult::Script(_) | TokenizerResult::EncodingIndicator(_) = tokenizer.feed(&input) {}
    tokenizer.end();
    let cut = tokenizer.sink.cut.get();
    (tokenizer.sink.builder.sink.0.into_inner(), cut)
}

/// Hands tokens on to the tree builder while there is room.
struct Bounded {
    builder: TreeBuilder<ego_tree::NodeId, HtmlTreeSink>,
    cut: Cell<bool>,
}

impl TokenSink for Bounded {
    type Handle = ego_tree::NodeId;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Self::Handle> {
        if self.refuses(&token) {
            self.cut.set(true);
            return TokenSinkResult::Continue;
        }
        self.builder.process_token(token, line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

impl Bounded {
    fn refuses(&self, token: &Token) -> bool {
        if matches!(token, Token::EOFToken | Token::ParseError(_)) {
            return false;
        }
        let page = self.builder.sink.0.borrow();
        if page.tree.values().len() > MAX_NODES {
            return true;
        }
        // The node made last is where the parser is, or was a moment ago.
        let opens = matches!(token, Token::TagToken(tag) if tag.kind == TagKind::StartTag);
        opens && page.tree.nodes().next_back().is_some_and(|last| last.ancestors().nth(MAX_DEPTH).is_some())
    }
}

/// The page up to a tag that has too many attributes.
fn readable(html: &str) -> &str {
    let bytes = html.as_bytes();
    let mut at = 0;
    while let Some(start) = html.get(at..).and_then(|rest| rest.find('<')).map(|found| at + found) {
        let rest = bytes.get(start..).unwrap_or_default();
        let Some(len) = end_of_tag(rest) else { return html.get(..start).unwrap_or_default() };
        at = start + len;
        // What stands in a script is no tag, though it may look like one.
        let is = |name: &[u8]| rest.get(1..=name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if is(b"script") || is(b"style") {
            at += html.get(at..).and_then(|rest| rest.find("</")).unwrap_or_default();
        }
    }
    html
}

/// How far the tag at the beginning reaches: 1 if it is none, `None` if it has too many attributes.
fn end_of_tag(bytes: &[u8]) -> Option<usize> {
    if !bytes.get(1).is_some_and(u8::is_ascii_alphabetic) {
        return Some(1);
    }
    let (mut attributes, mut quote, mut before) = (0, None, b'<');
    for (at, &byte) in bytes.iter().enumerate().skip(1) {
        match (quote, byte) {
            (Some(open), _) if open == byte => (quote, before) = (None, b' '),
            (Some(_), _) => {}
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') if before == b'=' => (quote, attributes) = (Some(byte), attributes + 1),
            (None, b'/' | b'\t' | b'\n' | b'\x0c' | b'\r' | b' ') => {
                attributes += usize::from(!matches!(before, b' ' | b'='));
                before = if before == b'=' { before } else { b' ' };
            }
            (None, byte) => before = byte,
        }
        if attributes > MAX_ATTRIBUTES {
            return None;
        }
    }
    Some(bytes.len())
}
