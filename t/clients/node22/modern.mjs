// "modern.mjs MODE STEPS": the official client v2 in a mode in which it asks
// for MCP 2026-07-28 first, "auto" or "pin".  Run by t/clients/modern.t.

import { Client, SSEClientTransport, StreamableHTTPClientTransport }
    from '@modelcontextprotocol/client';

import {
    alice, end, event, hangAfter, is, ok, rejects, set, stats, until,
} from '../node/harness.mjs';

const [mode, steps] = process.argv.slice(2);
const url = path => new URL(path, process.env.MCP_URL);
const newest = '2026-07-28';
const open = [];

// A client and what it sends.

class Connection {

    constructor(Transport, path, authorization = alice) {
        this.requests = [];
        this.errors = [];
        this.authorization = authorization;
        this.client = new Client({ name: 'mcp-sse-test', version: '2.0.0' }, {
            versionNegotiation: {
                mode: mode === 'pin' ? { pin: newest } : mode,
            },
        });
        this.client.onerror = error => this.errors.push(String(error));
        this.transport = new Transport(url(path), {
            fetch: (to, init) => this.fetch(to, init),
        });
        open.push(this);
    }

    async fetch(to, init = {}) {
        const headers = new Headers(init.headers);
        headers.set('Authorization', this.authorization);

        const response = await fetch(to, { ...init, headers });

        this.requests.push({
            verb: init.method || 'GET',
            method: init.body && JSON.parse(init.body).method,
            session: headers.get('mcp-session-id')
                || response.headers.get('mcp-session-id'),
            status: response.status,
        });

        return response;
    }

    connect() {
        return this.client.connect(this.transport,
            { timeout: hangAfter * 1000 });
    }

    methods() {
        return this.requests.map(({ method }) => method);
    }

    call(name, args = {}, options = {}) {
        return this.client.callTool({ name, arguments: args },
            { timeout: hangAfter * 1000, ...options });
    }

    async user(key) {
        const { content } = await this.call('echo', { key });

        return /"user": "([^"]*)"/.exec(content[0].text)?.[1];
    }
}

const http = authorization =>
    new Connection(StreamableHTTPClientTransport, '/mcp', authorization);
const sse = () => new Connection(SSEClientTransport, '/mcp/sse');

// a result of any kind

const anything = { '~standard': { version: 1, vendor: 'test',
    validate: value => ({ value }) } };

async function lists({ client }) {
    const { tools } = await client.listTools();

    ok(tools.some(tool => tool.name === 'echo'), 'tools/list', tools);

    for (const [offered, list] of [['prompts', 'listPrompts'],
        ['resources', 'listResources']]) {

        if (client.getServerCapabilities()[offered]) {
            const result = await client[list]();

            ok(Array.isArray(result[offered]), `${offered}/list`, result);
        }
    }
}

async function wrong(one) {
    const { content } = await one.call('fail');

    ok(/boom/.test(content[0].text),
        'a tool that raises: the result of the backend', content);

    const thrown = await one.call('throw').catch(error => error);

    ok(thrown.isError || thrown.code === -32603, 'the error of the backend',
        thrown);

    // this client takes the code from a response with 400, but not with 404

    await rejects(one.client.request({ method: 'no/such/method', params: {} },
        anything), 'CLIENT_HTTP_NOT_IMPLEMENTED', /"code": ?-32601/,
        'an unknown method');
}

async function long(one) {
    const progress = [];
    const { content } = await one.call('sleep',
        { seconds: 6, key: `${mode}-long` }, {
            timeout: 5000,
            resetTimeoutOnProgress: true,
            onprogress: update => progress.push(update.progress),
        });

    ok(/slept/.test(content[0].text),
        'a call longer than its time-out is answered', content);
    ok(progress.length >= 2, 'progress is received', progress);
}

// The client closes its POST, before the response begins and afterwards.

async function cancel(one) {
    for (const when of ['before the response', 'during the response']) {
        let began;
        const response = new Promise(resolve => { began = resolve; });
        const key = `${mode}-${when}`;
        const controller = new AbortController();
        const { aborted } = await stats();
        const given = one.call('hang', { key },
            { signal: controller.signal,
              ...when.startsWith('during') && { onprogress: began } });

        given.catch(() => {});
        await until(async () => (await stats()).calls[`hang/${key}`],
            'a call runs');

        if (when.startsWith('during')) {
            await response;
        }

        controller.abort('changed my mind');

        await given.then(answer => ok(false, 'the call rejects', answer),
            () => ok(true, `cancelled ${when}: the call rejects`));
        await until(async () => (await stats()).aborted > aborted,
            'the call is aborted');
        ok(true, `cancelled ${when}: the call is aborted`);
        is((await stats()).calls[`hang/${key}`], 1,
            `cancelled ${when}: it has run once`);
    }
}

async function listen(one) {
    const filter = { toolsListChanged: true,
        resourceSubscriptions: ['fac://skills/1'] };
    const first = await one.client.listen(filter);

    is(first.honoredFilter, {}, 'subscriptions/listen is acknowledged');
    await first.close();
    is(await first.closed, 'local', 'the client ends it');

    const second = await one.client.listen(filter);

    is(await one.user('during'), 'alice@example.com',
        'a call beside subscriptions/listen');
    event('reload');
    is(await second.closed, 'graceful', 'a reload ends it with its result');
    is(await one.user('reloaded'), 'alice@example.com',
        'a call after a reload');
    await (await one.client.listen(filter)).close();
    ok(true, 'subscriptions/listen after a reload');
}

const run = {
    async calls() {
        const one = http();

        await one.connect();
        is(one.client.getNegotiatedProtocolVersion(), newest,
            'the version is 2026-07-28');
        is(one.methods(), ['server/discover'], 'it connects in one request');
        is(one.client.getServerVersion()?.name, process.env.SERVER,
            'the name of the server');
        is(Object.keys(one.client.getServerCapabilities()).join(' '),
            process.env.OFFERS, 'what the server offers');

        await lists(one);
        await wrong(one);
        await Promise.all([long(one), cancel(one)]);

        const keys = Array.from({ length: 20 }, (_, n) => `${mode}-${n}`);
        const users = await Promise.all(keys.map(key => one.user(key)));
        const { calls } = await stats();

        is(users, keys.map(() => 'alice@example.com'), '20 calls at once');
        is(keys.filter(key => calls[`echo/${key}`] !== 1), [],
            'each ran once');

        await listen(one);

        is(one.requests.filter(({ session }) => session), [],
            'there is no session id');
        is(one.requests.filter(({ verb }) => verb !== 'POST'), [],
            'all requests are POSTs');
        is(one.requests.filter(({ status }) => status >= 400)
            .map(({ method, status }) => `${status} ${method}`),
            ['404 no/such/method'], 'no other request is refused');
    },

    // the credential is refused: no other request, above all no initialize

    async unauthorized() {
        const one = http('token alice-key:wrong');

        await one.connect().then(() => ok(false, 'connect rejects'),
            error => ok(error.status === 401 || /401/.test(error.message),
                'a wrong key: connect rejects, 401', error));
        is(one.methods(), ['server/discover'], 'no request follows');
    },

    // Frappe does not answer: the credential is known, the server is not

    async down() {
        await set({ down: 502 });

        const first = http();

        await first.connect().then(() => ok(false, 'connect rejects'),
            () => ok(true, 'connect rejects while Frappe is down'));
        is(first.methods(), mode === 'pin' ? ['server/discover']
            : ['server/discover', 'initialize'], 'what it has tried');
        is(first.requests[0].status, 200, 'server/discover was 200');

        await set({ down: null });

        const second = http();

        await second.connect();
        is(second.client.getNegotiatedProtocolVersion(), newest,
            'then it connects with 2026-07-28');
    },

    // the older transport has only the older era

    async older() {
        const one = sse();

        if (mode === 'pin') {
            await one.connect().then(() => ok(false, 'connect rejects'),
                error => is(error.code, 'ERA_NEGOTIATION_FAILED',
                    'HTTP+SSE: connect rejects'));
            return;
        }

        await one.connect();
        is(one.client.getNegotiatedProtocolVersion(), '2025-06-18',
            'HTTP+SSE: it falls back to the older era');
        is(await one.user('sse'), 'alice@example.com', 'HTTP+SSE: a call');
    },
};

await run[steps]();

for (const { client } of open) {
    await client.close();
}

await end();
