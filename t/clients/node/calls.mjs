// Calls of one session: answers, errors of tools and of the backend.

import { ResultSchema } from '@modelcontextprotocol/sdk/types.js';
import {
    Session, end, is, ok, oldDialect, rejects, stats,
} from './harness.mjs';

const session = await Session.open();
const { client } = session;

is(client.getServerVersion().name, oldDialect
    ? 'Frappe Assistant Core MCP Server' : 'frappe-assistant-core',
    'initialize is answered by the backend');
is(session.gets.map(get => get.status), [200], 'one stream');
await session.posted('initialize');
is(session.posts.map(post => [post.message.method, post.status]),
    [['initialize', 202], ['notifications/initialized', 202]],
    'initialize and notifications/initialized are accepted');

const { tools } = await client.listTools();

ok(tools.some(tool => tool.name === 'echo'), 'tools/list', tools);
is(Object.keys(await client.ping()), ['_meta'], 'ping');

// 50 calls at once

const keys = Array.from({ length: 50 }, (_, n) => `once-${n}`);
const echoed = await Promise.all(keys.map(key => session.echo(key)));
const { calls, methods } = await stats();

is(echoed.map(echo => echo.key), keys,
    '50 calls at once, each gets its answer');
is(keys.filter(key => calls[`echo/${key}`] !== 1), [],
    'each ran exactly once');
ok((await session.posted('tools/call', 50))
    .some(post => post.worker !== session.gets[0].worker),
    'some POSTs reached other workers than the stream', session.posts);
is([methods.initialize, methods.ping, methods['notifications/initialized']],
    [1, undefined, undefined], 'ping and initialized are not forwarded');

// errors of tools and of the backend

if (oldDialect) {
    await rejects(session.call('fail'), -32603,
        /Tool execution failed: \[ExecutionError\] boom/,
        'a tool that raises: the error of the backend');
    await rejects(session.call('no_such_tool'), -32602, /Unknown tool/,
        'an unknown tool: the error of the backend');
} else {
    const { content } = await session.call('fail');
    const { success, error } = JSON.parse(content[0].text);

    is([success, error], [false, 'boom é "quoted"\nsecond line'],
        'a tool that raises: the result of the backend');
    is((await session.call('no_such_tool')).isError, true,
        'an unknown tool: isError');
}

const fault = await rejects(session.call('status', { code: 500 }), -32603,
    /Backend error$/, 'status 500 of the backend');

is(fault.data?.status, 500, 'the error data contain the status');

const thrown = await rejects(session.call('throw'), -32603, /Backend error$/,
    'frappe.throw');

is([thrown.data?.status, thrown.data?.exc_type], [417, 'ValidationError'],
    'the error data contain status and exc_type');

await rejects(client.request({ method: 'no/such' }, ResultSchema), -32601,
    /ethod.*not found/, 'an unknown method');

is(await session.echo('last'), { key: 'last', user: 'alice@example.com' },
    'a call after the errors');
is(session.errors, [], 'the client reports no errors');
is(session.gets.length, 1, 'the stream was not reopened');

await end();
