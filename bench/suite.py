"""What the measurements of bench/run and bench/peers/run have in common: nginx
and other processes in a temporary directory, runs of build/load, medians.

  NGINX, REDIS, MODULE, LOAD   as in bench/lib.sh
"""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('BUILD', ROOT + '/build')
NGINX = os.environ.get('NGINX', '/usr/sbin/nginx')
MODULE = os.environ.get('MODULE', BUILD + '/ngx_http_mcp_sse_module.so')
LOAD = os.environ.get('LOAD', BUILD + '/load')
QUICK = os.environ.get('BENCH_QUICK', '') not in ('', '0')

SIZES = {'short': 94, '1k': 1024, '64k': 65536, '1m': 1048576, '8m': 8388608}

MESSAGE = ('{"jsonrpc":"2.0","id":@ID@,"method":"tools/call","params":'
           '{"name":"echo","arguments":{"text":"hello"}}}')

CREDENTIAL = 'token alice-key:alice-secret'

COMMON = """
{load}
worker_processes {workers};
worker_rlimit_nofile 20000;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 21000; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    {http}
}}
"""

BACKEND = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        sendfile on;
        location = /user {{ return 200 '{{"message":"alice@example.com"}}'; }}
        location = /call/short {{ return 200 '{short}'; }}
        location = /call/1k {{ return 200 '{kilo}'; }}
        location /call/ {{ root {dir}; error_page 405 =200 $uri; }}
    }}
"""

# the directives of the calls are those of the launcher, and the same for all

FRONT = """
    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}

    ssl_certificate {dir}/cert.pem;
    ssl_certificate_key {dir}/key.pem;
    ssl_buffer_size 4k;

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host erp.example.com;
    proxy_set_header X-Id 1;
    proxy_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 4 32k;

    mcp_sse_zone zone=bench:32m;
    mcp_sse_site bench;
    mcp_sse_user /_mcp/user;
    mcp_sse_max_sessions 100000;
    {more}

    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls} ssl backlog=4096;
        listen 127.0.0.1:{h2} http2;
        location = /_mcp/user {{ internal; proxy_pass http://backend/user; }}
        {locations}
    }}
"""

LOCATIONS = """
        location = /bare/{size} {{ proxy_pass http://backend/call/{size}; }}
        location = /mcp/{size} {{ mcp_sse_http; mcp_sse_call /_mcp/{size}; }}
        location = /sse/{size} {{
            mcp_sse_stream;
            mcp_sse_call /_mcp/{size};
            mcp_sse_message_uri /messages/{size};
        }}
        location = /messages/{size} {{
            mcp_sse_message;
            mcp_sse_call /_mcp/{size};
        }}
        location = /_mcp/{size} {{
            internal;
            proxy_set_header Connection "";
            proxy_set_header Host erp.example.com;
            proxy_set_header X-Id $mcp_sse_id;
            proxy_pass http://backend/call/{size};
        }}
"""


class Failure(Exception):
    """Something could not be measured."""


def answer(size, ident):
    """The wrapped answer of Frappe_Assistant_Core, of about this size."""

    head = ('{"message":{"jsonrpc":"2.0","id":%s,"result":{"content":'
            '[{"type":"text","text":"' % ident)
    tail = '"}],"isError":false}}}'
    fill = 'Sales Invoice ACC-SINV-2026-00001, 1.200,00 EUR. '
    size = max(size - len(head) - len(tail), 4)
    return head + (fill * (size // len(fill) + 1))[:size] + tail


def free_port():
    """Return a port that is free now, below the ephemeral ones."""

    for _ in range(100):
        port = 12000 + int.from_bytes(os.urandom(2), 'big') % 19000
        with socket.socket() as sock:
            try:
                sock.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass
    raise Failure('no free port')


def await_port(port, process, log, seconds=60):
    """Wait until something listens on the port."""

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    with open(log, encoding='utf-8', errors='replace') as file:
        raise Failure('nothing listens on port %d: %s'
                      % (port, file.read()[-500:]))


def children(pid):
    """Return the processes below a process."""

    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open('/proc/%s/stat' % name, encoding='utf-8') as file:
                    parent = int(file.read().rsplit(')', 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == pid:
                found += [int(name)] + children(int(name))
    return found


class Suite:
    """A temporary directory and the processes that were started in it."""

    def __init__(self):
        self.processes = []
        self.dir = tempfile.mkdtemp(prefix='bench')
        os.chmod(self.dir, 0o755)
        with open(self.dir + '/message', 'w', encoding='utf-8') as file:
            file.write(MESSAGE)

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_):
        self.stop(*self.processes)
        if os.environ.get('KEEP'):
            print('kept: ' + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self, *processes):
        """Stop processes and what they have started."""

        for process in processes:
            below = children(process.pid) if process.poll() is None else []
            process.terminate()
            for pid in below:
                try:
                    os.kill(pid, signal.SIGTERM)
                except OSError:
                    pass
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process in self.processes:
                self.processes.remove(process)

    def start(self, name, command, port=None, **options):
        """Start a process; wait until it listens on the port."""

        log = '%s/%s.out' % (self.dir, name)
        with open(log, 'w', encoding='utf-8') as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                       stdout=file, stderr=file, **options)
        self.processes.append(process)
        if port:
            await_port(port, process, log)
        return process

    def nginx(self, name, http, port, workers=1, load=''):
        """Start an nginx; return its process and its workers' ids."""

        dir = '%s/%s' % (self.dir, name)
        os.makedirs(dir, exist_ok=True)
        os.chmod(dir, 0o755)
        with open(dir + '/nginx.conf', 'w', encoding='utf-8') as file:
            file.write(COMMON.format(dir=dir, http=http, workers=workers,
                                     load=load))
        process = self.start(name, [NGINX, '-p', dir, '-c', 'nginx.conf'],
                             port)
        end = time.monotonic() + 60
        while len(children(process.pid)) < workers:
            if time.monotonic() > end:
                raise Failure('nginx has no workers')
            time.sleep(0.05)
        return process, children(process.pid)

    def backend(self, sizes):
        """Start the static backend; return its process and its port."""

        dir = self.dir + '/backend'
        os.makedirs(dir + '/call', exist_ok=True)
        for size in sizes:
            with open('%s/call/%s' % (dir, size), 'w',
                      encoding='utf-8') as file:
                file.write(answer(SIZES[size], '1'))
        port = free_port()
        process, _ = self.nginx('backend', BACKEND.format(
            port=port, dir=dir, short=answer(SIZES['short'], '$http_x_id'),
            kilo=answer(SIZES['1k'], '$http_x_id')), port)
        return process, port

    def front(self, backend, sizes, name='front', more='', workers=1):
        """Start an nginx with the module; return a dictionary."""

        dir = '%s/%s' % (self.dir, name)
        os.makedirs(dir, exist_ok=True)
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
             'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
             '/CN=localhost', '-keyout', dir + '/key.pem', '-out',
             dir + '/cert.pem'], check=True, stderr=subprocess.DEVNULL)
        ports = [free_port() for _ in range(3)]
        process, pids = self.nginx(name, FRONT.format(
            backend=backend, dir=dir, port=ports[0], tls=ports[1],
            h2=ports[2], more=more, locations=''.join(
                LOCATIONS.format(size=size) for size in sizes)),
            ports[0], workers, 'load_module %s;' % MODULE)
        return {'process': process, 'pids': pids, 'pid': pids[0],
                'port': ports[0], 'tls': ports[1], 'h2': ports[2],
                'log': dir + '/error.log'}

    def load(self, front, kind, *options, size='1k', tls=False, pids=None,
             wait=True):
        """Run build/load; return its values, or its process.

        "kind" is bare, mcp or legacy.
        """

        port = front['tls' if tls else 'port']
        command = [LOAD, '-S', '127.0.0.1:%d' % port, '-a', CREDENTIAL,
                   '-b', self.dir + '/message', '-B', '0', '-t', '30',
                   '-p', ','.join(str(p) for p in pids or [front['pid']])]
        command += {
            'bare': ['-T', 'post', '-U', '/bare/' + size],
            'mcp': ['-T', 'mcp', '-U', '/mcp/' + size],
            'legacy': ['-T', 'sse', '-u', '/sse/' + size],
        }[kind]
        command += ['-e'] if tls else []
        command += ['-i'] if SIZES[size] > 1024 else []
        command += [str(o) for o in options]
        return run_load(command, wait)


def run_load(command, wait=True, broadcasts=False):
    """Run build/load, or start it."""

    process = subprocess.Popen(command, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    return load_result(process, broadcasts) if wait else process


def load_result(process, broadcasts=False):
    """Wait for build/load; return its values.

    "broadcasts": that each session gets the answers of all is no failure.
    """

    out, err = process.communicate()
    values = last_json(out) if process.returncode < 2 else {}
    if process.returncode and not (
            broadcasts and values and values['unexpected']
            and not values['lost'] and not values['doubled']):
        raise Failure('%s: code %d: %s' % (' '.join(process.args),
                                           process.returncode,
                                           (err + out)[-1500:]))
    if values['errors'] or values['refused'] or values['broken']:
        raise Failure('%s: %d errors, %d refused, %d broken'
                      % (' '.join(process.args), values['errors'],
                         values['refused'], values['broken']))
    return values


def last_json(text):
    """Return the last line of a text that is a JSON object."""

    for line in reversed(text.splitlines()):
        if line.startswith('{'):
            return json.loads(line)
    raise Failure('no figures: ' + text[-500:])


def memory(pid, key):
    """A value of /proc/PID/status, in bytes."""

    with open('/proc/%d/status' % pid, encoding='utf-8') as file:
        return int(re.search(key + r':\s*(\d+)', file.read()).group(1)) * 1024


def spread(values):
    """Median, smallest and largest of a list."""

    return {'median': statistics.median(values), 'min': min(values),
            'max': max(values)}


def first_line(*command):
    """The first line that a command prints, "" if there is none."""

    try:
        text = subprocess.run(command, capture_output=True, text=True,
                              check=False)
    except OSError:
        return ''
    return ((text.stdout or text.stderr).splitlines() or [''])[0]


def without_paths(flags):
    """Directories of a build change nothing that is measured."""

    return re.sub(r'-f\S+-prefix-map=\S+ ?', '', flags)


def machine():
    """What the figures were measured on."""

    with open('/proc/cpuinfo', encoding='utf-8') as file:
        cpu = re.findall(r'model name\s*: (.*)', file.read())
    with open('/etc/os-release', encoding='utf-8') as file:
        system = re.search(r'PRETTY_NAME="(.*)"', file.read())
    flags = subprocess.run([NGINX, '-V'], capture_output=True, text=True,
                           check=False).stderr
    cc_opt = re.search(r"--with-cc-opt='([^']*)'", flags)
    return {
        'cpu': cpu[0] if cpu else os.uname().machine,
        'cores': os.cpu_count(),
        'memory_gb': round(os.sysconf('SC_PHYS_PAGES')
                           * os.sysconf('SC_PAGE_SIZE') / 2 ** 30),
        'system': system.group(1) if system else '',
        'kernel': os.uname().release,
        'arch': os.uname().machine,
        'nginx': first_line(NGINX, '-v').split('/')[-1],
        'openssl': first_line('openssl', 'version'),
        'gcc': first_line('gcc', '-dumpfullversion'),
        'module_flags': without_paths(os.environ.get('CFLAGS') or
            first_line('dpkg-buildflags', '--get', 'CFLAGS')),
        'nginx_flags': without_paths(cc_opt.group(1) if cc_opt else ''),
        'commit': first_line('git', '-C', ROOT, 'describe', '--always',
                             '--dirty'),
        'load_before': os.getloadavg()[0],
    }
