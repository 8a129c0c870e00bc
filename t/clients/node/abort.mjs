// The client cancels a running call with an AbortSignal.

import { Session, end, is, openGate, rejects, stats, until } from './harness.mjs';

const session = await Session.open();
const controller = new AbortController();

const given = session.call('hang', {}, { signal: controller.signal });
const other = session.call('hold', { gate: 'other', key: 'other' });

given.catch(() => {});
await until(async () => {
    const { tools } = await stats();
    return tools.hang && tools.hold;
}, 'two calls run');

is((await stats()).aborted, 0, 'nothing is aborted yet');
controller.abort('changed my mind');

await rejects(given, -32001, /changed my mind/, 'the cancelled call rejects');
await until(async () => (await stats()).aborted > 0,
    'the call is aborted at the backend');

is((await session.posted('notifications/cancelled')).map(post => post.status),
    [202],
    'notifications/cancelled was sent and accepted');
is((await session.echo('meanwhile')).key, 'meanwhile',
    'a new call is answered');
await openGate('other');
is((await other).content.length, 1, 'the other running call is answered');

const { aborted, calls, methods } = await stats();

is(aborted, 1, 'one call was aborted');
is(calls['hold/other'], 1, 'the other call ran once');
is(methods['notifications/cancelled'], undefined,
    'notifications/cancelled is not forwarded');
is(session.errors, [], 'the cancelled call is not answered');

await end();
