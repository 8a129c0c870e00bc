// 20 sessions behind a load balancer that knows no stickiness: 2,000 calls,
// then one instance is reloaded and another one stopped and started while
// calls go on.

import {
    Session, alive, end, event, hangAfter, is, ok, sleep, stats, until,
} from './harness.mjs';

const sessions = await Promise.all(
    Array.from({ length: 20 }, () => Session.open()));

is(sessions.filter(session => session.gets.length !== 1
    || session.gets[0].status !== 200).length, 0, '20 streams');

// 100 calls each, 5 of them at once

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

is(wrong.slice(0, 3), [], '2,000 calls, each its answer');
is(wrong.length, 0, 'all of them');

const { calls, tools } = await stats();

is(tools.echo, 2000, 'Frappe ran 2,000');
is(Object.values(calls).filter(n => n !== 1).length, 0, 'each exactly once');
is(sessions.filter(session => session.posts.some(
    post => post.status !== 202)).length, 0, 'every POST was accepted');
is(sessions.filter(session => session.gets.length > 1).length, 0,
    'every stream is still the first');
is(sessions.flatMap(session => session.errors).slice(0, 3), [],
    'no client complains');

// Calls go on, one at a time for each session, while something happens: for
// some seconds, 20 of each session at least, and until a client has come back
// with another stream, which streams tells.  A call is given up when its
// client is back with another stream: no answer comes on that.

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
            .then(() => true, () => false), `session ${n} works again`);
        alive();
    }

    const { calls } = await stats();
    const ran = key => calls[`echo/${key}`] ?? 0;
    const came = sessions.filter((session, n) =>
        session.gets.length > streams[n]);
    const stayed = done.filter(call => !came.includes(call.session));

    ok(came.length > 0 && came.length < 20,
        `${what}: clients of one instance had to come back`, came.length);
    is(done.filter(call => ran(call.key) > 1).map(call => call.key), [],
        `${what}: none ran twice`);
    is(done.filter(call => call.good === false).map(call => call.key), [],
        `${what}: no answer went to another call`);
    is(done.filter(call => call.good && ran(call.key) !== 1)
        .map(call => call.key), [], `${what}: none was answered without`);

    if (what === 'reload') {
        is(stayed.filter(call => call.failed).map(call => call.failed)
            .slice(0, 3), [], `${what}: sessions elsewhere do not notice`);
    }

    // A POST that is at the instance when it is stopped may be cut, and each
    // session has one at a time.  An instance with a sanitizer is long in
    // stopping: then most sessions have one there.

    const lost = stayed.filter(call => call.failed);
    const most = Math.max(...sessions.map(session =>
        lost.filter(call => call.session === session).length));

    ok(most <= 2, `${what}: nearly all calls elsewhere are answered`,
        lost.map(call => `${call.key}: ${call.failed}`));

    ok(true, `${what}: every client is back`);

    const after = (await Promise.all(sessions.map(session =>
        echoes(session, 5)))).flat();

    is(after.slice(0, 3), [], `${what}: and every call is answered again`);
}

const last = await stats();

is(Object.entries(last.calls).filter(([, n]) => n > 1), [],
    'no call ever ran twice');
is(last.methods.initialize, 20, 'no initialize but the first ones');

await end();
