"""A model server that costs next to nothing: one process, canned answers, on several addresses of the loopback.

    python -m bench.target --port 9000 --addresses 8

It speaks the Open Inference Protocol: `sums` answers at once, `slow` after three seconds, `hangs` never.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator

from tests.support.programs import wait_until

from bench import scratch

REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
_BODY = (
    b'{"model_name":"sums","model_version":"3","outputs":[{"name":"y","shape":[1,1],"datatype":"FP32","data":[3.0]}]}'
)
_SLOW = 3.0
"""Seconds."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.received) < whole:
                return
            self.received = self.received[whole:]
            self.answer(head)

    def answer(self, head: bytes) -> None:
        line = head.partition(b"\r\n")[0]
        body = _BODY if b"/infer" in line else b""
        model = line.partition(b"/models/")[2].partition(b"/")[0]
        sent = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        if model == b"slow":
            asyncio.get_running_loop().call_later(_SLOW, self.transport.write, sent.replace(b'"sums"', b'"slow"'))
        elif model != b"hangs":
            self.transport.write(sent)


async def _serve(port: int, addresses: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(_Connection, host, port, backlog=4096) for host in hosts(addresses)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def hosts(addresses: int) -> list[str]:
    """Several, since one address has no more than 28,000 ports to be called from."""
    return [f"127.0.0.{number + 1}" for number in range(addresses)]


@contextlib.contextmanager
def running(addresses: int = 1) -> Iterator[int]:
    """The port of a target in a process of its own."""
    port = scratch.free_port()
    command = [sys.executable, "-m", "bench.target", "--port", str(port), "--addresses", str(addresses)]
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: _listens(port), 10, "the target listens")
        yield port
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.target")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--addresses", type=int, default=1)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(options.port, options.addresses))


if __name__ == "__main__":
    main()
