"""Clients: connections that send what was made for them and check what comes.
"""

import re
import socket

from livelib.fault import Fault
from livelib.wire import Responses

TAG = re.compile(rb'tag-([0-9a-f]{8})')


class Conn:
    """A connection that sends pieces.

    A piece is bytes, None: close, or False: send no more.  user is the name
    whose answers it may get.
    """

    def __init__(self, loop, path, parts, user, keep=False):
        self.loop, self.user = loop, user
        self.parts, self.log, self.got = list(parts), b'', b''
        self.closed = False
        self.reader = self.make_reader(keep)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.setblocking(False)
        self.sock.connect(path)
        loop.add(self.sock, self.event)
        loop.writable(self.sock, bool(self.parts))

    def make_reader(self, keep):
        return Responses(lambda: self.log, keep)

    def send(self, data):
        self.parts.append(data)
        self.loop.writable(self.sock, True)

    def close(self):
        if not self.closed:
            self.closed = True
            self.loop.remove(self.sock)
            self.sock.close()

    def quiet(self, wanted):
        """Nothing more is expected."""

        return self.closed or not self.parts \
            and (len(self.reader.done) >= wanted or self.reader.streaming())

    def event(self, writable):
        if writable:
            self.write()
            return

        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b''

        if data == b'':
            self.close()
            return

        self.receive(data)

    def receive(self, data):
        self.got = (self.got + data)[-4000:]

        for tag in TAG.findall(data):
            if tag != self.user:
                raise Fault('an answer for %r came to %r: %r'
                            % (tag, self.user, data[:400]))

        try:
            self.reader.add(data)
        except Fault as fault:
            raise Fault('%s\nsent: %r\nreceived: %r'
                        % (fault, self.log[-2000:], self.got)) from fault

    def write(self):
        part = self.parts.pop(0) if self.parts else b''

        if part is None:
            self.close()
            return

        try:
            if part is False:
                self.sock.shutdown(socket.SHUT_WR)
            elif part:
                count = self.sock.send(part)
                self.log += part[:count]
                if part[count:]:
                    self.parts.insert(0, part[count:])
        except BlockingIOError:
            self.parts.insert(0, part)
        except OSError:
            self.parts = []

        self.loop.writable(self.sock, bool(self.parts))


class Canary:
    """A healthy client, both transports, whose answers must be exact."""

    def __init__(self, loop, directory, credential, backend, name, wait):
        self.backend, self.name, self.wait = backend, name, wait
        self.number = 0
        self.auth = b'Host: erp.example.com\r\nAuthorization: token %s\r\n' \
            % credential
        self.want_events, self.want = [], []
        self.stream = Conn(loop, directory + '/http1', [
            b'GET /mcp/sse HTTP/1.1\r\n%s\r\n' % self.auth], name, keep=True)
        self.posts = Conn(loop, directory + '/http1', [], name)
        wait(lambda: self.stream.reader.events
             and self.stream.reader.events.session)
        self.session = self.stream.reader.events.session
        self.http = None

    def post(self, target, body, extra=b''):
        self.posts.send(
            b'POST %s HTTP/1.1\r\n%s%sContent-Type: application/json\r\n'
            b'Content-Length: %d\r\n\r\n%s'
            % (target, self.auth, extra, len(body), body))

    def begin(self):
        """Send a ping and calls; finish() checks their answers."""

        first = self.number + 1
        self.number += 3
        legacy = b'/mcp/messages?session_id=' + self.session
        accepted = (202, b'{"status":"accepted"}')

        self.post(legacy, b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % first)
        self.want.append(accepted)
        self.want_events.append(rb'\{"jsonrpc":"2\.0","result":\{"_meta":\{"st'
                                rb'atus":"ok",.*"pong"\}\},"id":%d\}' % first)

        call = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":' \
            b'{"name":"n","arguments":{"number": %d}}}'

        body = call % (first + 1, first)
        self.post(legacy, body)
        self.want.append(accepted)
        self.want_events.append(re.escape(
            self.backend.exact_answer(self.name, body)))

        body = call % (first + 2, first)
        self.post(b'/mcp', body)
        self.want.append((200, self.backend.exact_answer(self.name, body)))

    def finish(self):
        events, done = self.stream.reader.events, self.posts.reader.done

        self.wait(lambda: self.stream.closed or self.posts.closed
                  or len(events.found) >= len(self.want_events)
                  and len(done) >= len(self.want))

        got = [(status, body) for status, _, body in done]

        if got != self.want:
            raise Fault('the healthy client got %r, not %r'
                        % (got, self.want))

        missing = [want for want in self.want_events
                   if not any(re.fullmatch(want, event)
                              for event in events.found)]

        if self.stream.closed or missing \
                or len(events.found) != len(self.want_events):
            raise Fault('the stream of the healthy client (%s) has %r, '
                        'missing %r' % (self.stream.closed, events.found,
                                        missing))

        self.want_events, self.want = [], []
        del events.found[:]
        del done[:]

    def close(self):
        self.stream.close()
        self.posts.close()
