// What the scripts here share: sessions of the official client, and the JSON
// lines t/clients/legacy.t reads.  {"ok":true,"name":"it works"} is a test,
// {"event":"name"} asks it to act, {"secret":"text"} must be in no log,
// {"alive":true} only says that the script goes on, {"end":true} is the last.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';

const { MCP_URL, FRAPPE_CONTROL } = process.env;

export const oldDialect = process.env.DIALECT === 'old';
export const alice = process.env.ALICE;
export const bob = process.env.BOB;

// whatever happens, an end; an await that nothing settles ends node by itself

process.on('uncaughtException', error => {
    ok(false, 'no step of it fails', error.stack);
    process.exit(1);
});

// what takes as long hangs

export const hangAfter = Number(process.env.HANG_AFTER ?? 60);

let hangs;

function say(line) {
    process.stdout.write(JSON.stringify(line) + '\n');

    clearTimeout(hangs);
    hangs = setTimeout(() => {
        process.stdout.write('{"ok":false,"name":"the script goes on"}\n');
        process.exit(1);
    }, hangAfter * 1000).unref();
}

export function alive() {
    say({ alive: true });
}

export function event(name) {
    say({ event: name });
}

export function secret(text) {
    if (text) {
        say({ secret: text });
    }
}

export function ok(value, name, got) {
    say({ ok: Boolean(value), name, got: value ? undefined : show(got) });
}

export function is(got, wanted, name) {
    const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];

    say({ ok: a === b, name,
          got: a === b ? undefined : `got ${cut(a)}, expected ${cut(b)}` });
}

function cut(text) {
    return text?.length > 600 ? `${text.slice(0, 600)}...` : text;
}

function show(value) {
    return value instanceof Error ? describe(value)
        : cut(typeof value === 'string' ? value : JSON.stringify(value));
}

function describe(error) {
    return `${error.name} ${error.code}: ${error.message}`;
}

// The promise rejects; returns with what.

export async function rejects(promise, code, pattern, name) {
    try {
        ok(false, name, await promise);
    } catch (error) {
        ok(error.code === code && pattern.test(error.message), name, error);
        return error;
    }

    return {};
}

export async function until(condition, name) {
    const end = Date.now() + hangAfter * 1000;

    while (Date.now() < end) {
        const value = await condition();
        if (value) {
            return value;
        }

        await sleep(50);
    }

    throw new Error(`it never comes: ${name}`);
}

export function sleep(ms) {
    return new Promise(resolve => setTimeout(resolve, ms));
}

// the counters of the stand-in for Frappe

export async function stats() {
    return (await fetch(`${FRAPPE_CONTROL}/stats`)).json();
}

// What waits at a gate of the stand-in, calls of "hold", goes on.

export async function openGate(gate) {
    await fetch(`${FRAPPE_CONTROL}/set`, { method: 'POST',
        body: JSON.stringify({ open: gate }) });
}

const sessions = [];

// A session as an application opens it: requestInit for the POSTs,
// eventSourceInit.fetch for the stream.  What goes over the wire is noted:
// gets, posts; and what the client complains of: errors.

export class Session {

    constructor(authorization = alice) {
        this.gets = [];
        this.posts = [];
        this.errors = [];
        this.closed = false;

        this.transport = new SSEClientTransport(new URL(MCP_URL), {
            requestInit: { headers: { Authorization: authorization } },

            eventSourceInit: {
                fetch: async (url, init) => {
                    const headers = new Headers(init.headers);
                    headers.set('Authorization', authorization);

                    const response = await fetch(url, { ...init, headers });

                    this.gets.push({
                        status: response.status,
                        worker: response.headers.get('x-worker'),
                        lastEventId: headers.get('last-event-id'),
                    });

                    return response;
                },
            },

            fetch: async (url, init) => {
                const post = {
                    session: new URL(url).searchParams.get('session_id'),
                    message: JSON.parse(init.body),
                };

                if (!this.posts.some(past => past.session === post.session)) {
                    say({ secret: post.session });
                }

                this.posts.push(post);

                const response = await fetch(url, init);

                post.status = response.status;
                post.worker = response.headers.get('x-worker');

                return response;
            },
        });

        this.client = new Client({ name: 'mcp-sse-test', version: '1.0.0' });
        this.client.onerror = error => this.errors.push(describe(error));
        this.client.onclose = () => { this.closed = true; };
        sessions.push(this);
    }

    static async open(authorization) {
        const session = new Session(authorization);

        await session.client.connect(session.transport);

        return session;
    }

    call(name, args = {}, options) {
        return this.client.callTool({ name, arguments: args }, undefined,
            options);
    }

    // The POSTs of a method that are answered: an answer on the stream may be
    // seen before its 202.

    async posted(method, n = 1) {
        const posts = () => this.posts.filter(post => post.status
            && post.message.method === method);

        await until(() => posts().length >= n, `${n} POSTs of ${method}`);

        return posts();
    }

    // The key and the user an echo answers with, in either dialect.

    async echo(key) {
        const { content } = await this.call('echo', { key });
        const member = name => new RegExp(
            `["']${name}["']: ["']([^"']*)["']`).exec(content[0].text)?.[1];

        return { key: member('key'), user: member('user') };
    }

    // Waits for the n-th stream and until calls work on it; a call before
    // its endpoint event goes to the session that ended.

    async back(n, name) {
        await until(() => this.gets.length >= n, name);
        await until(() => this.client.ping({ timeout: 2000 })
            .then(() => true, () => false), name);
        ok(true, name);
    }
}

export async function end() {
    for (const session of sessions) {
        await session.client.close();
    }

    say({ end: true });

    // After a garbage collection Node 18 has forgotten the signal given to
    // fetch(): close() leaves the stream open, and that keeps the process.

    if (process.version.startsWith('v18.')) {
        setTimeout(() => process.exit(), 2000).unref();
    }
}
