# The bridge as an image: nginx, the module, the launcher as entry point.
#
#     make image       builds it with docker, podman or buildah
#     make image-test  builds it and runs it, and compose.yaml, with podman
#
# It runs without root, without capabilities and with a read-only root file
# system; docs/installation.md, "With Docker", has the commands.

ARG BASE=debian:bookworm-slim


# this stage has the compiler; the image does not

FROM ${BASE} AS build

WORKDIR /src

COPY util/install-deps util/
RUN util/install-deps build && rm -rf /var/lib/apt/lists/* /var/cache/apt/*

COPY . .
RUN make install DESTDIR=/out \
    && strip --strip-unneeded /out/usr/lib/nginx/modules/*.so \
    && install -m 755 docker/health /out/usr/local/bin/frappe-sse-bridge-health


FROM ${BASE}

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends ca-certificates libhiredis0.14 libyajl2 nginx \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log \
        /var/log/apt /etc/nginx/sites-enabled/default \
    && groupadd --gid 10001 frappe-sse \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir / \
        --shell /usr/sbin/nologin --no-log-init frappe-sse

COPY --from=build /out /

# This fails if nginx has another version than its headers had: build without
# cache.

RUN printf 'load_module %s;\nevents {}\n' \
        /usr/lib/nginx/modules/ngx_http_mcp_sse_module.so > /tmp/nginx.conf \
    && nginx -t -q -c /tmp/nginx.conf -e stderr \
        -g 'pid /tmp/nginx.pid; error_log stderr;' \
    && rm -f /tmp/nginx.conf /tmp/nginx.pid

# Access and audit logs go to stdout, everything else to stderr.  The launcher
# writes to /tmp only, which may be a tmpfs, so that any --user works.

ENV HOST=0.0.0.0 \
    MCP_SSE_ACCESS_LOG=/dev/stdout

# a number, so that Kubernetes can verify that it is not root

USER 10001:10001

EXPOSE 8080

# running calls are answered first: docker stop -t 320

STOPSIGNAL SIGQUIT

HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["frappe-sse-bridge-health"]

ENTRYPOINT ["frappe-sse-bridge"]

ARG VERSION=unknown
ARG REVISION=unknown

LABEL org.opencontainers.image.title="frappe-sse-bridge" \
      org.opencontainers.image.description="Connects MCP clients to a Frappe site: nginx with ngx_http_mcp_sse_module" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="BSD-2-Clause"
