#!/usr/bin/env python3
"""Make the table and the picture of a run of bench/run.

usage: bench/report.py [--summary] FILE.json

Writes FILE.md and FILE.svg beside it.  --summary prints the rows that have an
aim, for README.md.
"""

import json
import os
import sys
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, HEIGHT, TOP = 860, 430, 90, 22, 58


def number(value, unit=''):
    """A number with three digits or so, in a unit for people."""

    if unit == '%':
        return '%.2f %%' % value
    if unit == 'bytes' and abs(value) < 10:
        return '%.3f bytes' % value
    if unit == 'bytes':
        for unit, size in (('MB', 1e6), ('kB', 1e3)):
            if abs(value) >= size:
                return '%.1f %s' % (value / size, unit)
        return '%d bytes' % value
    if unit == 'us':
        unit = '\u00b5s'
        if abs(value) >= 10000:
            value, unit = value / 1000, 'ms'
    if abs(value) >= 1000:
        text = format(round(value), ',')
    elif abs(value) >= 100:
        text = '%.0f' % value
    elif abs(value) >= 10:
        text = '%.1f' % value
    else:
        text = '%.3f' % value if abs(value) < 0.1 else '%.2f' % value
    return (text + ' ' + unit).strip()


def result(row, value):
    """The result of a row as text: 1.52 times, +0.08 ms, 2.1 s."""

    if row['relation'] == 'ratio':
        return '%.2f times' % value
    if row['relation'] == 'difference':
        return ('+' if value >= 0 else '\u2212') \
            + number(abs(value), row['unit'])
    return number(value, row['unit']).replace('-', '\u2212')


def between(row):
    """The spread of the rounds."""

    if row['rounds'] == 1:
        return '1 run'
    return '%s to %s, %d' % (result(row, row['result']['min']),
                             result(row, row['result']['max']),
                             row['rounds'])


def aim(row):
    if row['aim'] is None:
        return ''
    text = 'at most ' + result(row, row['aim'])
    return text + (', met' if row['met'] else ', **missed**')


def line(row):
    """A row for the terminal."""

    return '%-62s %14s  (%s)%s' % (
        row['what'], result(row, row['result']['median']), between(row),
        '  ' + aim(row).replace('*', '') if row['aim'] is not None else '')


def reference(row):
    if 'reference' not in row:
        return ''
    return '%s: %s' % (row['than'],
                       number(row['reference']['median'], row['unit']))


def table(rows):
    lines = ['| | result | value | reference | smallest to largest, rounds '
             '| aim |', '|---|---|---|---|---|---|']
    for row in rows:
        lines.append('| %s |' % ' | '.join((
            row['what'], result(row, row['result']['median']),
            number(row['value']['median'], row['unit']), reference(row),
            between(row), aim(row))))
    return '\n'.join(lines)


def summary(rows):
    lines = ['| | result | reference in the same run | aim |',
             '|---|---|---|---|']
    for row in rows:
        if row['aim'] is not None:
            lines.append('| %s |' % ' | '.join((
                row['what'], result(row, row['result']['median']),
                reference(row), aim(row))))
    return '\n'.join(lines)


def head(data):
    m = data['machine']
    lines = [
        '# %s' % data['name'], '',
        '%s, %d s, commit %s. %s, %d cores, %d GB, %s, kernel %s; nginx %s, '
        '%s. Load before %.2f, after %.2f.'
        % (data['date'], data['seconds'], m['commit'], m['cpu'], m['cores'],
           m['memory_gb'], m['system'], m['kernel'], m['nginx'],
           m['openssl'], m['load_before'], m['load_after']), '',
        'Module: gcc %s `%s`. nginx: `%s`.'
        % (m['gcc'], m['module_flags'], m['nginx_flags'])]
    if data['quick']:
        lines += ['', 'A quick run, to see that it works: its figures mean '
                      'little.']
    return '\n'.join(lines)


def picture(data):
    """An SVG: a bar for the ratio of each row, its spread, and the aim."""

    rows = [r for r in data['rows'] if r['relation'] == 'ratio']
    top = max([2.0] + [r['result']['max'] for r in rows])
    scale = (WIDTH - LEFT - RIGHT) / top
    height = TOP + HEIGHT * len(rows) + 34

    def x(value):
        return LEFT + value * scale

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
           'font-family="sans-serif" font-size="12">' % (WIDTH, height),
           '<rect width="%d" height="%d" fill="#fff"/>' % (WIDTH, height),
           '<text x="10" y="20" font-size="14">Cost in times of the reference '
           'of the same run, median of the rounds</text>',
           '<text x="10" y="38" fill="#555">%s, %s, nginx %s; the line is the '
           'spread, the red mark the aim</text>'
           % tuple(escape(str(t)) for t in (
               data['date'][:10], data['machine']['cpu'],
               data['machine']['nginx']))]

    for index, row in enumerate(rows):
        y = TOP + HEIGHT * index
        value = row['result']
        colour = '#c60' if row['met'] is False else '#37a'
        out += [
            '<text x="%d" y="%d" text-anchor="end">%s</text>'
            % (LEFT - 8, y + 13, escape(row['what'])),
            '<rect x="%d" y="%d" width="%.1f" height="14" fill="%s"/>'
            % (LEFT, y + 2, value['median'] * scale, colour),
            '<path d="M%.1f %d H%.1f" stroke="#000"/>'
            % (x(value['min']), y + 9, x(value['max'])),
            '<text x="%.1f" y="%d">%.2f</text>'
            % (x(max(value['max'], row['aim'] or 0)) + 6, y + 13,
               value['median'])]
        if row['aim'] is not None:
            out.append('<path d="M%.1f %d v18" stroke="#d00" '
                       'stroke-width="2"/>' % (x(row['aim']), y))

    bottom = TOP + HEIGHT * len(rows)
    out += ['<path d="M%.1f %d V%d" stroke="#999" stroke-dasharray="4 3"/>'
            % (x(1), TOP - 6, bottom + 4),
            '<text x="%.1f" y="%d" text-anchor="middle" fill="#555">1: the '
            'reference</text>' % (x(1), bottom + 20), '</svg>', '']
    return '\n'.join(out)


def write(data, directory):
    """Write NAME.json, NAME.md and NAME.svg."""

    os.makedirs(directory, exist_ok=True)
    base = '%s/%s' % (directory, data['name'])
    with open(base + '.json', 'w', encoding='utf-8') as file:
        json.dump(data, file, indent=1)
        file.write('\n')
    with open(base + '.svg', 'w', encoding='utf-8') as file:
        file.write(picture(data))
    with open(base + '.md', 'w', encoding='utf-8') as file:
        file.write('%s\n\n![ratios](%s.svg)\n\n%s\n'
                   % (head(data), data['name'], table(data['rows'])))


def main():
    args = [a for a in sys.argv[1:] if a != '--summary']
    if len(args) != 1 or not args[0].endswith('.json'):
        sys.exit(__doc__)
    with open(args[0], encoding='utf-8') as file:
        data = json.load(file)
    if len(args) != len(sys.argv) - 1:
        print(summary(data['rows']))
    else:
        write(data, os.path.dirname(args[0]) or '.')


if __name__ == '__main__':
    main()
