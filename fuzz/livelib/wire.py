"""Strict readers of what nginx sends: HTTP/1 responses, event streams."""

import json
import re

from livelib.backend import strict_json
from livelib.fault import Fault

STATUS = re.compile(rb'HTTP/1\.1 [1-5][0-9][0-9] [\t -~\x80-\xff]*')
HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*")

# a request line without a version

HTTP_09 = re.compile(rb'[A-Z_-] +[^ \r\n]+ *\r?\n')

# nginx passes what is behind the status of the backend on as it is

STATUS_PASSED = re.compile(rb'HTTP/1\.1 200[^\r\n]*')
ENDPOINT = re.compile(rb'/mcp/messages\?session_id=[\w-]{50}')

EVENTS = (b'endpoint', b'message', b'ping', b'error')


class Events:
    """Reads an event stream."""

    def __init__(self, keep=False):
        self.rest = b''
        self.found = [] if keep else None     # messages, as bytes
        self.session = None

    def add(self, data):
        *blocks, self.rest = (self.rest + data).split(b'\n\n')

        for block in blocks:
            self.block(block)

    def block(self, block):
        kind, value, seen = b'message', None, []

        if b'\r' in block or b'\0' in block:
            raise Fault('a control character in an event: %r' % block)

        for line in block.split(b'\n'):
            name, _, text = line.partition(b': ')

            if name in seen or name not in (b'', b'id', b'event', b'data',
                                            b'retry'):
                raise Fault('a line of an event: %r' % block)

            if name == b'':
                seen.append(name)
            elif name == b'event':
                kind = text
                seen.append(name)
            elif name == b'data':
                value = text
                seen.append(name)

        if value is None:
            return

        if kind == b'endpoint':
            if not ENDPOINT.fullmatch(value):
                raise Fault('an endpoint: %r' % block)
            self.session = value[-50:]
            return

        if kind not in EVENTS:
            raise Fault('an unknown event: %r' % block)

        check_message(value, kind == b'message')

        if self.found is not None and kind == b'message':
            self.found.append(value)


def check_message(data, rpc):
    """data is JSON in one line; if rpc, messages of JSON-RPC."""

    if b'\n' in data or b'\r' in data:
        raise Fault('JSON in two lines: %r' % data[:400])

    try:
        value = json.loads(data.decode())
    except ValueError as error:
        raise Fault('not JSON, %s: %r' % (error, data[:400])) from error

    if not rpc:
        return

    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict) or one.get('jsonrpc') != '2.0' \
                or 'method' not in one \
                and ('result' in one) == ('error' in one):
            raise Fault('not JSON-RPC: %r' % data[:400])


class Responses:
    """Reads the responses of a connection.

    sent(): the bytes sent so far; whether the request was HEAD, or of
    HTTP/0.9, is seen there, as far as it matters.
    """

    def __init__(self, sent, keep=False):
        self.sent, self.keep = sent, keep
        self.data = b''
        self.done = []              # status, headers, body
        self.state = 'head'
        self.events = None
        self.headers, self.status, self.body = {}, 0, b''
        self.left = 0
        self.opaque = False         # HTTP/0.9: anything may follow

    def add(self, data):
        self.data += data

        while not self.opaque and self.data and getattr(self, self.state)():
            pass

    def streaming(self):
        return self.state != 'head' and self.events is not None

    def head(self):
        """A status line and headers, if they are complete."""

        if not self.data.startswith(b'HTTP/1.1 '[:len(self.data)]):
            if HTTP_09.search(self.sent()):
                self.opaque = True
                return False
            raise Fault('not a response: %r' % self.data[:400])

        head, mark, rest = self.data.partition(b'\r\n\r\n')

        if not mark:
            return False

        status, *lines = head.split(b'\r\n')

        self.headers, bad = {}, None

        for line in lines:
            if not HEADER.fullmatch(line):
                bad = line
            name, _, value = line.partition(b': ')
            if name.lower() in (b'content-length', b'transfer-encoding',
                                b'content-type', b'mcp-session-id') \
                    and name.lower() in self.headers:
                raise Fault('a header twice: %r' % head)
            self.headers[name.lower()] = value

        self.status = int(status[9:12]) if status[9:12].isdigit() else 0
        self.data, self.body = rest, b''

        if not (STATUS_PASSED if self.document() else STATUS).fullmatch(status):
            raise Fault('a status line: %r' % head)

        # headers of a document are passed on as well

        if bad is not None and not self.document():
            raise Fault('a header: %r in %r' % (bad, head))

        return self.status < 200 or self.framing()

    def framing(self):
        kind = self.headers.get(b'content-type', b'').partition(b';')[0]
        self.events = Events(self.keep) if kind == b'text/event-stream' \
            else None

        if self.status in (204, 304):
            self.end()
        elif b'HEAD ' in self.sent() and HTTP_09.search(self.sent()):
            self.opaque = True          # a body may be of either
            return False
        elif b'HEAD ' in self.sent() and not self.data:
            self.state = 'framing'      # until it is seen what follows
            return False
        elif b'HEAD ' in self.sent() and not self.body_follows():
            self.end()
        elif self.headers.get(b'transfer-encoding') == b'chunked':
            self.state = 'chunk'
        elif b'content-length' in self.headers:
            self.left = int(self.headers[b'content-length'])
            self.state = 'length'
            if self.left == 0:
                self.end()
        else:
            self.state = 'close'

        return True

    def document(self):
        """Whether it is one of the backend, passed on as it is."""

        return self.status == 200 \
            and self.headers.get(b'access-control-allow-origin') == b'*'

    def body_follows(self):
        """Whether what came behind the headers is no other response."""

        return not self.data.startswith(b'HTTP/1')

    def content(self, data):
        if self.events:
            self.events.add(data)
        else:
            self.body += data

    def chunk(self):
        line, mark, rest = self.data.partition(b'\r\n')

        if not mark:
            return False

        if not re.fullmatch(rb'[0-9a-f]{1,8}', line):
            raise Fault('a chunk size: %r' % self.data[:400])

        size = int(line, 16)

        if len(rest) < size + 2:
            return False

        if rest[size:size + 2] != b'\r\n':
            raise Fault('a chunk of %d: %r' % (size, rest[:400]))

        self.content(rest[:size])
        self.data = rest[size + 2:]

        if size == 0:
            self.end()

        return True

    def length(self):
        part = self.data[:self.left]
        self.content(part)
        self.data = self.data[len(part):]
        self.left -= len(part)

        if self.left == 0:
            self.end()

        return True

    def close(self):
        self.content(self.data)
        self.data = b''
        return False

    def end(self):
        self.state = 'head'

        if self.body and not self.document() \
                and self.headers.get(b'content-type') == b'application/json':
            check_message(self.body, self.status == 200
                          and self.body.startswith(b'{"jsonrpc"'))

        if self.events is not None and self.events.rest:
            raise Fault('a stream that ends in an event: %r'
                        % self.events.rest[:400])

        self.done.append((self.status, self.headers, self.body))
