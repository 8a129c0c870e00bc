// Two users at once, with the same request ids.

import { Session, alice, bob, end, is } from './harness.mjs';

const sessions = await Promise.all(
    [alice, bob].map(authorization => Session.open(authorization)));

const keys = Array.from({ length: 30 }, (_, n) => `key-${n}`);

const [ofAlice, ofBob] = await Promise.all(sessions.map(session =>
    Promise.all(keys.map(key => session.echo(key)))));

const [ids, otherIds] = await Promise.all(sessions.map(async session =>
    (await session.posted('tools/call', 30)).map(post => post.message.id)));

is(ids, otherIds, 'both used the same ids');
is(ids.length, 30, '30 each');
is(ofAlice, keys.map(key => ({ key, user: 'alice@example.com' })),
    'Alice has her answers');
is(ofBob, keys.map(key => ({ key, user: 'bob@example.com' })),
    'Bob has his');

// an answer of another session would be one to an unknown id

is(sessions.map(session => session.errors), [[], []],
    'and nothing else came to either');

await end();
