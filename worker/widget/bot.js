// The bot's API, as far as the widget needs it, and the conversation's token from page to page.

/** The data of each server-sent event but the last, `[DONE]`, however the bytes were cut. */
async function* events(body) {
  let rest = '';
  for (const reader = body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    // The bot writes each event as one line.
    for (const line of lines) if (line.startsWith('data: {')) yield line.slice(6);
  }
}

/**
 * Something to tell the reader. `code` is one of the API's, `unreachable` or `broken`; `message` is the
 * API's own, for codes that the widget has no text for; `retryAfter` is in seconds.
 */
const failure = (code, message, retryAfter) => Object.assign(Error(message), { code, retryAfter });

/** What `use` makes of a storage of the window; undefined where the browser forbids it. */
export function stored(use) {
  try {
    return use();
  } catch { /* nothing is kept then */ }
}

/** A bot at its address, which ends without a slash. */
export function newBot(endpoint) {
  const key = `docent:session:${endpoint}`;
  let token = null; // where the browser forbids storage, it lasts as long as the page

  /** Sends `body` as JSON if there is one; the response if it is a good one. */
  async function request(path, body, init) {
    let response;
    try {
      response = await fetch(endpoint + path, {
        credentials: 'omit',
        ...(body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
        ...init,
      });
    } catch (error) {
      throw error.name === 'AbortError' ? error : failure('unreachable');
    }
    if (response.ok) return response;
    const { error } = await response.json().catch(() => ({}));
    throw failure(error?.code, error?.message, error?.retry_after);
  }

  const json = async (path, init) => (await request(path, null, init)).json();
  /** Address of the page, without its query: that may hold what nobody meant to share. */
  const here = () => (location.origin + location.pathname).slice(0, 1000);
  const conversation = () => `/v1/sessions/${encodeURIComponent(bot.session)}`;

  const bot = {
    key,

    /** Token of the conversation, which only the bot can make. */
    get session() {
      const kept = stored(() => localStorage.getItem(key));
      return kept === undefined ? token : kept?.split(' ')[0];
    },

    /** The time behind it tells other tabs that the conversation has gone on. */
    set session(given) {
      token = given;
      stored(() => (given ? localStorage.setItem(key, `${given} ${Date.now()}`) : localStorage.removeItem(key)));
    },

    config: () => json('/v1/config'),

    /** Sections that have the words of `text`. */
    find: async (text, limit, signal) => (await json(`/v1/search?${new URLSearchParams({ q: text.slice(0, 1000), limit, page: here() })}`, { signal })).results,

    /** Earlier turns; none when the session is over. */
    async history() {
      if (!bot.session) return [];
      try {
        return (await json(conversation())).turns;
      } catch (error) {
        if (error.code !== 'bad_session') throw error;
        bot.session = null;
        return [];
      }
    },

    /** Forgets here at once, and there as soon as the bot hears of it. */
    forget() {
      if (bot.session) request(conversation(), null, { method: 'DELETE', keepalive: true }).catch(() => {});
      bot.session = null;
    },

    /** `feedback`, `handoff` or `stop`, about this conversation; resolves when the bot has taken it. */
    tell: (what, body, signal) => request(`/v1/${what}`, { session: bot.session, ...body }, { keepalive: true, signal }),

    /** Sends the conversation to a person. */
    handOver: (wish) => bot.tell('handoff', { page: here(), ...wish }),

    /** The parts of the streamed answer. Ends after `finish`; anything else is a `failure`. */
    async* ask(question, signal) {
      const send = () => request('/v1/chat', { ...question, page: here(), session: bot.session ?? undefined }, { signal });
      const response = await send().catch((error) => {
        if (error.code !== 'bad_session') throw error;
        bot.session = null; // expired, or made by a bot that no longer knows it: begin anew
        return send();
      });
      let finished = false;
      let reason = {};
      try {
        for await (const data of events(response.body)) {
          const part = JSON.parse(data);
          const { type, messageMetadata } = part;
          if (type === 'data-docent-error') reason = part.data;
          if (type === 'error') throw failure(reason.code, reason.message ?? part.errorText, reason.retry_after);
          finished ||= type === 'finish';
          if (messageMetadata) bot.session = messageMetadata.session ?? bot.session;
          yield part;
        }
      } catch (error) {
        throw error.code ? error : failure('broken');
      }
      if (!finished) throw failure('broken');
    },
  };
  return bot;
}
