// The AI SDK's own transport and reader (npm `ai`), unchanged, against a running bot.
// $ node tests/web/ai_sdk.mjs http://127.0.0.1:8787 [address of the stand-in, to make an answer break off]
import assert from 'node:assert/strict';
import { DefaultChatTransport, readUIMessageStream } from 'ai';
import { run } from './run.mjs';

const base = (process.argv[2] ?? 'http://127.0.0.1:8787').replace(/\/$/, '');
const cloud = process.argv[3]?.replace(/\/$/, '');
const QUESTION = 'What does docent ingest do?';

/** Sends as `useChat` does; `body` is what its caller may add. */
function send(text, body) {
  const transport = new DefaultChatTransport({ api: `${base}/v1/chat` });
  return transport.sendMessages({
    chatId: 'chat-1', trigger: 'submit-message', messageId: undefined, abortSignal: undefined, body,
    messages: [{ id: 'user-1', role: 'user', parts: [{ type: 'text', text }] }],
  });
}

/** The message as `useChat` would show it at its end, every state on the way there, and errors. */
async function read(stream) {
  const [seen, errors, chunks] = [[], [], []];
  const copied = stream.pipeThrough(new TransformStream({
    transform(chunk, controller) {
      chunks.push(chunk);
      controller.enqueue(chunk);
    },
  }));
  for await (const message of readUIMessageStream({ stream: copied, onError: (error) => errors.push(error) })) {
    seen.push(structuredClone(message));
  }
  return { message: seen.at(-1), seen, errors, chunks };
}

const textOf = (message) => message.parts.filter((part) => part.type === 'text').map((part) => part.text).join('');

process.exit(await run([
  ['an answer is read to a message with its sources first', async () => {
    const { message, seen, errors, chunks } = await read(await send(QUESTION));
    assert.deepEqual(errors, []);
    assert.equal(message.role, 'assistant');
    assert.ok(message.id, 'the message has the bot\'s id');
    assert.ok(textOf(message).length > 0);
    const kinds = message.parts.map((part) => part.type);
    assert.equal(kinds[0], 'source-url', kinds.join());
    assert.ok(kinds.lastIndexOf('source-url') < kinds.indexOf('text'), kinds.join());
    for (const source of message.parts.filter((part) => part.type === 'source-url')) {
      assert.match(source.url, /^https?:\/\//);
      assert.ok(source.title && source.sourceId && source.providerMetadata.docent.snippet);
    }
    assert.ok(message.metadata.session, 'the metadata of start');
    assert.equal(message.metadata.refused, false, 'the metadata of finish');
    assert.equal(chunks.at(-1).type, 'finish');
    assert.equal(chunks.at(-1).finishReason, 'stop');
    assert.ok(new Set(seen.map(textOf)).size > 3, 'the text grows');
    const { text, citations } = message.parts.find((part) => part.type === 'text');
    const checked = message.parts.filter((part) => part.type === 'data-docent-cite').map((part) => part.data);
    assert.ok(citations.length > 0 && citations.length === checked.length, 'the text has its citations');
    for (const [at, { source, startIndex, endIndex }] of citations.entries()) {
      assert.match(text.slice(startIndex, endIndex), new RegExp(`\\[${source.id}\\]`));
      assert.equal(source.providerMetadata.docent.support, 'supported', text.slice(startIndex, endIndex));
      assert.equal(checked[at].url, source.url);
      assert.ok(source.title && source.url.startsWith('http'));
    }
    assert.ok(citations.some(({ source }) => source.url.includes(':~:text=')), 'links lead to the words');
  }],

  ['the session of an answer continues it', async () => {
    const { message } = await read(await send(QUESTION));
    const { session } = message.metadata;
    await read(await send('And how do I deploy it?', { session }));
    const { turns } = await (await fetch(`${base}/v1/sessions/${session}`)).json();
    assert.equal(turns.at(-1).question, 'And how do I deploy it?');
  }],

  ['a refused request surfaces as an error with a status and a readable body', async () => {
    await assert.rejects(send('   '), (error) => {
      const { error: body } = JSON.parse(error.responseBody ?? error.message);
      return body.code === 'unprocessable' && body.message.length > 0;
    });
    await assert.rejects(send(QUESTION, { session: 'forged' }), /bad_session/);
  }],

  ...(cloud ? [['an answer that breaks off keeps its text and surfaces the error', async () => {
    const script = (faults) => fetch(`${cloud}/__docent/faults`, { method: 'PUT', body: JSON.stringify(faults) });
    await script([{ service: 'ai', operation: 'chat', cut_after_events: 4 }]);
    const { message, errors, chunks } = await read(await send(QUESTION));
    await script([]);
    assert.ok(textOf(message).length > 0);
    assert.ok(errors.length > 0 && String(errors[0].message ?? errors[0]).length > 0, JSON.stringify(chunks.slice(-3)));
    assert.ok(chunks.some((chunk) => chunk.type === 'data-docent-error' && chunk.data.code === 'upstream'));
  }]] : []),
]));
