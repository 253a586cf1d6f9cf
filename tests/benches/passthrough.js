// Less than any bot can do: the calls up to the model, and its stream handed over unseen, so that
// not even a turn could be stored. It shows what reading the stream at all costs.
const EMBEDDING = '@cf/baai/bge-base-en-v1.5';
const CHAT = '@cf/meta/llama-3.1-8b-instruct-fast';

export default {
  async fetch(request, env) {
    const { message } = await request.json();
    const raw = { returnRawResponse: true };
    const { data } = await (await env.AI.run(EMBEDDING, { text: [message], pooling: 'cls' }, raw)).json();
    const { matches } = await env.INDEX.query(data[0], { topK: 6, returnMetadata: 'all' });
    const passages = matches.map(passage).join('');
    const messages = [
      { role: 'system', content: `Answer from these passages:\n${passages}` },
      { role: 'user', content: message },
    ];
    const answer = await env.AI.run(CHAT, { messages, stream: true, max_tokens: 768, temperature: 0.2 }, raw);
    return new Response(answer.body, { headers: { 'content-type': 'text/event-stream' } });
  },
};

/** As docent writes them, so that the stand-in gives all contenders the same answer. */
function passage({ metadata: { title, heading, text } }, at) {
  return `<passage n="${at + 1}" page="${title} › ${heading}">\n${text}\n</passage>\n`;
}
