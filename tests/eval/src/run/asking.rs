//! Many questions at a time: how fast, how often again, and when to give up.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use docent_core::trace::Candidate;

use crate::bot::stream::{Reply, Source};
use crate::bot::{Again, Bot, Refusal};
use crate::pages;
use crate::questions::Question;
use crate::records::{Answer, Found, Record};

/// A question is asked that often at most.
const TRIES: u32 = 5;
/// Before the second try; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest `Retry-After` that is waited for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// After so many connections in a row that came to nothing, the bot is gone.
const LOST_CONNECTIONS: u32 = 10;

/// A question to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) question: &'a Question,
    /// From 0.
    pub(crate) repeat: u32,
}

/// Asks them all, `concurrency` at a time, and gives each record to `each` as it comes. Returns why it
/// stopped before the end, if it did; an error of `each` stops it too.
pub(crate) fn ask_all<E>(
    bot: &Bot,
    base_url: &str,
    tasks: Vec<Task<'_>>,
    pace: &Pace,
    concurrency: usize,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let shared = Shared { bot, base_url, pace, queue: Mutex::new(tasks.into()), state: Mutex::default() };
    std::thread::scope(|scope| {
        let (sender, records) = channel();
        for _ in 0..concurrency.max(1) {
            let (shared, sender) = (&shared, sender.clone());
            scope.spawn(move || shared.work(&sender));
        }
        drop(sender);
        records.iter().try_for_each(&mut each).inspect_err(|_| shared.stop("the run cannot be written".to_owned()))
    })?;
    Ok(shared.state.into_inner().unwrap_or_else(PoisonError::into_inner).stopped)
}

struct Shared<'a> {
    bot: &'a Bot,
    base_url: &'a str,
    pace: &'a Pace,
    queue: Mutex<VecDeque<Task<'a>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Connections in a row that came to nothing.
    lost: u32,
    stopped: Option<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared<'_> {
    fn work(&self, records: &Sender<Record>) {
        while !self.is_stopped() {
            let Some(task) = locked(&self.queue).pop_front() else { return };
            let Some(reply) = self.ask(task.question) else { return };
            if records.send(record(task, reply, self.base_url)).is_err() {
                return;
            }
        }
    }

    /// Asks until there is an answer, or none is to be expected; nothing when the run stops.
    fn ask(&self, question: &Question) -> Option<Reply> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.bot.ask(question, &|| self.pace.wait()) {
                Ok(reply) => {
                    self.note_connection(true);
                    return Some(reply);
                }
                Err(Refusal::Run(reason)) => {
                    self.stop(reason);
                    return None;
                }
                Err(Refusal::Question { reply, again }) => {
                    let is_lost = reply.error.as_ref().is_some_and(|error| error.code == "unreachable");
                    self.note_connection(!is_lost);
                    let wait = match again {
                        Again::After(wait) => wait.min(LONGEST_PAUSE),
                        Again::Soon => pause,
                        Again::Never => return Some(*reply),
                    };
                    if attempt == TRIES || self.is_stopped() {
                        return Some(*reply);
                    }
                    std::thread::sleep(wait);
                    pause *= 2;
                }
            }
        }
        None
    }

    fn is_stopped(&self) -> bool {
        locked(&self.state).stopped.is_some()
    }

    /// The first reason counts.
    fn stop(&self, reason: String) {
        locked(&self.state).stopped.get_or_insert(reason);
    }

    fn note_connection(&self, is_there: bool) {
        let mut state = locked(&self.state);
        state.lost = if is_there { 0 } else { state.lost + 1 };
        if state.lost >= LOST_CONNECTIONS {
            state.stopped.get_or_insert_with(|| {
                format!("{LOST_CONNECTIONS} connections in a row came to nothing, so the bot seems to be gone")
            });
        }
    }
}

/// When calls are made, so that they are no more than was asked for.
#[derive(Debug)]
pub(crate) struct Pace {
    between: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many calls a second; as many as come when absent.
    pub(crate) fn new(rate: Option<f64>) -> Self {
        let between = rate.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok()).unwrap_or_default();
        Self { between, next: Mutex::default() }
    }

    /// Waits for its turn.
    fn wait(&self) {
        if self.between.is_zero() {
            return;
        }
        let now = Instant::now();
        let turn = {
            let mut next = locked(&self.next);
            let turn = next.map_or(now, |next| next.max(now));
            *next = turn.checked_add(self.between);
            turn
        };
        std::thread::sleep(turn.saturating_duration_since(now));
    }
}

fn record(task: Task<'_>, reply: Reply, base_url: &str) -> Record {
    let Reply { session: _, sources, text, end, trace, error, times } = reply;
    let candidates = trace.as_ref().map(|trace| trace.candidates.clone()).unwrap_or_default();
    let ranking = ranking(sources, candidates);
    let is_answer = end.is_some() || !text.is_empty();
    let end = end.unwrap_or_default();
    let answer = is_answer.then(|| Answer {
        text,
        refused: end.metadata.refused,
        finish: if end.finish.is_empty() { "error".to_owned() } else { end.finish },
        model: end.metadata.model,
        usage: end.metadata.usage,
        cost_usd: end.metadata.cost_usd,
        trace,
    });
    let ranking = (1_u32..).zip(ranking).map(|(rank, found)| Found {
        page: pages::name(base_url, &found.url).0,
        passage: pages::passage(base_url, &found.url),
        score: 1.0 / f64::from(rank),
        ..found
    });
    Record { question: task.question.clone(), repeat: task.repeat, error, ranking: ranking.collect(), answer, times }
}

/// What readers see comes first, in their order and under their numbers, with the whole text where the
/// trace has it; then what else was found. A bot that shows other pages than it found is so seen to.
fn ranking(sources: Vec<Source>, mut candidates: Vec<Candidate>) -> Vec<Found> {
    let mut ranking = Vec::with_capacity(sources.len().max(candidates.len()));
    for Source { n, url, title, heading, snippet } in sources {
        let found = candidates.iter().position(|candidate| candidate.url == url && candidate.heading == heading);
        let text = found.map_or(snippet, |at| {
            let first = candidates.remove(at);
            // The parts of a cut section were offered as one passage, in their order.
            let (n, url) = (first.n, first.url.clone());
            let is_part = |other: &mut Candidate| n.is_some() && other.n == n && other.url == url;
            let mut parts: Vec<Candidate> = candidates.extract_if(.., is_part).collect();
            parts.push(first);
            parts.sort_by_key(|part| part.ordinal);
            parts.into_iter().map(|part| part.text).collect::<Vec<_>>().join("\n\n")
        });
        ranking.push(Found { url, title, heading, n: Some(n), text, ..Found::default() });
    }
    ranking.extend(candidates.into_iter().map(|Candidate { url, title, heading, text, .. }| Found {
        url,
        title,
        heading,
        text,
        ..Found::default()
    }));
    ranking
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_keep_their_distance() {
        let (pace, started) = (Pace::new(Some(200.0)), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..5).for_each(|_| pace.wait()));
            }
        });
        // 20 calls have 19 gaps of 5 ms.
        assert!(started.elapsed() >= Duration::from_millis(95), "{:?}", started.elapsed());
    }
}
