"""The backend: answers look-ups and calls, mostly not as Frappe does.

What it answers is drawn from the seed of the batch and from the bytes of the
request, and so does not depend on the order in which requests arrive.
"""

import gzip
import hashlib
import json
import random
import socket

from livelib.fault import Fault
from livelib.mutate import SCALARS, chance, chunked, mutate_bytes, \
    mutate_json, pieces

MEMBERS = {'jsonrpc', 'id', 'method', 'params'}

STATUS = [b'HTTP/1.1 %d X' % n for n in (
    200, 201, 202, 204, 206, 301, 302, 304, 400, 401, 403, 404, 409, 417, 429,
    500, 502, 503, 504, 599, 999, 100, 0)] + [
    b'HTTP/1.1 200', b'HTTP/1.0 200 OK', b'HTTP/1.1  200 OK', b'HTTP/2 200',
    b'HTTP/1.1 20', b'HTTP/1.1 -1 X', b'ICY 200 OK', b'',
    b'HTTP/1.1 200 ' + b'r' * 40000, b'HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 X']

HEADERS = [
    b'X-Accel-Redirect: /metrics', b'X-Accel-Redirect: /_mcp/call',
    b'X-Accel-Limit-Rate: 1', b'X-Accel-Buffering: yes',
    b'X-Accel-Expires: 100', b'X-Accel-Charset: utf-7', b'Connection: close',
    b'Location: http://127.0.0.1:1/', b'Location: /mcp', b'Retry-After: 39',
    b'Retry-After: Mon, 30 Nov 2099 00:00:00 GMT', b'Retry-After: -1',
    b'Retry-After: 99999999999999999999', b'Retry-After: \x01"',
    b'WWW-Authenticate: Bearer realm="F", resource_metadata="http://x/y"',
    b'WWW-Authenticate: Bearer resource_metadata=', b'WWW-Authenticate: Basic',
    b'WWW-Authenticate: Bearer a="\\", Basic realm="x, Bearer"',
    b'WWW-Authenticate: ' + b'Bearer a="b", ' * 200, b'Set-Cookie: sid=x',
    b'Refresh: 0', b'Content-Type: text/html', b'Content-Type:',
    b'Content-Encoding: gzip', b'Content-Length: 5', b'Content-Length: x',
    b'Transfer-Encoding: chunked', b'Transfer-Encoding: gzip', b'no colon',
    b': empty', b'A: \0', b'A: b\nC: d', b'Mcp-Session-Id: x',
    b'Date: never', b'ETag: "x"', b'Expires: 0', b'Vary: *',
    b'Upgrade: h2c', b'Access-Control-Allow-Origin: *', b'X: ' + b'l' * 33000]

EXC_TYPES = [b'"ValidationError"', b'"SessionStopped"', b'"a\\"b"', b'1',
             b'"' + b'E' * 64 + b'"', b'"' + b'E' * 65 + b'"', b'null',
             b'"' + b'E' * 100000 + b'"', b'"\\u0041\\n"', b'"\xc3\xa9"']

HTML = b'<!DOCTYPE html><title>x</title><pre>Traceback</pre>'

HANG = object()


def strict_json(data):
    """The value of a JSON text of the module: UTF-8, no member twice."""

    def members(pairs):
        names = dict(pairs)
        if len(names) != len(pairs):
            raise ValueError('a member twice')
        return names

    def constant(name):
        raise ValueError(name)

    text = data.decode()

    try:
        return json.loads(text, parse_constant=constant,
                          object_pairs_hook=members)
    except RecursionError as error:
        raise ValueError('too deep') from error


def response(body, status=b'HTTP/1.1 200 OK', extra=()):
    lines = [status, b'Content-Type: application/json', *extra,
             b'Content-Length: %d' % len(body)]

    return b'\r\n'.join(lines) + b'\r\n\r\n' + body


class Backend:
    """Listens at path.  users: "key:secret" to the user's name."""

    def __init__(self, loop, path):
        self.loop = loop
        self.users = {}
        self.exact = {}     # the same, of users who get exact answers
        self.reached = set()    # ids of their calls
        self.seed = 0
        self.tame = False   # answers as Frappe does
        self.seen = {}      # digest of a request to how often it came
        self.calls = 0
        self.conns = set()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(512)
        self.sock.setblocking(False)
        loop.add(self.sock, self.accept)

    def batch(self, seed, users):
        self.seed, self.users, self.seen = seed, users, {}

    def accept(self, _):
        while True:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            self.conns.add(BackendConn(self, sock))

    def release(self):
        """Close connections whose answer does not come."""

        for conn in [c for c in self.conns if c.hangs]:
            conn.close()

    def answer(self, head, body):
        """The bytes of the answer in pieces; HANG, None: close."""

        line, *lines = head.split(b'\r\n')
        headers = {}

        for header in lines:
            name, _, value = header.partition(b': ')
            headers.setdefault(name.lower(), []).append(value)

        self.check(line, headers, body)
        self.calls += 1

        credential = headers.get(b'authorization', [b''])[0]
        credential = credential.partition(b' ')[2]

        if credential in self.exact:
            name = self.exact[credential]
            if b'get_logged_user' in line:
                return [response(b'{"message":"%s"}' % name)]
            self.reached.add(json.loads(body)['id'])
            return [response(self.exact_answer(name, body))]

        key = hashlib.sha256(line + credential + body).digest()
        count = self.seen[key] = self.seen.get(key, 0) + 1
        rng = random.Random(b'%d %d %s' % (self.seed, count, key))

        if self.tame and credential in self.users:
            name = self.users[credential]
            if b'get_logged_user' in line:
                return [response(b'{"message":"%s"}' % name)]
            return [response(self.exact_answer(name, body))]

        if b'get_logged_user' in line:
            return self.user(rng, self.users.get(credential))

        if b'handle_mcp' not in line:
            return self.mutated(rng, b'{"issuer":"http://x","a":[1]}')

        return self.call(rng, body, self.users.get(credential, b'none'))

    def check(self, line, headers, body):
        if headers.get(b'host') != [b'erp.example.com'] \
                or headers.get(b'x-frappe-site-name') != [b'erp.example.com']:
            raise Fault('a call to another site: %r' % headers)

        if len(headers.get(b'authorization', ())) > 1:
            raise Fault('a call with two credentials: %r' % headers)

        if b'handle_mcp' not in line or not body:
            return

        try:
            call = strict_json_members(body)
        except ValueError as error:
            raise Fault('a call that is not JSON: %r' % body) from error

        if not set(call) <= MEMBERS:
            raise Fault('a call with another member: %r' % body)

    @staticmethod
    def exact_answer(name, body):
        """What a healthy client is to get, as it is on the wire."""

        call = json.loads(body)

        return b'{"jsonrpc":"2.0","id":%d,"result":{"tag":"tag-%s","for":%s}}' \
            % (call['id'], name, json.dumps(call['params']).encode())

    def user(self, rng, name):
        if chance(rng, .02):
            return HANG

        if name is None:
            body, status = b'{"exc_type":"AuthenticationError"}', STATUS[9]
        else:
            body, status = b'{"message":"%s"}' % name, STATUS[0]

        if chance(rng, .9):
            return [response(body, status)]

        return self.mutated(rng, body)

    def call(self, rng, body, name):
        kind = rng.randrange(20)

        if kind == 0:
            return HANG

        if kind == 1:
            return None

        number = b'null'
        method = ''

        try:
            call = json.loads(body)
            number = json.dumps(call.get('id')).encode()
            method = call.get('method')
        except (ValueError, RecursionError):
            pass

        if kind == 2:
            number = rng.choice(SCALARS)

        result = b'{"tag":"tag-%s","content":[{"text":"\\u2028 \xe2\x80\xa8"}]}' \
            % name

        if method == 'initialize':
            result = b'{"protocolVersion":"%s","serverInfo":{}}' % rng.choice((
                b'2024-11-05', b'2025-06-18', b'2099-01-01', b'x'))

        text = b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (number, result)

        if kind == 3:
            text = b'{"jsonrpc":"2.0","id":%s,"error":{"code":%s,"message":' \
                b'"m"}}' % (number, rng.choice(SCALARS))
        elif kind == 4:
            text = text[:-1] + b',"id":%s,"result":1}' % number
        elif kind == 5:
            text = b'{"result":%s}' % result
        elif kind in (6, 8):
            text = b'{"exc_type":%s,"exception":"Traceback"}' \
                % rng.choice(EXC_TYPES)
            return self.pieces(rng, response(text, rng.choice(STATUS)))
        elif kind == 7:
            text = text[:-1] + b' ' * rng.choice((40000, 300000)) + b'}'

        if chance(rng, .3):
            text = b'{"message":' + text + b'}'

        if kind < 12:
            return self.pieces(rng, response(text))

        return self.mutated(rng, text)

    def mutated(self, rng, text):
        """Frame it badly, claim what is not so, cut it short."""

        status, extra = b'HTTP/1.1 200 OK', []

        if chance(rng, .4):
            text = mutate_json(rng, text)
        if chance(rng, .1):
            text = HTML
        if chance(rng, .1):
            text = b'\xef\xbb\xbf' + text
        if chance(rng, .3):
            status = rng.choice(STATUS)
        if chance(rng, .4):
            extra = [rng.choice(HEADERS)
                     for _ in range(rng.choice((1, 1, 2, 6)))]

        if chance(rng, .1):
            extra.append(b'Content-Encoding: gzip')
            if chance(rng, .5):
                text = gzip.compress(text, mtime=0)

        kind = rng.randrange(6)
        head = b'\r\n'.join([status, b'Content-Type: application/json'] + extra)

        if kind == 0:
            data = head + b'\r\nTransfer-Encoding: chunked\r\n\r\n' \
                + chunked(rng, text, chance(rng, .5))
        elif kind == 1:
            data = head + b'\r\n\r\n' + text
        elif kind == 2:
            length = len(text) + rng.choice((-3, 1, 100, 10 ** 9, 10 ** 30))
            data = head + b'\r\nContent-Length: %d\r\n\r\n' % length + text
        else:
            data = response(text, status, extra)

        if chance(rng, .15):
            data = mutate_bytes(rng, data)
        if chance(rng, .1):
            data = data[:rng.randrange(len(data) + 1)]

        out = self.pieces(rng, data)

        if kind == 1 or chance(rng, .3):
            out.append(None)

        return out

    @staticmethod
    def pieces(rng, data):
        return pieces(rng, data, 4)


def strict_json_members(body):
    """The members of the object that body is; params may have any twice."""

    found = []

    def hook(pairs):
        found[:] = [name for name, _ in pairs]
        return None

    try:
        json.loads(body.decode(), object_pairs_hook=hook)
    except RecursionError as error:
        raise ValueError('too deep') from error

    if len(set(found)) != len(found):
        raise ValueError('a member twice')

    return found


class BackendConn:
    """A connection of nginx, with an answer under way."""

    def __init__(self, backend, sock):
        self.backend, self.sock = backend, sock
        self.input, self.output = b'', []
        self.hangs = False
        sock.setblocking(False)
        backend.loop.add(sock, self.event)

    def close(self):
        self.backend.loop.remove(self.sock)
        self.sock.close()
        self.backend.conns.discard(self)

    def event(self, writable):
        try:
            data = None if writable else self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b''

        if data == b'':
            self.close()
            return

        self.input += data or b''

        if not self.hangs and not self.output:
            self.request()

        if self.output:
            self.write()

    def request(self):
        head, mark, rest = self.input.partition(b'\r\n\r\n')

        if not mark:
            return

        lengths = [line.partition(b':')[2] for line in head.split(b'\r\n')
                   if line.lower().startswith(b'content-length:')]
        length = int(lengths[0]) if lengths else 0

        if len(rest) < length:
            return

        self.input = rest[length:]
        answer = self.backend.answer(head, rest[:length])

        if answer is HANG:
            self.hangs = True
        else:
            self.output = [None] if answer is None else answer

    def write(self):
        data = self.output[0]

        if data is None:
            self.close()
            return

        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return

        self.output[0] = data[sent:]

        if sent == len(data):
            del self.output[0]

        self.backend.loop.writable(self.sock, bool(self.output))

        if not self.output and self.input:
            self.request()
