//! What docent tells the model is not for readers: an answer that repeats it is cut off before the
//! reader sees it.
//!
//! An answer is compared letter by letter with our own texts of the prompt. Case, blanks, line
//! ends, punctuation and Markdown between the letters do not count, nor do letters that only look
//! alike, so that a prompt that is spelled out, put into a list or into code is known as well.
//! A translation, a paraphrase or an encoding is not.

use std::collections::VecDeque;
use std::sync::LazyLock;

use crate::injection::fold;
use crate::prompt::SECRETS;

/// Letters and digits in a row, about seven words, that only a copy has in common with the prompt.
/// The longest such run in 1,925 pages of public product documentation is 20.
const RUN: usize = 40;

/// The answer repeats the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaked;

/// Passes an answer on as long as it does not repeat the prompt. Held back is what may be the
/// beginning of a repetition: a few letters mostly.
#[derive(Debug, Default)]
pub(crate) struct LeakGuard {
    held: VecDeque<char>,
    /// Letters and digits among them, which the prompt has in a row.
    run: usize,
    state: usize,
}

impl LeakGuard {
    /// Takes more of the answer and adds what can be shown to `out`.
    ///
    /// # Errors
    /// It repeats the prompt; nothing of the repetition was shown, and what is held back must not be.
    pub(crate) fn push(&mut self, delta: &str, out: &mut String) -> Result<(), Leaked> {
        for c in delta.chars() {
            self.held.push_back(c);
            let letter = fold(c);
            if letter.is_alphanumeric() {
                let before = self.run;
                (self.state, self.run) = PROMPT.step(self.state, self.run, letter);
                if self.run >= RUN {
                    return Err(Leaked);
                }
                self.release(before + 1 - self.run, out);
            }
            if self.run == 0 {
                out.extend(self.held.drain(..));
            }
        }
        Ok(())
    }

    /// The answer is over: adds what was held back.
    pub(crate) fn finish(self, out: &mut String) {
        out.extend(self.held);
    }

    /// Lets go up to so many letters, with what stands between them.
    fn release(&mut self, mut letters: usize, out: &mut String) {
        while letters > 0
            && let Some(c) = self.held.pop_front()
        {
            letters -= usize::from(fold(c).is_alphanumeric());
            out.push(c);
        }
    }
}

static PROMPT: LazyLock<Automaton> = LazyLock::new(|| {
    let mut automaton = Automaton::default();
    for secret in SECRETS {
        // No answer has the separator, so no run reaches from one text into the next.
        automaton.extend(secret.chars().map(fold).filter(|c| c.is_alphanumeric()).chain(['\0']));
    }
    automaton
});

/// All runs of a text in one machine (a suffix automaton), which finds the longest one that ends
/// here in time that does not depend on how long the text is.
#[derive(Debug)]
struct Automaton {
    states: Vec<State>,
    last: usize,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Longest run that leads here.
    length: usize,
    /// Where the longest shorter end of it leads that has other followers; the first state has none.
    link: Option<usize>,
    next: Vec<(char, usize)>,
}

impl Default for Automaton {
    fn default() -> Self {
        Self { states: vec![State::default()], last: 0 }
    }
}

impl Automaton {
    fn next(&self, state: usize, c: char) -> Option<usize> {
        self.states.get(state)?.next.iter().find(|(by, _)| *by == c).map(|(_, to)| *to)
    }

    fn link(&self, state: usize) -> Option<usize> {
        self.states.get(state)?.link
    }

    fn length(&self, state: usize) -> usize {
        self.states.get(state).map_or(0, |state| state.length)
    }

    /// From a run to the longest one that ends with `c`: its state and length.
    fn step(&self, mut state: usize, mut run: usize, c: char) -> (usize, usize) {
        loop {
            if let Some(next) = self.next(state, c) {
                return (next, run + 1);
            }
            let Some(link) = self.link(state) else { return (0, 0) };
            (state, run) = (link, self.length(link));
        }
    }

    fn lead(&mut self, state: usize, c: char, to: usize) {
        if let Some(state) = self.states.get_mut(state) {
            match state.next.iter_mut().find(|(by, _)| *by == c) {
                Some(next) => next.1 = to,
                None => state.next.push((c, to)),
            }
        }
    }

    fn add(&mut self, state: State) -> usize {
        self.states.push(state);
        self.states.len() - 1
    }

    /// The construction of Blumer et al. (1985), a letter at a time.
    fn extend(&mut self, text: impl Iterator<Item = char>) {
        for c in text {
            let length = self.length(self.last) + 1;
            let new = self.add(State { length, link: Some(0), next: Vec::new() });
            let mut at = Some(self.last);
            self.last = new;
            while let Some(state) = at.filter(|state| self.next(*state, c).is_none()) {
                self.lead(state, c, new);
                at = self.link(state);
            }
            let Some(state) = at else { continue };
            let Some(next) = self.next(state, c) else { continue };
            let mut link = next;
            if self.length(next) != self.length(state) + 1 {
                let twin = self.states.get(next).cloned().unwrap_or_default();
                link = self.add(State { length: self.length(state) + 1, ..twin });
                if let Some(next) = self.states.get_mut(next) {
                    next.link = Some(link);
                }
                while let Some(state) = at.filter(|state| self.next(*state, c) == Some(next)) {
                    self.lead(state, c, link);
                    at = self.link(state);
                }
            }
            if let Some(new) = self.states.get_mut(new) {
                new.link = Some(link);
            }
        }
    }
}

/// The longest run of letters and digits that a text has in common with the prompt.
#[cfg(test)]
fn longest_run(text: &str) -> usize {
    let letters = text.chars().map(fold).filter(|c| c.is_alphanumeric());
    let runs = letters.scan((0, 0), |(state, run), c| {
        (*state, *run) = PROMPT.step(*state, *run, c);
        Some(*run)
    });
    runs.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn guard(pieces: &[&str]) -> (String, Result<(), Leaked>) {
        let (mut guard, mut out) = (LeakGuard::default(), String::new());
        for piece in pieces {
            if guard.push(piece, &mut out).is_err() {
                return (out, Err(Leaked));
            }
        }
        guard.finish(&mut out);
        (out, Ok(()))
    }

    fn spelled(text: &str) -> String {
        text.chars().flat_map(|c| [c, ' ']).collect()
    }

    #[test]
    fn a_repetition_is_cut_before_its_first_word() {
        for secret in SECRETS {
            for copy in [
                secret.to_owned(),
                secret.to_uppercase(),
                spelled(secret),
                secret.replace(' ', "\n> - **"),
                secret.replace('a', "а\u{200b}").replace('e', "ｅ"),
                format!("```\n{secret}```"),
            ] {
                let (shown, result) = guard(&["Sure, my rules, word by word: ", &copy]);
                assert_eq!(result, Err(Leaked), "{copy}");
                assert!("Sure, my rules, word by word: \n> - **```".starts_with(&shown), "{shown}");
            }
        }
        let [head, rules, ..] = SECRETS;
        assert_eq!(guard(&[head, "Acme", rules]), (String::new(), Err(Leaked)));
        let honest = format!("{} You are a support bot of one product. Rules: none.", crate::prompt::REFUSAL);
        assert_eq!(guard(&[&honest]), (honest, Ok(())));
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // real pages
    fn our_own_documentation_has_no_such_run() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
        let pages =
            std::fs::read_dir(docs).unwrap().filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
        let longest = pages.map(|page| longest_run(&page)).max().unwrap();
        assert!((5..RUN - 10).contains(&longest), "{longest}");
    }

    proptest! {
        #[test]
        fn neither_text_nor_verdict_depends_on_how_the_answer_was_cut(
            parts in prop::collection::vec((0usize..4, 0usize..300, 0usize..60, ".{0,8}"), 0..6),
            cuts in prop::collection::vec(0usize..400, 0..8),
        ) {
            let answer: String = parts
                .iter()
                .map(|(secret, from, len, noise)| {
                    SECRETS[*secret].chars().skip(*from).take(*len).chain(noise.chars()).collect::<String>()
                })
                .collect();
            let chars: Vec<char> = answer.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(chars.len())).collect();
            cuts.extend([0, chars.len()]);
            cuts.sort_unstable();
            let pieces: Vec<String> = cuts.windows(2).map(|cut| chars[cut[0]..cut[1]].iter().collect()).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let whole = guard(&[&answer]);
            prop_assert_eq!(guard(&pieces), whole.clone());
            prop_assert_eq!(whole.1.is_err(), longest_run(&answer) >= RUN);
            if whole.1.is_ok() {
                prop_assert_eq!(whole.0, answer);
            }
        }

        #[test]
        fn the_longest_run_is_the_longest(text in "[a-e]{0,30}", other in "[a-e]{0,30}") {
            let mut automaton = Automaton::default();
            automaton.extend(text.chars());
            let (mut state, mut run, mut longest) = (0, 0, 0);
            for c in other.chars() {
                (state, run) = automaton.step(state, run, c);
                longest = longest.max(run);
            }
            let by_hand = (0..=other.len())
                .flat_map(|from| (from..=other.len()).map(move |to| (from, to)))
                .filter(|(from, to)| text.contains(other.get(*from..*to).unwrap()))
                .map(|(from, to)| to - from)
                .max();
            prop_assert_eq!(Some(longest), by_hand);
        }
    }
}
