// Progress notifications keep a call alive that takes longer than its time-out.

import { Session, end, is, ok, rejects } from './harness.mjs';

const session = await Session.open();
const seen = [];

// Progress comes every second: many times before the time-out, which is
// shorter than the call.  The one without progress has no answer at all.

const kept = session.call('sleep', { seconds: 10, key: 'kept' }, {
    timeout: 8000,
    resetTimeoutOnProgress: true,
    onprogress: ({ progress }) => seen.push(progress),
});

const lost = session.call('hang', { key: 'lost' }, { timeout: 3000 });

lost.catch(() => {});
ok(/slept/.test((await kept).content[0].text),
    'a call longer than its time-out is answered');
ok(seen.length >= 2, 'progress is received', seen);
is(seen, [...new Set(seen)].sort((a, b) => a - b), 'progress increases');
await rejects(lost, -32001, /Request timed out/,
    'the same call without progress times out');
is((await session.posted('notifications/cancelled')).length, 1,
    'the client cancels it');

// the client reports an error for progress that it reads with the answer

const [{ message }] = session.posts.filter(post => post.message.params?._meta);
const token = `"progressToken":${message.params._meta.progressToken}}`;

is(session.errors.filter(error => !error.includes(token)), [],
    'no progress for a call without a progress token');

await end();
