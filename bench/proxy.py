"""A TCP proxy that counts: the same one between MLflow and either exporter, so that bytes mean the same."""

from __future__ import annotations

import asyncio
import multiprocessing
from multiprocessing.sharedctypes import Synchronized
from types import TracebackType

CHUNK = 262_144


class CountingProxy:
    """Listens on 127.0.0.1:`port` in a process of its own, forwards to `target`, counts what came back."""

    def __init__(self, port: int, target: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        spawn = multiprocessing.get_context("spawn")
        self._received: Synchronized[int] = spawn.Value("q", 0)
        self._ready = spawn.Event()
        self._process = spawn.Process(target=_serve, args=(port, target, self._received, self._ready), daemon=True)

    @property
    def received(self) -> int:
        """Bytes from the server since the start, headers too."""
        return self._received.value

    def __enter__(self) -> CountingProxy:
        self._process.start()
        if not self._ready.wait(20):
            raise RuntimeError("the counting proxy did not start within 20 s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.join()


def _serve(port: int, target: int, received: Synchronized[int], ready: multiprocessing.synchronize.Event) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: bool) -> None:
        try:
            while data := await reader.read(CHUNK):
                if count:
                    received.value += len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", target, limit=CHUNK)
        await asyncio.gather(pump(reader, upstream_writer, False), pump(upstream_reader, writer, True))

    async def main() -> None:
        server = await asyncio.start_server(connect, "127.0.0.1", port, limit=CHUNK)
        ready.set()
        await server.serve_forever()

    asyncio.run(main())
