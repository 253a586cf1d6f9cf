//! What to do when a service fails, and what the visitor is told then.
//!
//! One table for all calls, after Cloudflare's published error codes and those seen live.

use crate::error::{ApiError, Code};
use crate::ports::Fault;
use crate::upstream::ProviderError;

/// Times a call is tried again before something else is.
pub const MAX_RETRIES: u32 = 2;

/// Shortest pause before the first retry, milliseconds; doubled for each further one, with up to as
/// much again by chance, so that many Workers do not come back in step.
const BACKOFF_MS: u64 = 200;

/// Seconds a visitor should wait when a service is busy and says nothing itself.
pub(crate) const BUSY_SECONDS: u64 = 10;

/// What may help after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The same call again, after a pause; then as [`Remedy::NextModel`].
    Retry,
    /// The same call, not through the AI Gateway: the gateway is missing or refuses us. Without one, as
    /// [`Remedy::NextRunner`].
    WithoutGateway,
    /// The next model of the list: this one cannot be used.
    NextModel,
    /// The next model that somebody else runs: no model of this one can be used.
    NextRunner,
    /// A shorter prompt, once.
    Shrink,
    /// A guardrail of the gateway or of our own blocked prompt or answer: refuse, as for a question
    /// that is not answered.
    Refuse,
    /// Nothing that we could do.
    None,
}

/// The error table.
#[allow(clippy::match_same_arms)] // each row has a reason of its own
pub fn remedy(fault: &Fault) -> Remedy {
    match fault {
        Fault::Ai(error) => match (error.code, error.status) {
            // The day's allocation, and an account that is blocked: no retry and no other model of
            // Workers AI helps before midnight UTC, or at all.
            (Some(3036 | 3023), _) => Remedy::NextRunner,
            // The gateway's own rate limit: another call through it at once makes it worse.
            (Some(2003), _) => Remedy::NextRunner,
            (Some(2001 | 2009), _) => Remedy::WithoutGateway,
            (Some(3040), _) => Remedy::Retry,
            (Some(5028 | 5007 | 3042 | 5035 | 3041 | 5016 | 5018), _) => Remedy::NextModel,
            (Some(5021 | 3010 | 3006), _) => Remedy::Shrink,
            (Some(2016 | 2017), _) => Remedy::Refuse,
            (_, 408 | 409 | 429 | 500..) => Remedy::Retry,
            // Said in the middle of a stream: whatever it was, it is this model's.
            (_, 200) => Remedy::NextModel,
            // A token that is wrong is wrong for all models.
            (None | Some(10_000), 401 | 403) => Remedy::NextRunner,
            // What one model's schema refuses, another's may take.
            _ => Remedy::NextModel,
        },
        Fault::Provider(error) => match (error.code.as_str(), error.status) {
            ("content_filter" | "content_policy_violation", _) => Remedy::Refuse,
            ("context_length_exceeded", _) | (_, 413) => Remedy::Shrink,
            // A budget that is used up comes as 429 as well, and no retry fills it.
            ("insufficient_quota", _) => Remedy::NextRunner,
            (_, 408 | 409 | 429 | 500..) => Remedy::Retry,
            // A key that is wrong or a bill that is not paid is no better with another model there.
            (_, 401..=403) => Remedy::NextRunner,
            _ => Remedy::NextModel,
        },
        // Asked again it would think as long, or be filtered again.
        Fault::Empty(reason) if reason.as_deref() == Some("content_filter") => Remedy::Refuse,
        Fault::Empty(_) => Remedy::NextModel,
        // Who has waited for FIRST_BYTE_MS does not wait for the same once more.
        Fault::TimedOut { service: "Workers AI" | "the provider", .. } => Remedy::NextModel,
        // 40041: too many requests. A failure without a code is the service's (5xx), or the network's.
        Fault::Vectorize { code: Some(40041) | None, .. } | Fault::TimedOut { .. } | Fault::Unreadable { .. } => {
            Remedy::Retry
        }
        // 0: no answer at all.
        Fault::Webhook { status: 0 | 408 | 409 | 425 | 429 | 500.., .. } => Remedy::Retry,
        Fault::Withheld => Remedy::Refuse,
        Fault::Vectorize { .. }
        | Fault::Kv(_)
        | Fault::D1(_)
        | Fault::Webhook { .. }
        | Fault::Tool { .. }
        | Fault::Stopped
        | Fault::NoBinding(_) => Remedy::None,
    }
}

/// Milliseconds to wait before retry number `attempt` (from 0); `chance` is any number.
pub fn backoff_ms(attempt: u32, chance: u64) -> u64 {
    let base = BACKOFF_MS << attempt.min(4);
    base + chance % base
}

/// What the visitor is told. `now_ms` is used to say when the daily allocation is renewed.
pub fn tell(fault: &Fault, now_ms: u64) -> ApiError {
    match fault {
        Fault::Ai(error) => match (error.code, error.status) {
            (Some(3036), _) => ApiError::new(
                Code::BudgetExhausted,
                "today's allocation for answers is used up; it is renewed at 00:00 UTC",
            )
            .retry_after(seconds_to_midnight(now_ms)),
            (Some(2003), _) => ApiError::new(Code::RateLimited, "too many questions at the moment; try again shortly")
                .retry_after(BUSY_SECONDS),
            (Some(3040), _) | (_, 429) => {
                ApiError::new(Code::OverCapacity, "the model has no capacity left at the moment; try again shortly")
                    .retry_after(BUSY_SECONDS)
            }
            _ => ApiError::new(Code::Upstream, "the model could not be reached; try again"),
        },
        Fault::Provider(ProviderError { status: 429, .. }) => {
            ApiError::new(Code::OverCapacity, "the model has no capacity left at the moment; try again shortly")
                .retry_after(BUSY_SECONDS)
        }
        Fault::Provider(_) => ApiError::new(Code::Upstream, "the model could not be reached; try again"),
        Fault::Empty(_) => ApiError::new(Code::Upstream, "the model gave no answer; try again"),
        Fault::Vectorize { .. } => ApiError::new(Code::Upstream, "the search index could not be reached; try again"),
        Fault::Kv(_) => ApiError::new(Code::Upstream, "the conversation store could not be reached; try again"),
        Fault::D1(_) => ApiError::new(Code::Upstream, "the database could not be reached; try again"),
        Fault::TimedOut { .. } => ApiError::new(Code::Upstream, "the answer took too long; try again"),
        Fault::Unreadable { .. } => ApiError::new(Code::Upstream, "a service sent an unreadable answer; try again"),
        Fault::Webhook { .. } => {
            ApiError::new(Code::Upstream, "the conversation could not be delivered; try again, or in another way")
        }
        Fault::Tool { .. } => ApiError::new(Code::Upstream, "what was to be looked up could not be; try again"),
        Fault::Withheld => ApiError::new(
            Code::Withheld,
            "the answer strayed from the documentation and was cut off; ask in other words",
        ),
        // Nobody is left to be told.
        Fault::Stopped => ApiError::new(Code::Internal, "the answer was stopped"),
        Fault::NoBinding(name) => ApiError::new(Code::NotReady, format!("this bot lacks its binding {name}")),
    }
}

fn seconds_to_midnight(now_ms: u64) -> u64 {
    const DAY: u64 = 24 * 60 * 60;
    DAY - now_ms / 1000 % DAY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers_ai::AiError;

    fn ai(status: u16, body: &str) -> Fault {
        Fault::Ai(AiError::read(status, body.as_bytes()))
    }

    fn server(status: u16, code: &str) -> Fault {
        Fault::Provider(ProviderError { status, code: code.to_owned(), message: String::new() })
    }

    #[test]
    fn each_published_code_has_its_remedy_wherever_the_body_carries_it() {
        let envelope = |code: u32| format!(r#"{{"success":false,"errors":[{{"code":{code},"message":"x"}}]}}"#);
        let cases = [
            (ai(429, &envelope(3036)), Remedy::NextRunner, Code::BudgetExhausted),
            (ai(429, &envelope(3040)), Remedy::Retry, Code::OverCapacity),
            (ai(429, "slow down"), Remedy::Retry, Code::OverCapacity),
            (
                ai(410, r#"{"name":"AiError","internalCode":5028,"description":"deprecated"}"#),
                Remedy::NextModel,
                Code::Upstream,
            ),
            (
                ai(
                    400,
                    r#"{"success":false,"error":[{"code":2001,"message":"Please configure"}],"internalCode":2001}"#,
                ),
                Remedy::WithoutGateway,
                Code::Upstream,
            ),
            (ai(400, r#"{"error":[{"code":2001}]}"#), Remedy::WithoutGateway, Code::Upstream),
            (ai(429, r#"{"name":"AiGatewayError","internalCode":2003}"#), Remedy::NextRunner, Code::RateLimited),
            (ai(413, r#"{"internalCode":5021}"#), Remedy::Shrink, Code::Upstream),
            (
                ai(400, r#"{"description":"AiError: 5006: must NOT have more than 100 items"}"#),
                Remedy::NextModel,
                Code::Upstream,
            ),
            (ai(403, &envelope(10_000)), Remedy::NextRunner, Code::Upstream),
            (ai(503, "<html>down</html>"), Remedy::Retry, Code::Upstream),
            (ai(200, &envelope(3040)), Remedy::Retry, Code::OverCapacity),
            (ai(200, r#"{"error":"x"}"#), Remedy::NextModel, Code::Upstream),
            (server(429, "rate_limit_exceeded"), Remedy::Retry, Code::OverCapacity),
            (server(429, "insufficient_quota"), Remedy::NextRunner, Code::OverCapacity),
            (server(401, "invalid_api_key"), Remedy::NextRunner, Code::Upstream),
            (server(404, "model_not_found"), Remedy::NextModel, Code::Upstream),
            (server(400, "context_length_exceeded"), Remedy::Shrink, Code::Upstream),
            (server(400, "content_filter"), Remedy::Refuse, Code::Upstream),
            (server(302, ""), Remedy::NextModel, Code::Upstream),
            (Fault::Empty(Some("length".to_owned())), Remedy::NextModel, Code::Upstream),
            (Fault::Vectorize { code: Some(40041), message: String::new() }, Remedy::Retry, Code::Upstream),
            (Fault::Vectorize { code: Some(40006), message: String::new() }, Remedy::None, Code::Upstream),
        ];
        for (fault, expected, code) in cases {
            assert_eq!((remedy(&fault), tell(&fault, 0).code), (expected, code), "{fault:?}");
        }
    }

    #[test]
    fn the_daily_allocation_comes_back_at_midnight_utc() {
        let fault = ai(429, r#"{"internalCode":3036}"#);
        assert_eq!(tell(&fault, 1_700_000_000_000).retry_after, Some(6_400)); // 22:13:20 UTC
    }
}
