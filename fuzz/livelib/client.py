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
    whose answers it may get, names are those of all users.
    """

    names = set()

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
            if tag != self.user and tag in self.names:
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
        self.loop, self.path = loop, directory + '/http1'
        self.connect()
        wait(lambda: self.stream.reader.events
             and self.stream.reader.events.session)
        self.session = self.stream.reader.events.session
        self.http = None

    def connect(self):
        """A connection for POSTs, which has to send something soon."""

        self.posts = Conn(self.loop, self.path, [
            b'GET /health HTTP/1.1\r\nHost: erp.example.com\r\n\r\n'],
            self.name)
        self.wait(lambda: self.posts.reader.done)
        del self.posts.reader.done[:]

    def post(self, target, body, extra=b''):
        self.posts.send(
            b'POST %s HTTP/1.1\r\n%s%sContent-Type: application/json\r\n'
            b'Content-Length: %d\r\n\r\n%s'
            % (target, self.auth, extra, len(body), body))

    def begin(self):
        """Send a ping and calls; finish() checks their answers."""

        if self.posts.closed:
            self.connect()

        first = self.number + 1
        self.number += 3
        legacy = b'/mcp/messages?session_id=' + self.session
        accepted = (202, rb'\{"status":"accepted"\}')

        self.post(legacy, b'{"jsonrpc":"2.0","id":%d,"method":"ping"}' % first)
        self.want.append(accepted)
        self.want_events.append(rb'\{"jsonrpc":"2\.0","result":\{"_meta":\{"st'
                                rb'atus":"ok",.*"pong"\}\},"id":%d\}' % first)

        call = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":' \
            b'{"name":"n","arguments":{"number": %d}}}'

        body = call % (first + 1, first)
        self.post(legacy, body)
        self.want.append(accepted)
        self.want_events.append(self.wanted(body))

        body = call % (first + 2, first)
        self.post(b'/mcp', body)
        self.want.append((200, self.wanted(body)))

    def wanted(self, body):
        """An expression for the answer to a call.

        It is the backend's, or says that there was none: the backend may just
        have closed the connection that nginx has kept, before the call was
        sent on it or while it was.
        """

        return re.escape(self.backend.exact_answer(self.name, body)) \
            + rb'|\{"jsonrpc":"2\.0","id":(\d+),"error":\{"code":-32003,"mess' \
              rb'age":"Backend unavailable","data":\{"executed":' \
              rb'"(?:no|unknown)"\}\}\}'

    def is_wanted(self, want, got):
        found = re.fullmatch(want, got)

        return found and (found.lastindex is None
                          or int(found.group(1)) not in self.backend.reached)

    def finish(self):
        """All answers are there, and nothing else."""

        events, done = self.stream.reader.events, self.posts.reader.done

        self.wait(lambda: self.stream.closed or self.posts.closed
                  or len(events.found) >= len(self.want_events)
                  and len(done) >= len(self.want))

        got = [(status, body) for status, _, body in done]

        if len(got) != len(self.want) \
                or not all(one[0] == want[0] and self.is_wanted(want[1], one[1])
                           for one, want in zip(got, self.want)):
            raise Fault('the healthy client got %r, not %r'
                        % (got, self.want))

        missing = [want for want in self.want_events
                   if not any(self.is_wanted(want, event)
                              for event in events.found)]

        if self.stream.closed or missing \
                or len(events.found) != len(self.want_events):
            raise Fault('the stream of the healthy client (%s) has %r, '
                        'missing %r' % (self.stream.closed, events.found,
                                        missing))

        self.want_events, self.want = [], []
        self.backend.reached.clear()
        del events.found[:]
        del done[:]

    def close(self):
        self.stream.close()
        self.posts.close()
