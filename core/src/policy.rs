//! What to do when a service fails, and what the visitor is told then.
//!
//! One table for all calls, after Cloudflare's published error codes and those seen live.

use crate::error::{ApiError, Code};
use crate::ports::Fault;

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
    /// The same call, not through the AI Gateway: the gateway is missing or refuses us.
    WithoutGateway,
    /// The next model of the list: this one cannot be used.
    NextModel,
    /// A shorter prompt, once.
    Shrink,
    /// A guardrail of the gateway or of our own blocked prompt or answer: refuse, as for a question
    /// that is not answered.
    Refuse,
    /// Nothing that we could do.
    None,
}

/// The error table.
pub fn remedy(fault: &Fault) -> Remedy {
    match fault {
        Fault::Ai(error) => match (error.code, error.status) {
            // The day's allocation: no retry and no other model helps before midnight UTC. And the
            // gateway's own rate limit: another call at once makes it worse.
            (Some(3036 | 2003), _) => Remedy::None,
            (Some(2001 | 2009), _) => Remedy::WithoutGateway,
            (Some(5028 | 5007 | 3042 | 5035 | 3041 | 5016), _) => Remedy::NextModel,
            (Some(5021 | 3010 | 3006), _) => Remedy::Shrink,
            (Some(2016 | 2017), _) => Remedy::Refuse,
            (_, 408 | 409 | 429 | 500..) => Remedy::Retry,
            _ => Remedy::None,
        },
        // 40041: too many requests. A failure without a code is the service's (5xx), or the network's.
        Fault::Vectorize { code: Some(40041) | None, .. } | Fault::TimedOut { .. } | Fault::Unreadable { .. } => {
            Remedy::Retry
        }
        // 0: no answer at all.
        Fault::Webhook { status: 0 | 408 | 409 | 425 | 429 | 500.., .. } => Remedy::Retry,
        Fault::Withheld => Remedy::Refuse,
        Fault::Vectorize { .. } | Fault::Kv(_) | Fault::D1(_) | Fault::Webhook { .. } | Fault::NoBinding(_) => {
            Remedy::None
        }
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
        Fault::Vectorize { .. } => ApiError::new(Code::Upstream, "the search index could not be reached; try again"),
        Fault::Kv(_) => ApiError::new(Code::Upstream, "the conversation store could not be reached; try again"),
        Fault::D1(_) => ApiError::new(Code::Upstream, "the database could not be reached; try again"),
        Fault::TimedOut { .. } => ApiError::new(Code::Upstream, "the answer took too long; try again"),
        Fault::Unreadable { .. } => ApiError::new(Code::Upstream, "a service sent an unreadable answer; try again"),
        Fault::Webhook { .. } => {
            ApiError::new(Code::Upstream, "the conversation could not be delivered; try again, or in another way")
        }
        Fault::Withheld => ApiError::new(
            Code::Withheld,
            "the answer strayed from the documentation and was cut off; ask in other words",
        ),
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

    #[test]
    fn each_published_code_has_its_remedy_wherever_the_body_carries_it() {
        let envelope = |code: u32| format!(r#"{{"success":false,"errors":[{{"code":{code},"message":"x"}}]}}"#);
        let cases = [
            (ai(429, &envelope(3036)), Remedy::None, Code::BudgetExhausted),
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
            (ai(429, r#"{"name":"AiGatewayError","internalCode":2003}"#), Remedy::None, Code::RateLimited),
            (ai(413, r#"{"internalCode":5021}"#), Remedy::Shrink, Code::Upstream),
            (
                ai(400, r#"{"description":"AiError: 5006: must NOT have more than 100 items"}"#),
                Remedy::None,
                Code::Upstream,
            ),
            (ai(503, "<html>down</html>"), Remedy::Retry, Code::Upstream),
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
