// 20 sessions and 2,000 calls behind a load balancer without sticky sessions;
// then, during calls, one instance is reloaded and another one restarted.

import {
    Session, alive, end, event, hangAfter, is, ok, sleep, stats, until,
} from './harness.mjs';

const sessions = await Promise.all(
    Array.from({ length: 20 }, () => Session.open()));

is(sessions.filter(session => session.gets.length !== 1
    || session.gets[0].status !== 200).length, 0, '20 streams');

// 100 calls per session, 5 at once

let made = 0;

async function echoes(session, count) {
    const wrong = [];

    for (let n = 0; n < count; n++) {
        const key = `many-${made++}`;

        if (made % 100 === 0) {
            alive();
        }

        try {
            const echo = await session.echo(key);

            if (echo.key !== key) {
                wrong.push(`${key} got ${echo.key}`);
            }
        } catch (error) {
            wrong.push(`${key}: ${error.message}`);
        }
    }

    return wrong;
}

const wrong = (await Promise.all(sessions.flatMap(session =>
    Array.from({ length: 5 }, () => echoes(session, 20))))).flat();

is(wrong.slice(0, 3), [], '2,000 calls, each gets its answer');
is(wrong.length, 0, 'number of wrong answers');

const { calls, tools } = await stats();

is(tools.echo, 2000, 'Frappe ran 2,000 calls');
is(Object.values(calls).filter(n => n !== 1).length, 0, 'each exactly once');

// the answer on the stream may come before the 202

await until(() => sessions.every(session => session.posts.every(
    post => post.status)), 'every POST is answered');
is(sessions.filter(session => session.posts.some(
    post => post.status !== 202)).length, 0, 'every POST was accepted');
is(sessions.filter(session => session.gets.length > 1).length, 0,
    'no stream was reopened');
is(sessions.flatMap(session => session.errors).slice(0, 3), [],
    'the clients report no errors');

// Each session makes calls, one at a time: for this number of seconds, at
// least 20 of each session, and until one client has reconnected.  "streams"
// has the number of streams that each session had before.  A call gives up when
// its client has reconnected: its answer would have come on the old stream.

async function meanwhile(seconds, name, streams) {
    const limit = Date.now() + seconds * 1000;
    const back = () => sessions.some((session, n) =>
        session.gets.length > streams[n]);

    return (await Promise.all(sessions.map(async (session, number) => {
        const done = [];

        for (let n = 0; n < 20 || Date.now() < limit || !back(); n++) {
            const key = `${name}-${number}-${n}`;
            const stream = session.gets.length;
            const controller = new AbortController();
            const look = setInterval(() => session.gets.length > stream
                && controller.abort('another stream'), 100);

            try {
                const { content } = await session.call('echo', { key },
                    { timeout: hangAfter * 1000, signal: controller.signal });

                done.push({ key, session,
                    good: content[0].text.includes(`"${key}"`) });
            } catch (error) {
                done.push({ key, session, failed: error.message });
            } finally {
                clearInterval(look);
            }

            await sleep(30);
        }

        return done;
    }))).flat();
}

for (const what of ['reload', 'restart']) {
    const streams = sessions.map(session => session.gets.length);
    const running = meanwhile(8, what, streams);

    await sleep(700);
    event(what);

    const done = await running;

    for (const [n, session] of sessions.entries()) {
        await until(() => session.client.ping({ timeout: 2000 })
            .then(() => true, () => false), `session ${n} is answered`);
        alive();
    }

    const { calls } = await stats();
    const ran = key => calls[`echo/${key}`] ?? 0;
    const came = sessions.filter((session, n) =>
        session.gets.length > streams[n]);
    const stayed = done.filter(call => !came.includes(call.session));

    ok(came.length > 0 && came.length < 20,
        `${what}: only clients of one instance reconnect`, came.length);
    is(done.filter(call => ran(call.key) > 1).map(call => call.key), [],
        `${what}: no call ran twice`);
    is(done.filter(call => call.good === false).map(call => call.key), [],
        `${what}: no answer went to another call`);
    is(done.filter(call => call.good && ran(call.key) !== 1)
        .map(call => call.key), [], `${what}: each answered call ran`);

    if (what === 'reload') {
        is(stayed.filter(call => call.failed).map(call => call.failed)
            .slice(0, 3), [], `${what}: no calls of other sessions fail`);
    }

    // The connection of a POST to the instance that stops may be closed.  Each
    // session has one POST at a time; an instance with a sanitizer stops so
    // slowly that most sessions have one there.

    const lost = stayed.filter(call => call.failed);
    const most = Math.max(...sessions.map(session =>
        lost.filter(call => call.session === session).length));

    ok(most <= 2, `${what}: at most 2 calls of any other session fail`,
        lost.map(call => `${call.key}: ${call.failed}`));

    ok(true, `${what}: all clients have reconnected`);

    const after = (await Promise.all(sessions.map(session =>
        echoes(session, 5)))).flat();

    is(after.slice(0, 3), [], `${what}: all later calls are answered`);
}

const last = await stats();

is(Object.entries(last.calls).filter(([, n]) => n > 1), [],
    'no call ran twice');
is(last.methods.initialize, 20, 'no session sent initialize again');

await end();
