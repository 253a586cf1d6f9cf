// The bot as tutorials write it: history in KV under one key, embed, query, chat; the stream is
// handed on while the answer is collected from it, and the history is stored at its end.
const EMBEDDING = '@cf/baai/bge-base-en-v1.5';
const CHAT = '@cf/meta/llama-3.1-8b-instruct-fast';

export default {
  async fetch(request, env, context) {
    const { message, session = crypto.randomUUID() } = await request.json();
    const history = (await env.SESSIONS.get(session, 'json')) ?? [];
    const { data } = await env.AI.run(EMBEDDING, { text: [message] });
    const { matches } = await env.INDEX.query(data[0], { topK: 6, returnMetadata: 'all' });
    const passages = matches.map(passage).join('');
    const messages = [
      { role: 'system', content: `You are a helpful support assistant. Answer from this context:\n${passages}` },
      ...history,
      { role: 'user', content: message },
    ];
    const stream = await env.AI.run(CHAT, { messages, stream: true, max_tokens: 768 });
    const [reader, copy] = stream.tee();
    context.waitUntil(remember(env, session, history, message, copy));
    return new Response(reader, { headers: { 'content-type': 'text/event-stream' } });
  },
};

async function remember(env, session, history, question, stream) {
  let answer = '';
  let buffer = '';
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    buffer += chunk;
    const lines = buffer.split('\n');
    buffer = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      answer += JSON.parse(line.slice(6)).response ?? '';
    }
  }
  const turns = [...history, { role: 'user', content: question }, { role: 'assistant', content: answer }];
  await env.SESSIONS.put(session, JSON.stringify(turns.slice(-12)), { expirationTtl: 604800 });
}

/** As docent writes them, so that the stand-in gives all contenders the same answer. */
function passage({ metadata: { title, heading, text } }, at) {
  return `<passage n="${at + 1}" page="${title} › ${heading}">\n${text}\n</passage>\n`;
}
