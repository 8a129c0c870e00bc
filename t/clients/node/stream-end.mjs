// The server closes an idle stream: the client reconnects and makes calls
// without sending initialize again.

import { Session, end, is, ok, stats } from './harness.mjs';

const session = await Session.open();
const first = session.posts[0].session;

is((await session.echo('before')).key, 'before', 'a call');
await session.back(2, 'the client opens a new stream');

ok((await session.client.listTools()).tools.length > 10, 'tools/list');
is((await session.echo('after')).key, 'after', 'a call');

const { calls, methods } = await stats();

is([calls['echo/before'], calls['echo/after']], [1, 1], 'each ran once');
is(methods.initialize, 1, 'initialize was sent once');
ok(session.posts.at(-1).session !== first, 'the session is a new one');
ok(session.gets.every(get => get.status === 200 && !get.lastEventId),
    'the second GET has no Last-Event-ID and is accepted', session.gets);
ok(!session.closed, 'the client does not report the end of the stream');

await end();
