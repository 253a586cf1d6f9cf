// Builds the widget and the demo page into a folder of static assets.
// $ node scripts/build-widget.mjs worker/build/assets
//
// Whatever the loader loads is asked for with a hash of its content in the address, so that browsers
// may keep it for ever and no page ever mixes two versions.
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import { minify } from 'terser';

const SOURCE = fileURLToPath(new URL('../worker/widget/', import.meta.url));
const TARGET = process.argv[2];
if (!TARGET) throw new Error('say where to: node scripts/build-widget.mjs <folder>');

/** Style sheets become text, without blanks and comments. */
const styles = {
  name: 'styles',
  setup: ({ onLoad }) => onLoad({ filter: /\.css$/ }, async ({ path }) => {
    const { code } = await transform(await readFile(path, 'utf8'), { loader: 'css', minify: true });
    return { contents: code.trim(), loader: 'text' };
  }),
};

/** What a script of the widget becomes. `constants` are the texts that its source names. */
async function bundle(name, format, constants = {}) {
  const define = Object.fromEntries(Object.entries(constants).map(([key, value]) => [key, JSON.stringify(value)]));
  const { outputFiles: [{ text }] } = await build({
    entryPoints: [join(SOURCE, name)], bundle: true, minify: true, write: false, format, target: 'es2022',
    legalComments: 'none', logLevel: 'warning', logOverride: { 'empty-import-meta': 'silent' }, plugins: [styles], define,
  });
  // A second opinion makes it smaller by another 3 %. Of what it calls unsafe, only one thing is to
  // be had here: templates become sums, which differ for objects whose `valueOf` is not their text.
  return (await minify(text, { module: format === 'esm', ecma: 2022, compress: { passes: 3, unsafe: true } })).code;
}

const hash = (text) => createHash('sha256').update(text).digest('hex').slice(0, 12);

await rm(TARGET, { recursive: true, force: true });
await mkdir(join(TARGET, 'widget'), { recursive: true });

const languages = [];
const texts = [];
for (const file of (await readdir(join(SOURCE, 'texts'))).sort()) {
  languages.push(file.replace('.json', ''));
  texts.push(JSON.stringify(JSON.parse(await readFile(join(SOURCE, 'texts', file), 'utf8'))));
  await writeFile(join(TARGET, 'widget', file), texts.at(-1));
}
const chat = await bundle('chat.js', 'esm', { LANGUAGES: languages.join(' '), TEXTS_VERSION: hash(texts.join()) });
await writeFile(join(TARGET, 'widget/chat.js'), chat);
const version = { CHAT_VERSION: hash(chat) };
await writeFile(join(TARGET, 'widget.js'), await bundle('widget.js', 'iife', version));
await writeFile(join(TARGET, 'element.js'), await bundle('element.js', 'esm', version));
for (const file of ['_headers', 'index.html', 'demo.js', 'demo.css', 'docent.d.ts']) await cp(join(SOURCE, file), join(TARGET, file));
