//! Moods without a model: words that people use when they are pleased or fed up, counted.
//!
//! It stands in for a classifier such as distilbert-sst-2 and answers as that does, with two labels
//! whose scores add up to 1. It knows no irony and no context, only English words, and a denial just
//! before one of them. Where it knows no word it says one half, where that model says anything.

use crate::lexical::{stem, words};

/// What it is, for whoever reads a log.
pub(crate) const NAME: &str = "docent-local/sentiment";
/// What it is, for whoever starts it.
pub(crate) const DESCRIPTION: &str =
    "docent-local/sentiment, a list of English words: NOT distilbert, it does not know what a sentence means";

/// Words of a pleased visitor, by their stems.
const GOOD: &str = " amaz awesome brilliant excell fantastic glad good great happy helpful impress like love nice perfect \
    pleas thank thanks useful wonderful work ";
/// Words of one who is fed up, by their stems.
const BAD: &str = " angry annoy awful bad broken crap disappoint fail fed frustrat garbage hate horribl idiot joke mess \
    nonsens nothing pathetic poor ridiculou rubbish sick stupid suck terribl tire unacceptabl usel useless waste worst \
    wrong ";
/// Words that turn the next one around, or the one after that.
const DENIALS: &str = " not no never dont doesnt didnt isnt wont cant nothing ";
/// Logit of one word: three of them are a mood beyond doubt.
const WEIGHT: f64 = 3.0;

/// How likely the text is meant well, 0 to 1.
pub(crate) fn pleased(text: &str) -> f64 {
    let mut sum = 0.0;
    // How many words ago the last denial was.
    let mut denied = usize::MAX;
    for word in words(text) {
        let word = word.to_lowercase().replace('\'', "");
        let stem = stem(&word);
        let listed = |list: &str| [&word, &stem].iter().any(|form| list.contains(&format!(" {form} ")));
        denied = denied.saturating_add(1);
        let value = f64::from(i8::from(listed(GOOD)) - i8::from(listed(BAD)));
        sum += if denied <= 2 { -value.abs() } else { value };
        if listed(DENIALS) {
            denied = 0;
        }
    }
    1.0 / (1.0 + (-WEIGHT * sum).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_who_is_fed_up_from_who_is_pleased_and_from_who_just_asks() {
        for (text, least, most) in [
            ("This is useless, nothing works and I am so frustrated!", 0.0, 0.001),
            ("Your docs are terrible.", 0.0, 0.1),
            ("it doesn't work", 0.0, 0.1),
            ("How do I deploy the bot?", 0.5, 0.5),
            ("Thanks, that was really helpful!", 0.9, 1.0),
            ("", 0.5, 0.5),
        ] {
            let score = pleased(text);
            assert!((least..=most).contains(&score), "{text}: {score}");
        }
    }
}
