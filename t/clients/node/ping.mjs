// "ping.mjs accepted|refused": whether the client accepts the answer to a ping.

import { Session, end, is, ok } from './harness.mjs';

const session = await Session.open();
const wanted = process.argv[2];

try {
    const result = await session.client.ping();

    ok(wanted === 'accepted', `ping is ${wanted}`, result);
} catch (error) {
    ok(wanted === 'refused' && /nrecognized key/.test(error.message),
        `ping is ${wanted}`, error);
}

is((await session.echo('after')).key, 'after', 'a call is answered');

await end();
