// Functions shared by the scripts of this folder: sessions of the official
// client, and the output that MCPTest::Client reads, one JSON object per line:
//
//   {"ok":true,"name":"NAME"}   result of a test
//   {"event":"NAME"}            the test must do something, such as a reload
//   {"secret":"TEXT"}           a text that must not be in a log
//   {"alive":true}              the script is still running
//   {"end":true}                the last line

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';

const { MCP_URL, FRAPPE_CONTROL } = process.env;

export const oldDialect = process.env.DIALECT === 'old';
export const alice = process.env.ALICE;
export const bob = process.env.BOB;

// The script ends in any case.  node exits by itself if it waits for a promise
// that cannot be settled.

process.on('uncaughtException', error => {
    ok(false, 'no uncaught exception', error.stack);
    process.exit(1);
});

// seconds after which a wait gives up, or a script that prints nothing

export const hangAfter = Number(process.env.HANG_AFTER ?? 60);

let hangs;

function say(line) {
    process.stdout.write(JSON.stringify(line) + '\n');

    clearTimeout(hangs);
    hangs = setTimeout(() => {
        process.stdout.write('{"ok":false,"name":"the script hangs"}\n');
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

// Tests that the promise rejects with this code and message; returns the error.

export async function rejects(promise, code, pattern, name) {
    try {
        ok(false, name, await promise);
    } catch (error) {
        ok(error.code === code && pattern.test(error.message), name, error);
        return error;
    }

    return {};
}

// Waits until condition() returns a true value, and returns it.

export async function until(condition, name) {
    const end = Date.now() + hangAfter * 1000;

    while (Date.now() < end) {
        const value = await condition();
        if (value) {
            return value;
        }

        await sleep(50);
    }

    throw new Error(`timed out after ${hangAfter} s: ${name}`);
}

export function sleep(ms) {
    return new Promise(resolve => setTimeout(resolve, ms));
}

// Asks the stand-in for Frappe.  It closes a connection that is idle for two
// seconds, maybe in the moment in which fetch() takes that connection: the
// request is sent again.

async function control(path, init) {
    for (let tries = 3; ; tries--) {
        try {
            return await fetch(`${FRAPPE_CONTROL}${path}`, init);
        } catch (error) {
            if (tries === 1) {
                throw error;
            }
        }
    }
}

// Returns the counters of the stand-in.

export async function stats() {
    return (await control('/stats')).json();
}

// Changes settings of the stand-in.

export async function set(settings) {
    await control('/set', { method: 'POST', body: JSON.stringify(settings) });
}

// Opens a gate of the stand-in: calls of the tool "hold" are answered.

export async function openGate(gate) {
    await set({ open: gate });
}

const sessions = [];

// A session, opened as an application does: the credential is in requestInit
// for the POSTs, and added by eventSourceInit.fetch for the stream.  It records
// requests (gets, posts) and what the client reports by onerror (errors).

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

    // Waits for n POSTs of a method that have a status, and returns them.  The
    // answer on the stream may come before the 202.

    async posted(method, n = 1) {
        const posts = () => this.posts.filter(post => post.status
            && post.message.method === method);

        await until(() => posts().length >= n, `${n} POSTs of ${method}`);

        return posts();
    }

    // Calls the tool echo; returns key and user of its answer in either dialect.

    async echo(key) {
        const { content } = await this.call('echo', { key });
        const member = name => new RegExp(
            `["']${name}["']: ["']([^"']*)["']`).exec(content[0].text)?.[1];

        return { key: member('key'), user: member('user') };
    }

    // Waits until the client has opened its n-th stream and until calls work:
    // before the endpoint event they go to the ended session.

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

    // Node 18 loses the signal of fetch() in a garbage collection: close()
    // leaves the stream open, and the process does not exit.

    if (process.version.startsWith('v18.')) {
        setTimeout(() => process.exit(), 2000).unref();
    }
}
