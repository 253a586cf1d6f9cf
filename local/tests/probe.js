// Calls every binding the way a Worker does, and answers what came of it, one entry a call.
const model = "@cf/meta/llama-3.1-8b-instruct-fast";
const embedder = "@cf/baai/bge-base-en-v1.5";
const messages = [{ role: "user", content: "hello" }];

const calls = {
  kv_put: (env) => env.SESSIONS.put("a b/ü", "value", { expirationTtl: 60, metadata: { who: "ü" } }),
  kv_get: (env) => env.SESSIONS.getWithMetadata("a b/ü"),
  kv_put_twice: (env) => env.SESSIONS.put("a b/ü", "other"),
  kv_short_ttl: (env) => env.SESSIONS.put("k", "v", { expirationTtl: 30 }),
  kv_list: (env) => env.SESSIONS.list({ prefix: "a ", limit: 1 }),
  kv_bulk: (env) => env.SESSIONS.get(["a b/ü", "absent"]),
  kv_delete: (env) => env.SESSIONS.delete("a b/ü"),
  kv_gone: (env) => env.SESSIONS.get("a b/ü"),
  ai_embed: async (env) => {
    const answer = await env.AI.run(embedder, { text: ["one", "two"], pooling: "cls" });
    return { shape: answer.shape, pooling: answer.pooling, first: answer.data[0].length };
  },
  ai_empty: (env) => env.AI.run(embedder, { text: [""] }),
  ai_chat: (env) => env.AI.run(model, { messages, max_tokens: 64 }),
  ai_stream: async (env) => {
    const response = await env.AI.run(model, { messages, stream: true }, { returnRawResponse: true });
    return [response.headers.get("content-type"), await response.text()];
  },
  ai_removed: (env) => env.AI.run("@cf/meta/llama-3.1-8b-instruct", { messages }),
  ai_gateway: (env) => env.AI.run(model, { messages }, { gateway: { id: "absent" } }),
  ai_default_gateway: async (env) => {
    await env.AI.run(model, { messages }, { gateway: { id: "default" } });
    return typeof env.AI.aiGatewayLogId;
  },
  d1_run: (env) =>
    env.CONTENT.prepare("INSERT INTO lease VALUES (1, ?, ?2, ?3)").bind("o", "h", 5).run(),
  d1_all: (env) => env.CONTENT.prepare("SELECT owner, expires_at FROM lease WHERE one = ?").bind(1).all(),
  d1_first: (env) => env.CONTENT.prepare("SELECT count(*) AS n FROM lease").first("n"),
  d1_raw: (env) => env.CONTENT.prepare("SELECT owner, x'01ff' AS b FROM lease").raw({ columnNames: true }),
  d1_batch: (env) =>
    env.CONTENT.batch([
      env.CONTENT.prepare("DELETE FROM lease"),
      env.CONTENT.prepare("INSERT INTO lease VALUES (?, 'o', 'h', 5)").bind(2),
    ]),
  d1_session: async (env) => (await env.CONTENT.withSession().prepare("SELECT 1 AS one").all()).results,
  d1_exec: (env) => env.CONTENT.exec("SELECT 1\nSELECT 2"),
  d1_no_table: (env) => env.CONTENT.prepare("SELECT * FROM absent").all(),
  index_describe: (env) => env.INDEX.describe(),
  index_upsert: (env) =>
    env.INDEX.upsert([{ id: "v", values: new Float32Array([1, 0, 0]), metadata: { text: "t" } }]),
  index_top_k: (env) => env.INDEX.query([1, 0, 0], { topK: 21, returnMetadata: "all" }),
  index_query: (env) => env.INDEX.query([1, 0, 0], { topK: 20, returnMetadata: "all" }),
};

export default {
  async fetch(request, env) {
    const { searchParams } = new URL(request.url);
    const name = searchParams.get("call");
    try {
      return Response.json({ ok: (await calls[name](env)) ?? null });
    } catch (error) {
      console.log(`probe: ${name}: ${error.message}`);
      return Response.json({ error: `${error.name}: ${error.message}` });
    }
  },
};
