// nginx is reloaded: a running call is answered, then its client reconnects; an
// idle client reconnects as well.

import { Session, end, event, is, ok, stats, until } from './harness.mjs';

const [busy, idle] = await Promise.all([Session.open(), Session.open()]);
const running = busy.call('hold', { gate: 'reload', key: 'open' })
    .then(({ content }) => ({ content, streams: busy.gets.length }));

await until(async () => (await stats()).tools.hold, 'a call runs');
event('reload');

const answer = await running;

ok(/held/.test(answer.content[0].text), 'the running call is answered',
    answer);
is(answer.streams, 1, 'it is answered on the first stream');

await busy.back(2, 'its client reconnects');
await idle.back(2, 'the idle client reconnects');

for (const session of [busy, idle]) {
    ok((await session.client.listTools()).tools.length > 10, 'tools/list');
    is((await session.echo('again')).key, 'again', 'a call');
    ok(session.gets[1].worker !== session.gets[0].worker,
        'the new stream is at another worker', session.gets);
    ok(session.gets.every(get => get.status === 200), 'no stream was refused',
        session.gets);
}

const { calls, methods } = await stats();

is(calls['hold/open'], 1, 'the running call ran once');
is(methods.initialize, 2, 'no session sent initialize again');

await end();
