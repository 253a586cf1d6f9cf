/*
 * docent's widget: ask the documentation on any page.
 *
 *   <script src="https://bot.example/widget.js" async></script>     a floating button and its panel
 *   <docent-chat></docent-chat> beside that script                  the chat in place, no button
 *
 * One file without dependencies, plain enough to be served as it is. It builds DOM nodes and never
 * HTML strings, styles itself with a constructable stylesheet and evaluates nothing, so it works
 * under the strictest Content-Security-Policy, Trusted Types included.
 *
 * In reading order: texts, Markdown → DOM, the event stream, the API, the way to a person, one turn,
 * the element, its style, registration.
 */
(() => {
  'use strict';
  if (customElements.get('docent-chat')) return; // loaded twice

  const SCRIPT = document.currentScript;
  /** Where the API is unless an attribute says otherwise: the folder that this script came from. */
  const HOME = SCRIPT?.src ? new URL('.', SCRIPT.src).href : location.origin;

  // ---------------------------------------------------------------------------------- texts

  const TEXTS = {
    title: (product) => (product ? `Ask ${product}` : 'Ask the docs'),
    greeting: 'Ask a question about the documentation.',
    disclaimer: 'Generated from the documentation: check the sources.',
    open: 'Ask the docs',
    close: 'Close',
    reset: 'New conversation',
    conversation: 'Conversation',
    suggestions: 'Suggested questions',
    next: 'To go on',
    contact: 'Ask a person',
    handoff: 'Send this conversation to a person',
    handoffWhat: 'A person gets your questions, the answers, the address of this page and what you write here.',
    handoffContact: 'How to reach you (optional)',
    handoffComment: 'What to add (optional)',
    cancel: 'Cancel',
    sending: 'Sending…',
    sent: 'Sent.',
    input: 'Your question',
    placeholder: 'Ask a question…',
    send: 'Send',
    stop: 'Stop',
    retry: 'Try again',
    retryIn: (seconds) => `Try again in ${seconds} s`,
    copy: 'Copy',
    copied: 'Copied',
    code: 'Code',
    table: 'Table',
    sources: 'Sources',
    source: (source) => `Source ${source.n}: ${source.title}`,
    asked: 'You asked: ',
    answer: (text) => `Answer: ${text}`,
    searching: 'Searching the documentation…',
    reading: (count) => (count === 1 ? 'Reading 1 passage…' : `Reading ${count} passages…`),
    refused: 'Not in the documentation',
    stopped: 'You stopped this answer.',
    cut: 'This answer reached its length limit.',
    unfinished: 'This answer broke off.',
    forgetful: 'Memory is not available: earlier questions may not have been taken into account.',
    history: 'Your earlier conversation could not be loaded.',
    tooLong: (over) => `${over} characters too many`,
    unreachable: 'The assistant cannot be reached. Check your connection.',
    broken: 'The connection broke off before the answer was complete.',
    failed: 'The assistant failed. Please try again.',
  };

  // ---------------------------------------------------------------------------------- nodes

  /** Questions to ask with one press. */
  function suggested(questions, ask) {
    return questions.map((question) => h('li', {},
      h('button', { type: 'button', class: 'suggestion', part: 'suggestion', dir: 'auto', click: () => ask(question) }, question)));
  }

  /** An element with attributes (functions become listeners, `null` and `false` are left out). */
  function h(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (typeof value === 'function') node.addEventListener(key, value);
      else if (value != null && value !== false) node.setAttribute(key, value === true ? '' : value);
    }
    node.append(...children.filter((child) => child != null));
    return node;
  }

  function icon(path) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('aria-hidden', 'true');
    const shape = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    shape.setAttribute('d', path);
    svg.append(shape);
    return svg;
  }

  const ICONS = {
    chat: 'M4 5h16v11H10l-5 4v-4H4zM8 9h8M8 12h5',
    send: 'M12 19V5M6 11l6-6 6 6',
    stop: 'M7 7h10v10H7z',
    close: 'M6 6l12 12M18 6L6 18',
    reset: 'M5 12a7 7 0 1 0 2-5M7 3v4h4',
  };

  /** The address if a link may lead there, else null. Relative addresses mean nothing on another site. */
  function safeUrl(address) {
    try {
      const url = new URL(address);
      return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
    } catch {
      return null;
    }
  }

  /** A link that opens beside the page; without an address that may be followed, its text alone. */
  function link(address, attributes, ...children) {
    const href = safeUrl(address);
    if (!href) return h('span', attributes, ...children);
    return h('a', { ...attributes, href, target: '_blank', rel: 'noopener noreferrer' }, ...children);
  }

  async function copy(text, node) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // No clipboard on insecure pages or in some frames: the old way needs a selection.
      getSelection().selectAllChildren(node);
      document.execCommand('copy');
    }
  }

  // ---------------------------------------------------------------------------------- Markdown: blocks

  const FENCE = /^( {0,3})(`{3,}(?!.*`)|~{3,})[ \t]*(.*)$/;
  const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
  const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
  const QUOTE = /^ {0,3}> ?/;
  const ITEM = /^( *)([-+*]|\d{1,9}[.)])( +(?=\S)|[ \t]*$)/;
  const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
  const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
  /** Quotes and lists nested deeper are shown as text: a thousand `>` must not exhaust the stack. */
  const MAX_DEPTH = 12;

  const blank = (line) => !line.trim();
  const indent = (line) => line.search(/[^ ]|$/);
  const flow = (lines) => lines.map((line) => line.trimStart()).join('\n').trimEnd();
  const outdent = (line, width) => line.slice(Math.min(width, indent(line)));

  function cells(row) {
    const inner = row.trim().replace(/^\|/, '').replace(/(^|[^\\])\|$/, '$1');
    return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
  }

  function isTable(lines, i) {
    const [head, rule] = [lines[i], lines[i + 1]];
    return rule != null && head.includes('|') && DELIMITERS.test(rule)
      && indent(head) < 4 && cells(head).length === cells(rule).length;
  }

  /** The match if `line` begins a list item. Within a paragraph, empty items and "1987." do not. */
  function isItem(line, within = false) {
    const item = ITEM.exec(line);
    if (!item || item[1].length > 3 || RULE.test(line)) return null;
    const empty = item[0].length === line.length;
    return within && (empty || (/\d/.test(item[2]) && parseInt(item[2], 10) !== 1)) ? null : item;
  }

  /** Whether line `i` ends a paragraph by beginning another block. */
  function interrupts(lines, i) {
    const line = lines[i];
    return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)
      || isItem(line, true) || isTable(lines, i);
  }

  /** Lines → blocks `{kind, from, to, …}`. Never looks back over a block's beginning. */
  function parse(lines, depth = 0) {
    const blocks = [];
    const nests = depth < MAX_DEPTH;
    for (let i = 0; i < lines.length;) {
      if (blank(lines[i])) {
        i++;
        continue;
      }
      const block = indented(lines, i) ?? fence(lines, i) ?? heading(lines, i)
        ?? (RULE.test(lines[i]) ? { kind: 'rule', to: i + 1 } : null)
        ?? (nests && QUOTE.test(lines[i]) ? quote(lines, i, depth) : null)
        ?? (nests && isItem(lines[i]) ? list(lines, i, depth) : null)
        ?? (isTable(lines, i) ? table(lines, i) : paragraph(lines, i));
      blocks.push({ from: i, ...block });
      i = block.to;
    }
    return blocks;
  }

  function indented(lines, i) {
    if (indent(lines[i]) < 4) return null;
    let to = i + 1;
    for (let j = to; j < lines.length && (blank(lines[j]) || indent(lines[j]) >= 4); j++) if (!blank(lines[j])) to = j + 1;
    return { kind: 'code', to, language: '', text: lines.slice(i, to).map((line) => line.slice(4)).join('\n') };
  }

  function fence(lines, i) {
    const open = FENCE.exec(lines[i]);
    if (!open) return null;
    const end = new RegExp(`^ {0,3}${open[2][0]}{${open[2].length},}[ \\t]*$`);
    let to = i + 1;
    while (to < lines.length && !end.test(lines[to])) to++;
    let text = lines.slice(i + 1, to).map((line) => outdent(line, open[1].length)).join('\n');
    // One that is not closed yet would show an empty line after each line that came.
    if (to === lines.length) text = text.replace(/\n$/, '');
    return { kind: 'code', to: to + 1, language: open[3].trim().split(/\s/)[0], text };
  }

  function heading(lines, i) {
    const match = HEADING.exec(lines[i]);
    return match && { kind: 'heading', to: i + 1, level: match[1].length,
      text: (match[2] ?? '').trim().replace(/(^|[ \t])#+$/, '') };
  }

  function quote(lines, i, depth) {
    const inner = [];
    let to = i;
    for (; to < lines.length; to++) {
      const lazy = inner.length && !blank(inner.at(-1)) && !blank(lines[to]) && !interrupts(lines, to);
      if (!QUOTE.test(lines[to]) && !lazy) break;
      inner.push(lines[to].replace(QUOTE, ''));
    }
    return { kind: 'quote', to, blocks: parse(inner, depth + 1) };
  }

  function list(lines, i, depth) {
    const kind = (item) => item[2].at(-1);
    const first = isItem(lines[i]);
    const items = [];
    let loose = false;
    let to = i;
    while (to < lines.length) {
      const item = isItem(lines[to]);
      if (!item || kind(item) !== kind(first)) break;
      // More than four spaces after the marker are indented code, or an empty first line.
      const gap = item[3].length;
      const width = item[1].length + item[2].length + (gap > 4 || !lines[to].slice(item[0].length) ? 1 : gap);
      const inner = [lines[to].slice(width)];
      let cut = width;
      for (to++; to < lines.length; to++) {
        const line = lines[to];
        const marker = isItem(line);
        // Models often indent a list inside "1." by two spaces where CommonMark asks for three.
        if (marker && marker[1].length > item[1].length + 1 && kind(marker) !== kind(first)) cut = Math.min(cut, marker[1].length);
        const lazy = !blank(inner.at(-1)) && !marker && !interrupts(lines, to);
        if (!blank(line) && indent(line) < cut && !lazy) break;
        inner.push(outdent(line, cut));
      }
      const written = inner.length;
      while (inner.length > 1 && blank(inner.at(-1))) inner.pop();
      const blocks = parse(inner, depth + 1);
      loose ||= blocks.some((block, n) => n > 0 && block.from > blocks[n - 1].to);
      const next = to < lines.length && isItem(lines[to]);
      loose ||= inner.length < written && next && kind(next) === kind(first);
      items.push(blocks);
    }
    while (blank(lines[to - 1])) to--; // or a list would hide the blank line that makes its parent loose
    return { kind: 'list', to, items, loose, start: /\d/.test(first[2]) ? parseInt(first[2], 10) : null };
  }

  function table(lines, i) {
    const align = cells(lines[i + 1]).map((cell) => (cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'end') : null));
    const rows = [cells(lines[i])];
    let to = i + 2;
    for (; to < lines.length && !blank(lines[to]) && !interrupts(lines, to); to++) rows.push(cells(lines[to]));
    return { kind: 'table', to, align, rows };
  }

  function paragraph(lines, i) {
    let to = i + 1;
    for (; to < lines.length && !blank(lines[to]); to++) {
      const underline = UNDERLINE.exec(lines[to]);
      if (underline) return { kind: 'heading', to: to + 1, level: underline[1][0] === '=' ? 1 : 2, text: flow(lines.slice(i, to)) };
      if (interrupts(lines, to)) break;
    }
    return { kind: 'paragraph', to, text: flow(lines.slice(i, to)) };
  }

  // ---------------------------------------------------------------------------------- Markdown: blocks → DOM

  /**
   * Appends what `block` looks like to `parent`. `open`: more may follow, so the last line is shown
   * as what it is likely to become. `view.levels` holds the headings above, because an answer that
   * begins with `###` must not skip levels of the page's outline.
   */
  function build(block, parent, view, open) {
    const each = (blocks, into) => blocks.forEach((inner, n) => build(inner, into, view, open && n === blocks.length - 1));
    const leaf = (name, text, into, attributes) => {
      const node = h(name, attributes);
      inline(text, node, view, open);
      into.append(node);
      return node;
    };
    switch (block.kind) {
      case 'heading':
        if (!block.text) return null; // a lone "#": nothing yet, or nothing at all
        while (view.levels.at(-1) >= block.level) view.levels.pop();
        view.levels.push(block.level);
        return leaf(`h${Math.min(view.levels.length + 3, 6)}`, block.text, parent);
      case 'rule':
        return parent.append(h('hr'));
      case 'code':
        return parent.append(codeBlock(block));
      case 'quote': {
        const node = h('blockquote');
        each(block.blocks, node);
        return parent.append(node);
      }
      case 'list': {
        const ordered = block.start != null;
        const node = h(ordered ? 'ol' : 'ul', { start: ordered && block.start !== 1 ? block.start : null });
        block.items.forEach((blocks, n) => {
          const item = h('li');
          const last = open && n === block.items.length - 1;
          blocks.forEach((inner, m) => {
            const newest = last && m === blocks.length - 1;
            if (inner.kind === 'paragraph' && !block.loose) inline(inner.text, item, view, newest);
            else build(inner, item, view, newest);
          });
          node.append(item);
        });
        return parent.append(node);
      }
      case 'table': {
        const row = (texts, name, last) => {
          const node = h('tr');
          block.align.forEach((align, n) => {
            const cell = h(name, { class: align, scope: name === 'th' ? 'col' : null });
            inline(texts[n] ?? '', cell, view, last && n === texts.length - 1);
            node.append(cell);
          });
          return node;
        };
        const [head, ...body] = block.rows;
        const rows = body.map((texts, n) => row(texts, 'td', open && n === body.length - 1));
        const node = h('table', {}, h('thead', {}, row(head, 'th', false)), h('tbody', {}, ...rows));
        return parent.append(h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': TEXTS.table }, node));
      }
      default:
        return leaf('p', block.text, parent);
    }
  }

  function codeBlock({ language, text }) {
    const code = h('code', {}, text);
    const button = h('button', { type: 'button', class: 'copy', click: async () => {
      await copy(text, code);
      button.textContent = TEXTS.copied;
      setTimeout(() => { button.textContent = TEXTS.copy; }, 2000);
    } }, TEXTS.copy);
    return h('div', { class: 'code', part: 'code' }, h('div', { class: 'bar' }, h('span', {}, language), button),
      h('pre', { tabindex: 0, role: 'group', 'aria-label': language || TEXTS.code, dir: 'ltr' }, code));
  }

  // ---------------------------------------------------------------------------------- Markdown: inline → DOM

  const PLAIN = /(?:(?!https?:\/\/)[^\\`*_~[\]!<&\n])+/iy;
  const BARE_URL = /https?:\/\/[^\s<>[\]`"]+/iy;
  const AUTOLINK = /<((?:https?:\/\/|mailto:)[^\s<>]*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>/iy;
  const BREAK = /<br *\/?>/iy;
  const ENTITY = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/iy;
  const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };
  const TARGET = new RegExp('\\([ \\n]*(?:<([^<>\\n]*)>|((?:\\\\[!-~]|[^\\s()\\\\]|\\((?:\\\\[!-~]|[^\\s()\\\\])*\\))*))'
    + '(?:[ \\n]+(?:"(?:\\\\.|[^"\\\\])*"|\'(?:\\\\.|[^\'\\\\])*\'|\\((?:\\\\.|[^)\\\\])*\\)))?[ \\n]*\\)', 'y');
  const ESCAPE = /\\([!-/:-@[-`{-~\n])/y;
  const PUNCTUATION = /[\p{P}\p{S}]/u;

  function matchAt(pattern, text, at) {
    pattern.lastIndex = at;
    return pattern.exec(text);
  }

  /**
   * Appends inline Markdown to `parent`, by CommonMark's delimiter algorithm with the DOM as its
   * linked list. Left out: raw HTML (shown as text, but for <br>), reference links, images (shown
   * as links: an image would be fetched unasked, and tell its host what was answered).
   */
  function inline(text, parent, view, open) {
    // In an unfinished line half a marker is noise: "[1" is about to be a citation, "**" bold.
    if (open) text = text.replace(/(?:\[\d{0,2}|[*_~`]+)$/, '');
    const marks = []; // runs of * _ ~ that may open or close emphasis
    const brackets = []; // [ and ![ that may begin a link
    const put = (value) => {
      const node = document.createTextNode(value);
      parent.append(node);
      return node;
    };
    for (let i = 0; i < text.length;) {
      const char = text[i];
      let match = matchAt(PLAIN, text, i);
      if (match) {
        put(match[0]);
        i += match[0].length;
      } else if (char === '\\') {
        const [, escaped] = matchAt(ESCAPE, text, i) ?? [];
        if (escaped === '\n') parent.append(h('br'));
        else put(escaped ?? char);
        i += escaped ? 2 : 1;
      } else if (char === '`') {
        i = codeSpan(text, i, parent, put, open);
      } else if (char === '*' || char === '_' || char === '~') {
        i = mark(text, i, put, marks);
      } else if (char === '[' || (char === '!' && text[i + 1] === '[')) {
        const token = char === '[' ? '[' : '![';
        i += token.length;
        brackets.push({ node: put(token), marks: marks.length, at: i, active: true });
      } else if (char === ']') {
        i = closeBracket(text, i, parent, put, marks, brackets, view, open);
      } else if ((match = matchAt(AUTOLINK, text, i))) {
        parent.append(link(match[1].includes(':') ? match[1] : `mailto:${match[1]}`, {}, match[1]));
        i += match[0].length;
      } else if ((match = matchAt(BREAK, text, i))) {
        parent.append(h('br'));
        i += match[0].length;
      } else if ((match = matchAt(ENTITY, text, i))) {
        const code = match[1] ? parseInt(match[1], 10) : parseInt(match[2] ?? 'x', 16);
        put(match[3] ? ENTITIES[match[3].toLowerCase()] : code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd');
        i += match[0].length;
      } else if ((match = matchAt(BARE_URL, text, i)) && !/\w/.test(text[i - 1] ?? '')) {
        const url = trimUrl(match[0]);
        parent.append(link(url, {}, url));
        i += url.length;
      } else if (char === '\n') {
        const last = parent.lastChild;
        const hard = last?.nodeType === Node.TEXT_NODE && / {2,}$/.test(last.data);
        if (last?.nodeType === Node.TEXT_NODE) last.data = last.data.trimEnd();
        if (hard) parent.append(h('br'));
        put('\n');
        i++;
      } else {
        put(char);
        i++;
      }
    }
    emphasise(marks, 0, open);
    parent.normalize();
  }

  /** A bare address without the punctuation of the sentence around it. */
  function trimUrl(url) {
    for (;;) {
      const shorter = url.replace(/[?!.,:;*_~'"]+$/, '');
      const unbalanced = shorter.endsWith(')') && shorter.split(')').length > shorter.split('(').length;
      if (!unbalanced) return shorter;
      url = shorter.slice(0, -1);
    }
  }

  function codeSpan(text, at, parent, put, open) {
    const run = /`+/y;
    const ticks = matchAt(run, text, at)[0];
    const from = at + ticks.length;
    let to = from;
    for (;;) {
      to = text.indexOf('`', to);
      if (to < 0) break;
      const found = matchAt(run, text, to)[0];
      if (found.length === ticks.length) break;
      to += found.length;
    }
    if (to < 0 && !open) {
      put(ticks);
      return from;
    }
    let code = text.slice(from, to < 0 ? undefined : to).replaceAll('\n', ' ');
    if (/^ .* $/.test(code) && code.trim()) code = code.slice(1, -1);
    parent.append(h('code', { dir: 'ltr' }, code));
    return to < 0 ? text.length : to + ticks.length;
  }

  function mark(text, at, put, marks) {
    const char = text[at];
    let to = at;
    while (text[to] === char) to++;
    // Whole characters on both sides: half a surrogate pair is neither letter nor sign.
    const before = [...text.slice(Math.max(0, at - 2), at)].at(-1) ?? ' ';
    const after = String.fromCodePoint(text.codePointAt(to) ?? 32);
    const space = /\s/;
    const left = !space.test(after) && (!PUNCTUATION.test(after) || space.test(before) || PUNCTUATION.test(before));
    const right = !space.test(before) && (!PUNCTUATION.test(before) || space.test(after) || PUNCTUATION.test(after));
    const node = put(text.slice(at, to));
    const count = to - at;
    if (char !== '~' || count === 2) {
      marks.push({
        node, char, count, length: count,
        opens: left && (char !== '_' || !right || PUNCTUATION.test(before)),
        closes: right && (char !== '_' || !left || PUNCTUATION.test(after)),
      });
    }
    return to;
  }

  /** Moves what stands between two siblings (or after the first) into `wrapper`, placed after the first. */
  function wrap(from, to, wrapper) {
    while (from.nextSibling && from.nextSibling !== to) wrapper.append(from.nextSibling);
    from.after(wrapper);
  }

  function emphasise(marks, bottom, open) {
    const wrapper = (char, two) => h(char === '~' ? 'del' : two ? 'strong' : 'em');
    const take = (it, used) => {
      it.count -= used;
      it.node.data = it.node.data.slice(used);
    };
    for (let c = bottom; c < marks.length; c++) {
      const closer = marks[c];
      while (closer.closes && closer.count) {
        let o = c - 1;
        // CommonMark's rule of three keeps "*a**b*" apart.
        const fits = (it) => it.opens && it.count && it.char === closer.char
          && !((it.closes || closer.opens) && (it.length + closer.length) % 3 === 0 && (it.length % 3 || closer.length % 3));
        while (o >= bottom && !fits(marks[o])) o--;
        if (o < bottom) {
          // Nothing before can open this kind; without this, long runs of closers cost their square.
          if (!closer.opens) marks.splice(c--, 1);
          break;
        }
        const two = Math.min(marks[o].count, closer.count) >= 2;
        wrap(marks[o].node, closer.node, wrapper(closer.char, two));
        take(marks[o], two ? 2 : 1);
        take(closer, two ? 2 : 1);
        marks.splice(o + 1, c - o - 1); // what lay between can no longer pair
        c = o + 1;
      }
    }
    // The last few may yet be closed; a line with more of them open is not about emphasis.
    for (const it of marks.splice(bottom).slice(-4).reverse()) {
      if (!open || !it.opens || !it.count || !it.node.nextSibling) continue;
      wrap(it.node, null, wrapper(it.char, it.count >= 2));
      take(it, it.count);
    }
  }

  function closeBracket(text, at, parent, put, marks, brackets, view, open) {
    const bracket = brackets.pop();
    const rest = at + 1;
    if (!bracket) {
      put(']');
      return rest;
    }
    const target = matchAt(TARGET, text, rest);
    const partial = open && !target && /^\([^)\n]*$/.test(text.slice(rest));
    if ((target || partial) && bracket.active) {
      emphasise(marks, bracket.marks, false);
      const address = (target?.[1] ?? target?.[2] ?? '').replace(new RegExp(ESCAPE, 'g'), '$1');
      const node = link(address, {});
      wrap(bracket.node, null, node);
      for (const inner of node.querySelectorAll('a')) inner.replaceWith(...inner.childNodes);
      if (bracket.node.data === '[') for (const outer of brackets) outer.active &&= outer.node.data !== '[';
      bracket.node.remove();
      return target ? rest + target[0].length : text.length;
    }
    const content = text.slice(bracket.at, at);
    const cited = bracket.node.data === '[' && /^\d{1,3}(?:, ?\d{1,3})*$/.test(content)
      ? content.split(',').map((n) => view.cite(Number(n))) : [];
    if (cited.length && cited.every(Boolean)) {
      while (bracket.node.nextSibling) bracket.node.nextSibling.remove();
      bracket.node.replaceWith(...cited);
    } else put(']');
    return rest;
  }

  // ---------------------------------------------------------------------------------- Markdown: streaming

  /**
   * Markdown that grows: `push` text, `render` now and then, `end` once. Blocks that can no longer
   * change are built once and left alone, so that selections, scrolling and focus in them survive;
   * only the open end is built anew. What stands there after `end` is the same however the text was cut.
   */
  class Markdown {
    #target;
    #view;
    #open = '';
    #tail = [];

    /** `cite(n)`: the node for `[n]`, or null where no such source was offered. */
    constructor(target, cite = () => null) {
      this.#target = target;
      this.#view = { cite, levels: [] };
    }

    /** All at once, for what is complete already. */
    static render(text, cite) {
      const target = document.createDocumentFragment();
      const markdown = new Markdown(target, cite);
      markdown.push(text);
      markdown.end();
      return target;
    }

    push(text) {
      this.#open += text.replaceAll('\r', '');
    }

    end() {
      this.render(true);
    }

    render(ended = false) {
      const lines = this.#open.split('\n').map((line) => line.replace(/^[ \t]+/, (space) => space.replaceAll('\t', '    ')));
      const blocks = parse(lines);
      // A block is closed when the next one has begun and the line after that beginning, which may
      // still make it a table, is complete; the last line never is.
      let closed = ended ? blocks.length : 0;
      while (!ended && closed + 1 < blocks.length && blocks[closed + 1].from + 2 < lines.length) closed++;
      for (const node of this.#tail) node.remove();
      for (const block of blocks.slice(0, closed)) build(block, this.#target, this.#view, false);
      const kept = this.#target.childNodes.length;
      const view = { ...this.#view, levels: [...this.#view.levels] };
      blocks.slice(closed).forEach((block, n, rest) => build(block, this.#target, view, n === rest.length - 1));
      this.#tail = [...this.#target.childNodes].slice(kept);
      if (closed) this.#open = closed < blocks.length ? lines.slice(blocks[closed].from).join('\n') : '';
    }
  }

  // ---------------------------------------------------------------------------------- event stream

  /** The data of each server-sent event, however the bytes were cut. */
  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let data = [];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      // A CR at the very end may be half of a CR LF: it waits.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5));
        else if (!line && data.length) {
          yield data.join('\n');
          data = [];
        }
      }
    }
  }

  // ---------------------------------------------------------------------------------- API

  /**
   * Something to tell the reader. `code` is one of the API's, `unreachable` or `broken`; the API's
   * messages are meant for readers and say more than the code, but begin and end as part of a line.
   */
  class Failure extends Error {
    constructor(code, message = TEXTS[code] ?? TEXTS.failed, retryAfter = 0) {
      super(`${message[0].toUpperCase()}${message.slice(1).replace(/\.?$/, '.')}`);
      this.code = code;
      this.retryAfter = retryAfter;
    }
  }

  /** Address of the page, without its query: that may hold what nobody meant to share. */
  function here() {
    const page = location.origin + location.pathname;
    return page.length <= 1000 ? page : location.origin;
  }

  /** A bot at its address. Keeps the session's token, which only the bot can make, from page to page. */
  class Bot {
    #token = null;

    constructor(endpoint) {
      this.endpoint = endpoint;
      this.key = `docent:session:${endpoint}`;
    }

    get session() {
      try {
        return localStorage.getItem(this.key);
      } catch {
        return this.#token; // the browser forbids storage: then it lasts as long as the page
      }
    }

    set session(token) {
      this.#token = token;
      try {
        if (token) localStorage.setItem(this.key, token);
        else localStorage.removeItem(this.key);
      } catch { /* see above */ }
    }

    async #request(path, init = {}) {
      let response;
      try {
        response = await fetch(this.endpoint + path, { credentials: 'omit', ...init });
      } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new Failure('unreachable');
      }
      if (response.ok) return response;
      const { error } = await response.json().catch(() => ({}));
      throw new Failure(error?.code, error?.message || undefined, error?.retry_after);
    }

    async config() {
      return (await this.#request('/v1/config')).json();
    }

    /** Earlier turns; none when the session is over. */
    async history() {
      if (!this.session) return [];
      try {
        return (await (await this.#request(`/v1/sessions/${encodeURIComponent(this.session)}`)).json()).turns ?? [];
      } catch (failure) {
        if (failure.code !== 'bad_session' && failure.code !== 'not_found') throw failure;
        this.session = null;
        return [];
      }
    }

    /** Forgets here at once, and there as soon as the bot hears of it. */
    forget() {
      const token = this.session;
      this.session = null;
      if (token) this.#request(`/v1/sessions/${encodeURIComponent(token)}`, { method: 'DELETE', keepalive: true }).catch(() => {});
    }

    /** Sends the conversation to a person; resolves when it is there. */
    handOver(wish) {
      return this.#request('/v1/handoff', { method: 'POST', headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ session: this.session, page: here(), ...wish }) });
    }

    /** The parts of the streamed answer. Ends after `finish`; anything else is a [`Failure`]. */
    async* ask(message, signal) {
      const body = { message, page: here() };
      const send = (session) => this.#request('/v1/chat', {
        method: 'POST', signal, headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
        body: JSON.stringify(session ? { ...body, session } : body),
      });
      const response = await send(this.session).catch((failure) => {
        if (failure.code !== 'bad_session' || !this.session) throw failure;
        this.session = null; // expired, or made by a bot that no longer knows it: begin anew
        return send(null);
      });
      yield* this.#parts(response, signal);
    }

    async* #parts(response, signal) {
      let finished = false;
      let reason = {};
      try {
        for await (const data of events(response.body)) {
          if (data === '[DONE]') break;
          const part = JSON.parse(data);
          if (part.type === 'data-docent-error') reason = part.data ?? part;
          else if (part.type === 'error') throw new Failure(reason.code, reason.message || part.errorText || undefined, reason.retry_after);
          finished ||= part.type === 'finish';
          if (part.messageMetadata?.session) this.session = part.messageMetadata.session;
          yield part;
        }
      } catch (error) {
        throw error instanceof Failure || signal.aborted ? error : new Failure('broken');
      }
      if (!finished) throw new Failure('broken');
    }
  }

  // ---------------------------------------------------------------------------------- to a person

  /** A button that opens a form, which sends the conversation only when its reader says so. */
  function handoffForm(handOver) {
    const field = (name, label, attributes) => h('label', {}, label, h(name, { dir: 'auto', ...attributes }));
    const button = (text, attributes) => h('button', { class: 'button', ...attributes }, text);
    const status = h('p', { role: 'status', class: 'note', tabindex: -1 });
    const opener = button(TEXTS.handoff, { type: 'button', part: 'handoff', 'aria-expanded': 'false', click: () => open(form.hidden) });
    const send = button(TEXTS.send, { type: 'submit' });
    const form = h('form', {
      hidden: true, 'aria-label': TEXTS.handoff,
      keydown: (event) => {
        if (event.key !== 'Escape') return;
        event.stopPropagation(); // it closes the form, not the chat
        open(false);
      },
      submit: async (event) => {
        event.preventDefault();
        if (send.disabled) return;
        send.disabled = true;
        status.textContent = TEXTS.sending;
        try {
          await handOver(Object.fromEntries(new FormData(form)));
          status.textContent = TEXTS.sent;
          status.focus(); // what had it goes
          form.remove();
          opener.remove();
        } catch (failure) {
          status.textContent = failure.message;
          status.scrollIntoView({ block: 'nearest' });
          send.disabled = false;
        }
      },
    }, h('p', {}, TEXTS.handoffWhat),
    field('input', TEXTS.handoffContact, { name: 'contact', maxlength: 200, autocomplete: 'email' }),
    field('textarea', TEXTS.handoffComment, { name: 'comment', maxlength: 2000, rows: 3 }),
    h('div', { class: 'choice' }, send, button(TEXTS.cancel, { type: 'button', click: () => open(false) })));
    const open = (shown) => {
      form.hidden = !shown;
      opener.setAttribute('aria-expanded', String(shown));
      status.textContent = '';
      (shown ? form.elements.contact : opener).focus();
    };
    return h('div', { class: 'handoff' }, opener, form, status);
  }

  // ---------------------------------------------------------------------------------- one turn

  /** A question, its answer as it grows, its sources, and what became of it. */
  class Turn {
    #markdown;
    #frame = 0;
    #sources = new Map();
    #list = h('ol', { class: 'sources', 'aria-label': TEXTS.sources });
    #note = h('p', { class: 'note' });
    #answer = h('div', { class: 'answer', part: 'answer', dir: 'auto' });

    constructor(question) {
      this.question = question;
      this.id = null;
      const asked = h('h3', { class: 'question', part: 'question', dir: 'auto' }, h('span', { class: 'unseen' }, TEXTS.asked), question);
      this.node = h('article', { class: 'turn' }, asked, this.#note, this.#answer, this.#list);
      this.#markdown = new Markdown(this.#answer, (n) => this.#cite(n));
      this.#list.hidden = true;
      this.say('');
    }

    /** A turn of an earlier visit. */
    static from({ message_id, question, answer, sources, refused, finish_reason }) {
      const turn = new Turn(question);
      turn.id = message_id;
      sources.forEach((source) => turn.source(source));
      turn.#markdown.push(answer);
      turn.finish({ refused, finishReason: finish_reason });
      return turn;
    }

    /** A line above the answer: what is going on, or what to know about it. */
    say(text, kind = '') {
      this.#note.textContent = text;
      this.#note.className = `note ${kind}`;
      this.#note.hidden = !text;
    }

    waiting(text) {
      this.say(text, 'waiting');
      this.#answer.classList.add('growing');
    }

    get count() {
      return this.#sources.size;
    }

    source(source) {
      if (!Number.isInteger(source.n) || this.#sources.has(source.n)) return;
      this.#sources.set(source.n, source);
      const { n, title, heading, url, snippet, version } = source;
      const trail = [heading, version].filter(Boolean).join(', ');
      const texts = [h('span', { class: 'number', 'aria-hidden': 'true' }, String(n)),
        h('span', { class: 'title' }, title || url, trail ? h('span', { class: 'trail' }, ` › ${trail}`) : null),
        snippet ? h('span', { class: 'snippet' }, snippet) : null];
      this.#list.append(h('li', { dir: 'auto' }, link(url, { class: 'source', part: 'source' }, ...texts)));
      this.#list.hidden = false;
    }

    #cite(n) {
      const source = this.#sources.get(n);
      if (!source) return null;
      return link(source.url, { class: 'cite', part: 'citation', title: [source.title, source.heading].filter(Boolean).join(' › '),
        'aria-label': TEXTS.source(source) }, String(n));
    }

    push(delta) {
      this.#markdown.push(delta);
      this.#frame ||= requestAnimationFrame(() => {
        this.#frame = 0;
        this.say('');
        this.#markdown.render();
      });
    }

    #settle() {
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
      this.#markdown.end();
      this.#answer.classList.remove('growing');
      this.say('');
    }

    finish({ refused, memory: kept, finishReason, tools }) {
      this.#settle();
      // What a tool said is on none of the pages.
      if (tools?.some((tool) => tool.ok) && !this.#answer.querySelector('.cite')) this.#list.hidden = true;
      this.node.classList.toggle('refused', Boolean(refused));
      if (refused) this.say(TEXTS.refused, 'label');
      const remark = { length: TEXTS.cut, error: TEXTS.unfinished }[finishReason] ?? (kept === 'unavailable' ? TEXTS.forgetful : null);
      if (remark) this.#remark(remark);
    }

    /** What to do next: sections near the question, and how to reach a person. */
    offer({ suggestions = [], refusal, handoff, memory: kept }, ask, handOver) {
      const address = handoff?.support_url ?? refusal?.support_url;
      if (address) this.#list.before(link(address, { class: 'button contact', part: 'contact' }, TEXTS.contact));
      // An answer that was not stored cannot be named; the conversation before it can be sent all the same.
      const id = kept === 'unavailable' ? {} : { message_id: this.id };
      if (handoff?.transcript) this.#list.before(handoffForm((wish) => handOver({ ...id, ...wish })));
      if (suggestions.length) this.node.append(h('ul', { class: 'suggestions next', 'aria-label': TEXTS.next }, ...suggested(suggestions, ask)));
    }

    stopped() {
      this.#settle();
      this.#remark(TEXTS.stopped);
    }

    #remark(text) {
      this.#answer.after(h('p', { class: 'note' }, text));
    }

    /** What was said before stays; `retry` asks again, once the bot is ready to hear it. */
    fail(failure, retry) {
      this.#settle();
      const button = h('button', { type: 'button', class: 'button', click: retry }, TEXTS.retry);
      this.#answer.after(h('div', { class: 'error', part: 'error' }, h('p', { role: 'alert' }, failure.message), button));
      const until = Date.now() + Math.min(failure.retryAfter, 3600) * 1000;
      const tick = () => {
        const left = Math.ceil((until - Date.now()) / 1000);
        button.disabled = left > 0;
        button.textContent = left > 0 ? TEXTS.retryIn(left) : TEXTS.retry;
        if (left > 0) setTimeout(tick, 1000);
      };
      tick();
    }

    /** The answer as a screen reader should say it: no buttons, no citation numbers. */
    get spoken() {
      const copied = this.#answer.cloneNode(true);
      copied.querySelectorAll('.bar, .cite').forEach((node) => node.remove());
      return [this.node.classList.contains('refused') ? `${TEXTS.refused}.` : '', copied.textContent].join(' ').trim();
    }
  }

  // ---------------------------------------------------------------------------------- the element

  /**
   * `<docent-chat>`: the chat in place, or with `mode="floating"` behind a button.
   * Attributes: `endpoint`, `heading`, `mode`, `theme` (`light`, `dark`; otherwise the system's).
   * Methods: `open` `close` `ask` `reset`. Events, which bubble out of shadow roots and never carry
   * a question's text: `docent-open` `docent-close` `docent-ask` `docent-answer` `docent-error`.
   */
  class DocentChat extends HTMLElement {
    static observedAttributes = ['heading'];
    static Markdown = Markdown;
    static #sheet;

    #bot;
    #config = {};
    #turns = [];
    #running = null; // AbortController of the answer that is being written
    #loaded = false;
    #ui = null;

    get floating() {
      return this.getAttribute('mode') === 'floating';
    }

    get endpoint() {
      return (safeUrl(this.getAttribute('endpoint')) ?? HOME).replace(/\/+$/, '');
    }

    connectedCallback() {
      if (this.#ui) return; // moved within the page
      this.#bot = new Bot(this.endpoint);
      this.#build();
      if (!this.floating) this.#load();
    }

    disconnectedCallback() {
      queueMicrotask(() => this.isConnected || this.#running?.abort()); // a move reconnects at once
    }

    attributeChangedCallback() {
      this.#title();
    }

    open() {
      if (!this.floating || !this.#ui.panel.hidden) return;
      this.#ui.panel.hidden = false;
      this.#ui.launcher.setAttribute('aria-expanded', 'true');
      this.#load();
      this.#ui.input.focus();
      this.#emit('open');
    }

    close() {
      if (!this.floating || this.#ui.panel.hidden) return;
      this.#ui.panel.hidden = true;
      this.#ui.launcher.setAttribute('aria-expanded', 'false');
      this.#ui.launcher.focus();
      this.#emit('close');
    }

    /** Asks, as if typed. Resolves when the answer stands there. Ignored while another is being written. */
    async ask(question) {
      question = String(question).trim();
      if (!question || this.#running) return;
      this.open();
      const turn = new Turn(question);
      this.#turns.push(turn);
      this.#ui.turns.append(turn.node);
      this.#ui.welcome.hidden = true;
      await this.#answer(turn);
    }

    /** A new conversation; the bot is told to forget the old one. */
    reset() {
      this.#running?.abort();
      this.#bot.forget();
      this.#turns = [];
      this.#ui.turns.replaceChildren();
      this.#ui.welcome.hidden = false;
      this.#ui.input.focus();
    }

    stop() {
      this.#running?.abort();
    }

    async #answer(turn) {
      const running = new AbortController();
      this.#running = running;
      this.#busy();
      for (const other of this.#turns) other.node.classList.toggle('newest', other === turn);
      this.#ui.log.scrollTop = turn.node.offsetTop - this.#ui.turns.offsetTop;
      turn.waiting(TEXTS.searching);
      this.#announce(TEXTS.searching);
      this.#emit('ask');
      try {
        for await (const part of this.#bot.ask(turn.question, running.signal)) this.#take(turn, part);
        this.#announce(TEXTS.answer(turn.spoken));
        this.#emit('answer', { message_id: turn.id });
      } catch (error) {
        const failure = error instanceof Failure ? error : new Failure();
        this.#announce('');
        if (running.signal.aborted) turn.stopped();
        else {
          turn.fail(failure, () => this.#again(turn));
          this.#emit('error', { code: failure.code });
          if (!(error instanceof Failure)) console.error(error);
        }
      }
      // A reset or a newer question may have taken over.
      if (this.#running === running) this.#running = null;
      this.#busy();
    }

    #take(turn, part) {
      switch (part.type) {
        case 'start':
          turn.id = part.messageId;
          break;
        case 'source-url':
          turn.source({ ...part.providerMetadata?.docent, n: Number(part.sourceId), title: part.title, url: part.url });
          turn.waiting(TEXTS.reading(turn.count));
          break;
        case 'text-delta':
          turn.push(String(part.delta));
          break;
        case 'finish':
          turn.finish({ ...part.messageMetadata, finishReason: part.finishReason });
          turn.offer(part.messageMetadata ?? {}, (question) => this.#follow(question), (wish) => this.#bot.handOver(wish));
      }
    }

    /** The same question in the place of a turn that failed. */
    #again(turn) {
      if (this.#running) return;
      const fresh = new Turn(turn.question);
      this.#turns[this.#turns.indexOf(turn)] = fresh;
      turn.node.replaceWith(fresh.node);
      this.#ui.input.focus();
      this.#answer(fresh);
    }

    /** Greeting and earlier turns, before they are first seen. */
    async #load() {
      if (this.#loaded) return;
      this.#loaded = true;
      await Promise.all([this.#welcome(), this.#remember()]);
    }

    async #welcome() {
      this.#config = await this.#bot.config().catch(() => ({})); // the texts here do without
      this.#title();
      const { greeting, suggestions = [] } = this.#config;
      if (greeting) this.#ui.greeting.textContent = greeting;
      this.#ui.suggestions.replaceChildren(...suggested(suggestions, (question) => this.#follow(question)));
      this.#ui.suggestions.hidden = !suggestions.length;
    }

    #follow(question) {
      this.#ui.log.focus(); // the button goes; and a phone's keyboard should not cover the answer
      this.ask(question);
    }

    async #remember() {
      if (!this.#bot.session) return;
      this.#ui.welcome.hidden = true;
      const turns = await this.#bot.history().catch(() => null);
      if (!turns) this.#announce(TEXTS.history, true);
      // A question may have been asked meanwhile, and be among them already.
      const known = new Set(this.#turns.map((turn) => turn.id));
      const earlier = (turns ?? []).filter((turn) => !known.has(turn.message_id)).map(Turn.from);
      this.#turns.unshift(...earlier);
      this.#ui.turns.prepend(...earlier.map((turn) => turn.node));
      this.#ui.welcome.hidden = this.#turns.length > 0;
      if (!this.#running) this.#ui.log.scrollTop = this.#ui.log.scrollHeight;
    }

    #emit(name, detail = {}) {
      this.dispatchEvent(new CustomEvent(`docent-${name}`, { bubbles: true, composed: true, detail }));
    }

    /** For screen readers, once; `visible` also for everybody else. */
    #announce(text, visible = false) {
      this.#ui.status.textContent = text;
      this.#ui.status.classList.toggle('unseen', !visible);
    }

    #title() {
      const text = this.getAttribute('heading') || TEXTS.title(this.#config.product);
      if (!this.#ui) return;
      this.#ui.title.textContent = text;
      this.#ui.panel.setAttribute('aria-label', text);
    }

    #busy() {
      const { send, log } = this.#ui;
      const busy = Boolean(this.#running);
      log.setAttribute('aria-busy', String(busy));
      send.setAttribute('aria-label', busy ? TEXTS.stop : TEXTS.send);
      send.title = busy ? TEXTS.stop : TEXTS.send;
      send.replaceChildren(icon(busy ? ICONS.stop : ICONS.send));
      this.#typed();
    }

    #typed() {
      const { send, input, over } = this.#ui;
      const excess = [...input.value.trim()].length - (this.#config.max_message_chars ?? Infinity);
      over.textContent = excess > 0 ? TEXTS.tooLong(excess) : '';
      send.disabled = !this.#running && (excess > 0 || !input.value.trim());
    }

    #send() {
      const { input, send } = this.#ui;
      this.#typed();
      if (this.#running || send.disabled) return;
      const question = input.value;
      input.value = '';
      this.ask(question);
    }

    #key(event) {
      // Pages listen for "/" or "s" and cannot see that somebody types in here.
      event.stopPropagation();
      if (event.key === 'Escape') this.close();
      // An Enter that ends the composition of a character does not send (229 is Safari's word for it).
      if (event.target !== this.#ui.input || event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#send();
    }

    #build() {
      const root = this.attachShadow({ mode: 'open' });
      DocentChat.#sheet ??= new CSSStyleSheet();
      DocentChat.#sheet.replaceSync(STYLE);
      root.adoptedStyleSheets = [DocentChat.#sheet];
      const button = (name, label, click) => h('button', { type: 'button', class: 'icon', title: label, 'aria-label': label, click }, icon(ICONS[name]));
      const ui = {
        title: h('h2', { part: 'title' }),
        greeting: h('p', { class: 'greeting', dir: 'auto' }, TEXTS.greeting),
        suggestions: h('ul', { class: 'suggestions', 'aria-label': TEXTS.suggestions, hidden: true }),
        turns: h('div', { class: 'turns' }),
        status: h('p', { role: 'status', class: 'status unseen' }),
        over: h('p', { class: 'over', id: 'over', 'aria-live': 'polite' }),
        input: h('textarea', { id: 'input', part: 'input', rows: 1, dir: 'auto', placeholder: TEXTS.placeholder, 'aria-describedby': 'over', input: () => this.#typed() }),
        send: h('button', { type: 'button', class: 'send', part: 'send', click: (event) => {
          if (!this.#running) this.#send();
          else if (event.detail < 2) this.stop(); // the second half of a double click is no wish to stop
        } }),
        launcher: h('button', { type: 'button', class: 'launcher', part: 'launcher', title: TEXTS.open, 'aria-label': TEXTS.open,
          'aria-haspopup': 'dialog', 'aria-expanded': 'false', 'aria-controls': 'panel',
          click: () => (this.#ui.panel.hidden ? this.open() : this.close()) }, icon(ICONS.chat)),
      };
      ui.welcome = h('div', { class: 'welcome' }, ui.greeting, ui.suggestions);
      ui.log = h('div', { class: 'log', part: 'log', role: 'log', 'aria-live': 'off', 'aria-label': TEXTS.conversation, tabindex: 0 }, ui.welcome, ui.turns);
      ui.panel = h('section', { id: 'panel', class: 'panel', part: 'panel', role: this.floating ? 'dialog' : 'region',
        hidden: this.floating, keydown: (event) => this.#key(event) },
        h('header', { part: 'header' }, ui.title, button('reset', TEXTS.reset, () => this.reset()),
          this.floating ? button('close', TEXTS.close, () => this.close()) : null),
        ui.log, ui.status,
        h('div', { class: 'composer', part: 'composer' }, h('label', { for: 'input', class: 'unseen' }, TEXTS.input), ui.input, ui.send),
        ui.over, h('p', { class: 'disclaimer' }, TEXTS.disclaimer));
      this.#ui = ui;
      this.#title();
      this.#busy();
      root.append(...(this.floating ? [ui.launcher] : []), ui.panel);
    }
  }

  // ---------------------------------------------------------------------------------- style

  /** Pages theme it by the custom properties below and by `::part()`; nothing else reaches in or out. */
  const STYLE = `
:host {
  all: initial;
  display: block;
  height: var(--docent-height, min(40em, 85vh));
  color-scheme: light dark;
  font-family: var(--docent-font, inherit);
  font-size: var(--docent-font-size, max(15px, 1em));
  line-height: 1.55;
  --_bg: var(--docent-background, light-dark(#fff, #17191e));
  --_soft: var(--docent-surface, light-dark(#f4f5f8, #22252c));
  --_text: var(--docent-text, light-dark(#1b1e26, #e8eaf0));
  --_muted: var(--docent-muted, light-dark(#5a6070, #a5abba));
  --_line: var(--docent-border, light-dark(#dcdfe7, #363a45));
  --_accent: var(--docent-accent, light-dark(#2d55cc, #93b1ff));
  --_on-accent: var(--docent-on-accent, light-dark(#fff, #0e1422));
  --_alert: var(--docent-alert, light-dark(#b3261e, #ffb4ab));
  --_radius: var(--docent-radius, 14px);
}
:host([theme=light]) { color-scheme: light; }
:host([theme=dark]) { color-scheme: dark; }
:host([mode=floating]) { position: fixed; z-index: var(--docent-z-index, 2147483000); height: auto; }
:host([hidden]), [hidden] { display: none !important; }
*, ::before, ::after { box-sizing: border-box; }
* { margin: 0; padding: 0; }
:not(strong, em) { font: inherit; color: inherit; }
button { cursor: pointer; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
svg { width: 22px; fill: none; stroke: currentColor; stroke-width: 1.9; stroke-linecap: round; stroke-linejoin: round; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.panel {
  position: relative; display: flex; flex-direction: column; height: 100%; overflow: hidden;
  background: var(--_bg); color: var(--_text); border: 1px solid var(--_line); border-radius: var(--_radius);
}
:host([mode=floating]) .panel {
  position: fixed; inset-block-end: 5.75em; inset-inline-end: 1.25em;
  width: min(27em, calc(100vw - 2.5em)); height: min(42em, calc(100dvh - 7.5em));
  box-shadow: 0 12px 40px rgb(0 0 0 / .22); animation: rise .16s ease-out;
}
.icon, .send, .launcher {
  flex: none; width: 44px; height: 44px; display: grid; place-items: center; border: 1px solid transparent; border-radius: 11px;
  background: var(--_accent); color: var(--_on-accent);
}
.launcher {
  position: fixed; inset-block-end: 1.25em; inset-inline-end: 1.25em;
  width: 3.6em; height: 3.6em; border-radius: 50%; box-shadow: 0 12px 40px rgb(0 0 0 / .22);
}
@keyframes rise { from { transform: translateY(10px); } }
@media (max-width: 30rem), (max-height: 26rem) {
  :host([mode=floating]) .panel { inset: 0; width: auto; height: 100dvh; border: 0; border-radius: 0; padding-bottom: env(safe-area-inset-bottom); }
}

header { display: flex; align-items: center; padding: .3em 0; padding-inline: 1em .5em; border-bottom: 1px solid var(--_line); }
h2 { flex: 1; min-width: 0; font-weight: 650; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.icon { background: none; color: var(--_muted); }
.icon:hover { background: var(--_soft); color: var(--_text); }

.log { flex: 1; min-height: 0; overflow: hidden auto; overscroll-behavior: contain; padding: 0 1em; overflow-wrap: anywhere; }
.greeting { margin-top: 1.25em; }
.suggestions { list-style: none; display: flex; flex-direction: column; align-items: start; gap: .5em; margin-top: 1em; }
.turn:not(.newest) .next { display: none; }
.contact { display: inline-flex; align-items: center; margin-block: .6em; text-decoration: none; }
.handoff, form { display: grid; gap: .6em; justify-items: start; margin-block: .6em; }
form { justify-self: stretch; margin: 0; padding: .9em; border: 1px solid var(--_line); border-radius: 12px; }
form label { display: grid; justify-self: stretch; gap: .25em; font-size: .9em; }
form :is(input, textarea) { min-height: 44px; padding: .5em .7em; border: 1px solid var(--_muted); border-radius: 8px; background: var(--_bg); font-size: max(16px, 1em); resize: vertical; }
.choice { display: flex; flex-wrap: wrap; gap: .5em; }
.suggestion, .button {
  min-height: 44px; padding: .5em .9em; text-align: start; border: 1px solid var(--_line); border-radius: 12px;
  background: var(--_bg); color: var(--_accent);
}
.suggestion:hover, .button:hover:enabled { border-color: var(--_accent); background: var(--_soft); }

.turns { height: 100%; }
.turns:empty { display: none; }
.turn { padding-block: 1.25em 1em; }
.turn.newest { min-height: 100%; }
.turn + .turn { border-top: 1px solid var(--_line); }
.question { font-weight: 650; font-size: 1.08em; line-height: 1.4; white-space: pre-wrap; margin-bottom: .6em; }
.note { color: var(--_muted); font-size: .9em; margin-block: .4em; }
.note.label { display: inline-block; padding: .1em .6em; border: 1px solid var(--_line); border-radius: 99px; }
@keyframes breathe { 50% { opacity: .3; } }

.answer > * + * { margin-top: .75em; }
.answer :is(h4, h5, h6) { font-weight: 650; margin-top: 1.2em; line-height: 1.35; }
.answer h4 { font-size: 1.08em; }
.answer :is(ul, ol) { padding-inline-start: 1.5em; }
.answer li { margin-top: .25em; }
.answer li > * + *, .answer blockquote > * + * { margin-top: .5em; }
.answer li > :is(ul, ol) { margin-top: .25em; }
.answer blockquote { padding-inline-start: .9em; border-inline-start: 3px solid var(--_line); color: var(--_muted); }
.answer hr { border: 0; border-top: 1px solid var(--_line); }
.answer a { color: var(--_accent); }
code { font-family: var(--docent-code-font, ui-monospace, Menlo, Consolas, monospace); font-size: .88em; }
:not(pre) > code { padding: .1em .35em; border-radius: 5px; background: var(--_soft); }
.code { border: 1px solid var(--_line); border-radius: 10px; overflow: hidden; background: var(--_soft); }
.bar { display: flex; align-items: center; justify-content: space-between; padding-inline-start: 1.15em; color: var(--_muted); font-size: .8em; border-bottom: 1px solid var(--_line); }
.copy { min-height: 44px; padding-inline: 1.15em; border: 0; background: none; }
pre { padding: .75em .9em; overflow-x: auto; white-space: pre; overflow-wrap: normal; line-height: 1.5; }
:is(.log, .copy, pre):focus-visible { outline-offset: -3px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .93em; }
th, td { padding: .4em .7em; border: 1px solid var(--_line); text-align: start; vertical-align: top; overflow-wrap: normal; min-width: 4em; }
th { background: var(--_soft); font-weight: 650; }
.center { text-align: center; }
.end { text-align: end; }
.cite, .number {
  min-width: 1.7em; font-size: .77em; line-height: 1.6; text-align: center;
  border: 1px solid var(--_line); border-radius: 6px; background: var(--_soft); color: var(--_accent);
}
.cite {
  display: inline-block; margin-inline: .15em; padding-inline: .35em; text-decoration: none; vertical-align: .15em;
}
a.cite:hover { background: var(--_accent); color: var(--_on-accent); }
.waiting::after, .growing > :last-child:not(.code, .scroll)::after {
  content: ""; display: inline-block; width: .5em; height: 1em; margin-inline-start: .15em; vertical-align: -.12em;
  border-radius: 2px; background: var(--_accent); animation: breathe 1s infinite;
}

.sources { list-style: none; display: grid; gap: .5em; margin-top: 1em; }
.source {
  display: grid; grid-template-columns: auto 1fr; gap: .1em .7em; align-items: start; min-height: 44px; padding: .6em .75em;
  border: 1px solid var(--_line); border-radius: 12px; background: var(--_bg); color: var(--_text); text-decoration: none;
}
a.source:hover { border-color: var(--_accent); background: var(--_soft); }
.title { font-weight: 600; font-size: .92em; }
.trail { font-weight: 400; }
.snippet {
  grid-column: 2; color: var(--_muted); font-size: .85em; line-height: 1.45;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
}
.error { display: flex; flex-wrap: wrap; align-items: center; gap: .6em; margin-top: .75em; padding: .6em .6em .6em .9em; border: 1px solid var(--_alert); border-radius: 12px; }
.error p { flex: 1 1 12em; color: var(--_alert); }

.status:not(.unseen):not(:empty) { padding: .4em 1em; color: var(--_muted); font-size: .9em; }
.composer {
  display: flex; align-items: end; gap: .25em; margin: .6em .75em 0; padding: 4px; border: 1px solid var(--_line);
  border-radius: 14px; background: var(--_bg);
}
.composer:focus-within { border-color: var(--_accent); box-shadow: 0 0 0 1px var(--_accent); }
#input {
  flex: 1; min-width: 0; min-height: 44px; max-height: 9.5em; padding: .62em .6em; resize: none; border: 0; background: none;
  field-sizing: content; line-height: 1.4; font-size: max(16px, 1em);
}
#input:focus-visible { outline: none; }
#input::placeholder { color: var(--_muted); opacity: 1; }
.send:disabled { background: var(--_soft); }
:disabled { color: var(--_muted) !important; cursor: default; }
.over { padding-inline: 1em; font-size: .85em; color: var(--_alert); }
.disclaimer { padding: .35em 1em .55em; font-size: .78em; color: var(--_muted); text-align: center; }

@media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important; } }
@media (forced-colors: active) { .composer:focus-within { outline: 2px solid Highlight; } }
`;

  // ---------------------------------------------------------------------------------- registration

  customElements.define('docent-chat', DocentChat);

  /** A page that placed no chat of its own gets the button, with the script tag's `data-` attributes. */
  function float() {
    if (document.querySelector('docent-chat')) return;
    const { endpoint, heading, theme } = SCRIPT?.dataset ?? {};
    document.body.append(h('docent-chat', { mode: 'floating', endpoint, heading, theme }));
  }
  if (document.readyState === 'loading') addEventListener('DOMContentLoaded', float);
  else float();
})();
