"""Runs a program in a network namespace of its own, with one TCP port of it reachable from outside.

For servers that listen on all interfaces whatever they are told: inside there is nothing but the loopback. A socket
stays in the namespace it was made in, so the outer port is opened before the namespace is entered and relayed after.
Shared memory is the program's own too: what it leaves there when it is killed goes with it.

    python netns_relay.py OUTER_PORT INNER_PORT COMMAND...

Standard library only: it runs with `python -IS`. Exits with the program's code; 77: no namespace can be had.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

NO_NAMESPACE = 77
_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x2_0000, 0x1000_0000, 0x4000_0000
_MS_PRIVATE_ALL = 0x4_4000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def enter_namespace() -> None:
    """Raises `OSError` if the kernel does not let us."""
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _CLONE_NEWNET | _CLONE_NEWNS | (0 if os.geteuid() == 0 else _CLONE_NEWUSER)
    if (
        libc.unshare(flags) != 0
        or libc.mount(b"none", b"/", None, _MS_PRIVATE_ALL, None) != 0
        or libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, None) != 0
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh22x", b"lo", 0)
        (found,) = struct.unpack_from("h", fcntl.ioctl(probe, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", found | _IFF_UP))


def relay(listener: socket.socket, port: int) -> None:
    """Hand every connection of `listener` to `port` of the namespace, for ever."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_serve, args=(client, port), daemon=True).start()


def _serve(client: socket.socket, port: int) -> None:
    with client:
        try:
            server = socket.create_connection(("127.0.0.1", port), 5)
        except OSError:
            return
        with server:
            server.settimeout(None)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def main(outer: int, inner: int, command: list[str]) -> int:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", outer))
    listener.listen(64)
    try:
        enter_namespace()
    except OSError as error:
        print(f"no network namespace: {error}", flush=True)
        return NO_NAMESPACE
    program = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    threading.Thread(target=relay, args=(listener, inner), daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
