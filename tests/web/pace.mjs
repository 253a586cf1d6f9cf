// What the widget costs a slow phone: four times slower than this machine, in a real browser.
// $ node tests/web/pace.mjs http://127.0.0.1:8787
//
// Prints main-thread milliseconds of the loader, beside a script that adds a paragraph, on a page whose
// first script it is and on one that has a script; and the longest frame while an answer of 2,000 tokens
// streams in, beside a page that only appends the same text. Decides nothing: machines differ.
import { launch } from './browser.mjs';
import { ORDINARY } from './markdown.mjs';

const base = (process.argv[2] ?? 'http://127.0.0.1:8787').replace(/\/$/, '');
const SLOWDOWN = 4;
const ROUNDS = 15;
/** Tokens of the answer, some four characters each, and milliseconds between two. */
const [TOKENS, GAP] = [2000, 5];

const browser = await launch();
const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** A page of 20 paragraphs on a slow machine, with `body` at its end. */
async function slowPage(body) {
  const page = await (await browser.newContext()).newPage();
  await page.route(`${base}/slow`, (route) => route.fulfill({ contentType: 'text/html',
    body: `<!doctype html><html lang="en"><title>x</title><h1>A page</h1>${'<p>Some words of a page.</p>'.repeat(20)}${body}</html>` }));
  await page.route(`${base}/paragraph.js`, (route) => route.fulfill({ contentType: 'text/javascript',
    body: "document.body.append(document.createElement('p'));" }));
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: SLOWDOWN });
  await cdp.send('Performance.enable');
  return { page, cdp };
}

/** Milliseconds that the main thread was busy until a page was loaded and had nothing to do. */
async function busy(body) {
  const { page, cdp } = await slowPage(body);
  await page.goto(`${base}/slow`, { waitUntil: 'networkidle' });
  const { metrics } = await cdp.send('Performance.getMetrics');
  await page.context().close();
  const of = (name) => metrics.find((metric) => metric.name === name).value * 1000;
  return { script: of('ScriptDuration'), all: of('ScriptDuration') + of('LayoutDuration') + of('RecalcStyleDuration') };
}

// A browser makes the context of a page's scripts with the first of them; whichever comes first pays.
const pages = { 'a page without another': '', 'a page that has one': '<script>document.title += "!";</script>' };
const scripts = { nothing: '', paragraph: '<script src="/paragraph.js" async></script>', loader: '<script src="/widget.js" async></script>' };
const runs = {}; // by page and script
for (let round = 0; round < ROUNDS; round++) {
  for (const [page, before] of Object.entries(pages)) {
    for (const [name, script] of Object.entries(scripts)) ((runs[page] ??= {})[name] ??= []).push(await busy(before + script));
  }
}
console.log(`main thread, median of ${ROUNDS}, ${SLOWDOWN}x slower, more than without it:`);
for (const [page, { nothing, ...measured }] of Object.entries(runs)) {
  const middle = (times, part) => median(times.map((run) => run[part]));
  for (const [name, times] of Object.entries(measured)) {
    const [script, all] = ['script', 'all'].map((part) => (middle(times, part) - middle(nothing, part)).toFixed(1));
    console.log(`${name.padEnd(9)} on ${page.padEnd(22)}: ${script} ms of script, ${all} ms with style and layout`);
  }
}

/** Longest frame while `text` comes in, and how many took more than 50 ms. */
async function frames(kind, text) {
  const { page } = await slowPage('<docent-chat></docent-chat><pre id="plain"></pre><script src="/widget.js" async></script>');
  await page.goto(`${base}/slow`, { waitUntil: 'networkidle' });
  await page.locator('docent-chat').scrollIntoViewIfNeeded();
  await page.locator('docent-chat #input').waitFor();
  const measured = await page.evaluate(async ([how, whole, tokens, gap]) => {
    const size = Math.ceil(whole.length / tokens);
    const part = (data) => `data: ${JSON.stringify(data)}\n\n`;
    /** The text as a model sends it, as server-sent events. */
    const stream = new ReadableStream({
      async start(controller) {
        const send = (data) => controller.enqueue(new TextEncoder().encode(part(data)));
        send({ type: 'start', messageId: 'm' });
        send({ type: 'source-url', sourceId: '1', url: 'https://docs.example/', title: 'A page' });
        for (let at = 0; at < whole.length; at += size) {
          send({ type: 'text-delta', id: '0', delta: whole.slice(at, at + size) });
          await new Promise((done) => setTimeout(done, gap));
        }
        send({ type: 'finish', finishReason: 'stop', messageMetadata: {} });
        controller.close();
      },
    });
    const real = window.fetch;
    window.fetch = (url, init) => (String(url).endsWith('/v1/chat') ? Promise.resolve(new Response(stream)) : real(url, init));
    const long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries())).observe({ type: 'long-animation-frame' });
    let [longest, last, going] = [0, performance.now(), true];
    const gaps = [];
    const tick = (now) => {
      gaps.push(now - last);
      longest = Math.max(longest, now - last);
      last = now;
      if (going) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    const begun = performance.now();
    if (how === 'widget') await document.querySelector('docent-chat').ask('Everything?');
    else {
      const plain = document.getElementById('plain');
      for await (const bytes of stream) plain.append(new TextDecoder().decode(bytes));
    }
    going = false;
    await new Promise((done) => setTimeout(done, 200));
    return { seconds: (performance.now() - begun) / 1000, frames: gaps.length, longest, long: long.map((entry) => Math.round(entry.duration)) };
  }, [kind, text, TOKENS, GAP]);
  await page.context().close();
  return measured;
}

const text = ORDINARY.repeat(Math.ceil((TOKENS * 4) / ORDINARY.length)).slice(0, TOKENS * 4);
for (const kind of ['plain', 'widget']) {
  const { seconds, frames: count, longest, long } = await frames(kind, text);
  console.log(`${kind.padEnd(9)}: ${text.length} characters in ${seconds.toFixed(1)} s, ${count} frames, longest between two ${longest.toFixed(0)} ms, over 50 ms of work: ${long.length}${long.length ? ` (${long.join(', ')} ms)` : ''}`);
}
await browser.close();
