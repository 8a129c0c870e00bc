// A server of the official TypeScript SDK with one tool, as its examples have
// it, over one transport:
//
//   sdk.mjs http PORT    Streamable HTTP with sessions
//   sdk.mjs sse PORT     HTTP+SSE
//   sdk.mjs stdio        for mcp-proxy and supergateway

import { randomUUID } from 'node:crypto';

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StdioServerTransport }
    from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport }
    from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { z } from 'zod';

const [kind, port] = process.argv.slice(2);
const transports = new Map();

function createServer() {
    const server = new McpServer({ name: 'bench', version: '1' });

    server.registerTool('echo',
        { description: 'Echo', inputSchema: { message: z.string() } },
        async ({ message }) => ({ content: [{ type: 'text', text: message }] }));

    return server;
}

async function post(req, res) {
    let transport = transports.get(req.headers['mcp-session-id']);

    if (!transport) {
        transport = new StreamableHTTPServerTransport({
            sessionIdGenerator: () => randomUUID(),
            onsessioninitialized: (id) => transports.set(id, transport),
        });
        transport.onclose = () => transports.delete(transport.sessionId);
        await createServer().connect(transport);
    }

    await transport.handleRequest(req, res, req.body);
}

async function get(req, res) {
    const transport = transports.get(req.headers['mcp-session-id']);

    if (!transport) {
        res.status(404).end();
        return;
    }

    await transport.handleRequest(req, res);
}

async function stream(req, res) {
    const transport = new SSEServerTransport('/messages', res);

    transports.set(transport.sessionId, transport);
    res.on('close', () => transports.delete(transport.sessionId));
    await createServer().connect(transport);
}

async function message(req, res) {
    await transports.get(req.query.sessionId)
        .handlePostMessage(req, res, req.body);
}

if (kind === 'stdio') {
    await createServer().connect(new StdioServerTransport());

} else {
    const app = express();

    app.use(express.json());

    if (kind === 'http') {
        app.post('/mcp', post);
        app.get('/mcp', get);

    } else {
        app.get('/sse', stream);
        app.post('/messages', message);
    }

    app.listen(Number(port), '127.0.0.1');
}
