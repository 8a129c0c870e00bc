# Builds, tests and packages ngx_http_mcp_sse_module.
#
#   make              build build/ngx_http_mcp_sse_module.so for the installed
#                     nginx
#   make run          run it in the foreground, in front of $FRAPPE_URL or of a
#                     stand-in for Frappe
#   make test         run all tests; TEST="t/a/b.t t/c/d.t" runs these files
#   make mutants      make small faults in src/ and see whether the tests find
#                     them; N=40, SEED, JOBS, QUICK=1; see util/mutants
#   make conformance  run the official conformance suite for Streamable HTTP
#   make lint         check with util/check-style, gcc -fanalyzer, cppcheck,
#                     clang-tidy, shellcheck, and the syntax of Perl and Python
#   make bench        measure, in 15 minutes; BENCH_QUICK=1: in one, only to see
#                     that it works; see bench/README.md
#   make bench-peers  measure servers and bridges of npm, and nchan, in five
#   make bench-100k   memory of 100,000 streams, in some minutes
#   make bench-instructions
#                     compare user instructions of a message with those that are
#                     recorded; fails if it needs 3 % more
#   make load         build build/load, the load generator
#   make sanitize     run the tests with ASan and UBSan; FULL=1: valgrind as
#                     well; TEST as above
#   make fuzz         run the fuzzers of fuzz/; SECONDS=60 for each target,
#                     TARGET="jsonrpc text": only these
#   make torture      run the tests while allocations of nginx fail; RUNS, TIME,
#                     SEED, see util/torture; TEST as above
#   make image        build the container image; see util/image
#   make image-test   build the image and test it and compose.yaml, with podman
#   make install      install module and launcher; DESTDIR, PREFIX, MODULESDIR,
#                     DOCDIR
#   make deb          build the Debian package in build/deb; REVISION
#   make clean        remove build/
#
# The variables of util/build (BUILD, NGINX_SRC, CFLAGS, CPPFLAGS, LDFLAGS)
# and of the launcher (PORT, WORKERS, FRAPPE_URL; util/mcp-sse-bridge --help)
# can be set in the environment or as arguments of make.

PREFIX     = /usr/local
MODULESDIR = /usr/lib/nginx/modules
DOCDIR     = /usr/share/doc/ngx_http_mcp_sse_module

BUILD     ?= build
override BUILD := $(abspath $(BUILD))
MODULE     = $(BUILD)/ngx_http_mcp_sse_module.so

INSTALL    = install

export BUILD

.PHONY: build run test mutants conformance lint bench bench-peers bench-100k \
        bench-instructions load sanitize fuzz torture image image-test \
        install install-launcher deb clean

build:
	@util/build

run:
	@util/run

test:
	@util/test $(TEST)

mutants:
	@util/mutants

conformance:
	@util/conformance

lint:
	@util/lint

bench: build $(BUILD)/load
	@util/install-deps bench
	@bench/run

bench-peers: build $(BUILD)/load
	@util/install-deps bench-peers
	@util/npm-ci bench/peers
	@bench/peers/nchan
	@bench/peers/run

bench-100k: build
	@bench/100k

bench-instructions: build
	@util/install-deps bench
	@bench/instructions --check

load: $(BUILD)/load

$(BUILD)/load: bench/load*.c bench/load*.h
	@util/install-deps build
	mkdir -p $(BUILD)
	$(CC) -O2 -g -Wall -Wextra -Werror $(CFLAGS) -o $@.$$$$ bench/load*.c \
	    -lssl -lcrypto && mv $@.$$$$ $@

sanitize:
	@util/sanitize $(TEST)

# SECONDS is a variable of the shell

fuzz:
	@SECONDS_EACH=$(SECONDS) util/fuzz $(TARGET)

torture:
	@util/torture $(TEST)

image:
	@util/image

image-test:
	@util/image-test

install: build install-launcher
	$(INSTALL) -d $(DESTDIR)$(MODULESDIR) $(DESTDIR)$(DOCDIR)/docs
	$(INSTALL) -m 644 $(MODULE) $(DESTDIR)$(MODULESDIR)/
	$(INSTALL) -m 644 nginx.conf.example LICENSE README.md SECURITY.md \
	    $(DESTDIR)$(DOCDIR)/
	$(INSTALL) -m 644 docs/*.md $(DESTDIR)$(DOCDIR)/docs/
	@echo
	@echo "Put this line at the top of nginx.conf; $(DOCDIR)/nginx.conf.example has the rest:"
	@echo
	@echo "    load_module $(MODULESDIR)/ngx_http_mcp_sse_module.so;"

install-launcher:
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin \
	    $(DESTDIR)$(PREFIX)/share/frappe-sse-bridge/frappe
	$(INSTALL) -m 755 util/mcp-sse-bridge $(DESTDIR)$(PREFIX)/bin/frappe-sse-bridge
	sed -i "s/^version=.*/version=$$(util/mcp-sse-bridge --version | sed 's/.* //')/" \
	    $(DESTDIR)$(PREFIX)/bin/frappe-sse-bridge
	$(INSTALL) -m 644 $$(find contrib/* -prune -type f) \
	    $(DESTDIR)$(PREFIX)/share/frappe-sse-bridge/
	$(INSTALL) -m 644 contrib/frappe/mcp_push.py \
	    $(DESTDIR)$(PREFIX)/share/frappe-sse-bridge/frappe/
	chmod 755 $(DESTDIR)$(PREFIX)/share/frappe-sse-bridge/bench-nginx-patch
	sed -i "s|/usr/bin/frappe-sse-bridge|$(PREFIX)/bin/frappe-sse-bridge|" \
	    $(DESTDIR)$(PREFIX)/share/frappe-sse-bridge/*.service \
	    $(DESTDIR)$(PREFIX)/share/frappe-sse-bridge/supervisor.conf

deb:
	@util/deb

clean:
	rm -rf $(BUILD) t/servroot*
