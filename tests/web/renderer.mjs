// The widget's Markdown in a real browser: CommonMark's own examples, and streams cut anywhere.
// $ node tests/web/renderer.mjs http://127.0.0.1:8787
import assert from 'node:assert/strict';
import spec from 'commonmark-spec';
import { launch } from './browser.mjs';
import { HOSTILE, ORDINARY, PIECES } from './markdown.mjs';
import { run } from './run.mjs';

const base = (process.argv[2] ?? 'http://127.0.0.1:8787').replace(/\/$/, '');

/**
 * The examples of CommonMark 0.31.2 that the widget renders otherwise, and why. All others have to be
 * right; one of these that is right is a mistake in this list.
 */
const LEFT_OUT = {
  'raw HTML is text': '21 31 91 110 148-191 195 201 308-309 344 475-477 491 493-494 524 536 580 613-617 623 625-631 642-643',
  'no reference links': `23 33 192-194 196 198 200 202-208 210 214-218 317 527-530 532-535 537-545 549-550 553-571 592`,
  'images are links': '517 520 531 572-579 581-589 591 593',
  'no underlined headings': '59 80-87 89-90 95-96 100 102-103 115 141 278 300',
  'no code by indentation: models indent what is not code, and what stands in a list': '1-9 18 48-49 69-70 107 111-112 114 '
    + '116-118 134 211 225 231 236 238 252-254 257 264 270-274 286-290 312-313',
  'a list in "10." may be indented by less than that is wide': '297',
  'an item may begin with a blank line': '280',
  'a fence in a quote goes on without its sign': '237',
  'entities that stand for no sign of Markdown or HTML': '25-27 34 36-40',
  'no escapes in the name of a language': '24',
  'an empty heading is nothing': '79',
  'bare addresses are links, and schemes other than http, https and mailto are not': '20 526 596 598-599 601-603 608 611',
  'no parentheses within parentheses, and no blank of any kind, in an address': '496 507',
};

const browser = await launch();
const page = await (await browser.newContext()).newPage();
// A page of the bot's origin without a policy: expected HTML is parsed here.
await page.route(`${base}/empty`, (route) => route.fulfill({ body: '<!doctype html><title>x</title>', contentType: 'text/html' }));
await page.goto(`${base}/empty`);
await page.evaluate(async (address) => {
  const { newMarkdown } = await import(address);
  const el = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const view = {
    cite: (n) => (n < 3 ? el('button', `#${n}`) : null),
    code: (text, language) => {
      const code = el('code', text);
      if (language) code.className = `language-${language}`;
      const pre = el('pre');
      pre.append(code);
      return pre;
    },
    table: (table) => table,
    doubt: () => el('s', '?'),
  };
  /** The HTML of `text` that comes in the pieces that `sizes` says, rendered after each. */
  window.streamed = (text, sizes, citing = true) => {
    const box = el('div');
    const markdown = newMarkdown(box, citing ? view : { ...view, cite: () => null });
    let at = 0;
    for (const size of sizes) {
      markdown.push(text.slice(at, at += size));
      markdown.render();
    }
    markdown.push(text.slice(at));
    markdown.end();
    return box;
  };
}, '/widget/chat.js');

const tests = [
  ['CommonMark\'s examples are rendered as it says, as far as the widget goes', async () => {
    const results = await page.evaluate((examples) => {
      /** What a reader can tell apart: blanks that HTML folds, and levels of headings, are not. */
      const plain = (box) => {
        for (const node of box.querySelectorAll('h1, h2, h3, h4, h5, h6')) node.replaceWith(Object.assign(document.createElement('h1'), { innerHTML: node.innerHTML }));
        for (const node of box.querySelectorAll('*')) {
          for (const { name } of [...node.attributes]) if (!/^(href|class|start)$/.test(name) || (name === 'class' && node.localName !== 'code')) node.removeAttribute(name);
        }
        for (const link of box.querySelectorAll('a')) {
          const address = link.getAttribute('href');
          // No link leads to an address without a host, or to one of another kind.
          if (/^(https?|mailto):/i.test(address)) link.href = new URL(address).href;
          else link.replaceWith(...link.childNodes);
        }
        for (const span of box.querySelectorAll('span')) span.replaceWith(...span.childNodes);
        box.normalize();
        return box.innerHTML.replace(/<pre>.*?<\/pre>|\s+/gs, (part) => (part.startsWith('<pre>') ? part : ' ')).replace(/ ?(<\/?(?:p|h1|ul|ol|li|blockquote|pre|hr|br|div)\b[^>]*>) ?/g, '$1').trim();
      };
      return examples.map(({ markdown, html, number, section }) => {
        const expected = document.createElement('div');
        expected.innerHTML = html.replaceAll('\n</code></pre>', '</code></pre>');
        return { number, section, markdown, expected: plain(expected), got: plain(window.streamed(markdown, [], false)) };
      });
    }, spec.tests.map((test) => ({ ...test, markdown: test.markdown.replaceAll('→', '\t'), html: test.html.replaceAll('→', '\t') })));
    const leftOut = new Set(Object.values(LEFT_OUT).join(' ').split(' ').flatMap((range) => {
      const [from, to = from] = range.split('-').map(Number);
      return Array.from({ length: to - from + 1 }, (_, n) => from + n);
    }));
    const surprises = results.filter(({ number, expected, got }) => leftOut.has(number) === (expected === got));
    assert.deepEqual(surprises, []);
    assert.equal(results.length - leftOut.size, 402, 'examples that are right');
  }],

  ['what stands there does not depend on how the stream was cut, at the end of every prefix', async () => {
    const differing = await page.evaluate((texts) => {
      for (const text of texts) {
        for (let length = 0; length <= text.length; length += text.length < 3000 ? 1 : 997) {
          const prefix = text.slice(0, length);
          const sizes = Array.from({ length: 12 }, (_, n) => 1 + ((length * 31 + n * n * 17) % Math.max(1, Math.ceil(length / 6))));
          const [got, expected] = [sizes, []].map((cuts) => window.streamed(prefix, cuts).innerHTML);
          if (got !== expected) return { prefix, sizes, got, expected };
        }
        if (text.length > 3000) continue;
        const [got, expected] = [Array(text.length).fill(1), []].map((cuts) => window.streamed(text, cuts).innerHTML);
        if (got !== expected) return { text, got, expected };
      }
      return null;
    }, [ORDINARY, ...HOSTILE]);
    assert.equal(differing, null);
  }],

  ['ten thousand random streams are rendered without a fault, a script, or an address of another kind', async () => {
    const bad = await page.evaluate(([pieces, rounds]) => {
      let seed = 11; // a fixed sequence, so that a failure can be repeated
      const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
      const allowed = /^(h[4-6]|p|ul|ol|li|span|a|button|s|strong|em|del|mark|code|pre|table|thead|tbody|tr|th|td|blockquote|br|hr)$/;
      for (let round = 0; round < rounds; round++) {
        const text = Array.from({ length: 1 + random(14) }, () => pieces[random(pieces.length)]).join('');
        const sizes = Array.from({ length: random(20) }, () => 1 + random(1 + random(24)));
        try {
          const [box, whole] = [sizes, []].map((cuts) => window.streamed(text, cuts));
          if (box.innerHTML !== whole.innerHTML) return { text, sizes, got: box.innerHTML, expected: whole.innerHTML };
          for (const node of box.querySelectorAll('*')) {
            if (!allowed.test(node.localName)) return { text, name: node.localName };
            for (const { name, value } of node.attributes) {
              if (!/^(href|target|rel|class|part|start|dir|scope)$/.test(name)) return { text, name };
              if (name === 'href' && !/^(https?|mailto):/.test(value)) return { text, value };
            }
          }
        } catch (error) {
          return { text, sizes, error: String(error.stack) };
        }
      }
      return window.hit ?? null;
    }, [PIECES, 10_000]);
    assert.equal(bad, null);
  }],

  ['a doubted sentence is marked, and nothing else is', async () => {
    const marked = (text) => page.evaluate((it) => window.streamed(it, []).innerHTML, text.replaceAll('{', '\ue000').replaceAll('}', '\ue001'));
    assert.equal(await marked('One. {It costs **5** euros [1].} Two.'),
      '<p>One. <mark>It costs </mark><strong><mark>5</mark></strong><mark> euros </mark><button>#1</button><mark>.</mark><s>?</s> Two.</p>');
    assert.equal(await marked('{**Bold.**} _{a}_ {`b`}'), '<p><strong><mark>Bold.</mark></strong><s>?</s> <em><mark>a</mark><s>?</s></em> <code dir="ltr"><mark>b</mark></code><s>?</s></p>');
    assert.equal(await marked('```\n{x}\n```'), '<pre><code>x</code></pre>');
  }],
];

const code = await run(tests);
await browser.close();
process.exit(code);
