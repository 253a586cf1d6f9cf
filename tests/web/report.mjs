// Pages of docent-eval in a real browser: nothing is fetched, everybody can read them, on a phone too.
// Usage: node report.mjs page.html...
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { launch, violations } from './browser.mjs';
import { run } from './run.mjs';

const browser = await launch();

/** Opens a page with all its questions, and closes it when the test is over. */
async function visit(file, options, test) {
  // The policy of the page would keep axe out.
  const context = await browser.newContext({ bypassCSP: true, ...options });
  try {
    const page = await context.newPage();
    const requests = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(pathToFileURL(file).href);
    await page.evaluate(() => document.querySelectorAll('details').forEach((it) => { it.open = true; }));
    await test(page, requests);
  } finally {
    await context.close();
  }
}

const tests = process.argv.slice(2).flatMap((file) => [
  ...['light', 'dark'].map((colorScheme) => [`axe finds nothing wrong in ${colorScheme}: ${file}`, () => visit(file, { colorScheme }, async (page) => {
    assert.deepEqual(await violations(page), []);
  })]),
  [`it fits a phone: ${file}`, () => visit(file, { viewport: { width: 320, height: 700 } }, async (page) => {
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 320);
  })],
  [`nothing is fetched, and its policy lets its own style in: ${file}`, () => visit(file, { bypassCSP: false }, async (page, requests) => {
    assert.deepEqual(requests, [pathToFileURL(file).href]);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).maxWidth), '1088px');
  })],
  [`printed, all is open: ${file}`, () => visit(file, {}, async (page) => {
    await page.evaluate(() => document.querySelectorAll('details').forEach((it) => { it.open = false; }));
    await page.emulateMedia({ media: 'print' });
    const hidden = await page.evaluate(() => [...document.querySelectorAll('details .answer')].filter((it) => it.getBoundingClientRect().height === 0).length);
    assert.equal(hidden, 0);
  })],
]);

const code = await run(tests);
await browser.close();
process.exit(code);
