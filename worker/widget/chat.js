// What the loader fetches at first use: the panel with its conversation and its search.

import { h, fill, safeUrl } from './dom.js';
import { newBot, stored } from './bot.js';
import { found, iconButton, newTurn, storedTurn, suggestions } from './turn.js';
import STYLE from './style.css';

export { newMarkdown } from './markdown.js';

/** Milliseconds after the last key until a search goes out. */
const PAUSE = 150;
/** Set while a panel beside the page is open, so that the next page opens it again. */
const OPEN = 'docent';
/** Longest that Stop waits for the bot to hear it, milliseconds. */
const STOP_LIMIT = 1000;
const SEND = 'M12 19V5M6 11l6-6 6 6';
const STOP = 'M7 7h10v10H7z';

/** The texts in the page's language, or the reader's where the page does not say, or English. */
async function texts(host) {
  const wanted = host.closest('[lang]')?.lang || navigator.language;
  const [language] = wanted.split('-');
  const response = await fetch(new URL(`${LANGUAGES.split(' ').includes(language) ? language : 'en'}.json?v=${TEXTS_VERSION}`, import.meta.url), { credentials: 'omit' });
  return { ...await response.json(), ...host.texts };
}

/** Fills an element of the loader's with the panel. */
export async function mount(host) {
  return newChat(host, await texts(host));
}

function newChat(host, t) {
  const bot = newBot((safeUrl(host.getAttribute('endpoint')) ?? new URL('..', import.meta.url).href).replace(/\/+$/, ''));
  const { mode } = host;
  const inline = mode === 'inline';
  const searches = host.localName.endsWith('search');
  const gone = new AbortController();
  let turns = [];
  let running = null; // AbortController of the answer that is being written
  let replaced = null; // the turn that is being edited
  let finding = new AbortController();
  let timer;
  let loaded;

  // ------------------------------------------------------------------------------ the panel

  const title = h('h2.title');
  const models = h('select.models', { 'aria-label': t.model, hidden: true });
  const results = h('ul.results', { 'aria-label': t.results });
  const welcome = h('div.welcome');
  const list = h('div.turns');
  const log = h('div.log', { role: 'log', 'aria-live': 'off', 'aria-label': t.conversation, tabindex: 0 }, welcome, list);
  const status = h('p.status.unseen', { role: 'status' });
  const over = h('p.over', { 'aria-live': 'polite' });
  const input = h(`${searches ? 'input' : 'textarea'}.input`, { id: 'input', rows: 1, dir: 'auto', autocomplete: 'off',
    enterkeyhint: 'send', placeholder: searches ? t.find : t.placeholder, input: edited });
  const sender = iconButton('send', SEND, t.send, (event) => {
    if (!running) send();
    else if (event.detail < 2) stop(); // the second half of a double click is no wish to stop
  });
  const composer = [h('div.composer', {}, h('label.unseen', { for: 'input' }, t.input), input, sender), over];
  const panel = h(`${inline ? 'section' : 'dialog'}.panel`, { 'aria-label': t.title, keydown: key,
    click: (event) => event.target === panel && close(), // beside a modal panel
    close: () => {
      stored(() => sessionStorage.removeItem(OPEN));
      host.launcher.ariaExpanded = false;
      emit('close');
    } },
  h('div.frame', { dir: t.dir }, h('header.header', {}, title, models, iconButton('reset', 'M12 5v14M5 12h14', t.reset, reset),
    inline || iconButton('close', 'M6 6l12 12M18 6L6 18', t.close, close)),
  searches ? [composer, status, results, log] : [log, results, status, composer], h('p.disclaimer', {}, t.disclaimer)));

  function emit(name, detail = {}) {
    host.dispatchEvent(new CustomEvent(`docent-${name}`, { bubbles: true, composed: true, detail }));
  }

  /** For screen readers, once; `visible` also for everybody else. */
  function announce(text, visible) {
    status.textContent = text;
    status.classList.toggle('unseen', !visible);
  }

  function busy() {
    turns.forEach((turn, n) => turn.node.classList.toggle('newest', n === turns.length - 1));
    welcome.hidden = turns.length > 0;
    log.ariaBusy = running !== null;
    sender.ariaLabel = sender.title = running ? t.stop : t.send;
    sender.querySelector('path').setAttribute('d', running ? STOP : SEND);
    typed();
  }

  function typed() {
    const text = input.value.trim();
    const excess = [...text].length - chat.config.max_message_chars;
    over.textContent = excess > 0 ? fill(t.too_long, excess) : '';
    sender.disabled = !running && (excess > 0 || !text);
  }

  /** The input has another text. */
  function edited() {
    typed();
    find(input.value.trim());
  }

  function key(event) {
    const { key: pressed, target, shiftKey } = event;
    // Pages listen for "/" or "s" and cannot see that somebody types in here.
    event.stopPropagation();
    // An Enter that ends the composition of a character does not send (229 is Safari's word for it).
    if (event.isComposing || event.keyCode === 229) return;
    if (pressed === 'Escape') {
      event.preventDefault();
      if (replaced) edit(null);
      else close();
    } else if (/^Arrow(Up|Down)$/.test(pressed) && !input.value.includes('\n')) {
      const links = results.querySelectorAll('a');
      const stops = searches ? [input, ...links] : [...links, input];
      const at = stops.indexOf(target);
      const next = at >= 0 && stops[at + (pressed === 'ArrowUp' ? -1 : 1)];
      if (!next) return;
      event.preventDefault();
      next.focus();
    } else if (target === input && !shiftKey && (pressed === 'Enter' || (pressed === 'Tab' && searches && !sender.disabled && input.value.trim() !== turns.at(-1)?.question))) {
      event.preventDefault();
      send();
      if (pressed === 'Tab') log.focus();
    }
  }

  // ------------------------------------------------------------------------------ before the first question

  /** Greeting and earlier turns, before they are first seen. */
  function load() {
    loaded ??= [greet(), remember()];
  }

  async function greet() {
    chat.config = await bot.config().catch(() => ({})); // the texts here do without
    const { product, greeting, suggestions: questions = [], models: offered = [] } = chat.config;
    title.textContent = panel.ariaLabel = host.getAttribute('heading') ?? (product ? fill(t.product, product) : t.title);
    welcome.append(h('p.greeting', { dir: 'auto' }, greeting || t.greeting), suggestions(t.suggestions, questions, follow));
    models.append(...offered.map((model) => h('option', { value: model }, model.split('/').at(-1))));
    models.hidden = offered.length < 2;
    edited(); // somebody may have begun to type
  }

  /** Turns of earlier pages and of other tabs. */
  async function remember() {
    const known = await bot.history().catch(() => announce(t.history, true));
    if (!known) return;
    // A question may have been asked meanwhile, and be among them already.
    const all = known.map((turn) => turns.find(({ id }) => id === turn.message_id) ?? storedTurn(chat, turn));
    if (bot.session || running) all.push(...turns.filter((turn) => !all.includes(turn)));
    if (all.length !== turns.length || all.some((turn, n) => turn !== turns[n])) show(all);
  }

  function show(all) {
    turns = all;
    const nodes = all.map((turn) => turn.node);
    list.replaceChildren(...(searches ? nodes.reverse() : nodes));
    busy();
    log.scrollTop = searches ? 0 : log.scrollHeight;
  }

  // ------------------------------------------------------------------------------ search

  /** Searches for what is being typed, once the keys rest; nothing for an empty text. */
  function find(text) {
    clearTimeout(timer);
    finding.abort();
    const { signal } = finding = new AbortController();
    if (text.length < 2 || !chat.config.search || host.getAttribute('search') === 'off') {
      results.replaceChildren();
      return;
    }
    timer = setTimeout(async () => {
      const pages = await bot.find(text, searches ? 8 : 3, signal).catch(() => []);
      if (signal.aborted) return;
      results.replaceChildren(...found(searches ? pages : pages.map((page) => ({ ...page, snippet: '' }))));
      if (!running) announce(pages.length ? fill(t.found, pages.length) : t.nothing, searches);
    }, PAUSE);
  }

  // ------------------------------------------------------------------------------ a question

  function send() {
    typed();
    if (running || sender.disabled) return;
    const question = input.value;
    if (searches) input.select();
    else input.value = '';
    ask(question);
  }

  /** Asks what a button says. */
  function follow(question) {
    log.focus(); // the button goes; and a phone's keyboard should not cover the answer
    ask(question);
  }

  /** Asks, as if typed. Resolves when the answer stands there. Ignored while another is being written. */
  async function ask(question) {
    question = `${question}`.trim();
    if (!question || running) return;
    open(inline || panel.open);
    find(searches ? question : '');
    const turn = newTurn(chat, question);
    const replaces = replaced?.id;
    if (replaced) {
      drop(replaced);
      edit(null);
    }
    turns.push(turn);
    list[searches ? 'prepend' : 'append'](turn.node);
    await answer(turn, replaces);
  }

  /** Takes a turn and all after it away. */
  function drop(turn) {
    for (const old of turns.splice(turns.indexOf(turn))) old.node.remove();
  }

  /** The question back into the input; what is sent then takes its place. Null: no longer. */
  function edit(turn) {
    if (running && turn) return;
    if (turn || replaced) {
      input.value = turn?.question ?? '';
      announce(turn ? t.editing : '', true);
    }
    replaced = turn;
    if (turn) input.focus();
    typed();
  }

  /** The same question once more. What had broken off may be complete at the bot by now. */
  async function again(turn) {
    if (running) return;
    const kept = turn.failure?.code === 'broken' && turn.id
      && (await bot.history().catch(() => [])).find((one) => one.message_id === turn.id);
    const fresh = kept ? storedTurn(chat, kept) : newTurn(chat, turn.question);
    turn.node.before(fresh.node);
    drop(turn);
    turns.push(fresh);
    log.focus(); // the button goes
    if (kept) busy();
    else await answer(fresh, turn.id);
  }

  async function answer(turn, replaces) {
    const now = running = new AbortController();
    const { signal } = now;
    busy();
    turn.waiting(t.searching);
    announce(t.searching);
    emit('ask');
    log.scrollTop = searches ? 0 : turn.node.offsetTop - list.offsetTop;
    try {
      for await (const part of bot.ask({ message: turn.question, model: models.value || undefined, replaces }, signal)) take(turn, part);
      announce(turn.spoken());
      emit('answer', { message_id: turn.id });
    } catch (error) {
      announce('');
      if (signal.aborted) turn.stopped();
      else {
        turn.fail(error);
        emit('error', { code: error.code });
        if (!error.code) console.error(error);
      }
    }
    // A reset or a newer question may have taken over.
    if (running === now) running = null;
    busy();
  }

  function take(turn, { type, ...part }) {
    if (type === 'start') turn.id = part.messageId;
    if (type === 'source-url') turn.source({ ...part.providerMetadata?.docent, n: +part.sourceId, title: part.title, url: part.url });
    if (type === 'text-delta') turn.push(part.delta);
    if (type === 'data-docent-tool') turn.waiting(t.tool);
    if (type === 'data-docent-cite') turn.check(part.data);
    if (type === 'finish') turn.finish(part.messageMetadata ?? {}, part.finishReason);
  }

  async function stop() {
    const now = running;
    const { id } = turns.at(-1);
    // A closed connection alone would look like a reader who went to the next page: the bot writes on.
    if (id) await bot.tell('stop', { message_id: id }, AbortSignal.timeout(STOP_LIMIT)).catch(() => {});
    now.abort();
    emit('stop', { message_id: id });
  }

  // ------------------------------------------------------------------------------ for the page

  /** `quietly`: the page before had it open, and nobody wants to be torn from this one. */
  function open(quietly) {
    if (inline) panel.scrollIntoView({ block: 'nearest' });
    else if (!panel.open) {
      const modal = mode === 'modal' || matchMedia('(max-width:30rem),(max-height:26rem)').matches;
      if (quietly && modal) return;
      if (quietly) panel.open = true; // and what has the focus keeps it
      else if (modal) panel.showModal();
      else panel.show();
      if (!modal) stored(() => sessionStorage.setItem(OPEN, 1));
      host.launcher.ariaExpanded = true;
      emit('open');
    }
    load();
    if (!quietly) input.focus();
  }

  function close() {
    panel.close?.();
  }

  function toggle() {
    if (panel.open) close();
    else open();
  }

  /** A new conversation; the bot is told to forget the old one. */
  function reset() {
    running?.abort();
    bot.forget();
    edit(null);
    show([]);
    input.focus();
    emit('reset');
  }

  /** The element has left the page. */
  function leave() {
    running?.abort();
    gone.abort();
  }

  const chat = { host, t, bot, config: {}, emit, announce, edit, again, follow, open, close, toggle, ask, reset, leave };
  const { signal } = gone;
  addEventListener('storage', (event) => event.key === bot.key && !running && remember(), { signal });
  addEventListener('offline', () => announce(t.offline, true), { signal });
  addEventListener('online', () => {
    announce('');
    // What failed for want of a connection is tried again.
    const turn = turns.at(-1);
    if (/unreachable|broken/.test(turn?.failure?.code)) again(turn);
  }, { signal });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  host.shadowRoot.adoptedStyleSheets.push(sheet);
  host.shadowRoot.append(panel);
  busy();
  if (inline) load();
  return chat;
}
