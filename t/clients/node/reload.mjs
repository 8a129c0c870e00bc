// nginx is reloaded in mid-session: the call that runs is answered, then the
// client comes back by itself; so does one that was idle.

import { Session, end, event, is, ok, stats, until } from './harness.mjs';

const [busy, idle] = await Promise.all([Session.open(), Session.open()]);
const running = busy.call('hold', { gate: 'reload', key: 'open' })
    .then(({ content }) => ({ content, streams: busy.gets.length }));

await until(async () => (await stats()).tools.hold, 'a call runs');
event('reload');

const answer = await running;

ok(/held/.test(answer.content[0].text), 'the open call is answered',
    answer);
is(answer.streams, 1, 'on the stream it was made for');

await busy.back(2, 'its client comes back');
await idle.back(2, 'the idle one, too');

for (const session of [busy, idle]) {
    ok((await session.client.listTools()).tools.length > 10, 'tools/list');
    is((await session.echo('again')).key, 'again', 'a call');
    ok(session.gets[1].worker !== session.gets[0].worker,
        'the stream is at another worker', session.gets);
    ok(session.gets.every(get => get.status === 200), 'no stream was refused',
        session.gets);
}

const { calls, methods } = await stats();

is(calls['hold/open'], 1, 'the open call ran once');
is(methods.initialize, 2, 'no initialize but the first ones');

await end();
