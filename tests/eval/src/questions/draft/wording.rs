//! A heading to the question that its section answers; most headings give none.

/// What became of a heading.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) question: String,
    /// What the question was made from.
    pub(super) tag: &'static str,
}

/// Verbs that tasks begin with, in the imperative or as a gerund.
const VERBS: &[&str] = &[
    "access",
    "activate",
    "add",
    "adjust",
    "allow",
    "append",
    "apply",
    "assign",
    "attach",
    "authenticate",
    "authorize",
    "automate",
    "avoid",
    "bind",
    "block",
    "bootstrap",
    "bundle",
    "bypass",
    "call",
    "change",
    "check",
    "choose",
    "clean",
    "clear",
    "clone",
    "combine",
    "compare",
    "compile",
    "configure",
    "connect",
    "control",
    "convert",
    "copy",
    "create",
    "customize",
    "debug",
    "declare",
    "define",
    "delete",
    "deploy",
    "detect",
    "determine",
    "develop",
    "disable",
    "disconnect",
    "discover",
    "download",
    "edit",
    "embed",
    "enable",
    "encrypt",
    "enforce",
    "ensure",
    "exclude",
    "execute",
    "expand",
    "export",
    "extend",
    "extract",
    "fetch",
    "filter",
    "find",
    "fix",
    "force",
    "forward",
    "generate",
    "get",
    "grant",
    "group",
    "handle",
    "hide",
    "host",
    "ignore",
    "implement",
    "import",
    "improve",
    "include",
    "increase",
    "ingest",
    "inspect",
    "install",
    "integrate",
    "invalidate",
    "invoke",
    "isolate",
    "launch",
    "limit",
    "link",
    "list",
    "load",
    "lock",
    "log",
    "maintain",
    "make",
    "manage",
    "merge",
    "migrate",
    "minimize",
    "modify",
    "monitor",
    "move",
    "obtain",
    "open",
    "optimize",
    "order",
    "override",
    "pass",
    "patch",
    "pin",
    "prepare",
    "prevent",
    "preview",
    "protect",
    "provide",
    "publish",
    "purge",
    "put",
    "query",
    "read",
    "receive",
    "recover",
    "reduce",
    "refresh",
    "register",
    "reload",
    "remove",
    "rename",
    "render",
    "renew",
    "replace",
    "request",
    "require",
    "reset",
    "resize",
    "resolve",
    "restart",
    "restore",
    "restrict",
    "resume",
    "retrieve",
    "retry",
    "return",
    "revert",
    "review",
    "revoke",
    "rewrite",
    "roll",
    "rotate",
    "route",
    "run",
    "save",
    "scale",
    "schedule",
    "secure",
    "select",
    "send",
    "serve",
    "set",
    "share",
    "show",
    "sign",
    "simulate",
    "skip",
    "specify",
    "split",
    "start",
    "stop",
    "store",
    "stream",
    "submit",
    "switch",
    "sync",
    "test",
    "trace",
    "track",
    "transfer",
    "transform",
    "trigger",
    "troubleshoot",
    "tune",
    "turn",
    "uninstall",
    "unlock",
    "update",
    "upgrade",
    "upload",
    "use",
    "validate",
    "verify",
    "view",
    "work",
    "wrap",
    "write",
];

/// Verbs that are nouns as well: "Build backends" is no task, "Build a backend" is.
const ALSO_NOUNS: &[&str] = &[
    "access", "block", "bundle", "call", "change", "check", "clone", "control", "copy", "debug", "download", "export",
    "filter", "find", "fix", "force", "group", "handle", "host", "import", "increase", "launch", "limit", "link",
    "list", "load", "lock", "log", "monitor", "order", "override", "pass", "patch", "pin", "preview", "purge", "query",
    "read", "refresh", "release", "request", "reset", "restart", "resume", "retry", "return", "review", "roll",
    "route", "run", "scale", "schedule", "secure", "select", "set", "share", "show", "sign", "split", "start", "stop",
    "store", "stream", "switch", "test", "trace", "track", "transfer", "trigger", "turn", "update", "upgrade",
    "upload", "view", "work",
];

/// After one of these a word is a verb.
const BEGINS_OBJECT: &[&str] = &[
    "a",
    "all",
    "an",
    "and",
    "another",
    "as",
    "at",
    "by",
    "different",
    "for",
    "from",
    "in",
    "into",
    "multiple",
    "my",
    "new",
    "on",
    "one",
    "only",
    "or",
    "over",
    "the",
    "to",
    "up",
    "with",
    "without",
    "your",
];

/// Such a heading says nothing without the ones above it.
const POINTING: &[&str] =
    &["above", "below", "following", "here", "it", "its", "next", "that", "them", "these", "they", "this", "those"];

/// Phrases that begin like tasks and are none.
const NO_TASK: &[&str] = &["use case", "using with", "get started", "getting started", "work in progress", "list of"];

const ASKING: &[&str] = &[
    "are", "can", "could", "did", "do", "does", "has", "have", "how", "is", "may", "must", "should", "what", "when",
    "where", "which", "who", "why", "will", "would",
];

pub(super) fn question(heading: &str, text: &str) -> Option<Proposed> {
    let heading = without_number(heading.trim()).trim_end_matches([':', '.', '#']).trim();
    let words: Vec<&str> = heading.split_whitespace().collect();
    let plain: Vec<String> = words.iter().map(|word| bare(word)).collect();
    if plain.iter().any(|word| POINTING.contains(&word.as_str())) && !heading.ends_with('?') {
        return None;
    }
    let first = plain.first()?;
    if ASKING.contains(&first.as_str()) {
        return asked(heading, &words, &plain);
    }
    task(&words, &plain).or_else(|| definition(&plain, text))
}

/// "Why is my build slow?", "How to publish a package".
fn asked(heading: &str, words: &[&str], plain: &[String]) -> Option<Proposed> {
    if heading.ends_with('?') {
        // "Why?" and "Who pays?" ask about the page above them.
        return (words.len() >= 3).then(|| proposed(heading.to_owned(), "draft-faq"));
    }
    let [first, second, rest @ ..] = plain else { return None };
    if first == "how" && second == "to" && !rest.is_empty() {
        return Some(proposed(format!("How do I {}?", spoken(words.iter().skip(2))), "draft-heading"));
    }
    // "What happens when a build fails" is a question; "How it works" and "What is read" are none.
    let asks = ["what", "which"].contains(&first.as_str()) && !["is", "are", "cannot"].contains(&second.as_str());
    (asks && words.len() >= 5).then(|| proposed(format!("{heading}?"), "draft-heading"))
}

/// "Install the plugin", "Installing plugins".
fn task(words: &[&str], plain: &[String]) -> Option<Proposed> {
    let [first, second, ..] = plain else { return None };
    if NO_TASK.iter().any(|phrase| plain.join(" ").starts_with(phrase)) {
        return None;
    }
    let gerund = VERBS.iter().find(|verb| gerund(verb) == *first);
    let imperative =
        VERBS.iter().find(|verb| *verb == first && words.first().is_some_and(|word| word.len() == verb.len()));
    let imperative = imperative.filter(|verb| !ALSO_NOUNS.contains(verb) || BEGINS_OBJECT.contains(&second.as_str()));
    let verb = gerund.or(imperative)?;
    let object = spoken(words.iter().skip(1));
    // "Install on Linux" and "Run in CI" lack what is installed and run.
    let has_object =
        !["in", "on", "at", "by", "for", "as", "and", "or", "from", "without", "of"].contains(&second.as_str());
    let is_sentence = words.len() <= 12 && !object.contains(" is ") && !object.contains(" are ");
    (has_object && is_sentence).then(|| proposed(format!("How do I {verb} {object}?"), "draft-heading"))
}

/// "Chunks", over "A chunk is a heading with its text.": asks for what the section begins to say.
fn definition(plain: &[String], text: &str) -> Option<Proposed> {
    let sentence: Vec<&str> = text.lines().next()?.split_whitespace().collect();
    let verb = sentence.iter().take(6).position(|word| ["is", "are"].contains(word))?;
    let (subject, rest) = sentence.split_at_checked(verb)?;
    let spelled: Vec<String> = subject.iter().map(|word| bare(word)).collect();
    let unarticled = match spelled.as_slice() {
        [article, rest @ ..] if ["a", "an", "the"].contains(&article.as_str()) => rest,
        all => all,
    };
    let singular = |words: &[String]| words.join(" ").trim_end_matches('s').to_owned();
    let explains = rest.get(1).is_some_and(|word| ["a", "an", "the"].contains(word));
    if unarticled.is_empty() || singular(unarticled) != singular(plain) || !explains {
        return None;
    }
    let articled = unarticled.len() < spelled.len();
    let subject = subject.join(" ");
    // A capital at the beginning of a sentence says nothing about the word.
    let lower = lower_first(&subject);
    let subject = if articled || text.contains(&format!(" {lower} ")) { lower } else { subject };
    Some(proposed(format!("What {} {subject}?", rest.first()?), "draft-heading"))
}

fn proposed(question: String, tag: &'static str) -> Proposed {
    Proposed { question, tag }
}

/// As a reader says it of themselves.
fn spoken<'a>(words: impl Iterator<Item = &'a &'a str>) -> String {
    let own = |word: &&'a str| match *word {
        "your" => "my",
        "you" => "I",
        "yourself" => "myself",
        "yours" => "mine",
        word => word,
    };
    words.map(own).collect::<Vec<_>>().join(" ")
}

/// `1. Install`, `Step 2: Install`, `3) Install`.
fn without_number(heading: &str) -> &str {
    let rest = heading.strip_prefix("Step ").unwrap_or(heading);
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    match after.strip_prefix(['.', ':', ')']) {
        Some(text) if after.len() < rest.len() && text.starts_with(' ') => text.trim_start(),
        _ => heading,
    }
}

fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// English: `use` using, `run` running, `install` installing.
fn gerund(verb: &str) -> String {
    const DOUBLED: &[&str] = &[
        "debug", "embed", "get", "log", "pin", "put", "run", "set", "skip", "split", "stop", "submit", "wrap",
        "transfer",
    ];
    if let (true, Some(last)) = (DOUBLED.contains(&verb), verb.chars().next_back()) {
        return format!("{verb}{last}ing");
    }
    match verb.strip_suffix('e') {
        Some(stem) => format!("{stem}ing"),
        None => format!("{verb}ing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_tasks_and_terms_become_questions_and_nothing_else_does() {
        let cases = [
            ("Why is my build slow?", "", Some("Why is my build slow?")),
            ("How to publish a package", "", Some("How do I publish a package?")),
            ("2. Install your plugins:", "", Some("How do I install my plugins?")),
            ("Running `uv` scripts", "", Some("How do I run `uv` scripts?")),
            ("Use a real model", "", Some("How do I use a real model?")),
            ("What happens when a build fails", "", Some("What happens when a build fails?")),
            ("Chunks", "A chunk is a heading with its text.", Some("What is a chunk?")),
            ("Chunks", "A chunk is red.", None),
            ("Use cases", "", None),
            ("Log files", "", None),
            ("Set this up", "", None),
            ("Why?", "", None),
            ("What is read", "", None),
            ("Why examples are important", "", None),
            (
                "Resolution",
                "Resolution is the process of picking. In resolution a solver picks.",
                Some("What is resolution?"),
            ),
            ("Install on Linux", "", None),
            ("Overview", "This page is an overview.", None),
        ];
        for (heading, text, expected) in cases {
            let found = question(heading, text).map(|proposed| proposed.question);
            assert_eq!(found.as_deref(), expected, "{heading}");
        }
    }
}
