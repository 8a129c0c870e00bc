"""Mutations of bytes, JSON and header lines, drawn from a random.Random."""

ODD_BYTES = [b'\0', b'\r', b'\n', b'\r\n', b'\n\n', b'\t', b' ', b'"', b'\\',
             b'%', b'%00', b'%0d%0a', b'\x7f', b'\x80', b'\xff', b':', b';',
             b',', b'{', b'}', b'[', b']', b'\xe2\x80\xa8', b'\xc2\x85',
             b'\xef\xbb\xbf', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'data: ',
             b'\nevent: endpoint\n', b'/../', b'//', b'?', b'#', b'=']

NUMBERS = [b'0', b'-0', b'-1', b'00', b'1.0', b'1e2', b'1E+400', b'0x10',
           b'2147483648', b'9007199254740993', b'18446744073709551616',
           b'-9223372036854775809', b'9' * 400, b'1e-999', b'+1', b'.5', b'']

SCALARS = NUMBERS + [
    b'null', b'true', b'false', b'""', b'"a"', b'"1"', b'"\\u0000"',
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u2028\\u0085"',
    b'"\xe2\x80\xa8\xc2\x85"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\n"',
    b'"\\r\\ndata: x"', b'"\\/\\b\\f"', b'"\\x"', b'"', b'{}', b'[]',
    b'[[]]', b'{"a":{}}', b'{"a":1,"a":2}', b'NaN', b'Infinity', b'nul',
    b'{"":"","\\u0000":0}', b'"' + b'x' * 4096 + b'"',
    b'"' + b'y' * 4097 + b'"', b'"' + b'\xe2\x80\xa8' * 3000 + b'"',
    b'[' * 63 + b']' * 63, b'[' * 64 + b']' * 64, b'[' * 9000,
    b'{"a":' * 66 + b'1' + b'}' * 66, b'/**/1', b' \t\r\n1\r\n ']

NAMES = [b'jsonrpc', b'id', b'method', b'params', b'result', b'error',
         b'name', b'arguments', b'requestId', b'_meta', b'progressToken',
         b'cmd', b'message', b'exc_type', b'protocolVersion', b'code',
         b'data', b'i\\u0064', b'']


def chance(rng, part):
    return rng.random() < part


def mutate_bytes(rng, data, times=None):
    """Flip, insert, delete, cut, duplicate and splice, a few times."""

    data = bytearray(data)

    for _ in range(times or rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 200)))
        kind = rng.randrange(7)

        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at:at] = rng.choice(ODD_BYTES)
        elif kind == 3:
            del data[at:end]
        elif kind == 4:
            data[at:at] = data[at:end] * rng.choice((1, 1, 2, 50))
        elif kind == 5 and chance(rng, .2):
            del data[at:]
        elif kind == 6:
            there = rng.randrange(len(data) + 1)
            data[there:there] = data[at:end]

    return bytes(data)


def mutate_json(rng, data):
    """Change members and values of a JSON text, mostly to another one."""

    for _ in range(rng.choice((1, 1, 2, 4))):
        marks = [i for i, ch in enumerate(data) if ch in b'{}[],:']

        if not marks:
            return data + rng.choice(SCALARS)

        at = rng.choice(marks)
        kind = rng.randrange(6)

        if kind == 0:
            value = rng.choice(SCALARS)
            data = data[:at + 1] + value + data[at + 1:]
        elif kind == 1 and data[at] in b':':
            later = [i for i in marks if i > at]
            end = later[0] if later else len(data)
            data = data[:at + 1] + rng.choice(SCALARS) + data[end:]
        elif kind == 2 and data[at] in b'{,':
            member = b'"%s":%s' % (rng.choice(NAMES), rng.choice(SCALARS))
            tail = b'' if data[at + 1:at + 2] == b'}' else b','
            data = data[:at + 1] + member + tail + data[at + 1:]
        elif kind == 3:
            blank = rng.choice((b' ', b'\n', b'\r\n', b'\t' * 40, b'\xa0'))
            data = data[:at] + blank + data[at:]
        elif kind == 4:
            end = rng.choice(marks)
            if end > at:
                data = data[:end] + data[at:end] + data[end:]
        else:
            data = mutate_bytes(rng, data, 1)

        if len(data) > 300000:
            return data[:300000]

    return data


def chunked(rng, body, odd):
    """The body in chunks; if odd, not always well-formed ones."""

    out = b''

    while body:
        size = rng.choice((1, 2, 3, 7, 100, 5000))
        part, body = body[:size], body[size:]
        line = b'%x' % len(part)

        if odd and chance(rng, .2):
            line = rng.choice((
                b'0' * 30 + line, line + b';a=b', line + b';' + b'x' * 5000,
                line.upper() + b' ', b'+' + line, b'0x' + line, b'', b'g',
                b'-1', b'ffffffffffffffff', b'7fffffffffffffff', b'0',
                b'%x' % (len(part) + 1), b' ' + line))

        end = rng.choice((b'\n', b'', b'\r', b'\r\n\r\n')) \
            if odd and chance(rng, .1) else b'\r\n'

        out += line + b'\r\n' + part + end

    if not odd or chance(rng, .8):
        out += b'0\r\n'
        if chance(rng, .2):
            out += b'Trailer: x\r\n'
        out += b'\r\n'

    return out


def pieces(rng, data, most=8):
    """Cut data into pieces."""

    if chance(rng, .5):
        return [data]

    cuts = sorted(rng.randrange(len(data) + 1)
                  for _ in range(rng.randint(1, most)))

    return [data[a:b] for a, b in zip([0] + cuts, cuts + [len(data)])
            if a < b]
