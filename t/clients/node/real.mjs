// "real.mjs KIND STEPS": the same steps with each client that users have.
// t/clients/all.t runs several at once; keys of calls begin with the kind.

import { createInterface } from 'node:readline';

import {
    alice, end, event, hangAfter, is, ok, rejects, secret, stats, until,
} from './harness.mjs';
import * as v1 from './v1.mjs';

const { BASE, NODE22, MCP_REMOTE } = process.env;
const [kind, steps] = process.argv.slice(2);

const v2 = kind.startsWith('v2') && await import('../node22/v2.mjs');
const open = [];

// A session of any kind of client.  "requests" are what it sends; those of
// mcp-remote, another process, are not seen here.

class Session {

    constructor() {
        this.requests = [];
        this.errors = [];
        this.sdk = v2 || v1;
        this.transport = transports[kind](this);
        this.client = this.sdk.client();
        this.client.onerror = error => this.errors.push(String(error));
        open.push(this);
    }

    static async open() {
        const session = new Session();

        await session.client.connect(session.transport);

        return session;
    }

    // fetch() for the transport: adds the credential, records the request

    async fetch(url, init) {
        const headers = new Headers(init.headers);
        headers.set('Authorization', alice);

        const request = {
            verb: init.method || 'GET',
            method: init.body ? JSON.parse(init.body).method : undefined,
            session: headers.get('mcp-session-id')
                || new URL(url).searchParams.get('session_id'),
        };

        secret(request.session);
        this.requests.push(request);

        const response = await fetch(url, { ...init, headers });

        request.status = response.status;
        request.type = response.headers.get('content-type');

        return response;
    }

    sent(method) {
        return this.requests.filter(request => request.method === method);
    }

    streams() {
        return this.requests.filter(({ verb, status }) =>
            verb === 'GET' && status === 200);
    }

    call(name, args, options) {
        return this.sdk.call(this.client, { name, arguments: args }, options);
    }

    async echo(key) {
        const { content } = await this.call('echo', { key: `${kind}-${key}` });

        return /"user": "([^"]*)"/.exec(content[0].text)?.[1];
    }
}

const own = session => ({ fetch: (url, init) => session.fetch(url, init) });
const at = path => new URL(path, BASE);

const remote = (path, ...args) => () =>
    v1.stdio(NODE22, [MCP_REMOTE, at(path).href, ...args, '--allow-http',
        '--header', 'Authorization:${AUTH_HEADER}'],
        { ...process.env, AUTH_HEADER: alice });

const transports = {
    'v1-http': session => v1.http(at('/mcp'), own(session)),
    'v1-sse': session => v1.sse(at('/mcp/sse'), own(session)),
    'v2-http': session => v2.http(at('/mcp'), own(session)),
    'v2-sse': session => v2.sse(at('/mcp/sse'), own(session)),

    'mcp-remote-http-only': remote('/mcp', '--transport', 'http-only'),
    'mcp-remote-sse-only': remote('/mcp/sse', '--transport', 'sse-only'),
    'mcp-remote-http-first': remote('/mcp'),
    'mcp-remote-falls-back': remote('/mcp/sse'),
};

const seen = !kind.startsWith('mcp-remote');
const streamable = seen && kind.endsWith('http');

async function long(session) {
    const progress = [];
    const { content } = await session.call('sleep',
        { seconds: 12, key: `${kind}-long` }, {
            timeout: 10000,
            resetTimeoutOnProgress: true,
            onprogress: update => progress.push(update.progress),
        });

    ok(/slept/.test(content[0].text),
        'a call longer than its time-out is answered', content);
    ok(progress.length >= 2, 'progress is received', progress);
}

async function cancel(session) {
    const controller = new AbortController();
    const given = session.call('hang', { key: `${kind}-hang` },
        { signal: controller.signal });

    given.catch(() => {});
    await until(async () => (await stats()).calls[`hang/${kind}-hang`],
        'a call runs');
    controller.abort('changed my mind');

    await given.then(answer => ok(false, 'the cancelled call rejects', answer),
        () => ok(true, 'the cancelled call rejects'));
}

async function wrong(session) {
    const { content } = await session.call('fail', {});

    ok(/boom/.test(content[0].text),
        'a tool that raises: the result of the backend', content);
    is((await session.call('no_such_tool', {})).isError, true,
        'an unknown tool: isError');
    await rejects(session.call('throw', {}), -32603, /Backend error$/,
        'the error of the backend');
}

// nginx is reloaded during a call.  A stream of HTTP+SSE is closed at any time
// after the call; messages that are sent at that moment fail.

async function reload(session) {
    const running = session.call('hold',
        { gate: 'reload', key: `${kind}-reload` },
        { timeout: hangAfter * 1000 });

    await until(async () => (await stats()).calls[`hold/${kind}-reload`],
        'a call runs');
    event('reload');
    await line();

    ok(/held/.test((await running).content[0].text),
        'a call that runs during a reload is answered');
    await until(() => session.echo('reloaded').then(() => true, () => false),
        'a call after a reload');
    ok(true, 'a call after a reload');
}

// nginx is stopped and started; the session continues

async function restart(session) {
    const before = session.streams().length;

    event('restart');
    await line();

    // HTTP+SSE needs a new stream before it can send

    await until(() => session.client.ping({ timeout: 1000 })
        .then(() => true, () => false), 'the client reconnects');
    is(await session.echo('after'), 'alice@example.com',
        'a call after a restart of nginx');

    if (seen) {
        is(session.sent('initialize').length, 1,
            'the client does not send initialize again');
        await until(() => session.streams().length > before,
            'the client reopens its stream');
        ok(true, 'the client reopens its stream');
    }
}

const lines = createInterface({ input: process.stdin });
const line = () => new Promise(resolve => lines.once('line', resolve));

const run = {
    async calls() {
        const session = await Session.open();
        const { tools } = await session.client.listTools();

        ok(tools.some(tool => tool.name === 'echo'), 'tools/list', tools);
        is(await session.echo('first'), 'alice@example.com', 'a call');

        await Promise.all([long(session), cancel(session), wrong(session)]);

        if (streamable) {
            ok(session.sent('tools/call').some(({ type }) =>
                type?.startsWith('text/event-stream')),
                'the long call is answered with a stream', session.requests);
            await session.transport.terminateSession();
            is(session.requests.filter(({ verb }) => verb === 'DELETE')
                .map(({ status }) => status), [204], 'DELETE');
        }

        await session.client.close();

        const again = await Session.open();

        is(await again.echo('again'), 'alice@example.com',
            'a call in a second session');

        await reload(again);
        await restart(again);
    },

    async balanced() {
        const session = await Session.open();
        const keys = Array.from({ length: 20 }, (_, n) => `balanced-${n}`);
        const users = await Promise.all(keys.map(key => session.echo(key)));
        const { calls } = await stats();

        is(users, keys.map(() => 'alice@example.com'), '20 calls at once');
        is(keys.filter(key => calls[`echo/${kind}-${key}`] !== 1), [],
            'each ran once');
        ok((await session.client.listTools()).tools.length > 10,
            'tools/list');
        await long(session);
    },
};

await run[steps]();

lines.close();

for (const session of open) {
    await session.client.close();
}

await end();
