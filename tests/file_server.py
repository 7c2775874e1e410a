"""A server of files over HTTP that can be told to misbehave."""

import contextlib
import http.server
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Manners:
    """What a server does wrong.

    Attributes:
        files (dict[str, bytes]): What it has, by the last part of its path.
        cuts (list[int]): After how many bytes it ends the first answers.
        always_cut (int): The same for all; -1 for never.
        announced (int): How many bytes more than it has it announces.
        knows_ranges (bool): Whether it sends parts.
        wrong_part (int): How many parts begin one byte too early.
        statuses (list[int]): Of its first answers.
        stalls (Event): Where one is given, it sends half, and waits for it.
        headers (dict[str, str]): Of each answer.
        asked (list): Name and range of each request, as they came.
    """

    files: dict = field(default_factory=dict)
    cuts: list = field(default_factory=list)
    always_cut: int = -1
    announced: int = 0
    knows_ranges: bool = True
    wrong_part: int = 0
    statuses: list = field(default_factory=list)
    stalls: threading.Event = None
    headers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    address: str = ''


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    manners = None

    def log_message(self, *args):
        pass

    def do_GET(self):
        manners = self.manners
        name, wanted = self.path.rpartition('/')[2], self.headers['Range']
        manners.asked.append((name, wanted))
        self.close_connection = True
        if manners.statuses:
            return self.answer(manners.statuses.pop(0))
        if name not in manners.files:
            return self.answer(404)
        data = manners.files[name]
        if wanted and manners.knows_ranges:
            return self.send_part(data, int(wanted[len('bytes=') : -1]))
        self.send(200, data, {})

    def answer(self, status):
        self.send_response(status)
        self.send_header('Retry-After', '0')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def send_part(self, data, begin):
        if begin >= len(data):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(data)}')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        if self.manners.wrong_part:
            self.manners.wrong_part -= 1
            begin -= 1
        part = f'bytes {begin}-{len(data) - 1}/{len(data)}'
        self.send(206, data[begin:], {'Content-Range': part})

    def send(self, status, data, headers):
        manners = self.manners
        length = len(data) + manners.announced
        headers = {'Content-Length': length, **manners.headers, **headers}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        cut = manners.cuts.pop(0) if manners.cuts else manners.always_cut
        if manners.stalls is not None:
            self.wfile.write(data[: len(data) // 2])
            manners.stalls.wait(60)
            data = data[len(data) // 2 :]
        # A client that gave up is none of this server's business.
        with contextlib.suppress(OSError):
            self.wfile.write(data if cut < 0 else data[:cut])


@contextlib.contextmanager
def serving(**manners):
    """Serve files on this machine; yields the server's manners."""
    manners = Manners(**manners)
    handler = type('Handler', (_Handler,), dict(manners=manners))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, args=(0.05,), daemon=True
    )
    thread.start()
    manners.address = f'http://127.0.0.1:{server.server_port}'
    try:
        yield manners
    finally:
        if manners.stalls is not None:
            manners.stalls.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def until(condition, seconds=60):
    """Wait for something that another process or thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'it never happened'
        time.sleep(0.01)
