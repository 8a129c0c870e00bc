"""Requests of MCP clients, and mutations of them.

Session ids are not known when a request is made: it has marks of the same
length, which filled() replaces when it is sent.
"""

from livelib.mutate import SCALARS, chance, chunked, mutate_bytes, \
    mutate_json

ID_LEN = 50

VERSIONS = (b'2024-11-05', b'2025-03-26', b'2025-06-18', b'2025-11-25')

HUGE = b'h' * 9000

VALUES = [b'', b' ', b',', b'*', b'*/*', b'*/*;q=0', b'application/json',
          b'text/event-stream', b'application/json, text/event-stream',
          b'text/*;q=0.001', b'application/json;q=1.0001', b'a/b;c="d,e\\"',
          b'application/json; charset=utf-8', b'Application/JSON',
          b'gzip', b'identity', b'chunked', b'chunked, chunked', b'100-continue',
          b'2099-01-01', b'2025-06-18, 2025-11-25', b'2025-06-18,',
          b'http://erp.example.com', b'https://erp.example.com:443', b'null',
          b'http://[::1]:80', b'http://127.0.0.1:99999', b'http://a@b/',
          b'erp.example.com', b'[::1', b'a..b', b'token a', b'Bearer x',
          b'Basic ' + b'QUFB' * 40, b'Basic =', b'token a:b:c', b'Token\ta:b',
          b'sid=abc; x=y', b'sid=; sid=', b'keep-alive, upgrade', b'close',
          b'h2c', b'0', b'-1', b'1e3', b'18446744073709551616', b'\x80\xff',
          b'same-origin', b'cross-site', b'a\tb', HUGE, b'x' * 200]

HEADERS = [b'Accept', b'Content-Type', b'Content-Length', b'Origin', b'Host',
           b'Transfer-Encoding', b'Expect', b'Connection', b'Upgrade',
           b'Mcp-Session-Id', b'MCP-Protocol-Version', b'Last-Event-ID',
           b'Authorization', b'Cookie', b'X-Frappe-CSRF-Token',
           b'Sec-Fetch-Site', b'User-Agent', b'Accept-Language',
           b'traceparent', b'X-Request-Id', b'Mcp-Name', b'X-Forwarded-For',
           b'X-Frappe-Site-Name', b'Accept-Encoding', b'Range', b'If-Match',
           b'Content-Encoding', b'X-Accel-Redirect', b'X-HTTP-Method',
           b'Access-Control-Request-Method', b'TE',
           b'Access-Control-Request-Headers', b'Forwarded', b'Mcp-' + b'n' * 90]

TARGETS = [b'/mcp', b'/mcp/', b'/mcp/sse', b'/mcp/messages', b'/health',
           b'/health?ready=strict', b'/metrics', b'/', b'/mcp/messages/',
           b'/.well-known/oauth-protected-resource/mcp/sse',
           b'/.well-known/oauth-protected-resource/mcp',
           b'/.well-known/oauth-authorization-server',
           b'/.well-known/openid-configuration/mcp', b'/_mcp/call', b'*',
           b'http://erp.example.com/mcp', b'/mcp/%73se', b'/mcp/sse?a=%',
           b'/mcp/sse?server_url=http://erp.example.com&keepalive=event',
           b'/mcp/sse?server_url=http%3A%2F%2F' + b'%41' * 300]

METHODS = [b'GET', b'POST', b'DELETE', b'HEAD', b'OPTIONS', b'PUT', b'get',
           b'CONNECT', b'TRACE', b'PATCH', b'PRI']


def mark(user, number, altered=None):
    """What stands for session id number of a user, with a bit altered."""

    text = b'@%02d_%02d_%s_' % (user, number,
                                b'none' if altered is None
                                else b'%04d' % altered)

    return text + b'@' * (ID_LEN - len(text))


def filled(data, ids):
    """data with the session ids of the users for the marks."""

    at = data.find(b'@')

    while at >= 0:
        text = data[at:at + ID_LEN]
        new = ids.get(text[:6])

        if new and text.endswith(b'_' + b'@' * 38):
            if text[7:11].isdigit():
                bit = int(text[7:11]) % (8 * len(new))
                changed = bytearray(new)
                changed[bit // 8] ^= 1 << (bit % 8)
                new = bytes(changed)

            data = data[:at] + new + data[at + ID_LEN:]

        at = data.find(b'@', at + 1)

    return data


def message(rng):
    """A JSON-RPC message, or a batch."""

    number = rng.choice((b'%d' % rng.randrange(1, 6), b'"a"',
                         b'"%d"' % rng.randrange(9)))

    def one():
        kind = rng.randrange(14) - 4

        if kind < 3:
            return (b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":'
                    b'{"name":"t%d","arguments":{"a":[1,"x\\u00e9",null]},'
                    b'"_meta":{"progressToken":%d}}}'
                    % (number, rng.randrange(1000), rng.randrange(9)))
        if kind < 4:
            return (b'{"jsonrpc":"2.0","id":%s,"method":"initialize","params":'
                    b'{"protocolVersion":"%s","capabilities":{}}}'
                    % (number, rng.choice(VERSIONS)))
        if kind < 5:
            return b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % number
        if kind < 6:
            return (b'{"jsonrpc":"2.0","method":"notifications/cancelled",'
                    b'"params":{"requestId":%s}}' % number)
        if kind < 7:
            return (b'{"jsonrpc":"2.0","method":"notifications/%s"}'
                    % rng.choice((b'initialized', b'progress', b'x')))
        if kind < 8:
            return b'{"jsonrpc":"2.0","id":%s,"result":{}}' % number

        return (b'{"method":"%s","id":%s,"jsonrpc":"2.0"}'
                % (rng.choice((b'resources/list', b'tools/list', b'a/b',
                               b'prompts/list', b'logging/setLevel')), number))

    if chance(rng, .12):
        count = rng.choice((0, 1, 2, 5, 100, 101))
        return b'[' + b','.join(one() for _ in range(count)) + b']'

    return one()


class Request:
    """A request before it is bytes."""

    def __init__(self, rng, user, secret):
        self.body = b''
        self.headers = [(b'Host', b'erp.example.com'),
                        (b'Authorization', b'token ' + secret)]

        kind = rng.randrange(20)

        # session 0 of a user is the stream's, 1 that of Streamable HTTP

        legacy = kind < 6 or 12 <= kind < 14
        number = int(legacy if chance(rng, .05) else not legacy)
        sid = mark(user, number, rng.randrange(400)
                   if chance(rng, .05) else None)

        if kind < 6:
            self.method = b'POST'
            self.target = b'/mcp/messages?session_id=' + sid
        elif kind < 12:
            self.method, self.target = b'POST', b'/mcp'
            self.add(b'Accept', rng.choice(VALUES[4:9]))
            if chance(rng, .7):
                self.add(b'Mcp-Session-Id', sid)
            if chance(rng, .5):
                self.add(b'MCP-Protocol-Version', rng.choice(VERSIONS))
        elif kind < 14:
            self.method, self.target = b'GET', b'/mcp/sse'
            if chance(rng, .4):
                self.add(b'Last-Event-ID', sid)
        elif kind < 16:
            self.method = rng.choice((b'GET', b'GET', b'DELETE', b'HEAD'))
            self.target = b'/mcp'
            self.add(b'Mcp-Session-Id', sid)
            self.add(b'Accept', b'text/event-stream')
        else:
            self.method = rng.choice(METHODS[:5] if chance(rng, .8)
                                     else METHODS)
            self.target = rng.choice(TARGETS)

        if self.method == b'POST':
            self.add(b'Content-Type', b'application/json')
            self.body = message(rng)

    def streams(self):
        """Whether it opens a stream, behind which nothing is answered."""

        return self.method == b'GET' and self.target.startswith(b'/mcp')

    def add(self, name, value):
        self.headers.append((name, value))

    def mutate_headers(self, rng):
        for _ in range(rng.choice((1, 1, 2, 5))):
            kind = rng.randrange(7)
            at = rng.randrange(len(self.headers)) if self.headers else 0

            if kind == 0 and self.headers:
                name, value = self.headers[at]
                self.headers.insert(rng.randrange(len(self.headers)),
                                    (name, value))
            elif kind == 1 and self.headers:
                del self.headers[at]
            elif kind == 2 and self.headers:
                self.headers[at] = (self.headers[at][0], rng.choice(VALUES))
            elif kind == 3 and self.headers:
                name, value = self.headers[at]
                self.headers[at] = (name, mutate_bytes(rng, value, 1))
            elif kind == 4:
                rng.shuffle(self.headers)
            elif kind == 5 and self.headers:
                name, value = self.headers[at]
                self.headers[at] = (name, value + rng.choice(
                    (b',', b', ', b';q=0', b' ')) + value)
            else:
                self.add(rng.choice(HEADERS), rng.choice(VALUES))

        if chance(rng, .1):
            for i in range(rng.choice((30, 200))):
                self.add(b'X-%d' % i, b'v' * rng.choice((1, 40)))

    def mutate(self, rng):
        """Mutate parts of it; half of them stay as they are."""

        if chance(rng, .5):
            return

        if self.body and chance(rng, .5):
            self.body = mutate_json(rng, self.body)

        if chance(rng, .4):
            self.mutate_headers(rng)

        if chance(rng, .08):
            self.target = mutate_bytes(rng, self.target, 1)

        if chance(rng, .05):
            self.method = rng.choice(METHODS)

        if chance(rng, .03):
            self.body = rng.choice(SCALARS) if chance(rng, .5) else \
                b'[' + b' ' * rng.choice((5000, 140000)) + self.body

    def head(self, version=b'HTTP/1.1'):
        lines = [b'%s %s %s' % (self.method, self.target, version)]
        lines += [name + b': ' + value for name, value in self.headers]

        return b'\r\n'.join(lines) + b'\r\n\r\n'

    def bytes(self, rng):
        """As HTTP/1, framed well or badly."""

        body, odd = self.body, chance(rng, .1)

        if body and chance(rng, .3):
            self.add(b'Transfer-Encoding', b'chunked')
            body = chunked(rng, body, odd)
        elif body or odd:
            length = len(body)
            if odd:
                length = rng.choice((length + 1, max(0, length - 1), 0,
                                     length + 70000, 10 ** 19, -1))
            self.add(b'Content-Length', b'%d' % length)

        if body and chance(rng, .05):
            self.add(b'Expect', b'100-continue')

        version = rng.choice((b'HTTP/1.0', b'HTTP/1.2', b'HTTP/2.0', b'HTTP/9',
                              b'')) if chance(rng, .04) else b'HTTP/1.1'

        data = self.head(version) + body

        return mutate_bytes(rng, data) if chance(rng, .08) else data
