// Streamable HTTP: a session from initialize to DELETE.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport }
    from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { alice, bob, event, is, ok, rejects, sleep, stats, until }
    from './harness.mjs';

const url = new URL(process.env.MCP_URL);


// Opens a session; "wire" records its requests as "METHOD STATUS TYPE".

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
is(transport.protocolVersion, '2025-06-18', 'a version that both support');
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
    '50 calls at once, each gets its answer');

// a slow call is answered with a stream and progress

const progress = [];
const slow = await call('sleep', { seconds: 10 }, {
    timeout: 8000, resetTimeoutOnProgress: true,
    onprogress: ({ progress: done }) => progress.push(done),
});

ok(slow.content[0].text.includes('slept'),
    'a call longer than its time-out is answered');
ok(progress.length >= 2, 'progress is received', progress);
is(wire.at(-1), 'POST 200 text/event-stream',
    'the slow call is answered with a stream');

// cancellation

const controller = new AbortController();
const given = call('hang', {}, { signal: controller.signal });

given.catch(() => {});
await until(async () => (await stats()).tools.hang, 'a call runs');
controller.abort('changed my mind');
await rejects(given, -32001, /changed my mind/, 'the cancelled call rejects');
await until(async () => (await stats()).aborted > 0,
    'the call is aborted at the backend');
ok(true, 'the call is aborted at the backend');

// errors

await rejects(call('status', { code: 500 }), -32603, /Backend error$/,
    'an error of the backend');

// another user

const other = await open(bob);

ok(other.transport.sessionId !== transport.sessionId, 'another session id');
ok((await other.call('echo', { key: 'b' })).content[0].text.includes('bob'),
    'a call of another user');

// a reload

const gets = () => wire.filter(line => line.startsWith('GET 200')).length;

event('reload');
await until(() => gets() >= 2, 'the client reopens its stream');
ok(true, 'after a reload the client reopens its stream');
ok((await call('echo', { key: 'after' })).content[0].text.includes('after'),
    'after a reload a call in the same session is answered');
is(errors.filter(text => !/stream disconnected|terminated/i.test(text)), [],
    'the client reports no other errors');

// the end

await transport.terminateSession();
is(wire.at(-1), 'DELETE 204 -', 'DELETE ends the session');
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
