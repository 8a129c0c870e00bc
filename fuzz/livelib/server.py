"""The nginx under test: the configuration of nginx.conf.example with sockets
of its own and short times, the processes, the logs.
"""

import os
import re
import signal
import subprocess
import time

from livelib.fault import Fault

HANG = 60       # seconds; what takes longer hangs

WORKERS = 2

# in nginx.conf.example, and what is there instead

CHANGES = [
    ('load_module  modules/', 'load_module  {modules}/'),
    ('# user  www-data;    # when started by root', '{user}'),
    ('worker_processes      auto;', 'daemon  off;  pid  nginx.pid;\n'
     'worker_processes      %d;' % WORKERS),
    ('worker_shutdown_timeout  310s;', 'worker_shutdown_timeout  2s;'),
    ('error_log  stderr  info;', 'error_log  error.log  info;'),
    ('worker_connections  4096;', 'worker_connections  1024;'),
    ('client_header_timeout       15s;', 'client_header_timeout  1s;'),
    ('client_body_timeout         15s;', 'client_body_timeout    1s;'),
    # nginx keeps a connection that is reset while it drops a body this long
    ('keepalive_timeout           75s;', 'keepalive_timeout      40s;\n'
     'keepalive_requests  1000000000;  keepalive_time  1h;'),
    ('access_log  ""  mcp_access;', 'access_log  access.log  mcp_access;'),
    ('access_log          ""  mcp_audit', 'access_log  audit.log  mcp_audit'),
    ('server             127.0.0.1:8000  max_fails=0;',
     'server             unix:{dir}/backend  max_fails=0;'),
    ('mcp_sse_site        erp.example.com;',
     'mcp_sse_site        erp.example.com;\n'
     'mcp_sse_zone        zone=mcp:4m;\n'
     'mcp_sse_grace       1s;\n'
     'mcp_sse_keepalive   1s;\n'
     'mcp_sse_progress    1s;\n'
     'mcp_sse_call_timeout  20s;\n'
     'mcp_sse_max_message   128k;\n'
     'mcp_sse_max_answer    256k;\n'
     'mcp_sse_max_sessions  8;\n'
     'mcp_sse_auth_recheck  1s;'),
    ('listen       127.0.0.1:8080;',
     'listen       unix:{dir}/http1;\n        listen  unix:{dir}/http2 http2;'),
    ('            allow  127.0.0.1;\n            allow  ::1;\n'
     '            deny   all;\n', ''),
]

# nginx writes these before the module has seen the request (SECURITY.md)

BEFORE = re.compile(rb'while (reading client (request|pipelined)|processing '
                    rb'HTTP/2 connection)|client sent ')

BAD = re.compile(rb'\[(alert|crit|emerg)\]|open socket|AddressSanitizer')


class Server:
    """nginx in a directory; its workers, and what it has written."""

    def __init__(self, root, directory):
        self.dir = directory
        self.read = 0

        with open(root + '/nginx.conf.example', encoding='utf-8') as file:
            conf = file.read()

        modules = os.environ['BUILD']
        user = 'user  root;' if os.geteuid() == 0 else ''

        for old, new in CHANGES:
            if old not in conf:
                raise SystemExit('live: nginx.conf.example has no "%s"' % old)
            for name, value in (('{dir}', directory), ('{user}', user),
                                ('{modules}', modules)):
                new = new.replace(name, value)
            conf = conf.replace(old, new)

        with open(directory + '/nginx.conf', 'w', encoding='utf-8') as file:
            file.write(conf)

        env = dict(os.environ)
        env['ASAN_OPTIONS'] = '%s,log_path=%s/report' \
            % (env.get('ASAN_OPTIONS', ''), directory)
        env['LSAN_OPTIONS'] = 'suppressions=%s/util/lsan.supp' \
            ',print_suppressions=0' % root

        with open(directory + '/stderr', 'wb') as stderr:
            self.process = subprocess.Popen(
                [os.environ['MCP_SSE_NGINX'], '-p', directory, '-c',
                 directory + '/nginx.conf', '-e', directory + '/stderr'],
                env=env, stderr=stderr, stdin=subprocess.DEVNULL)

        end = time.monotonic() + HANG

        while len(self.children()) < WORKERS \
                or not os.path.exists(directory + '/http2'):
            if self.process.poll() is not None or time.monotonic() > end:
                with open(directory + '/stderr', encoding='utf-8') as file:
                    raise SystemExit('live: nginx does not start\n'
                                     + file.read())
            time.sleep(.1)

        self.workers = self.children()

    def children(self):
        pid = self.process.pid

        try:
            with open('/proc/%d/task/%d/children' % (pid, pid),
                      encoding='ascii') as file:
                return sorted(int(child) for child in file.read().split())
        except FileNotFoundError:
            return []

    def descriptors(self):
        """How many each worker has."""

        return [len(os.listdir('/proc/%d/fd' % pid)) for pid in self.workers]

    def check(self, leaks):
        """Same workers, no report, no bad line, no secret in new lines.

        leaks(line): whether a line of the error log has a secret.
        """

        self.check_reports()

        with open(self.dir + '/error.log', 'rb') as file:
            file.seek(self.read)
            text = file.read()

        text = text[:text.rfind(b'\n') + 1]
        self.read += len(text)

        # nginx may write line feeds of a header of HTTP/2 as they are

        for line in re.split(rb'\n(?=\d{4}/\d\d/\d\d |[^\n]*Sanitizer)', text):
            if BAD.search(line):
                raise Fault('a line of the error log: %r' % line)
            if leaks(line) and not BEFORE.search(line):
                raise Fault('a secret in the error log: %r' % line)

        if self.children() != self.workers:
            raise Fault('workers were %s and are %s'
                        % (self.workers, self.children()))

    def check_reports(self):
        reports = [name for name in os.listdir(self.dir)
                   if name.startswith('report.')
                   and os.path.getsize(self.dir + '/' + name)]

        if reports:
            with open(self.dir + '/' + reports[0], errors='replace',
                      encoding='utf-8') as file:
                raise Fault('a report of a sanitizer\n'
                            + ''.join(file.readlines()[:40]))

    def stop(self):
        """End it; the search for leaks is part of it."""

        self.process.send_signal(signal.SIGQUIT)

        try:
            self.process.wait(HANG)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise Fault('nginx does not end') from error

    def kill(self):
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)

        self.process.kill()
        self.process.wait()
