// The floor: the upstream calls of one plain turn, made as directly as JavaScript can. The model's
// stream is handed on as it comes, unread, and stored as it came, since a turn must be stored. What
// a Worker costs above this is its own work.
const EMBEDDING = '@cf/baai/bge-base-en-v1.5';
const CHAT = '@cf/meta/llama-3.1-8b-instruct-fast';

export default {
  async fetch(request, env, context) {
    const { message, session } = await request.json();
    const texts = [message];
    if (session) {
      const { keys } = await env.SESSIONS.list({ prefix: `turn:${session}:`, limit: 6 });
      if (keys.length) await env.SESSIONS.get(keys.map((key) => key.name));
      texts.push(`earlier\n${message}`);
    }
    const raw = { returnRawResponse: true };
    const { data } = await (await env.AI.run(EMBEDDING, { text: texts, pooling: 'cls' }, raw)).json();
    const query = (vector) => env.INDEX.query(vector, { topK: 6, returnMetadata: 'all' });
    const found = await Promise.all(data.map(query));
    const passages = found[0].matches.map(passage).join('');
    const messages = [
      { role: 'system', content: `Answer from these passages:\n${passages}` },
      { role: 'user', content: message },
    ];
    const answer = await env.AI.run(CHAT, { messages, stream: true, max_tokens: 768, temperature: 0.2 }, raw);
    const { readable, writable } = new IdentityTransformStream();
    context.waitUntil(relay(answer.body, writable, env, `turn:${session ?? 'none'}:${crypto.randomUUID()}`));
    return new Response(readable, { headers: { 'content-type': 'text/event-stream' } });
  },
};

async function relay(stream, writable, env, key) {
  const writer = writable.getWriter();
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    await writer.write(chunk);
  }
  await writer.close();
  await env.SESSIONS.put(key, await new Blob(chunks).text(), { expirationTtl: 604800 });
}

/** As docent writes them, so that the stand-in gives all contenders the same answer. */
function passage({ metadata: { title, heading, text } }, at) {
  return `<passage n="${at + 1}" page="${title} › ${heading}">\n${text}\n</passage>\n`;
}
