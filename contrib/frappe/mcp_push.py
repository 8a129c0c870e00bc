# Copyright (C) ngx_http_mcp_sse_module authors
#
# SPDX-License-Identifier: BSD-2-Clause

"""Lets a Frappe app speak to MCP clients on its own, through ngx_http_mcp_sse_module: docs/push.md of that module.

Copy this file into an app.  While a tool runs:

    from my_app import mcp_push

    mcp_push.progress(30, total=100, message="half of March")
    mcp_push.log("no rate for USD, using yesterday's", level="warning")

    answer = mcp_push.ask("Submit SINV-0042?", {"sure": {"type": "boolean"}})

    if answer and answer["sure"]:
        ...

At any time, also in doc_events:

    mcp_push.list_changed("tools", user=user)
    mcp_push.resource_updated("fac://skills/" + doc.name)

What is published goes to Redis (conf: redis_queue), where nginx has subscribed with mcp_sse_events.  Whatever keeps a
message from being sent is an exception at once, a PushError; only list_changed() and resource_updated() do not raise
what happens after the commit: they log it.

Keys of site_config.json, none of them needed: mcp_push_redis, the URL of another Redis; mcp_push_channel, in place of
mcp:events.

Frappe 14 to 16, Python 3.10 or newer; needs nothing but frappe, and redis, which frappe needs itself.
"""

import json
import math
import secrets
import time
from urllib.parse import urlsplit

import frappe
import redis

CHANNEL = "mcp:events"
HEADER = "X-MCP-Call"
ASKED_WITHIN = 2            # seconds in which the module says that it has asked
CHECKED_EVERY = 3           # seconds between two looks at whether the worker that has asked still runs
REDIS_TIMEOUT = 5           # seconds for any answer of Redis: above the two
WORKER_NAME = 12            # characters at the start of the id of a call
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class PushError(Exception):
    """A message could not be sent; or there is no answer to a question."""


class NoCall(PushError):
    """This code does not run in a call that came through the module."""


class NotSubscribed(PushError):
    """Nobody has got what was published."""


class NotPermitted(PushError):
    """The user of Redis may not do this."""


class UncommittedWrites(PushError):
    """A question would keep a transaction open, and its locks, until a person has answered."""


class NoAnswer(PushError):
    """A question has no answer."""


class Refused(PushError):
    """A question has an error for its answer: the client cannot be asked, or its user did not answer in time."""

    def __init__(self, error):
        super().__init__(f"{error.get('message', 'no message')} ({error.get('code')})")
        self.code = error.get("code")
        self.data = error.get("data")


# ---- notifications


def in_call():
    """Whether this code runs in a call to whose client the functions below can speak."""
    return _header() is not None


def current_call():
    """The id of the call, as the argument "call" of functions that run elsewhere, such as a job, while the call waits."""
    call = _header()
    if call is None:
        raise NoCall(f"no request with a header {HEADER}: this is no call of an MCP client, or nginx has no "
                     "mcp_sse_events")
    return call


def progress(value, total=None, message=None, *, call=None):
    """How far the call is; it must rise.  Clients that do not ask for it get nothing."""
    params = {"progress": value, "total": total, "message": message}
    _for_call("notifications/progress", {key: value for key, value in params.items() if value is not None}, call)


def log(data, level="info", logger=None, *, call=None):
    """A log message: any JSON value, usually a string."""
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    params = {"level": level} if logger is None else {"level": level, "logger": logger}
    _for_call("notifications/message", {**params, "data": data}, call)


def list_changed(what="tools", user=None, *, now=False):
    """The list of "tools", "prompts" or "resources" is another one for a user, by default for all users of the site.

    It is published when the transaction is committed; now=True: at once.
    """
    if what not in ("tools", "prompts", "resources"):
        raise ValueError(f"{what!r} is not tools, prompts or resources")
    _for_sessions(f"notifications/{what}/list_changed", None, user, now)


def resource_updated(uri, user=None, *, now=False):
    """A resource is another one: tells the clients that have subscribed to it, of all users or of one."""
    _for_sessions("notifications/resources/updated", {"uri": uri}, user, now)


# ---- questions


def ask(message, properties, required=None, *, timeout=110, allow_uncommitted=False, call=None):
    """Ask the user of the client to fill in a form; returns a dict, or None if the user does not want to.

    "properties" are those of a JSON schema: strings, numbers, integers, booleans, enums.  By default all of them are
    required.  This waits for the user: commit first, and read again afterwards what may have changed meanwhile.
    """
    schema = {"type": "object", "properties": properties,
              "required": list(properties) if required is None else list(required)}
    result = question("elicitation/create", {"message": message, "requestedSchema": schema}, timeout=timeout,
                      allow_uncommitted=allow_uncommitted, call=call)
    return (result.get("content") or {}) if result.get("action") == "accept" else None


def sample(messages, max_tokens=1000, *, timeout=110, allow_uncommitted=False, call=None, **params):
    """Ask the client's model; returns a dict with role, content, model.  A string is one message of the user."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": {"type": "text", "text": messages}}]
    return question("sampling/createMessage", {"messages": messages, "maxTokens": max_tokens, **params},
                    timeout=timeout, allow_uncommitted=allow_uncommitted, call=call)


def roots(*, timeout=110, allow_uncommitted=False, call=None):
    """Ask the client for its roots; returns a list of dicts with uri and name."""
    return question("roots/list", timeout=timeout, allow_uncommitted=allow_uncommitted, call=call).get("roots") or []


def question(method, params=None, *, timeout=110, allow_uncommitted=False, call=None):
    """Ask any question; returns the raw result.  "timeout" must be above mcp_sse_ask_timeout, which ends it first."""
    call = call or current_call()
    writes = getattr(_database(), "transaction_writes", 0)
    if writes and not allow_uncommitted:
        raise UncommittedWrites(f"{writes} writes are not committed: commit before a question, or say "
                                "allow_uncommitted=True")
    if not _runs(call):
        raise NotSubscribed("the worker of nginx that has this call does not run any more, or has lost Redis")
    reply = secrets.token_urlsafe(24)
    _publish(_message(method, params, call=call, reply=reply))
    last = _pop(reply, ASKED_WITHIN)
    if last is None:
        raise NoAnswer(f"nobody has asked within {ASKED_WITHIN} seconds: the call has ended, the question is too "
                       "large or malformed, or nginx knows another name of this site (mcp_sse_events_site)")
    if last == b"asked":
        last = _wait(call, reply, timeout)
    answer = json.loads(last)
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["result"]


# ---- how it is done


def _header():
    headers = getattr(getattr(frappe.local, "request", None), "headers", None)
    return headers.get(HEADER) if headers else None


def _database():
    return getattr(frappe.local, "db", None)


def _message(method, params, call=None, user=None, reply=None):
    """The bytes to publish.  The module finds out whom they are for by the first members: keep their order."""
    message = {"site": frappe.local.site, "call": call, "user": user, "method": method, "params": params,
               "reply": reply}
    message = {key: value for key, value in message.items() if value is not None}
    text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace")


def _for_call(method, params, call):
    _publish(_message(method, params, call=call or current_call()))


def _for_sessions(method, params, user, now):
    message = _message(method, params, user=user)
    database = _database()
    if now or database is None:
        _publish(message)
    elif hasattr(database, "after_commit"):
        database.after_commit.add(_Once(message))
    else:
        # Frappe 14 can do something right before the commit only, and does it again at each further one
        database.add_before_commit(_Once(message))


class _Once:
    """Publishes a message once, and never raises: the transaction is committed, or is about to be."""

    def __init__(self, message):
        self.message = message

    def __call__(self):
        message, self.message = self.message, None
        if message is None:
            return
        try:
            _publish(message)
        except PushError as error:
            frappe.logger("mcp_push").warning(f"not published: {error}: {message[:200]!r}")


def _publish(message):
    if not _run("publish", _channel(), message):
        raise NotSubscribed(f'nobody has subscribed to "{_channel()}": nginx does not run, or its mcp_sse_events names '
                            "another Redis or channel")


def _wait(call, reply, timeout):
    """The answer.  It does not come if the worker of the call dies; one that has lost Redis is back in a moment."""
    end = time.monotonic() + timeout
    missed = 0
    while (left := end - time.monotonic()) > 0:
        last = _pop(reply, min(math.ceil(left), CHECKED_EVERY))
        if last is not None:
            return last
        missed = 0 if _runs(call) else missed + 1
        if missed == 2:
            raise NoAnswer("the worker of nginx that has asked does not run any more")
    raise NoAnswer(f"no answer within {timeout} seconds")


def _runs(call):
    """Whether the worker that has the call gets what is published: it has a channel of its own."""
    [(_, subscribers)] = _run("pubsub_numsub", f"{_channel()}:{call[:WORKER_NAME]}")
    return subscribers > 0


def _pop(reply, seconds):
    """The next element of the list of replies, or None."""
    popped = _run("blpop", [f"mcp:reply:{reply}"], seconds)
    return popped and popped[1]


def _channel():
    return frappe.conf.get("mcp_push_channel") or CHANNEL


def _run(command, *arguments):
    try:
        return getattr(_connection(), command)(*arguments)
    except redis.exceptions.AuthenticationError as error:
        raise NotPermitted(f"Redis refuses the credentials: {error}") from error
    except redis.exceptions.NoPermissionError as error:
        user = _credentials().get("username") or urlsplit(_url()).username or "default"
        raise NotPermitted(f"Redis: {error}; as an administrator: ACL SETUSER {user} +publish +blpop +pubsub "
                           f"&{_channel()} ~mcp:reply:*") from error
    except redis.exceptions.RedisError as error:
        if str(error).startswith(("WRONGPASS", "NOAUTH")):
            raise NotPermitted(f"Redis refuses the credentials: {error}") from error
        raise PushError(f"Redis: {error}") from error


_connections = {}           # pools, which threads share, by what they are made of


def _connection():
    key = (_url(), *_credentials().values())
    if key not in _connections:
        _connections[key] = _connect()
    return _connections[key]


def _url():
    url = frappe.conf.get("mcp_push_redis") or frappe.conf.get("redis_queue") or frappe.conf.get("redis_socketio")
    if not url:
        raise PushError("no Redis: site_config.json has no redis_queue")
    return url


def _credentials():
    """As Frappe's: with use_rq_auth the user of the bench, else none, or those in the URL."""
    conf = frappe.conf
    if conf.get("mcp_push_redis") or not conf.get("use_rq_auth"):
        return {}
    return {"username": conf.get("rq_username") or frappe.utils.get_bench_id(), "password": conf.get("rq_password")}


def _connect():
    if frappe.conf.get("redis_queue_sentinel_enabled") and not frappe.conf.get("mcp_push_redis"):
        from frappe.utils.redis_queue import RedisQueue

        return RedisQueue.get_connection(**_credentials())
    url = _url()
    connect = {} if url.startswith("unix:") else {"socket_connect_timeout": REDIS_TIMEOUT}
    return redis.Redis.from_url(url, socket_timeout=REDIS_TIMEOUT, **connect, **_credentials())
