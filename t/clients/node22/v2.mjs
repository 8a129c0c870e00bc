// The official TypeScript client, v2, in its default, the handshake of
// "initialize": what t/clients/node/real.mjs wants of one.

import { Client, SSEClientTransport, StreamableHTTPClientTransport }
    from '@modelcontextprotocol/client';

export const http = (url, options) =>
    new StreamableHTTPClientTransport(url, options);

export const sse = (url, options) => new SSEClientTransport(url, options);

export const client = () =>
    new Client({ name: 'mcp-sse-test', version: '2.0.0' });

export const call = (client, params, options) =>
    client.callTool(params, options);
