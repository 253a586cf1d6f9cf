// Markdown that grows → DOM. CommonMark and tables, as far as answers use them: no HTML (shown as
// text, but for <br>), no images (shown as links: an image would be fetched unasked, and tell its host
// what was answered), no reference links, no underlined headings, no code by indentation.

import { h, link } from './dom.js';

/** Around a sentence that its source does not support; see `newMarkdown`. */
export const [DOUBT, END] = '\ue000\ue001';
/** Each of the two. */
export const MARKS = /[\ue000\ue001]/g;

const FENCE = /^( *)(`{3,}(?!.*`)|~{3,})[ \t]*([^\s]*)/;
const HEADING = /^ *(#{1,6})(?:[ \t]+(.*?))??(?:(?:^|[ \t]+)#+)?[ \t]*$/;
const RULE = /^ *([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ *> ?/;
const ITEM = /^( *)([-+*]|\d{1,9}[.)])([ \t]+(?=\S)|[ \t]*$)/;
const DELIMITERS = /^ *\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
/** Quotes and lists nested deeper are shown as text: a thousand `>` must not exhaust the stack. */
const MAX_DEPTH = 12;

// ---------------------------------------------------------------------------------- lines → blocks

const blank = (line) => !line.trim();
const indent = (line) => line.search(/[^ ]|$/);

function cells(row) {
  return row.trim().replace(/^\||(?<!\\)\|$/g, '').split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function isTable(lines, i) {
  return lines[i].includes('|') && DELIMITERS.test(lines[i + 1]) && cells(lines[i]).length === cells(lines[i + 1]).length;
}

/** The match if `line` begins a list item. Within a paragraph, empty items and "1987." do not. */
function isItem(line, within) {
  const item = RULE.test(line) ? null : ITEM.exec(line);
  return item && within && (item[0] === line || (parseInt(item[2], 10) || 1) !== 1) ? null : item;
}

/** Whether line `i` ends a paragraph by beginning another block. */
function interrupts(lines, i) {
  return [FENCE, HEADING, RULE, QUOTE].some((pattern) => pattern.test(lines[i])) || isItem(lines[i], true) || isTable(lines, i);
}

/** Blocks, each drawn into `parent`. `open`: more may follow the last one. */
function draw(blocks, parent, open) {
  blocks.forEach((block, n) => block.draw(parent, open && n === blocks.length - 1));
}

/**
 * Lines → blocks `{from, to, draw}`. Never looks back over a block's beginning. `draw(parent, open)`
 * appends what it looks like; `open`: more may follow, so its last line is shown as what it is likely
 * to become.
 */
function parse(lines, view, depth = 0) {
  const blocks = [];
  for (let i = 0; i < lines.length;) {
    const from = i;
    const line = lines[i];
    let match;
    let block;
    if (blank(line)) {
      i++;
      continue;
    }
    if ((match = FENCE.exec(line))) {
      const [, { length }, fence, language] = match;
      const end = RegExp(`^ {0,3}${fence[0]}{${fence.length},}[ \\t]*$`);
      const inner = [];
      while (++i < lines.length && !end.test(lines[i])) inner.push(lines[i].slice(Math.min(length, indent(lines[i]))));
      // One that is not closed yet would show an empty line after each line that came.
      if (i++ === lines.length && inner.at(-1) === '') inner.pop();
      block = (parent) => parent.append(view.code(inner.join('\n').replace(MARKS, ''), language));
    } else if ((match = HEADING.exec(line))) {
      const [, { length }, text] = match;
      i++;
      block = (parent, open) => {
        if (!text) return; // a lone "#": nothing yet, or nothing at all
        // An answer that begins with "###" must not skip levels of the page's outline.
        while (view.levels.at(-1) >= length) view.levels.pop();
        inline(text, `h${Math.min(view.levels.push(length) + 3, 6)}`, parent, view, open);
      };
    } else if (RULE.test(line)) {
      i++;
      block = (parent) => parent.append(h('hr'));
    } else if (depth < MAX_DEPTH && QUOTE.test(line)) {
      const inner = [];
      for (; i < lines.length; i++) {
        if (!QUOTE.test(lines[i]) && (blank(inner.at(-1)) || blank(lines[i]) || interrupts(lines, i))) break;
        inner.push(lines[i].replace(QUOTE, ''));
      }
      const quoted = parse(inner, view, depth + 1);
      block = (parent, open) => {
        const node = h('blockquote');
        parent.append(node);
        draw(quoted, node, open);
      };
    } else if (depth < MAX_DEPTH && isItem(line)) [block, i] = list(lines, i, view, depth);
    else if (isTable(lines, i)) {
      const align = cells(lines[i + 1]).map((cell) => (/:$/.test(cell) ? /^:/.test(cell) ? 'center' : 'end' : null));
      const rows = [line];
      for (i += 2; i < lines.length && !blank(lines[i]) && !interrupts(lines, i); i++) rows.push(lines[i]);
      block = (parent, open) => {
        const [head, ...body] = rows.map((row, n) => {
          const texts = cells(row);
          const node = h('tr');
          align.forEach((side, column) => {
            const last = open && n === rows.length - 1 && column === texts.length - 1;
            inline(texts[column] ?? '', n ? 'td' : 'th', node, view, last).className = side ?? '';
          });
          return node;
        });
        parent.append(view.table(h('table', {}, h('thead', {}, head), h('tbody', {}, body))));
      };
    } else {
      do i++; while (i < lines.length && !blank(lines[i]) && !interrupts(lines, i));
      const text = lines.slice(from, i).map((part) => part.trimStart()).join('\n').trimEnd();
      // In a tight list the text stands in the item itself.
      block = (parent, open, tight) => inline(text, tight ? parent : 'p', parent, view, open);
    }
    blocks.push({ draw: block, from, to: i });
  }
  return blocks;
}

/** How to draw the list that begins in line `to`, and the line behind it. */
function list(lines, to, view, depth) {
  const kind = (item) => item?.[2].at(-1);
  const first = isItem(lines[to]);
  const start = parseInt(first[2], 10);
  const items = [];
  let loose = false;
  let item;
  while (to < lines.length && kind(item = isItem(lines[to])) === kind(first)) {
    // More than four spaces after the marker belong to the text.
    const gap = item[3].length;
    const width = item[1].length + item[2].length + (gap > 4 || item[0] === lines[to] ? 1 : gap);
    const inner = [lines[to].slice(width)];
    let cut = width;
    for (to++; to < lines.length; to++) {
      const line = lines[to];
      const marker = isItem(line);
      // Models often indent a list inside "1." by two spaces where CommonMark asks for three.
      if (marker && marker[1].length > item[1].length + 1 && kind(marker) !== kind(first)) cut = Math.min(cut, marker[1].length);
      if (!blank(line) && indent(line) < cut && (blank(inner.at(-1)) || marker || interrupts(lines, to))) break;
      inner.push(line.slice(Math.min(cut, indent(line))));
    }
    const written = inner.length;
    while (inner.length > 1 && blank(inner.at(-1))) inner.pop();
    const blocks = parse(inner, view, depth + 1);
    loose ||= (inner.length < written && to < lines.length && kind(isItem(lines[to])) === kind(first))
      || blocks.some((block, n) => n && block.from > blocks[n - 1].to);
    items.push(blocks);
  }
  while (blank(lines[to - 1])) to--; // or a list would hide the blank line that makes its parent loose
  return [(parent, open) => {
    const node = h(start >= 0 ? 'ol' : 'ul', { start: start >= 0 && start !== 1 && `${start}` });
    parent.append(node);
    items.forEach((blocks, n) => {
      const entry = h('li');
      node.append(entry);
      blocks.forEach((block, m) => block.draw(entry, open && n === items.length - 1 && m === blocks.length - 1, !loose));
    });
  }, to];
}

// ---------------------------------------------------------------------------------- inline → DOM

/**
 * What is not plain text. In this order: an escaped sign, backticks, a run of * _ or ~, what opens a link
 * and what may close it, <an address>, a bare address without the punctuation of the sentence around it,
 * an entity, a break.
 */
const TOKEN = /\\([!-/:-@[-`{-~\n])|(`+)|(([*_~])\4*)|(!?\[)|(\])|<((?:https?:\/\/|mailto:)[^\s<>]*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>|(?<!\w)(https?:\/\/(?:\([^\s()]*\)|[^\s<>[\]`"()])*(?:\([^\s()]*\)|[^\s<>[\]`"()?!.,:;*_~']))|&(amp|lt|gt|quot|nbsp|#39);|( {2,}\n *|<br *\/?>)/gi;
const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: '\u00a0', '#39': "'" };
const TARGET = /\([ \n]*(?:<([^<>\n]*)>|((?:\\[!-~]|[^\s()\\]|\((?:\\[!-~]|[^\s()\\])*\))*))(?:[ \n]+(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\((?:\\.|[^)\\])*\)))?[ \n]*\)/y;
const SPACE = /\s/;
const PUNCTUATION = /[\p{P}\p{S}]/u;

/** Whether a run between these two characters is flanking, as CommonMark has it, on the side of `inner`. */
function flanks(inner, outer) {
  return !SPACE.test(inner) && (!PUNCTUATION.test(inner) || SPACE.test(outer) || PUNCTUATION.test(outer));
}

/**
 * Inline Markdown in a new element `name` of `above` (or in the node that `name` is), by CommonMark's
 * delimiter algorithm with the DOM as its linked list. Returns that element.
 */
function inline(text, name, above, view, open) {
  const parent = name === above ? above : h(name);
  if (parent !== above) above.append(parent);
  // In an unfinished line half a marker is noise: "[1" is about to be a citation, "**" bold.
  if (open) text = text.replace(/(?:\[\d{0,2}|[*_~`]+)$/, '');
  const marks = []; // runs of * _ ~ that may open or close emphasis
  const brackets = []; // [ and ![ that may begin a link
  const put = (node) => {
    parent.append(node);
    return parent.lastChild;
  };
  for (let at = 0; at < text.length;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    put(text.slice(at, match?.index));
    if (!match) break;
    const [whole, escaped, ticks, run, , opening, closing, address, bare, entity] = match;
    at = TOKEN.lastIndex;
    if (escaped) put(escaped === '\n' ? h('br') : escaped);
    else if (entity) put(ENTITIES[entity.toLowerCase()]);
    else if (bare) put(link('', bare, {}, bare));
    else if (address) put(link('', address.includes(':') ? address : `mailto:${address}`, {}, address));
    else if (run) {
      // Whole characters on both sides: half a surrogate pair is neither letter nor sign.
      const before = [...text.slice(Math.max(0, match.index - 3), match.index).replace(MARKS, '')].at(-1) ?? ' ';
      const after = [...text.slice(at, at + 3).replace(MARKS, '')][0] ?? ' ';
      const [left, right] = [flanks(after, before), flanks(before, after)];
      const mark = { node: put(run), char: run[0], count: run.length, length: run.length };
      mark.opens = left && (run[0] !== '_' || !right || PUNCTUATION.test(before));
      mark.closes = right && (run[0] !== '_' || !left || PUNCTUATION.test(after));
      if (run[0] !== '~' || run === '~~') marks.push(mark);
    } else if (ticks) {
      const end = RegExp(`(?<!\`)${ticks}(?!\`)`, 'g');
      end.lastIndex = at;
      const to = end.exec(text)?.index ?? (open ? text.length : 0);
      if (!to) {
        put(ticks);
        continue;
      }
      const code = text.slice(at, to).replaceAll('\n', ' ');
      put(h('code', { dir: 'ltr' }, /^ .*[^ ].* $/.test(code) ? code.slice(1, -1) : code));
      at = to + ticks.length;
    } else if (opening) brackets.push({ node: put(opening), marks: marks.length, at, active: true });
    else if (closing) {
      const bracket = brackets.pop();
      TARGET.lastIndex = at;
      const target = bracket?.active && TARGET.exec(text);
      const label = text.slice(bracket?.at, match.index);
      const cited = /^\d{1,3}(, ?\d{1,3})*$/.test(label) && bracket?.node.data === '['
        ? label.split(',').map((n) => view.cite(+n)) : [];
      // An address that is still coming is not worth showing.
      if (target || (bracket?.active && open && /^\([^)\n]*$/.test(text.slice(at)))) {
        emphasise(marks, bracket.marks);
        const node = link('', (target?.[1] ?? target?.[2] ?? '').replace(/\\([!-/:-@[-`{-~])/g, '$1'));
        wrap(bracket.node, null, node);
        for (const inner of node.querySelectorAll('a')) inner.replaceWith(...inner.childNodes);
        if (bracket.node.data === '[') for (const outer of brackets) outer.active &&= outer.node.data !== '[';
        bracket.node.remove();
        at = target ? TARGET.lastIndex : text.length;
      } else if (cited[0] && cited.every((node) => node)) {
        while (bracket.node.nextSibling) bracket.node.nextSibling.remove();
        bracket.node.replaceWith(...cited);
      } else put(closing);
    } else put(h('br'));
  }
  emphasise(marks, 0, open);
  parent.normalize();
  if (text !== text.replace(MARKS, '')) doubt(parent, view);
  return parent;
}

/** Moves what stands between two siblings (or after the first) into `wrapper`, placed after the first. */
function wrap(from, to, wrapper) {
  while (from.nextSibling && from.nextSibling !== to) wrapper.append(from.nextSibling);
  from.after(wrapper);
}

function emphasise(marks, bottom, open) {
  const pair = (opener, to, count) => {
    wrap(opener.node, to, h(opener.char === '~' ? 'del' : count > 1 ? 'strong' : 'em'));
    for (const mark of [opener, closing]) {
      if (!mark) continue;
      mark.count -= count;
      mark.node.data = mark.node.data.slice(count);
    }
  };
  let closing;
  for (let c = bottom; c < marks.length; c++) {
    closing = marks[c];
    while (closing.closes && closing.count) {
      let o = c - 1;
      // CommonMark's rule of three keeps "*a**b*" apart.
      const fits = (mark) => mark.opens && mark.count && mark.char === closing.char
        && !((mark.closes || closing.opens) && (mark.length + closing.length) % 3 === 0 && (mark.length % 3 || closing.length % 3));
      while (o >= bottom && !fits(marks[o])) o--;
      if (o < bottom) {
        // Nothing before can open this kind; without this, long runs of closers cost their square.
        if (!closing.opens) marks.splice(c--, 1);
        break;
      }
      pair(marks[o], closing.node, Math.min(marks[o].count, closing.count, 2));
      marks.splice(o + 1, c - o - 1); // what lay between can no longer pair
      c = o + 1;
    }
  }
  closing = null;
  // The last few may yet be closed; a line with more of them open is not about emphasis.
  for (const mark of marks.splice(bottom).slice(-4).reverse()) {
    if (open && mark.opens && mark.count && mark.node.nextSibling) pair(mark, null, Math.min(mark.count, 2));
  }
}

/** Marks what stands between `DOUBT` and `END`, and says so behind it. */
function doubt(parent, view) {
  let doubted = false;
  const texts = document.createTreeWalker(parent, NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (texts.nextNode()) nodes.push(texts.currentNode);
  for (const node of nodes) {
    node.replaceWith(...node.data.split(RegExp(`(${MARKS.source})`)).map((text) => {
      if (text === DOUBT || text === END) doubted = text === DOUBT;
      return text === END ? view.doubt() : text === DOUBT ? '' : doubted && text && !node.parentNode.matches('button') ? h('mark', {}, text) : text;
    }));
  }
}

// ---------------------------------------------------------------------------------- as it streams

/**
 * Markdown that grows in `target`: `push` text, `render` now and then, `end` once. Blocks that can no
 * longer change are built once and left alone, so that selections, scrolling and focus in them survive;
 * only the open end is built anew. What stands there after `end` is the same however the text was cut.
 *
 * `view` makes what Markdown does not say: `cite(n)` the node for `[n]`, or null where no such source
 * was offered; `code(text, language)`; `table(node)`; `doubt()`, behind a sentence in DOUBT and END.
 */
export function newMarkdown(target, view) {
  let text = '';
  let kept = 0; // nodes that no longer change
  const levels = []; // of the headings above

  function render(ended) {
    // Tabs stay as they are, in code too, but for those that nest a list.
    const lines = text.replace(/^\t+(?=[-+*\d])/gm, (tabs) => tabs.replaceAll('\t', '    ')).split('\n');
    const context = { ...view, levels };
    const blocks = parse(lines, context);
    // A block is closed when the next one has begun and the line after that beginning, which may
    // still make it a table, is complete; the last line never is.
    let closed = ended ? blocks.length : 0;
    while (!ended && closed + 1 < blocks.length && blocks[closed + 1].from + 2 < lines.length) closed++;
    while (target.childNodes[kept]) target.lastChild.remove();
    draw(blocks.slice(0, closed), target);
    kept = target.childNodes.length;
    context.levels = [...levels];
    draw(blocks.slice(closed), target, true);
    if (closed) text = closed < blocks.length ? lines.slice(blocks[closed].from).join('\n') : '';
  }

  return {
    push(more) {
      text += more.replaceAll('\r', '');
    },
    render,
    end() {
      render(true);
    },
  };
}
