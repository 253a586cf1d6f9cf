// A question, its answer as it grows, its sources, what became of it, and what can be done about it.

import { fill, h, link, safeUrl } from './dom.js';
import { DOUBT, END, MARKS, newMarkdown } from './markdown.js';

const SVG = 'http://www.w3.org/2000/svg';

/** A button with a drawing on it; `label` is its name and its tooltip. */
export function iconButton(name, drawing, label, click) {
  const [svg, path] = ['svg', 'path'].map((tag) => document.createElementNS(SVG, tag));
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', drawing);
  svg.append(path);
  return h(`button.icon.${name}`, { title: label, 'aria-label': label, click }, svg);
}

/** Questions to ask with one press; nothing without any. */
export function suggestions(label, questions, ask) {
  return questions.length ? h('ul.suggestions', { 'aria-label': label }, questions.map((question) => h('li', {},
    h('button.button', { dir: 'auto', click: () => ask(question) }, question)))) : '';
}

/** A page as a card: number, title and heading, snippet with what was searched for marked. */
function card({ n, title, heading, url, snippet = '', version, highlights = [] }) {
  const trail = [heading, version].filter((part) => part).join(', ');
  let at = 0;
  const marked = highlights.flatMap(([from, to]) => [snippet.slice(at, from), h('mark', {}, snippet.slice(from, at = to))]);
  return link('.source', url, { dir: 'auto' }, n && h('span.number', { 'aria-hidden': 'true' }, `${n}`),
    h('span.title', {}, title || url, trail && h('span.trail', {}, ` › ${trail}`)),
    snippet && h('span.snippet', {}, marked, snippet.slice(at)));
}

/** Pages that were found, which have no number, as the items of a list. */
export const found = (pages) => pages.map((page) => h('li', {}, card({ ...page, n: 0 })));

/** Puts text on the clipboard, and says so. */
async function copy(text, { announce, t }) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No clipboard on insecure pages or in some frames: the old way.
    addEventListener('copy', (event) => {
      event.clipboardData.setData('text/plain', text);
      event.preventDefault();
    }, { once: true, capture: true });
    document.execCommand('copy');
  }
  announce(t.copied, true);
}

/**
 * A form that `opener` shows and hides, and the line that says what became of it. `submit` gets the
 * form's data; what it throws is shown, and nothing that was typed is lost.
 */
function form(t, opener, label, done, fields, submit) {
  const status = h('p.note', { role: 'status', tabindex: -1 });
  const send = h('button.button', {}, t.send);
  const show = (shown) => {
    node.hidden = !shown;
    opener.setAttribute('aria-expanded', shown);
    status.textContent = '';
    (shown ? node.querySelector('input') : opener).focus();
  };
  const node = h('form', {
    hidden: true, 'aria-label': label,
    keydown: (event) => {
      if (event.key !== 'Escape') return;
      event.preventDefault();
      event.stopPropagation(); // it closes the form, not the chat
      show(false);
    },
    submit: async (event) => {
      event.preventDefault();
      if (send.disabled) return;
      send.disabled = true;
      status.textContent = t.sending;
      try {
        await submit(new FormData(node));
        show(false);
        status.textContent = done;
        status.focus(); // what had it goes
      } catch (failure) {
        status.textContent = told(t, failure);
        status.scrollIntoView({ block: 'nearest' });
      }
      send.disabled = false;
    },
  }, fields, h('div.row', {}, send, h('button.button', { type: 'button', click: () => show(false) }, t.cancel)));
  opener.setAttribute('aria-expanded', false);
  opener.addEventListener('click', () => show(node.hidden));
  return [node, status];
}

/** What may be wider than the panel can be scrolled by keyboard. */
const scrolls = (label) => ({ tabindex: 0, role: 'group', 'aria-label': label });
const field = (tag, label, attributes) => h('label', {}, label, h(tag, { dir: 'auto', ...attributes }));
const comment = (t) => field('textarea', t.comment, { name: 'comment', maxlength: 2000, rows: 3 });

/** What a failure says: the widget's own words, or the API's for what the widget does not know. */
function told(t, { code, message }) {
  return t[`error_${code}`] ?? (code && message) ?? t.failed;
}

/** The turn of a question; `chat` is the panel that it stands in. */
export function newTurn(chat, question) {
  const { t, bot, host, emit } = chat;
  const sources = new Map(); // by their number, each with its card
  const doubts = []; // [start, end] of sentences that no source supports
  const note = h('p.note');
  const answer = h('div.answer', { dir: 'auto' });
  const list = h('ol.sources', { 'aria-label': t.sources, hidden: true });
  const after = h('div.after');
  let raw = '';
  let frame = 0;
  let markdown;

  const view = {
    cite: (n) => {
      const source = sources.get(n);
      if (!source) return null;
      const name = [`${fill(t.source, n)}: ${source.title}`, source.heading].filter((part) => part).join(' › ');
      return h('button.cite', { title: name, 'aria-label': name, click: () => {
        source.card.focus();
        source.card.scrollIntoView({ block: 'nearest' });
      } }, `${n}`);
    },
    code: (text, language) => {
      const button = h('button.copy', { click: () => copy(text, chat) }, t.copy);
      return h('div.code', {}, h('div.bar', {}, language, button),
        h('pre', { dir: 'ltr', ...scrolls(language || t.code) }, h('code', {}, text)));
    },
    table: (table) => h('div.scroll', scrolls(t.table), table),
    doubt: () => h('span.doubt', {}, t.doubt),
  };

  /** From its beginning: `text` is what was said so far. */
  function begin(text) {
    answer.replaceChildren();
    markdown = newMarkdown(answer, view);
    markdown.push(text);
    draw();
  }

  function draw() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      if (raw) say('');
      markdown.render();
    });
  }

  /** A line above the answer: what is going on, or what to know about it. */
  function say(text, kind = '') {
    note.textContent = text;
    note.className = `note ${kind}`;
    note.hidden = !text;
  }

  function remark(text) {
    if (text) answer.after(h('p.note', {}, text));
  }

  function settle() {
    cancelAnimationFrame(frame);
    markdown.end();
    say('');
  }

  /** Copy, try again, thumbs, and what it cost. */
  function tools(stored, cost, total) {
    const row = [iconButton('copy-answer', 'M9 9h11v11H9zM5 15H4V4h11v1', t.copy_answer, () => {
      const listed = list.hidden ? [] : [...sources.values()];
      copy([raw, ...listed.map(({ n, title, url }) => `[${n}]: ${url} "${title.replaceAll('"', "'")}"`)].join('\n'), chat);
    }), iconButton('retry', 'M19 12a7 7 0 1 1-2-5M17 3v4h-4', t.retry, () => chat.again(turn))];
    let feedback;
    if (stored && chat.config.feedback) {
      const thumbs = ['up', 'down'].map((rating) => iconButton(rating, 'M4 11h3v9H4zM7 11l4-8q3 0 2 6h6l-1 11H7', t[rating],
        () => rate(rating).catch(() => {})));
      const press = (rating) => thumbs.forEach((thumb) => { thumb.ariaPressed = thumb.classList.contains(rating); });
      const rate = async (rating, more) => {
        await bot.tell('feedback', { message_id: turn.id, rating, ...more });
        press(rating);
        emit('feedback', { message_id: turn.id, rating });
      };
      press(''); // neither
      const reasons = Object.keys(t).filter((key) => key.startsWith('reason_')).map((key) => h('label.reason', {},
        h('input', { type: 'checkbox', name: 'reasons', value: key.slice(7) }), t[key]));
      feedback = form(t, thumbs[1], t.why, t.thanks, [h('fieldset', {}, h('legend', {}, t.why), h('div.row', {}, reasons)), comment(t)],
        (data) => rate('down', { reasons: data.getAll('reasons'), comment: data.get('comment') }));
      row.push(...thumbs);
    }
    const dollars = ({ usd }) => `$${usd.toPrecision(2)}`;
    if (cost?.usd >= 0) row.push(...[[t.cost, cost], [t.cost_all, total]].map(([text, sum]) => sum && h('span.cost', {}, fill(text, dollars(sum)))));
    after.append(h('div.tools', {}, row), ...feedback ?? []);
  }

  const turn = {
    id: undefined,
    question,
    node: h('article.turn', {}, h('div.asked', {},
      h('h3.question', { dir: 'auto' }, h('span.unseen', {}, `${t.asked} `), question),
      iconButton('edit', 'M5 19l1-4L16 5l3 3L9 18zM14 7l3 3', t.edit, () => chat.edit(turn))),
    note, answer, list, after),

    waiting: (text) => say(text, 'waiting'),

    source(source) {
      const { n } = source;
      if (!(n > 0) || sources.has(n)) return;
      const item = card(source);
      item.addEventListener('click', () => emit('source', { message_id: turn.id, url: source.url }));
      if (!item.href) item.tabIndex = -1; // a citation leads here all the same
      sources.set(n, { ...source, card: item });
      list.append(h('li', {}, item));
      list.hidden = false;
      turn.waiting(fill(t.reading, sources.size));
    },

    push(delta) {
      // The characters that mark doubt are of no script; whoever writes them means nothing.
      delta = delta.replace(MARKS, '\ufffd');
      raw += delta;
      markdown.push(delta);
      draw();
    },

    /** What the bot says of a sentence: a supported one leads to its words, another is marked. */
    check({ n, start, end, support, url }) {
      const source = sources.get(n);
      if (support === 'supported' && source?.card.href && !source.checked && safeUrl(url)) {
        source.card.href = url;
        source.checked = true;
      }
      if (support !== 'unsupported' || doubts.some(([from]) => from === start)) return;
      doubts.push([start, end]);
      let text = raw;
      for (const [from, to] of doubts.sort(([a], [b]) => b - a)) {
        const [, lead, words] = /^([#>|\s]*)([^]*)$/.exec(text.slice(from, to));
        text = text.slice(0, from) + lead + DOUBT + words + END + text.slice(to);
      }
      begin(text);
    },

    /** The answer is complete; `metadata` is what the API says of it. */
    finish({ refused, memory, tools: called, cost, session_cost, suggestions: next = [], refusal, handoff }, reason) {
      const stored = memory !== 'unavailable';
      settle();
      // What a tool said is on none of the pages.
      if (called?.some(({ ok }) => ok) && !answer.querySelector('.cite')) list.hidden = true;
      if (refused) {
        turn.node.classList.add('refused');
        say(t.refused, 'label');
      }
      remark({ length: t.cut, error: t.unfinished }[reason] ?? (stored ? '' : t.forgetful));
      const address = handoff?.support_url ?? refusal?.support_url;
      if (address) after.append(link('.button.contact', address, {}, t.contact));
      if (handoff?.transcript) {
        const opener = h('button.button.handoff', {}, t.handoff);
        after.append(opener, ...form(t, opener, t.handoff, t.sent, [h('p', {}, t.handoff_what),
          field('input', t.handoff_contact, { name: 'contact', maxlength: 200, autocomplete: 'email' }), comment(t)], async (data) => {
          // An answer that was not stored cannot be named; the conversation before it can be sent all the same.
          await bot.handOver({ message_id: stored ? turn.id : undefined, ...Object.fromEntries(data) });
          opener.hidden = true; // once is enough
        }));
      }
      tools(stored, host.hasAttribute('cost') && cost, session_cost);
      after.append(suggestions(t.next, next, chat.follow));
    },

    stopped() {
      settle();
      remark(t.stopped);
      tools();
    },

    /** What was said before stays; it can be tried again, once the bot is ready to hear it. */
    fail(failure) {
      settle();
      turn.failure = failure;
      const button = h('button.button', { click: () => chat.again(turn) });
      after.append(h('div.error', {}, h('p', { role: 'alert' }, told(t, failure)), button));
      const until = Date.now() + (failure.retryAfter ?? 0) * 1000;
      const tick = () => {
        const left = Math.ceil((until - Date.now()) / 1000);
        button.disabled = left > 0;
        button.textContent = left > 0 ? fill(t.retry_in, left) : t.retry;
        if (left > 0) setTimeout(tick, 1000);
      };
      tick();
      // Search needs no model.
      if (!sources.size) {
        bot.find(question, 4).then((pages) => pages.length && after.append(h('p.note', {}, t.pages),
          h('ul.sources', { 'aria-label': t.results }, found(pages))), () => {});
      }
    },

    /** The answer as a screen reader should say it: no buttons, no citation numbers. */
    spoken() {
      const copied = answer.cloneNode(true);
      copied.querySelectorAll('.bar, .cite').forEach((node) => node.remove());
      return fill(t.answer, `${note.textContent} ${copied.textContent}`.trim());
    },
  };
  say('');
  begin('');
  return turn;
}

/** A turn of an earlier visit, or of another tab. */
export function storedTurn(chat, { message_id, question, answer, sources, citations = [], finish_reason, ...rest }) {
  const turn = newTurn(chat, question);
  turn.id = message_id;
  sources.forEach(turn.source);
  turn.push(answer);
  citations.forEach(turn.check);
  turn.finish(rest, finish_reason);
  return turn;
}
