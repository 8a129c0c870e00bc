// The inspector's command line lists and calls tools, and is refused with a
// wrong key; each command is a session.  Run by t/clients/all.t.

import { execFile } from 'node:child_process';

const { ALICE, BASE, HANG_AFTER = 60 } = process.env;
const cli = new URL('node_modules/@modelcontextprotocol/inspector/clients/'
    + 'launcher/build/index.js', import.meta.url).pathname;

function say(line) {
    process.stdout.write(JSON.stringify(line) + '\n');
}

function inspect(url, key, ...args) {
    return new Promise(resolve => execFile(process.execPath, [cli, '--cli',
        '--stored-auth-only', url, '--header', `Authorization: ${key}`,
        '--format', 'json', ...args], { timeout: HANG_AFTER * 1000 },
        (error, stdout, stderr) => {
            let json;

            try {
                json = JSON.parse(stdout);
            } catch {
                json = {};
            }

            resolve({ code: error ? error.code ?? error.signal : 0, stdout,
                stderr, json: json.result ?? json });
        }));
}

async function check(name, promise, good) {
    const { code, stdout, stderr, json } = await promise;
    const fine = Boolean(good(code, json, stdout + stderr));

    say({ ok: fine, name, got: fine ? undefined
        : `code ${code}: ${(stdout + stderr).slice(0, 600)}` });
}

await Promise.all([['http', '/mcp'], ['sse', '/mcp/sse']].map(
    async ([transport, path]) => {
        const url = new URL(path, BASE).href;
        const run = (...args) => inspect(url, ALICE, '--transport', transport,
            ...args);

        await check(`${transport}, tools/list`, run('--method', 'tools/list'),
            (code, { tools }) => code === 0
                && tools?.some(tool => tool.name === 'echo'));

        await check(`${transport}, tools/call`, run('--method', 'tools/call',
            '--tool-name', 'echo', '--tool-arg', 'text=hello'),
            (code, { content }) => code === 0
                && /"user": "alice@example.com"/.test(content?.[0].text));

        await check(`${transport}, a tool that raises: the result`,
            run('--method', 'tools/call', '--tool-name', 'fail'),
            (code, { content }) => code === 0
                && /boom/.test(content?.[0].text));

        await check(`${transport}, the error of the backend`, run('--method',
            'tools/call', '--tool-name', 'throw'),
            (code, json, all) => code !== 0 && /Backend error/.test(all));

        await check(`${transport}, a wrong key`, inspect(url,
            'token alice-key:wrong', '--transport', transport,
            '--method', 'tools/list'),
            (code, json, all) => code !== 0
                && /401|auth_required|nauthorized/.test(all));
    }));

say({ end: true });
