// What Cloudflare puts in front of a Worker that has static assets: a path of theirs is answered here and
// the Worker does not run; any other goes on to it as it came.
//
// ASSETS has each path with its headers, or with the one that it leads to. The bytes of a path are the
// binding of that name.

export default {
  fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    if (!Object.hasOwn(env.ASSETS, pathname)) return env.MAIN.fetch(request);

    const isHead = request.method === "HEAD";
    if (!isHead && request.method !== "GET") return new Response(null, { status: 405 });

    const { location, headers } = env.ASSETS[pathname];
    if (location) return new Response(null, { status: 307, headers: { location: location + search } });

    const known = request.headers.get("if-none-match");
    if (known === headers.etag || known === `W/${headers.etag}`) return new Response(null, { status: 304, headers });
    return new Response(isHead ? null : env[pathname], { headers });
  },
};
