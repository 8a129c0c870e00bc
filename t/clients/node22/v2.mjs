// The official TypeScript client, v2, with the interface that
// t/clients/node/real.mjs uses.  By default it sends initialize.

import { Client, SSEClientTransport, StreamableHTTPClientTransport }
    from '@modelcontextprotocol/client';

export const http = (url, options) =>
    new StreamableHTTPClientTransport(url, options);

export const sse = (url, options) => new SSEClientTransport(url, options);

export const client = () =>
    new Client({ name: 'mcp-sse-test', version: '2.0.0' });

export const call = (client, params, options) =>
    client.callTool(params, options);
