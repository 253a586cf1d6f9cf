//! Settings of a deployed bot: the `[vars]` of wrangler.toml and its secrets, read all at once.
//!
//! [`SETTINGS`] is the one list of them; the configuration page of the documentation is checked
//! against it. All mistakes are reported together, so that a deployment is mended in one go.

use crate::models::{ChatModel, Facts, is_of_workers_ai};
use crate::tools::Tool;
use crate::upstream::{Gateway, Provider};
use crate::vectorize::MAX_TOP_K_WITH_METADATA;
use crate::workers_ai::{CLASSIFIER, REMOVED_MODELS, RERANKER};

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the variable or secret.
    pub name: &'static str,
    /// Value when it is not set; empty for none.
    pub default: &'static str,
    /// What it does, for the documentation.
    pub help: &'static str,
}

macro_rules! settings {
    ($($name:ident = $default:literal, $help:literal;)+) => {
        /// All settings.
        pub const SETTINGS: &[Setting] =
            &[$(Setting { name: stringify!($name), default: $default, help: $help },)+];
    };
}

settings! {
    PRODUCT = "", "Name of the product, for the prompt and the widget.";
    GREETING = "", "First line that the widget shows; a general one when empty.";
    SUGGESTIONS = "", "Questions that the widget offers at the start, one a line.";
    SUPPORT_URL = "", "Where a person helps, https: or mailto:, given beside every answer that is not known, and to who asks for a person; none when empty.";
    HANDOFF_URL = "", "Webhook, https:, that gets a conversation when its visitor wants it sent to a person; none when empty.";
    HANDOFF_KEY = "", "Secret that this webhook gets as Authorization: Bearer; none when empty.";
    CHAT_MODEL = "@cf/meta/llama-3.1-8b-instruct-fast", "Model that answers: one of Workers AI, whose ids begin with @cf/, or one of the server at PROVIDER_URL.";
    FALLBACK_MODELS = "", "Models tried in turn when the first cannot be used, separated by commas; of Workers AI and of PROVIDER_URL in any order. A request may name any of the models here.";
    SMALL_MODEL = "", "Model that is asked first when a question is short and simple: the first of a conversation, in one sentence, at most 100 characters, without code; none when empty.";
    MODEL_INFO = "", "What docent does not know of a model: id=context, or id=context/dollars in/dollars out, in tokens and dollars per million tokens, separated by commas, such as gpt-4o-mini=128000/0.15/0.60.";
    GATEWAY_ID = "", "AI Gateway that calls of Workers AI go through; none when empty.";
    GATEWAY_URL = "", "The same by its address, as Cloudflare's dashboard shows it, for a Worker without the binding AI.";
    GATEWAY_TOKEN = "", "Secret that lets calls into an authenticated gateway, with GATEWAY_URL or a PROVIDER_URL that is a gateway's.";
    WORKERS_AI_TOKEN = "", "Secret: API token with the right Workers AI Read, which GATEWAY_URL wants.";
    PROVIDER_URL = "", "Server with OpenAI's chat API that runs the other models, up to what /chat/completions is below, such as https://api.openai.com/v1 or a gateway's address with /compat; none when empty.";
    PROVIDER_KEY = "", "Secret: key of that server, if it wants one.";
    TOOLS = "", "What else may be looked up to answer, such as the state of an order: a JSON list of tools, each with name, description, parameters as a JSON Schema, and the url, https:, that is called; none when empty.";
    TOOL_KEY = "", "Secret that these addresses get as Authorization: Bearer; none when empty.";
    TOP_K = "8", "Passages that are searched for and put into the prompt, 1 to 20.";
    WORDS_WEIGHT = "0.33", "How much a search by words counts against one by meaning, which gets the rest, 0 to 1; at 0, and without D1, words are not looked up.";
    CONTEXT_WEIGHT = "1", "In a conversation: how much the search with the question before it counts, when that with the question alone counts 1; 0 to 10.";
    REWRITE_MODEL = "", "Chat model that writes a follow-up question so that it stands by itself, before it is searched for, such as @cf/meta/llama-3.2-3b-instruct: one call more before the search; without it, the question and the one before are searched for together.";
    RERANK_MODEL = "", "Workers AI model that reads the question beside each of the 20 best passages and puts them in order, such as @cf/baai/bge-reranker-base: better answers, one call more before the first word; none when empty.";
    MOOD_MODEL = "", "Workers AI model that reads the mood of each message beside the search, such as @cf/huggingface/distilbert-sst-2-int8, so that an angry visitor is shown the way to a person; none when empty.";
    MOOD_BELOW = "0.001", "Mood, from 0 for bad to 1 for good, below which that happens, 0 to 1. Low, since such models know good and bad only, and take most plain questions for bad ones.";
    REFUSE_BELOW = "0", "Evidence, by meaning and by words, that the documentation speaks of a question; below it the bot refuses without asking a model, 0 to 1; 0 for never. It depends on the documentation: docent-eval calibrate fits it.";
    MAX_TOKENS = "768", "Longest answer, tokens.";
    TEMPERATURE = "0.2", "0 to 5; low, since an answer should say what the passages say.";
    HISTORY_TURNS = "6", "Turns of the conversation that the model is reminded of at most; 0 for none.";
    HISTORY_TOKENS = "1500", "Most tokens of those turns together.";
    SESSION_TTL_SECONDS = "604800", "How long a conversation is kept after its last question, at least 60.";
    ALLOWED_ORIGINS = "", "Origins of pages that may use the API beside the bot's own, separated by commas, such as https://www.example.com; * for any.";
    FIRST_BYTE_MS = "20000", "Longest wait for a model to begin to answer, milliseconds.";
    IDLE_MS = "15000", "Longest pause within an answer before it counts as broken off, milliseconds.";
    CACHE_SECONDS = "0", "How long an answer is given again to who asks the same as the first question of a conversation, as long as the index is the same, seconds; at least 60, or 0 for never. It needs D1.";
    SESSION_SECRET = "", "Secret that signs sessions, at least 32 characters. Set it with wrangler secret put.";
    TRACE_KEY = "", "Secret of those who may see how an answer came about, at least 32 characters; nobody may when empty.";
    TRACE_DAYS = "7", "Days for which D1 keeps how each answer came about, with its question, for docent why; 0 to keep nothing.";
}

/// Shortest secret accepted, characters.
const MIN_SECRET: usize = 32;

/// Shortest time to live that KV accepts, seconds.
const MIN_TTL_SECONDS: u64 = 60;

/// Which pages of other origins may use the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    Any,
    /// Pages of these origins, and of the bot's own.
    Listed(Vec<String>),
}

impl Origins {
    /// Whether a page of `origin` may use a bot that is itself at `own`.
    pub fn allow(&self, origin: &str, own: &str) -> bool {
        origin == own
            || match self {
                Self::Any => true,
                Self::Listed(origins) => origins.iter().any(|listed| listed == origin),
            }
    }
}

/// Settings after checking.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Product name; may be empty.
    pub product: String,
    /// First line in the widget; never empty.
    pub greeting: String,
    /// Questions to start with.
    pub suggestions: Vec<String>,
    /// Where a person helps.
    pub support_url: Option<String>,
    /// Webhook that gets conversations.
    pub handoff_url: Option<String>,
    /// What it knows the bot by.
    pub handoff_key: Option<String>,
    /// Chat models in the order they are tried; never empty.
    pub models: Vec<ChatModel>,
    /// Asked before them when a question is simple.
    pub small_model: Option<ChatModel>,
    /// AI Gateway that calls of Workers AI go through.
    pub gateway: Option<Gateway>,
    /// Server that runs the models that are not Workers AI's.
    pub provider: Option<Provider>,
    /// What else may be looked up.
    pub tools: Vec<Tool>,
    /// What its addresses know the bot by.
    pub tool_key: Option<String>,
    /// Passages per answer.
    pub top_k: usize,
    /// Weight of words in fusing; vectors have the rest to 1.
    pub words_weight: f64,
    /// Weight of the second query in fusing; the first has 1.
    pub context_weight: f64,
    /// Model that writes follow-up questions anew.
    pub rewrite_model: Option<ChatModel>,
    /// Model that puts passages in order.
    pub rerank_model: Option<String>,
    /// Model that reads the mood of a message.
    pub mood_model: Option<String>,
    /// Mood below which the way to a person is shown.
    pub mood_below: f64,
    /// Evidence below which no model is asked; 0 for never.
    pub refuse_below: f64,
    /// Longest answer, tokens.
    pub max_tokens: u32,
    /// Sampling temperature.
    pub temperature: f64,
    /// Turns remembered.
    pub history_turns: usize,
    /// Tokens remembered.
    pub history_tokens: u32,
    /// Life of a session after its last question, seconds.
    pub session_ttl_seconds: u64,
    /// Other origins.
    pub origins: Origins,
    /// Longest wait for the first byte of an answer, milliseconds.
    pub first_byte_ms: u64,
    /// Longest pause within an answer, milliseconds.
    pub idle_ms: u64,
    /// How long an answer is given again, seconds; 0 for never.
    pub cache_seconds: u64,
    /// Signs sessions.
    pub session_secret: String,
    /// Key of those who may see traces.
    pub trace_key: Option<String>,
    /// Days for which traces are kept.
    pub trace_days: u64,
}

impl Settings {
    /// Every chat model that a request may name, once, in the order they are tried.
    pub fn offered(&self) -> impl Iterator<Item = &ChatModel> {
        let small = self.small_model.iter().filter(|small| self.models.iter().all(|model| model.id != small.id));
        self.models.iter().chain(small)
    }

    /// Reads the settings; `lookup` answers a name with its value if it is set.
    ///
    /// # Errors
    /// All problems found, each naming its setting and what to do.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut read = Reader { lookup, problems: Vec::new() };
        let product = read.text("PRODUCT");
        let facts = read.model_info();
        let mut ids = vec![read.text("CHAT_MODEL")];
        ids.extend(read.list("FALLBACK_MODELS", ','));
        let small = read.optional("SMALL_MODEL");
        for id in ids.iter().chain(&small) {
            read.check_model(id);
        }
        let chat_model = |id: &String| ChatModel::new(id, &facts);
        let greeting = match (read.text("GREETING"), product.as_str()) {
            (given, _) if !given.is_empty() => given,
            (_, "") => "Ask a question about the documentation.".to_owned(),
            (_, product) => format!("Ask a question about {product}."),
        };
        let settings = Self {
            greeting,
            product,
            suggestions: read.list("SUGGESTIONS", '\n'),
            support_url: read.support_url(),
            handoff_url: read.handoff_url(),
            handoff_key: read.token("HANDOFF_KEY"),
            models: ids.iter().map(chat_model).collect(),
            small_model: small.as_ref().map(chat_model),
            gateway: read.gateway(),
            provider: read.provider(),
            tools: read.tools(),
            tool_key: read.token("TOOL_KEY"),
            top_k: read.number("TOP_K", 1, MAX_TOP_K_WITH_METADATA),
            words_weight: read.number("WORDS_WEIGHT", 0.0, 1.0),
            context_weight: read.number("CONTEXT_WEIGHT", 0.0, 10.0),
            rewrite_model: read.other_model("REWRITE_MODEL", "@cf/meta/llama-3.2-3b-instruct").as_ref().map(chat_model),
            rerank_model: read.other_model("RERANK_MODEL", RERANKER),
            mood_model: read.mood_model(),
            mood_below: read.number("MOOD_BELOW", 0.0, 1.0),
            refuse_below: read.number("REFUSE_BELOW", 0.0, 1.0),
            max_tokens: read.number("MAX_TOKENS", 16, 8_192),
            temperature: read.number("TEMPERATURE", 0.0, 5.0),
            history_turns: read.number("HISTORY_TURNS", 0, 50),
            history_tokens: read.number("HISTORY_TOKENS", 0, 32_000),
            session_ttl_seconds: read.number("SESSION_TTL_SECONDS", MIN_TTL_SECONDS, 365 * 24 * 60 * 60),
            origins: read.origins(),
            first_byte_ms: read.number("FIRST_BYTE_MS", 100, 120_000),
            idle_ms: read.number("IDLE_MS", 100, 120_000),
            cache_seconds: read.cache_seconds(),
            session_secret: read.secret("SESSION_SECRET").unwrap_or_default(),
            trace_key: read.optional("TRACE_KEY").and_then(|_| read.secret("TRACE_KEY")),
            trace_days: read.number("TRACE_DAYS", 0, 365),
        };
        if read.problems.is_empty() { Ok(settings) } else { Err(read.problems) }
    }
}

/// Where AI Gateways are.
const GATEWAY_HOST: &str = "https://gateway.ai.cloudflare.com/";

/// Whether a server is on the same machine, where nobody listens in.
fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let host = host.strip_prefix("[::1]").map_or_else(|| host.split(':').next().unwrap_or_default(), |_| "[::1]");
    ["127.0.0.1", "localhost", "[::1]"].contains(&host)
}

/// What an address has to be.
const CALLABLE: &str =
    "set one that begins with https://, such as https://www.example.com/hooks/docent; http:// is for localhost only";

/// Whether an address can be called: it has a host, and no name and password, which a Worker refuses.
fn can_be_called(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_local = ["localhost", "127.0.0.1"].contains(&host.split(':').next().unwrap_or_default());
    let is_callable = !host.is_empty() && !url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\');
    is_callable && !host.contains('@') && (scheme == "https" || (scheme == "http" && is_local))
}

struct Reader<L> {
    lookup: L,
    problems: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn text(&self, name: &str) -> String {
        let default = SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default);
        (self.lookup)(name).map_or_else(|| default.to_owned(), |value| value.trim().to_owned())
    }

    fn list(&self, name: &str, separator: char) -> Vec<String> {
        self.text(name).split(separator).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    fn number<N>(&mut self, name: &str, least: N, most: N) -> N
    where
        N: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let text = self.text(name);
        match text.parse::<N>() {
            Ok(number) if number >= least && number <= most => number,
            _ => {
                self.problems.push(format!("{name} is \"{text}\": set a number from {least} to {most}"));
                least
            }
        }
    }

    fn check_model(&mut self, model: &str) {
        if let Some((_, day)) = REMOVED_MODELS.iter().find(|(id, _)| *id == model) {
            self.problems.push(format!(
                "model {model} was removed from Workers AI on {day} (error 5028): \
                 set CHAT_MODEL or FALLBACK_MODELS to another, such as {}",
                SETTINGS.iter().find(|s| s.name == "CHAT_MODEL").map_or("", |s| s.default)
            ));
        } else if !is_of_workers_ai(model) && self.text("PROVIDER_URL").is_empty() {
            self.problems.push(format!(
                "model \"{model}\" is not a Workers AI model, whose ids begin with @cf/: \
                 set PROVIDER_URL to the server that runs it, or name another model"
            ));
        }
    }

    fn model_info(&mut self) -> Vec<Facts> {
        let mut known = Vec::new();
        for entry in self.list("MODEL_INFO", ',') {
            match Facts::parse(&entry) {
                Some(facts) => known.push(facts),
                None => self.problems.push(format!(
                    "MODEL_INFO has \"{entry}\": write id=context or id=context/dollars in/dollars out, such as gpt-4o-mini=128000/0.15/0.60"
                )),
            }
        }
        known
    }

    /// What need not be set.
    fn optional(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// A secret that need not be set and goes into a header.
    fn token(&mut self, name: &str) -> Option<String> {
        let token = self.optional(name)?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.problems.push(format!(
                "secret {name} has characters that no header can carry: use letters, digits and signs of ASCII, \
                 without blanks"
            ));
        }
        Some(token)
    }

    fn gateway(&mut self) -> Option<Gateway> {
        let url = self.server("GATEWAY_URL", "https://gateway.ai.cloudflare.com/v1/<account>/<gateway>");
        match (self.optional("GATEWAY_ID"), url) {
            (id, None) => id.map(Gateway::Id),
            (id, Some(url)) => {
                if id.is_some() {
                    self.problems.push("GATEWAY_ID and GATEWAY_URL are both set: leave one of them out".to_owned());
                }
                let workers_ai_token = self.token("WORKERS_AI_TOKEN");
                if workers_ai_token.is_none() {
                    let problem = "secret WORKERS_AI_TOKEN is not set, which GATEWAY_URL wants: run `wrangler secret put WORKERS_AI_TOKEN`";
                    self.problems.push(problem.to_owned());
                }
                let workers_ai_token = workers_ai_token.unwrap_or_default();
                Some(Gateway::Address { url, token: self.token("GATEWAY_TOKEN"), workers_ai_token })
            }
        }
    }

    fn provider(&mut self) -> Option<Provider> {
        let url = self.server("PROVIDER_URL", "https://api.openai.com/v1")?;
        // No other server is told what opens the gateway.
        let is_gateway = url.starts_with(GATEWAY_HOST) || is_loopback(&url);
        let gateway_token = self.token("GATEWAY_TOKEN").filter(|_| is_gateway);
        Some(Provider { url, key: self.token("PROVIDER_KEY"), gateway_token })
    }

    /// Address of a server that keys are sent to, without a slash at its end.
    fn server(&mut self, name: &str, such_as: &str) -> Option<String> {
        let url = self.optional(name)?;
        let is_address = url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) || is_loopback(&url);
        if !is_address || url.contains(['?', '#', '@', ' ']) {
            self.problems.push(format!(
                "{name} is \"{url}\": set an address that begins with https:// (or http://127.0.0.1), without ? and #, such as {such_as}"
            ));
        }
        Some(url.trim_end_matches('/').to_owned())
    }

    /// A model that need not be there.
    fn other_model(&mut self, name: &str, such_as: &str) -> Option<String> {
        let model = self.optional(name)?;
        if !model.starts_with("@cf/") || REMOVED_MODELS.iter().any(|(id, _)| *id == model) {
            self.problems.push(format!(
                "{name} is \"{model}\", which Workers AI does not offer: set the id of a model that it does, such as {such_as}, or leave it empty"
            ));
        }
        Some(model)
    }

    /// What is good for less than a minute saves nothing.
    fn cache_seconds(&mut self) -> u64 {
        let seconds = self.number("CACHE_SECONDS", 0, 30 * 24 * 60 * 60);
        if seconds > 0 && seconds < MIN_TTL_SECONDS {
            self.problems
                .push(format!("CACHE_SECONDS is \"{seconds}\": set at least {MIN_TTL_SECONDS}, or 0 for no cache"));
        }
        seconds
    }

    fn support_url(&mut self) -> Option<String> {
        let url = self.optional("SUPPORT_URL")?;
        if !["https://", "mailto:"].iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())) {
            self.problems.push(format!(
                "SUPPORT_URL is \"{url}\": set an address that begins with https:// or mailto:, such as https://www.example.com/contact"
            ));
        }
        Some(url)
    }

    fn handoff_url(&mut self) -> Option<String> {
        let url = self.optional("HANDOFF_URL")?;
        if !can_be_called(&url) {
            // It may hold a secret in its path, so it is not repeated.
            self.problems.push(format!("HANDOFF_URL is no address that can be called: {CALLABLE}"));
        }
        Some(url)
    }

    fn tools(&mut self) -> Vec<Tool> {
        let Some(declarations) = self.optional("TOOLS") else { return Vec::new() };
        let (tools, problems) = Tool::read(&declarations);
        self.problems.extend(problems.into_iter().map(|problem| format!("TOOLS: {problem}")));
        for tool in tools.iter().filter(|tool| !can_be_called(&tool.url)) {
            let name = &tool.name;
            self.problems.push(format!("TOOLS: the url of {name} is no address that can be called: {CALLABLE}"));
        }
        tools
    }

    fn mood_model(&mut self) -> Option<String> {
        let model = self.other_model("MOOD_MODEL", CLASSIFIER)?;
        if ["SUPPORT_URL", "HANDOFF_URL"].iter().all(|way| self.text(way).is_empty()) {
            self.problems.push(
                "MOOD_MODEL is set, but there is no way to a person: set SUPPORT_URL or HANDOFF_URL, or leave it empty"
                    .to_owned(),
            );
        }
        Some(model)
    }

    fn origins(&mut self) -> Origins {
        let listed = self.list("ALLOWED_ORIGINS", ',');
        if listed.iter().any(|origin| origin == "*") {
            return Origins::Any;
        }
        for origin in &listed {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', ' ', '?', '#', '@'])) {
                self.problems.push(format!(
                    "ALLOWED_ORIGINS has \"{origin}\": write an origin without path, such as https://www.example.com"
                ));
            }
        }
        Origins::Listed(listed)
    }

    fn secret(&mut self, name: &str) -> Option<String> {
        let secret = self.text(name);
        if secret.chars().count() >= MIN_SECRET {
            return Some(secret);
        }
        let found = if secret.is_empty() { "not set" } else { "too short" };
        self.problems
            .push(format!("secret {name} is {found}: run `openssl rand -hex 32 | wrangler secret put {name}`"));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: (&str, &str) = ("SESSION_SECRET", "0123456789abcdef0123456789abcdef");

    fn parse(set: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        Settings::parse(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_secret_is_all_that_must_be_set() {
        let settings = parse(&[SECRET]).unwrap();
        assert_eq!(settings.models, [ChatModel::new("@cf/meta/llama-3.1-8b-instruct-fast", &[])]);
        assert_eq!((settings.top_k, settings.max_tokens, settings.gateway), (8, 768, None));
        assert_eq!(settings.origins, Origins::Listed(vec![]));
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let problems = parse(&[
            ("CHAT_MODEL", "@cf/meta/llama-3.1-8b-instruct"),
            ("FALLBACK_MODELS", "gpt-4o"),
            ("TOP_K", "50"),
            ("TEMPERATURE", "warm"),
            ("REFUSE_BELOW", "NaN"),
            ("CONTEXT_WEIGHT", "-1"),
            ("ALLOWED_ORIGINS", "https://ok.example, www.example.com/docs"),
            ("SESSION_TTL_SECONDS", "5"),
            ("TRACE_KEY", "guess me"),
            ("TRACE_DAYS", "forever"),
            ("MODEL_INFO", "gpt-4o=big"),
            ("GATEWAY_URL", "http://gateway.example"),
            ("GATEWAY_ID", "team"),
            ("SUPPORT_URL", "javascript:alert(1)"),
            ("RERANK_MODEL", "on"),
            ("REWRITE_MODEL", "@cf/meta/llama-3.1-8b-instruct"),
            ("HANDOFF_URL", "http://hooks.example/secret"),
            ("HANDOFF_KEY", "two words"),
            ("MOOD_MODEL", "angry"),
            ("MOOD_BELOW", "2"),
        ])
        .unwrap_err();
        let expected = [
            "2026-05-30",
            "gpt-4o",
            "TOP_K",
            "SESSION_SECRET",
            "TEMPERATURE",
            "REFUSE_BELOW",
            "CONTEXT_WEIGHT",
            "www.example.com/docs",
            "SESSION_TTL_SECONDS",
            "TRACE_KEY is too short",
            "TRACE_DAYS",
            "MODEL_INFO",
            "GATEWAY_URL is",
            "GATEWAY_ID and GATEWAY_URL",
            "WORKERS_AI_TOKEN",
            "SUPPORT_URL",
            "RERANK_MODEL is",
            "REWRITE_MODEL is",
            "HANDOFF_URL is no address",
            "HANDOFF_KEY has",
            "MOOD_MODEL is \"angry\"",
            "MOOD_BELOW",
        ];
        for part in expected {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part} in {problems:#?}");
        }
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    }

    #[test]
    fn a_mood_needs_a_way_to_a_person_and_a_webhook_an_address_that_can_be_called() {
        let model = ("MOOD_MODEL", CLASSIFIER);
        assert!(parse(&[SECRET, model]).unwrap_err().concat().contains("no way to a person"));
        assert!(parse(&[SECRET, model, ("SUPPORT_URL", "mailto:help@example.com")]).is_ok());
        for url in ["https://hooks.example/a?b=c", "http://localhost:8080/x", "http://127.0.0.1:1"] {
            assert_eq!(parse(&[SECRET, ("HANDOFF_URL", url)]).unwrap().handoff_url.as_deref(), Some(url));
        }
        for url in
            ["hooks.example", "https:///path", "https://a@b.example/", "http://localhost.example/", "https://a b/"]
        {
            let problems = parse(&[SECRET, ("HANDOFF_URL", url)]).unwrap_err();
            assert!(problems.len() == 1 && !problems[0].contains(url), "{url}: {problems:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_with_tools_is_told_at_once() {
        let good = r#"[{"name":"order_status","description":"Status of an order.","url":"https://a.example/x",
            "parameters":{"type":"object","properties":{"id":{"type":"string","enum":["a"]}},"required":["id"],"additionalProperties":false}}]"#;
        assert_eq!(parse(&[SECRET, ("TOOLS", good)]).unwrap().tools.len(), 1);
        assert_eq!(parse(&[SECRET]).unwrap().tools, []);
        let bad = r#"[{"name":"a b","description":"","url":"http://a.example/secret","on":1,"parameters":{"type":"array","oneOf":[],"required":["x"],
            "properties":{"n":{"type":"date"},"m":{"type":"string","pattern":"^a","maxLength":-1,"enum":[]}}}},
            {"name":"a b","description":"d","url":"https://a.example","parameters":{"type":"object","additionalProperties":true}}]"#;
        let problems = parse(&[SECRET, ("TOOLS", bad), ("TOOL_KEY", "two words")]).unwrap_err().join("\n");
        for said in [
            "\"a b\" is no name",
            "two tools are named a b",
            "has no description",
            "has \"on\", which no tool has",
            "must be a JSON Schema with \"type\": \"object\"",
            "\"oneOf\" of JSON Schema is not checked here",
            "requires x",
            "the type of n must be one of string",
            "\"pattern\" of JSON Schema is not checked here",
            "the maxLength of m",
            "the enum of m",
            "additionalProperties are never sent",
            "is no address that can be called",
            "TOOL_KEY has characters",
        ] {
            assert!(problems.contains(said), "{said} in\n{problems}");
        }
        assert!(!problems.contains("secret/") && !problems.contains("a.example/secret"), "{problems}");
        let broken = parse(&[SECRET, ("TOOLS", "[{")]).unwrap_err();
        assert!(broken.len() == 1 && broken[0].contains("no list as JSON"), "{broken:?}");
    }

    #[test]
    fn origins_are_compared_whole() {
        let settings = parse(&[SECRET, ("ALLOWED_ORIGINS", "https://a.example,http://b.example:8080")]).unwrap();
        let allow = |origin| settings.origins.allow(origin, "https://bot.example");
        assert!(allow("https://a.example") && allow("http://b.example:8080") && allow("https://bot.example"));
        assert!(!allow("http://a.example") && !allow("https://a.example.evil.example") && !allow("null"));
    }
}
