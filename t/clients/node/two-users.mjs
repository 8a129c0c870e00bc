// Two users make calls at once, with the same request ids.

import { Session, alice, bob, end, is } from './harness.mjs';

const sessions = await Promise.all(
    [alice, bob].map(authorization => Session.open(authorization)));

const keys = Array.from({ length: 30 }, (_, n) => `key-${n}`);

const [ofAlice, ofBob] = await Promise.all(sessions.map(session =>
    Promise.all(keys.map(key => session.echo(key)))));

const [ids, otherIds] = await Promise.all(sessions.map(async session =>
    (await session.posted('tools/call', 30)).map(post => post.message.id)));

is(ids, otherIds, 'both sessions use the same ids');
is(ids.length, 30, '30 calls per session');
is(ofAlice, keys.map(key => ({ key, user: 'alice@example.com' })),
    'Alice gets her answers');
is(ofBob, keys.map(key => ({ key, user: 'bob@example.com' })),
    'Bob gets his answers');

// the client reports an error for an answer with an unknown id

is(sessions.map(session => session.errors), [[], []],
    'no other answers on either stream');

await end();
