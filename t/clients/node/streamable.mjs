// Streamable HTTP: a session from initialize to DELETE.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport }
    from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { alice, bob, event, is, ok, rejects, sleep, stats, until }
    from './harness.mjs';

const url = new URL(process.env.MCP_URL);


// A session, and what goes over the wire: "METHOD status type".

async function open(authorization = alice) {
    const wire = [];
    const errors = [];
    const transport = new StreamableHTTPClientTransport(url, {
        requestInit: { headers: { Authorization: authorization } },

        fetch: async (to, init) => {
            const response = await fetch(to, init);
            const type = response.headers.get('content-type') ?? '-';

            wire.push(`${init.method ?? 'GET'} ${response.status} ${type}`);

            return response;
        },
    });
    const client = new Client({ name: 'mcp-sse-test', version: '1.0.0' });

    client.onerror = error => errors.push(error.message);
    await client.connect(transport);
    process.stdout.write(`${JSON.stringify({ secret: transport.sessionId })}\n`);

    const call = (name, args = {}, options) =>
        client.callTool({ name, arguments: args }, undefined, options);

    return { client, transport, call, wire, errors };
}

const session = await open();
const { client, transport, call, wire, errors } = session;

ok(transport.sessionId, 'a session id');
is(transport.protocolVersion, '2025-06-18', 'a version both know');
await until(() => wire.length >= 3, 'three requests');
is([...wire].sort(), [
    'GET 200 text/event-stream',
    'POST 200 application/json',
    'POST 202 -',
], 'initialize, initialized, a stream');

ok((await client.listTools()).tools.some(tool => tool.name === 'echo'),
    'tools/list');
is(await client.ping(), {}, 'ping');

// many at once

const keys = Array.from({ length: 50 }, (_, n) => `once-${n}`);
const echoed = await Promise.all(keys.map(key => call('echo', { key })));

is(keys.filter((key, n) => !echoed[n].content[0].text.includes(key)), [],
    '50 calls at once, each its answer');

// a slow one becomes a stream, with progress

const progress = [];
const slow = await call('sleep', { seconds: 10 }, {
    timeout: 8000, resetTimeoutOnProgress: true,
    onprogress: ({ progress: done }) => progress.push(done),
});

ok(slow.content[0].text.includes('slept'), 'a slow call');
ok(progress.length >= 2, 'its progress keeps the time-out from firing',
    progress);
is(wire.at(-1), 'POST 200 text/event-stream', 'as a stream');

// given up

const controller = new AbortController();
const given = call('hang', {}, { signal: controller.signal });

given.catch(() => {});
await until(async () => (await stats()).tools.hang, 'a call runs');
controller.abort('changed my mind');
await rejects(given, -32001, /changed my mind/, 'the caller is told');
await until(async () => (await stats()).aborted > 0,
    'the call is aborted at the backend');
ok(true, 'the call is aborted at the backend');

// errors

await rejects(call('status', { code: 500 }), -32603, /Backend error$/,
    'an error of the backend');

// another user

const other = await open(bob);

ok(other.transport.sessionId !== transport.sessionId, 'another session');
ok((await other.call('echo', { key: 'b' })).content[0].text.includes('bob'),
    "of another user");

// a reload

const gets = () => wire.filter(line => line.startsWith('GET 200')).length;

event('reload');
await until(() => gets() >= 2, 'the stream is opened again');
ok(true, 'after a reload the stream is opened again');
ok((await call('echo', { key: 'after' })).content[0].text.includes('after'),
    'and calls go on in the same session');
is(errors.filter(text => !/stream disconnected|terminated/i.test(text)), [],
    'the client complains of nothing');

// the end

await transport.terminateSession();
is(wire.at(-1), 'DELETE 204 -', 'the session is ended');
await client.close();

const gone = new StreamableHTTPClientTransport(url, {
    requestInit: { headers: { Authorization: bob } },
    sessionId: other.transport.sessionId,
});

await other.transport.terminateSession();
await other.client.close();
await sleep(100);
await gone.start();
await gone.send({ jsonrpc: '2.0', id: 1, method: 'tools/list' }).then(
    () => ok(false, 'an ended session is refused'),
    error => is(error.code, 404, 'an ended session is refused'));
await gone.close();

process.stdout.write('{"end":true}\n');
