//! docent on Cloudflare Workers: routes, and what each of them answers.
//!
//! What an answer is made of is decided in `docent-core`; here requests are taken, bindings are
//! handed over, and bytes go out. The rest of the crate: `bindings` (the doors of the question
//! flow), `body` (a model's answer as it comes in), `http` (responses and who may read them),
//! `stream` (the answer as it goes out). The widget and the demo page are static assets, which are
//! answered before the Worker is asked.

mod bindings;
mod body;
mod http;
mod stream;

use std::cell::OnceCell;
use std::rc::Rc;

use docent_core::answer;
use docent_core::api::{Ask, Config, Health, History, MAX_MESSAGE_CHARS, Upstreams};
use docent_core::draft::Unstreamed;
use docent_core::embedding::SPEC;
use docent_core::error::{ApiError, Code};
use docent_core::feedback;
use docent_core::generation;
use docent_core::handoff;
use docent_core::policy;
use docent_core::ports::{Host, Sessions};
use docent_core::search;
use docent_core::session::{self, MAX_TURNS};
use docent_core::settings::Settings;
use docent_core::stop;
use docent_core::trace::{self, Kept, Trace};
use docent_core::upstream::Gateway;
use worker::{Context, Env, Method, Request, Response, event};

use bindings::Doors;
use http::{Caller, JSON};

thread_local! {
    /// Variables and secrets do not change while an isolate lives, so they are read and checked once.
    static SETTINGS: OnceCell<Rc<Result<Settings, Vec<String>>>> = const { OnceCell::new() };
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let settings = SETTINGS.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(bindings::settings(&env)))));
    let doors = Doors::open(&env, settings.as_ref().as_ref().ok());
    let caller = Caller::of(&request, trace::id(doors.now_ms(), &doors.unique_id()));
    let result = match caller.admit(&settings) {
        Ok(()) => route(request, &caller, &settings, doors, &context).await,
        Err(error) => Err(error),
    };
    let response = match result {
        Ok(response) => response,
        Err(error) => caller.refuse(&error)?,
    };
    caller.sign(response, &settings)
}

/// `Err` is what the client is told; it becomes a response in `fetch`.
async fn route(
    request: Request,
    caller: &Caller,
    settings: &Rc<Result<Settings, Vec<String>>>,
    doors: Doors,
    context: &Context,
) -> Result<Response, ApiError> {
    let path = request.path();
    let session = path.strip_prefix("/v1/sessions/").filter(|token| !token.is_empty() && !token.contains('/'));
    let methods: &[Method] = match path.as_str() {
        "/v1/health" | "/v1/config" | "/v1/search" => &[Method::Get, Method::Head],
        "/v1/chat" | "/v1/feedback" | "/v1/handoff" | "/v1/stop" => &[Method::Post],
        _ if session.is_some() => &[Method::Get, Method::Head, Method::Delete],
        _ => return Err(ApiError::new(Code::NotFound, "there is no such route")),
    };
    if request.method() == Method::Options {
        return http::preflight(methods).map_err(internal);
    }
    if !methods.contains(&request.method()) {
        caller.allow(methods);
        return Err(ApiError::new(Code::MethodNotAllowed, "this route does not take that method"));
    }
    match (path.as_str(), session) {
        ("/v1/health", _) => health(caller, settings, &doors).await,
        ("/v1/config", _) => config(ready(settings)?, &doors),
        ("/v1/search", _) => find(&request, caller, &doors).await,
        ("/v1/chat", _) => chat(request, caller, Rc::clone(settings), doors, context).await,
        ("/v1/feedback", _) => rate(request, caller, ready(settings)?, &doors).await,
        ("/v1/handoff", _) => hand_over(request, caller, ready(settings)?, &doors).await,
        ("/v1/stop", _) => end(request, caller, ready(settings)?, &doors).await,
        (_, Some(token)) if request.method() == Method::Delete => forget(ready(settings)?, &doors, token).await,
        (_, Some(token)) => history(ready(settings)?, &doors, token).await,
        _ => Err(ApiError::new(Code::NotFound, "there is no such route")),
    }
}

fn ready(settings: &Result<Settings, Vec<String>>) -> Result<&Settings, ApiError> {
    settings.as_ref().map_err(|_| {
        ApiError::new(Code::NotReady, "this bot is not configured; its operator finds what is missing at /v1/health")
    })
}

fn internal(error: worker::Error) -> ApiError {
    worker::console_error!("{}", serde_json::json!({"level": "error", "step": "respond", "fault": error.to_string()}));
    ApiError::new(Code::Internal, "the bot itself failed; try again")
}

async fn chat(
    mut request: Request,
    caller: &Caller,
    settings: Rc<Result<Settings, Vec<String>>>,
    doors: Doors,
    context: &Context,
) -> Result<Response, ApiError> {
    let checked = ready(&settings)?;
    // With D1, pages would be found without it; but a bot that cannot keep a conversation is not ready.
    doors.kv().map_err(|fault| failed(&doors, &fault))?;
    let ask = Ask::parse(&http::json_body(&mut request).await?)?;
    if ask.trace {
        let authorization = request.headers().get("authorization").ok().flatten();
        trace::admit(checked.trace_key.as_deref(), authorization.as_deref())?;
    }
    let streamed = ask.stream;
    let (question, asked_at) = (ask.message.clone(), doors.now_ms());
    let prepared = match answer::prepare(&doors, checked, ask, caller.trace_id.clone()).await {
        Ok(prepared) => prepared,
        Err(error) => {
            let way = Trace::unprepared(caller.trace_id.clone(), question, asked_at, doors.now_ms(), error.code);
            // What a client got wrong is no question that went unanswered.
            let kept = Kept::new(&way, checked.trace_days, doors.now_ms()).filter(|_| !error.code.is_clients());
            context.wait_until(async move { trace::keep(&doors, &way.trace_id, kept).await });
            return Err(error);
        }
    };
    if streamed {
        return stream::answer(settings, doors, prepared, context).map_err(internal);
    }
    // The answer is written in a task of its own, so that it is stored also when the client leaves.
    let (sender, receiver) = futures_channel::oneshot::channel();
    let (token, trace_id) = (prepared.token().to_owned(), caller.trace_id.clone());
    context.wait_until(async move {
        if let Ok(settings) = settings.as_ref() {
            let mut outcome = answer::respond(&doors, settings, prepared, &mut Unstreamed).await;
            let afterwards = std::mem::take(&mut outcome.afterwards);
            // Nobody listens any more when this fails: the client has left.
            drop(sender.send(outcome));
            afterwards.keep(&doors).await;
        }
    });
    let outcome = receiver.await.map_err(|_| ApiError::new(Code::Internal, "the bot itself failed; try again"))?;
    match outcome.into_answer(token, trace_id) {
        Ok(answer) => http::json(&answer).map_err(internal),
        Err(unanswered) => {
            let body = serde_json::to_string(&unanswered).map_err(|error| internal(error.into()))?;
            caller.refuse_with(&unanswered.error, &body).map_err(internal)
        }
    }
}

/// Needs no settings: there is nothing to sign and no model to ask.
async fn find(request: &Request, caller: &Caller, doors: &Doors) -> Result<Response, ApiError> {
    let address = request.inner().url();
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let results = search::search(doors, query, &caller.trace_id).await?;
    http::fresh_for(search::FRESH_SECONDS, &results).map_err(internal)
}

async fn history(settings: &Settings, doors: &Doors, token: &str) -> Result<Response, ApiError> {
    let session = open(settings, doors, token)?;
    let turns = doors.turns(session, MAX_TURNS).await.map_err(|fault| failed(doors, &fault))?;
    let history = History { session: token.to_owned(), turns: turns.into_iter().map(Into::into).collect() };
    http::json(&history).map_err(internal)
}

async fn forget(settings: &Settings, doors: &Doors, token: &str) -> Result<Response, ApiError> {
    let session = open(settings, doors, token)?;
    doors.forget(session).await.map_err(|fault| failed(doors, &fault))?;
    done()
}

async fn rate(mut request: Request, caller: &Caller, settings: &Settings, doors: &Doors) -> Result<Response, ApiError> {
    let body = http::json_body(&mut request).await?;
    feedback::keep(doors, settings, &body, &caller.trace_id).await?;
    done()
}

async fn hand_over(
    mut request: Request,
    caller: &Caller,
    settings: &Settings,
    doors: &Doors,
) -> Result<Response, ApiError> {
    let body = http::json_body(&mut request).await?;
    handoff::send(doors, settings, &body, &caller.trace_id).await?;
    done()
}

async fn end(mut request: Request, caller: &Caller, settings: &Settings, doors: &Doors) -> Result<Response, ApiError> {
    let body = http::json_body(&mut request).await?;
    stop::note(doors, settings, &body, &caller.trace_id).await?;
    done()
}

fn done() -> Result<Response, ApiError> {
    Response::empty().map(|response| response.with_status(204)).map_err(internal)
}

fn open<'t>(settings: &Settings, doors: &Doors, token: &'t str) -> Result<&'t str, ApiError> {
    session::verify(&settings.session_secret, token, doors.now_ms() / 1000).map_err(|_| answer::bad_session())
}

fn failed(doors: &Doors, fault: &docent_core::ports::Fault) -> ApiError {
    doors.log(&serde_json::json!({"level": "error", "step": "sessions", "fault": fault.to_string()}).to_string());
    policy::tell(fault, doors.now_ms())
}

fn config(settings: &Settings, doors: &Doors) -> Result<Response, ApiError> {
    let models = settings.offered().map(|model| model.id.clone()).collect();
    let Settings { product, greeting, suggestions, support_url, .. } = settings.clone();
    // Both are done by the database.
    let has_content = doors.present().content;
    let config = Config {
        product,
        greeting,
        suggestions,
        models,
        support_url,
        max_message_chars: MAX_MESSAGE_CHARS,
        feedback: has_content,
        search: has_content,
    };
    http::json(&config).map_err(internal)
}

async fn health(
    caller: &Caller,
    settings: &Result<Settings, Vec<String>>,
    doors: &Doors,
) -> Result<Response, ApiError> {
    let bindings = doors.present();
    let mut problems = settings.as_ref().err().cloned().unwrap_or_default();
    let by_address = settings.as_ref().is_ok_and(|settings| matches!(settings.gateway, Some(Gateway::Address { .. })));
    for (name, present) in
        [("AI", bindings.ai || by_address), ("INDEX", bindings.index), ("SESSIONS", bindings.sessions)]
    {
        if !present {
            problems.push(format!("the Worker has no binding {name}: add it to wrangler.toml and deploy again"));
        }
    }
    let live = generation::status(doors, &caller.trace_id).await;
    problems.extend(live.problems);
    let (index, index_from) = live.record.unzip();
    let (status, code) = if problems.is_empty() { ("ok", 200) } else { ("not_ready", 503) };
    let health = Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
        spec: SPEC.fingerprint(),
        index,
        index_from,
        bindings,
        upstreams: settings.as_ref().map(Upstreams::of).ok(),
        problems,
    };
    let body = serde_json::to_string(&health).map_err(|error| internal(error.into()))?;
    Response::builder()
        .with_status(code)
        .with_header("content-type", JSON)
        .and_then(|builder| builder.ok(body).map(|response| response.with_status(code)))
        .map_err(internal)
}
