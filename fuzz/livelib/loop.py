"""An event loop over sockets, for clients and backend in one process."""

import select


class Loop:
    """Handlers are called with True if the socket is writable, else False."""

    def __init__(self):
        self.poll = select.epoll()
        self.handlers = {}
        self.moved = 0      # events handled so far

    def add(self, sock, handler):
        self.handlers[sock.fileno()] = handler
        self.poll.register(sock.fileno(), select.EPOLLIN)

    def writable(self, sock, wanted):
        self.poll.modify(sock.fileno(), select.EPOLLIN
                         | (select.EPOLLOUT if wanted else 0))

    def remove(self, sock):
        self.poll.unregister(sock.fileno())
        del self.handlers[sock.fileno()]

    def once(self, timeout):
        """Handle what is ready; wait for it at most timeout seconds."""

        events = self.poll.poll(timeout)

        for fd, mask in events:
            if mask & select.EPOLLOUT and fd in self.handlers:
                self.handlers[fd](True)
            if mask & ~select.EPOLLOUT and fd in self.handlers:
                self.handlers[fd](False)

        self.moved += len(events)

        return bool(events)
