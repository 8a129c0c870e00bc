// The client connects with a credential that Frappe refuses.

import { Session, end, is, rejects, stats } from './harness.mjs';

for (const authorization of ['token alice-key:no-secret-of-hers',
    'Bearer no-token-of-anyone'])
{
    const session = new Session(authorization);
    const [kind] = authorization.split(' ');

    await rejects(session.client.connect(session.transport), 401, /401/,
        `${kind}: connect is refused`);
    is(session.gets.map(get => get.status), [401], `${kind}: with 401`);
    is(session.posts, [], `${kind}: no message was sent`);
}

is((await stats()).methods, {}, 'no call reaches the backend');

await end();
