// The official TypeScript client, v1, with the interface that real.mjs uses.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport }
    from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport }
    from '@modelcontextprotocol/sdk/client/streamableHttp.js';

export const http = (url, options) =>
    new StreamableHTTPClientTransport(url, options);

export const sse = (url, options) => new SSEClientTransport(url, options);

// a command that speaks MCP on its standard input and output, as mcp-remote

export const stdio = (command, args, env) =>
    new StdioClientTransport({ command, args, env, stderr: 'ignore' });

export const client = () =>
    new Client({ name: 'mcp-sse-test', version: '1.0.0' });

export const call = (client, params, options) =>
    client.callTool(params, undefined, options);
