// The widget in a real browser against a running bot, as the person in front of it sees it.
// $ node tests/web/widget.mjs http://127.0.0.1:8787
import assert from 'node:assert/strict';
import { launch, violations } from './browser.mjs';
import { HOSTILE, ORDINARY } from './markdown.mjs';
import { run } from './run.mjs';

const base = (process.argv[2] ?? 'http://127.0.0.1:8787').replace(/\/$/, '');
const QUESTION = 'What does docent ingest do?';
const FOLLOW_UP = 'How do I deploy the bot?';

/** No inline style or script, no eval, no HTML from strings: the widget has to work under this. */
const STRICT = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'none'; base-uri 'none'; "
  + "require-trusted-types-for 'script'; trusted-types 'none'";
/** A page of somebody else's with the script in it twice, by mistake. */
const OTHER_PAGE = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title><main><h1>A page</h1>'
  + '<p><a href="#x">Its link</a></p></main><script src="/widget.js" async></script><script src="/widget.js" async></script></html>';

const browser = await launch();

/** A visitor's page, forgotten afterwards. Fails when the page reports an error or a violated policy. */
async function visit(path, test, { options = {}, expected = [] } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  const complaints = [];
  try {
    await context.route((url) => url.origin !== new URL(base).origin && url.protocol.startsWith('http'), (route) => route.fulfill({ body: 'elsewhere' }));
    await context.route(`${base}/other-page`, (route) => route.fulfill({
      body: OTHER_PAGE, contentType: 'text/html', headers: { 'content-security-policy': STRICT },
    }));
    await context.route(`${base}/favicon.ico`, (route) => route.fulfill({ status: 204 }));
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    await page.goto(base + path);
    await test(page, context);
    assert.deepEqual(complaints.filter((text) => !expected.some((pattern) => pattern.test(text))), [], 'the browser complained');
  } finally {
    await context.close();
  }
}

const input = (page) => page.getByRole('textbox', { name: 'Your question' });
const log = (page) => page.getByRole('log');
const turns = (page) => page.locator('docent-chat .turn');
const answer = (page) => turns(page).last().locator('.answer');
const launcher = (page) => page.locator('docent-chat .launcher');

/** Waits until the last of `count` turns is no longer being written. */
async function settled(page, count) {
  await turns(page).nth(count - 1).waitFor();
  await page.locator('docent-chat [role=log][aria-busy=false]').waitFor();
}

async function ask(page, question, count = 1) {
  await input(page).fill(question);
  await input(page).press('Enter');
  await settled(page, count);
}

/** Has the page's next questions answered with `parts` by way of a stream cut into single bytes. */
function answerWith(page, parts, { done = true, ends = true, newline = '\r\n' } = {}) {
  return page.evaluate(([data, nl, close]) => {
    const real = window.fetch;
    window.fetch = (url, init) => {
      if (!String(url).endsWith('/v1/chat')) return real(url, init);
      const bytes = new TextEncoder().encode(data.map((text) => `: comment${nl}data: ${text}${nl}${nl}`).join(''));
      let at = 0;
      window.hungUp = false;
      const body = new ReadableStream({
        start(controller) {
          init.signal.addEventListener('abort', () => {
            window.hungUp = true;
            controller.error(init.signal.reason);
          });
        },
        pull(controller) {
          if (at < bytes.length) controller.enqueue(bytes.slice(at, ++at));
          else if (close) controller.close();
        },
      });
      return Promise.resolve(new Response(body, { headers: { 'content-type': 'text/event-stream' } }));
    };
  }, [[...parts.map((part) => JSON.stringify(part)), ...(done && ends ? ['[DONE]'] : [])], newline, ends]);
}

const START = { type: 'start', messageId: 'm1', messageMetadata: { trace_id: 't' } };
const SOURCE = { type: 'source-url', sourceId: '1', url: 'https://docs.example/install#linux', title: 'Install',
  providerMetadata: { docent: { heading: 'On Linux', snippet: 'Run the installer.', score: 0.7 } } };
const text = (delta) => ({ type: 'text-delta', id: '0', delta });
const FINISH = { type: 'finish', finishReason: 'stop', messageMetadata: { refused: false, memory: 'kept' } };

const tests = [
  ['an answer streams in under its sources, and both lead to the page', () => visit('/', async (page, context) => {
    await input(page).waitFor();
    await page.locator('docent-chat').evaluate((chat) => {
      window.seen = [];
      new MutationObserver(() => {
        const [sources, length] = [chat.shadowRoot.querySelectorAll('.source').length, chat.shadowRoot.querySelector('.answer')?.textContent.length ?? 0];
        window.seen.push({ sources, length });
      }).observe(chat.shadowRoot, { subtree: true, childList: true, characterData: true });
    });
    await ask(page, QUESTION);
    const seen = await page.evaluate(() => window.seen);
    const first = seen.find(({ length }) => length > 0);
    assert.ok(first?.sources > 0, `sources come before the first word: ${JSON.stringify(seen)}`);
    assert.ok(new Set(seen.map(({ length }) => length)).size > 3, `the answer grows: ${JSON.stringify(seen)}`);
    for (const kind of ['.cite', '.source']) {
      const link = turns(page).last().locator(`a${kind}`).first();
      assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
      const [opened] = await Promise.all([context.waitForEvent('page'), link.click()]);
      assert.equal(opened.url(), await link.evaluate((node) => node.href));
      assert.equal(await opened.evaluate(() => window.opener), null);
    }
  })],

  ['a conversation goes on after a reload, and ends with "New conversation"', () => visit('/', async (page) => {
    const sessions = [];
    page.on('request', (request) => request.url().endsWith('/v1/chat') && sessions.push(request.postDataJSON().session));
    await ask(page, QUESTION);
    await ask(page, FOLLOW_UP, 2);
    assert.equal(sessions[0], undefined);
    assert.ok(sessions[1], 'the second question names the session');
    // What to go on with belongs to the answer of just now.
    const said = () => turns(page).locator(':scope > :not(.next)').allInnerTexts();
    const before = await said();
    // The bot stores a turn after its stream has ended, so a very fast reader may be early.
    for (let n = 0; n < 20; n++) {
      await page.reload();
      await page.locator('docent-chat :is(.turn, .greeting):visible').first().waitFor();
      if ((await turns(page).count()) === 2) break;
    }
    assert.deepEqual(await said(), before);
    assert.ok(await turns(page).first().locator('a.source').count(), 'sources are remembered too');
    await page.getByRole('button', { name: 'New conversation' }).click();
    assert.equal(await turns(page).count(), 0);
    await page.reload();
    await page.locator('docent-chat .greeting').waitFor();
    assert.equal(await turns(page).count(), 0);
  })],

  ['a session that the bot no longer accepts is replaced without the reader noticing', () => visit('/', async (page) => {
    await input(page).waitFor();
    await page.evaluate((key) => localStorage.setItem(key, 's1.0.0.00'), `docent:session:${base}`);
    await ask(page, QUESTION);
    assert.equal(await page.getByRole('alert').count(), 0);
    assert.ok((await answer(page).innerText()).length > 0);
  }, { expected: [/401/] })],

  ['the button opens and closes by keyboard alone, and focus returns', () => visit('/other-page', async (page) => {
    await launcher(page).waitFor();
    assert.equal(await page.locator('docent-chat').count(), 1, 'loading the script twice adds one button');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    assert.equal(await launcher(page).getAttribute('aria-expanded'), 'true');
    const focused = () => page.evaluate(() => document.activeElement.shadowRoot?.activeElement?.className || document.activeElement.shadowRoot?.activeElement?.id);
    assert.equal(await focused(), 'input');
    await page.keyboard.type('one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('two');
    assert.equal(await input(page).inputValue(), 'one\ntwo');
    await input(page).dispatchEvent('keydown', { key: 'Enter', isComposing: true });
    assert.equal(await turns(page).count(), 0, 'an Enter that ends the composition of a character sends nothing');
    await page.keyboard.press('Control+A');
    await page.keyboard.type(QUESTION);
    await page.keyboard.press('Enter');
    await settled(page, 1);
    assert.equal(await focused(), 'input');
    await page.keyboard.press('Escape');
    assert.equal(await page.getByRole('dialog').count(), 0);
    assert.equal(await focused(), 'launcher');
  })],

  ['keys typed into the question are no shortcuts of the page', () => visit('/other-page', async (page) => {
    await page.evaluate(() => { window.keys = []; addEventListener('keydown', (event) => window.keys.push(event.key)); });
    await launcher(page).click();
    await input(page).pressSequentially('s/k');
    assert.deepEqual(await page.evaluate(() => window.keys), []);
  })],

  ['under the strictest policy it is styled, works and violates nothing', () => visit('/other-page', async (page) => {
    assert.equal(await launcher(page).evaluate((node) => getComputedStyle(node).position), 'fixed');
    await launcher(page).click();
    await ask(page, QUESTION);
    assert.ok((await answer(page).innerText()).length > 0);
  })],

  ['the demo page is styled under its own policy', () => visit('/', async (page) => {
    await page.locator('docent-chat .greeting').waitFor();
    assert.match(await page.evaluate(() => getComputedStyle(document.body).fontFamily), /system-ui/);
  })],

  ...['light', 'dark'].map((colorScheme) => [`axe finds nothing wrong in ${colorScheme}: empty, streaming, answered, failed`, () => visit('/', async (page) => {
    const clean = async (moment) => assert.deepEqual(await violations(page), [], moment);
    await page.locator('docent-chat .greeting').waitFor();
    await clean('empty');
    await input(page).fill(QUESTION);
    await input(page).press('Enter');
    await turns(page).locator('.source').first().waitFor();
    await clean('streaming');
    await settled(page, 1);
    await clean('answered');
    await answerWith(page, [START, SOURCE, text(`${ORDINARY}`), { type: 'data-docent-error', data: { code: 'upstream' } }, { type: 'error', errorText: 'x' }]);
    await ask(page, 'Everything at once?', 2);
    await page.getByRole('alert').waitFor();
    await clean('failed');
  }, { options: { colorScheme } })]),

  ['axe finds nothing wrong with the button and its panel', () => visit('/other-page', async (page) => {
    await launcher(page).waitFor();
    assert.deepEqual(await violations(page), [], 'closed');
    await launcher(page).click();
    await page.locator('docent-chat .greeting').waitFor();
    assert.deepEqual(await violations(page), [], 'open');
  })],

  ['a screen reader hears the finished answer once, and not every word of it', () => visit('/', async (page) => {
    await input(page).waitFor();
    await page.locator('docent-chat').evaluate((chat) => {
      window.said = [];
      const status = chat.shadowRoot.querySelector('[role=status]');
      new MutationObserver(() => window.said.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
    });
    await ask(page, QUESTION);
    const said = await page.evaluate(() => window.said);
    assert.equal(await log(page).getAttribute('aria-live'), 'off');
    assert.equal(said.length, 2, JSON.stringify(said));
    assert.match(said[1], /^Answer: /);
  })],

  ['Stop hangs up, keeps what was said, and lets the next question through', () => visit('/', async (page) => {
    await input(page).waitFor();
    await answerWith(page, [START, SOURCE, text('The beginning [1]')], { ends: false });
    await input(page).fill(QUESTION);
    await input(page).press('Enter');
    await answer(page).getByText('The beginning').waitFor();
    assert.equal(await page.evaluate(() => window.hungUp), false);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('You stopped this answer.').waitFor();
    assert.equal(await page.evaluate(() => window.hungUp), true);
    assert.equal(await answer(page).innerText(), 'The beginning 1');
    await answerWith(page, [START, text('Next'), FINISH]);
    await ask(page, FOLLOW_UP, 2);
    assert.equal(await answer(page).innerText(), 'Next');
  })],

  ['a failed answer says so in words, keeps what was said, and can be tried again', () => visit('/', async (page) => {
    await input(page).waitFor();
    await answerWith(page, [START, SOURCE, text('Half an '), text('answer [1]')], { done: false });
    await ask(page, QUESTION);
    assert.match(await page.getByRole('alert').innerText(), /broke off before the answer was complete/);
    assert.match(await answer(page).innerText(), /^Half an answer/);
    await answerWith(page, [START, SOURCE, text('A whole answer [1]'), FINISH]);
    await page.getByRole('button', { name: 'Try again' }).click();
    await answer(page).getByText('A whole answer').waitFor();
    assert.deepEqual([await turns(page).count(), await page.getByRole('alert').count()], [1, 0]);
  })],

  ['a bot that cannot answer just now says when to come back', () => visit('/', async (page, context) => {
    const reply = (status, code, more) => context.route(`${base}/v1/chat`, (route) => route.fulfill({
      status, contentType: 'application/json', body: JSON.stringify({ error: { code, message: 'too many questions', ...more } }),
    }), { times: 1 });
    await reply(429, 'rate_limited', { retry_after: 2 });
    await ask(page, QUESTION);
    assert.match(await page.getByRole('alert').innerText(), /^Too many questions\.$/);
    assert.ok(await page.getByRole('button', { name: /Try again in \d s/ }).isDisabled());
    await page.getByRole('button', { name: 'Try again', exact: true }).click();
    await page.getByRole('alert').waitFor({ state: 'detached' });
    await settled(page, 1);
    await context.route(`${base}/v1/chat`, (route) => route.abort(), { times: 1 });
    await ask(page, FOLLOW_UP, 2);
    assert.match(await page.getByRole('alert').innerText(), /cannot be reached/);
  }, { expected: [/429/, /ERR_FAILED/] })],

  ['a stream is read the same in single bytes, whatever its line ends', async () => {
    for (const newline of ['\n', '\r\n', '\r']) {
      await visit('/', async (page) => {
        await input(page).waitFor();
        await answerWith(page, [START, SOURCE, { type: 'data-docent-cite', data: { n: 1 } }, { type: 'text-start', id: '0' },
          text('Grüße, 世界 🙂 **fett'), text('** [1'), text('] \ud83d'), text('\ude42'), { type: 'text-end', id: '0' }, FINISH], { newline });
        await ask(page, QUESTION);
        assert.equal(await answer(page).innerText(), 'Grüße, 世界 🙂 fett 1 🙂');
        assert.equal(await answer(page).locator('strong').innerText(), 'fett');
        assert.equal(await answer(page).locator('a.cite').getAttribute('href'), SOURCE.url);
      });
    }
  }],

  ['what the documentation does not answer looks different', () => visit('/', async (page) => {
    await input(page).waitFor();
    await answerWith(page, [START, text("I don't know."), { ...FINISH, messageMetadata: { refused: true } }]);
    await ask(page, QUESTION);
    await page.getByText('Not in the documentation', { exact: true }).waitFor();
  })],

  ['who asks for a person is shown the way, and sends the conversation by keyboard alone', () => visit('/', async (page, context) => {
    await ask(page, 'Please let me talk to a human');
    assert.equal(await page.getByRole('link', { name: 'Ask a person' }).getAttribute('href'), 'mailto:help@example.com');
    const opener = page.getByRole('button', { name: 'Send this conversation to a person' });
    const [contact, comment] = ['How to reach you (optional)', 'What to add (optional)'].map((name) => page.getByRole('textbox', { name }));
    const focused = (locator) => locator.evaluate((node) => node.getRootNode().activeElement === node);
    await opener.focus();
    await page.keyboard.press('Enter');
    assert.ok(await focused(contact));
    assert.equal(await opener.getAttribute('aria-expanded'), 'true');
    assert.deepEqual(await violations(page), [], 'the form');
    await page.keyboard.press('Escape');
    assert.ok(await focused(opener), 'Escape closes the form alone');
    assert.ok(!(await contact.isVisible()));
    await page.keyboard.press('Enter');
    await page.keyboard.type('visitor@example.com');
    await page.keyboard.press('Tab');
    await page.keyboard.type('In the morning');
    await page.keyboard.press('Enter');
    await page.keyboard.type('please');
    assert.equal(await comment.inputValue(), 'In the morning\nplease', 'Enter is a new line there');
    const sent = [];
    page.on('request', (request) => request.url().endsWith('/v1/handoff') && sent.push(request.postDataJSON()));
    await context.route(`${base}/v1/handoff`, (route) => route.fulfill({ status: 502, contentType: 'application/json',
      body: JSON.stringify({ error: { code: 'upstream', message: 'it could not be delivered' } }) }), { times: 1 });
    const send = page.locator('docent-chat form').getByRole('button', { name: 'Send' });
    const status = page.locator('docent-chat .handoff [role=status]');
    await send.press('Enter');
    await status.getByText('It could not be delivered.').waitFor();
    assert.equal(await comment.inputValue(), 'In the morning\nplease', 'nothing that was typed is lost');
    await send.press('Enter');
    await status.getByText('Sent.').waitFor();
    assert.ok(await focused(status));
    assert.equal(await page.locator('docent-chat form').count() + (await opener.count()), 0, 'it is not sent twice');
    assert.deepEqual(await violations(page), [], 'sent');
    const { session, message_id, ...rest } = sent[1];
    assert.ok(session.startsWith('s1.') && /^[0-9a-f]{32}$/.test(message_id));
    assert.deepEqual(rest, { page: `${base}/`, contact: 'visitor@example.com', comment: 'In the morning\nplease' });
  }, { expected: [/502/] })],

  ['an answer without a way to a person shows none, and a mood shows it beside the answer', () => visit('/', async (page) => {
    await input(page).waitFor();
    const opener = page.getByRole('button', { name: 'Send this conversation to a person' });
    const finish = (handoff) => ({ ...FINISH, messageMetadata: { ...FINISH.messageMetadata, handoff } });
    for (const [at, [handoff, link, form]] of [[undefined, 0, 0], [{ why: 'mood', transcript: true }, 0, 1],
      [{ why: 'mood', support_url: 'https://www.example.com/help', transcript: false }, 1, 0]].entries()) {
      await answerWith(page, [START, SOURCE, text('The answer [1]'), finish(handoff)]);
      await ask(page, QUESTION, at + 1);
      const turn = turns(page).last();
      assert.match(await turn.locator('.answer').innerText(), /^The answer/);
      assert.deepEqual([await turn.getByRole('link', { name: 'Ask a person' }).count(), await turn.locator(opener).count()], [link, form]);
    }
  })],

  ['what a tool said has no pages below it, unless it cites one', () => visit('/', async (page) => {
    await input(page).waitFor();
    const called = { type: 'data-docent-tool', data: { name: 'order_status' } };
    const finish = (ok) => ({ ...FINISH, messageMetadata: { ...FINISH.messageMetadata, tools: [{ name: 'order_status', ok }] } });
    for (const [at, [words, ok, visible]] of [['It was shipped.', true, false], ['It was shipped [1].', true, true],
      ['It could not be looked up.', false, true]].entries()) {
      await answerWith(page, [START, SOURCE, called, text(words), finish(ok)]);
      await ask(page, QUESTION, at + 1);
      assert.equal(await turns(page).last().locator('.source').isVisible(), visible, words);
    }
  })],

  ['Markdown looks the same however it was cut while it streamed', () => visit('/', async (page) => {
    await input(page).waitFor();
    const differing = await page.evaluate((texts) => {
      const { Markdown } = customElements.get('docent-chat');
      const cite = (n) => (n < 3 ? Object.assign(document.createElement('b'), { textContent: `#${n}` }) : null);
      const html = (node) => {
        const box = document.createElement('div');
        box.append(node);
        return box.innerHTML;
      };
      // A fixed sequence, so that a failure can be repeated.
      let seed = 7;
      const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
      const found = [];
      for (const whole of texts) {
        const expected = html(Markdown.render(whole, cite));
        for (let round = 0; round < (whole.length < 2000 ? 60 : 2); round++) {
          const box = document.createElement('div');
          const markdown = new Markdown(box, cite);
          const step = round === 0 && whole.length < 2000 ? 1 : 1 + random(whole.length < 2000 ? 40 : 2000);
          for (let at = 0; at < whole.length;) {
            const size = step === 1 ? 1 : 1 + random(step);
            markdown.push(whole.slice(at, at + size));
            at += size;
            if (step === 1 || random(2)) markdown.render();
          }
          markdown.end();
          if (box.innerHTML !== expected) found.push({ whole: whole.slice(0, 200), got: box.innerHTML.slice(0, 2000), expected: expected.slice(0, 2000) });
        }
      }
      return found.slice(0, 1);
    }, [ORDINARY, ...HOSTILE]);
    assert.deepEqual(differing, []);
  })],

  ['Markdown that means harm does none', () => visit('/', async (page, context) => {
    const elsewhere = [];
    context.on('request', (request) => request.url().startsWith(base) || elsewhere.push(request.url()));
    await input(page).waitFor();
    const cards = HOSTILE.map((payload, n) => ({ ...SOURCE, sourceId: String(n + 1), title: payload.slice(0, 500),
      url: /\]\((\S+)\)/.exec(payload)?.[1] ?? payload.slice(0, 500), providerMetadata: { docent: { heading: payload.slice(0, 500), snippet: payload.slice(0, 500) } } }));
    await answerWith(page, [START, ...cards, text(HOSTILE.join('\n\n')), FINISH], { newline: '\n' });
    await ask(page, HOSTILE.slice(0, 20).join('\n'));
    const bad = await page.evaluate(() => {
      const names = new Set();
      const root = document.querySelector('docent-chat').shadowRoot;
      const allowed = /^(svg|path|section|header|h[2-6]|button|div|p|ul|ol|li|label|textarea|article|span|a|strong|em|del|code|pre|table|thead|tbody|tr|th|td|blockquote|br|hr)$/;
      for (const node of root.querySelectorAll('*')) {
        if (!allowed.test(node.localName)) names.add(node.localName);
        for (const { name, value } of node.attributes) {
          if (/^(on|style|src)/.test(name)) names.add(`${node.localName} ${name}`);
          if (name === 'href' && !/^(https?|mailto):/.test(value)) names.add(value);
        }
      }
      for (const link of root.querySelectorAll('.turn a')) link.addEventListener('click', (event) => event.preventDefault());
      for (const node of root.querySelectorAll('.turn *')) {
        for (const type of ['mouseover', 'focus', 'click', 'toggle', 'error', 'load']) node.dispatchEvent(new Event(type, { cancelable: true }));
      }
      return [...names];
    });
    assert.deepEqual(bad, []);
    assert.equal(await page.evaluate(() => window.hit), undefined);
    assert.deepEqual(elsewhere, [], 'nothing is fetched that an answer names');
  })],

  ['storage that a browser forbids costs the memory, not the answer', () => visit('/', async (page) => {
    await page.addInitScript(() => Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } }));
    await page.reload();
    await ask(page, QUESTION);
    assert.ok((await answer(page).innerText()).length > 0);
  })],

  ['320 pixels are wide enough', async () => {
    const options = { viewport: { width: 320, height: 640 } };
    for (const path of ['/', '/other-page']) {
      await visit(path, async (page) => {
        if (path !== '/') await launcher(page).click();
        await answerWith(page, [START, SOURCE, text(ORDINARY), { ...FINISH, messageMetadata: { handoff: { transcript: true } } }]);
        await ask(page, 'a-very-long-word-'.repeat(20));
        await page.getByRole('button', { name: 'Send this conversation to a person' }).click();
        const [page_, wide] = await page.evaluate(() => {
          const root = document.querySelector('docent-chat').shadowRoot;
          const log = root.querySelector('[role=log]');
          return [document.documentElement.scrollWidth, log.scrollWidth - log.clientWidth];
        });
        assert.ok(page_ <= 320 && wide <= 0, `${path}: page ${page_}, conversation wider by ${wide}`);
        const small = await page.locator('docent-chat').evaluate((chat) => [...chat.shadowRoot.querySelectorAll('button, input, textarea, .source')]
          .map((node) => node.getBoundingClientRect()).filter((box) => box.width && (box.width < 44 || box.height < 44)).length);
        assert.equal(small, 0, 'every button is large enough for a thumb');
      }, { options });
    }
  }],
];

const code = await run(tests);
await browser.close();
process.exit(code);
