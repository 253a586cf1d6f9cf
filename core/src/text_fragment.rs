//! Deep links: an address that makes a browser scroll to the words of a passage and mark them.
//!
//! A text fragment, `#anchor:~:text=…`, names words as a page shows them. Browsers that do not know it, and
//! pages whose words have changed, still open at the anchor.

use crate::support::{Evidence, is_unspaced, stem};

/// Words of a fragment: enough to be found nowhere else on a page, few enough to stay in one piece of text.
const MAX_WORDS: usize = 8;
const MIN_WORDS: usize = 4;

/// Characters of a fragment in a script that has no blanks.
const UNSPACED_CHARS: std::ops::RangeInclusive<usize> = 6..=40;

/// The address with a fragment that names the words of the statement nearest to what was said, by its
/// `stems`; the address alone where no run of its words is long enough to be told from others.
pub(crate) fn deep_link(url: &str, evidence: &Evidence, statement: usize, stems: &[u64]) -> String {
    let mut link = url.to_owned();
    let statement = evidence.statements.get(statement).filter(|statement| statement.is_prose);
    let Some(words) = statement.and_then(|statement| run(&statement.text, stems)) else { return link };
    link.push_str(if url.contains('#') { ":~:text=" } else { "#:~:text=" });
    encode(&words, &mut link);
    link
}

/// The run of words that has most of the stems.
fn run(text: &str, stems: &[u64]) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    let mut offer = |hits: usize, words: &mut dyn FnMut() -> String| {
        if hits > best.as_ref().map_or(0, |(most, _)| *most) {
            best = Some((hits, words()));
        }
    };
    for segment in text.split(['\n', '、', '。', '，', '！', '？']) {
        if segment.contains(is_unspaced) {
            let words = segment.trim();
            if UNSPACED_CHARS.contains(&words.chars().count()) {
                offer(hits(words, stems), &mut || words.to_owned());
            }
            continue;
        }
        let words: Vec<&str> = segment.split_whitespace().collect();
        for piece in words.split(|word| changes_in_print(word)).filter(|piece| piece.len() >= MIN_WORDS) {
            for window in piece.windows(MAX_WORDS.min(piece.len())) {
                offer(window.iter().map(|word| hits(word, stems)).sum(), &mut || window.join(" "));
            }
        }
    }
    let (_, words) = best?;
    let is_edge = |c: char| !(c.is_alphanumeric() || matches!(c, '$' | '%' | '+' | '/'));
    Some(words.trim_matches(is_edge).to_owned()).filter(|words| !words.is_empty())
}

fn hits(words: &str, stems: &[u64]) -> usize {
    words
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| stem(word).is_some_and(|stem| stems.contains(&stem)))
        .count()
        + usize::from(words.contains(is_unspaced))
}

/// Site generators make other signs of quotation marks, double hyphens and three points.
fn changes_in_print(word: &str) -> bool {
    word.contains(['\'', '"', '’', '‘', '“', '”', '\\']) || word.contains("--") || word.contains("..")
}

/// Percent-encodes everything but letters, digits and what never has a meaning: in a fragment `-`, `,` and
/// `&` are syntax.
fn encode(text: &str, out: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].iter().filter_map(|digit| HEX.get(usize::from(*digit))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::check;

    fn link(url: &str, passage: &str, sentence: &str) -> String {
        let evidence = Evidence::new("Title", "", passage);
        let verdict = check(sentence, &[&evidence]);
        deep_link(url, &evidence, verdict.nearest[0].unwrap(), &verdict.stems)
    }

    #[test]
    fn a_link_names_the_words_that_support_the_sentence() {
        let passage = "Other words stand here first.\n\nA pre-built wheel, **however**, is [kept](/x) for\n`30` days & more. \
                       It's the \"usual\" -- end.\n\n| Key size | 512 bytes |\n\n```sh\nuv cache clean all of it now\n```";
        let found = "https://d.example/p#a:~:text=A%20pre%2Dbuilt%20wheel%2C%20however%2C%20is%20kept%20for%2030";
        assert_eq!(link("https://d.example/p#a", passage, "A pre-built wheel is kept."), found);
        let rest = link("https://d.example/p", passage, "For 30 days and more it is kept.");
        assert_eq!(
            rest,
            "https://d.example/p#:~:text=pre%2Dbuilt%20wheel%2C%20however%2C%20is%20kept%20for%2030%20days"
        );
        assert_eq!(link("/p", passage, "The key size is 512 bytes."), "/p", "too short to be told from others");
        assert_eq!(link("/p", passage, "Run `uv cache clean`."), "/p", "code is not looked for");
        let japanese = link("/p", "設定は、再起動後に反映されます。", "再起動後に設定が反映されます。");
        assert_eq!(
            japanese,
            format!(
                "/p#:~:text={}",
                "%E5%86%8D%E8%B5%B7%E5%8B%95%E5%BE%8C%E3%81%AB%E5%8F%8D%E6%98%A0%E3%81%95%E3%82%8C%E3%81%BE%E3%81%99"
            )
        );
    }
}
