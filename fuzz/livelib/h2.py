"""HTTP/2: requests as frames, mutations of frames, a strict reader."""

import struct

from livelib.client import Conn
from livelib.fault import Fault
from livelib.mutate import chance, mutate_bytes
from livelib.wire import Events, check_message

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, \
    CONTINUATION = range(10)

# the largest payload of a frame that nginx sends

MAX_FRAME = 16384


def frame(kind, flags, stream, payload, length=None):
    if length is None:
        length = len(payload)

    return struct.pack('>I', length & 0xffffff)[1:] \
        + struct.pack('>BBI', kind, flags & 255, stream & 0xffffffff) + payload


def integer(prefix, bits, number):
    """An integer of HPACK (RFC 7541, 5.1)."""

    most = (1 << bits) - 1

    if number < most:
        return bytes([prefix | number])

    out = bytes([prefix | most])
    number -= most

    while number > 127:
        out += bytes([number % 128 + 128])
        number //= 128

    return out + bytes([number])


def literal(rng, name, value):
    """A field as a literal with a new name."""

    prefix = rng.choice((0x00, 0x10, 0x40))

    return integer(prefix, 4, 0)[:1] + integer(0, 7, len(name)) + name \
        + integer(0, 7, len(value)) + value


def frames(rng, request, stream):
    """A list of frames of a request; a block may be in several of them."""

    fields = [(b':method', request.method), (b':scheme', b'http'),
              (b':path', request.target), (b':authority', b'erp.example.com')]

    if chance(rng, .08):
        kind = rng.randrange(4)
        if kind == 0:
            del fields[rng.randrange(len(fields))]
        elif kind == 1:
            fields.append(rng.choice(fields))
        elif kind == 2:
            fields.append((rng.choice((b':status', b':x', b':')), b'1'))
        else:
            rng.shuffle(fields)

    for name, value in request.headers:
        if name.lower() not in (b'host', b'connection', b'transfer-encoding') \
                or chance(rng, .05):
            fields.append((name if chance(rng, .02) else name.lower(), value))

    if request.body and chance(rng, .5):
        length = len(request.body)
        if chance(rng, .1):
            length += rng.choice((-1, 1, 10 ** 12))
        fields.append((b'content-length', b'%d' % length))

    block = b''.join(literal(rng, *field) for field in fields)

    if chance(rng, .1):
        block = mutate_bytes(rng, block)

    end = 0 if request.body else 1
    out, kind, flags = [], HEADERS, end

    if chance(rng, .1):
        out.append(frame(SETTINGS, 0, 0, b'\0\4' + struct.pack(
            '>I', rng.choice((0, 1, 65535, 2 ** 31 - 1, 2 ** 31)))))

    if len(block) > MAX_FRAME or chance(rng, .3):
        while True:
            size = min(MAX_FRAME, rng.randrange(1, len(block) + 2))
            part, block = block[:size], block[size:]
            out.append(frame(kind, flags | (0 if block else 4), stream, part))
            kind, flags = CONTINUATION, 0
            if not block:
                break
    elif chance(rng, .2):
        pad = rng.randrange(256)
        out.append(frame(HEADERS, end | 4 | 8, stream,
                         bytes([pad]) + block
                         + b'\0' * (pad if chance(rng, .9) else pad // 2)))
    else:
        out.append(frame(HEADERS, end | 4, stream, block))

    body = request.body

    while body:
        size = rng.choice((1, 100, 8192))
        if len(body) / size > 50:
            size = 8192
        part, body = body[:size], body[size:]
        out.append(frame(DATA, 0 if body else 1, stream, part))

    return out


def noise(rng, stream):
    """A frame that nobody asked for."""

    kind = rng.randrange(9)
    other = rng.choice((0, stream, stream + 1, 1, 2, 2 ** 31 - 1))
    number = struct.pack('>I', rng.choice((0, 1, 8, 2 ** 31 - 1, 2 ** 31)))

    if kind == 0:
        return frame(RST, 0, other, number)
    if kind == 1:
        return frame(WINDOW, 0, other, number)
    if kind == 2:
        return frame(PRIORITY, 0, other, number + b'\x10')
    if kind == 3:
        return frame(PING, rng.randrange(2), 0, b'12345678')
    if kind == 4:
        return frame(SETTINGS, rng.randrange(2), 0,
                     b'\0' + bytes([rng.randrange(8)]) + number)
    if kind == 5:
        return frame(DATA, rng.randrange(16), other, b'x' * 100)
    if kind == 6:
        return frame(CONTINUATION, 4, other, b'\x82')
    if kind == 7:
        return frame(GOAWAY, 0, 0, number * 2)

    return frame(rng.randrange(256), rng.randrange(256), other,
                 rng.randbytes(rng.randrange(40)),
                 rng.choice((None, None, 0, 3, 0xffffff)))


def connection(rng, requests):
    """The pieces of a connection with these requests."""

    out = [PREFACE + frame(SETTINGS, 0, 0, b'')
           + frame(WINDOW, 0, 0, struct.pack('>I', 2 ** 30))]

    for at, request in enumerate(requests):
        stream = 2 * at + 1
        part = frames(rng, request, stream)

        for _ in range(rng.choice((0, 0, 0, 1, 3))):
            part.insert(rng.randrange(len(part) + 1), noise(rng, stream))

        if chance(rng, .1):
            which = rng.randrange(len(part))
            part[which] = mutate_bytes(rng, part[which])

        if chance(rng, .1):
            rng.shuffle(part)

        out += part

    return out


class Frames:
    """Reads the frames of nginx; what its responses say is not decoded."""

    def __init__(self):
        self.data = b''
        self.done = []
        self.streams = {}       # a number to [reader of events, body]

    def streaming(self):
        return any(events for events, _ in self.streams.values())

    def add(self, data):
        self.data += data

        while len(self.data) >= 9:
            length = int.from_bytes(self.data[:3], 'big')

            if length > MAX_FRAME:
                raise Fault('a frame of %d bytes' % length)

            if len(self.data) < 9 + length:
                return

            kind, flags, stream = struct.unpack('>BBI', self.data[3:9])
            payload = self.data[9:9 + length]
            self.data = self.data[9 + length:]
            self.frame(kind, flags, stream, payload)

    def frame(self, kind, flags, stream, payload):
        if kind == PUSH or kind > CONTINUATION:
            raise Fault('a frame of kind %d' % kind)

        if kind == HEADERS:
            if stream % 2 == 0:
                raise Fault('headers of stream %d' % stream)
            if stream in self.streams and not flags & 1:
                raise Fault('headers of stream %d again' % stream)
            self.streams.setdefault(stream, [None, b''])
        elif kind == DATA:
            if stream not in self.streams:
                raise Fault('data of stream %d: %r' % (stream, payload[:99]))
            self.content(self.streams[stream], payload)
        elif kind == RST:
            self.streams.pop(stream, None)
            self.done.append(stream)
            return

        if kind in (HEADERS, DATA) and flags & 1:
            events, body = self.streams.pop(stream)
            self.done.append(stream)

            if events is None and body.startswith(b'{"jsonrpc"'):
                check_message(body, True)

    @staticmethod
    def content(stream, payload):
        """The kind of a body is seen from its first bytes."""

        if stream[0] is None and not stream[1] \
                and payload.startswith((b'id: ', b': stream')):
            stream[0] = Events()

        if stream[0]:
            stream[0].add(payload)
        elif len(stream[1]) < 10 ** 6:
            stream[1] += payload


class Conn2(Conn):
    """A connection of HTTP/2."""

    def make_reader(self, keep):
        return Frames()
