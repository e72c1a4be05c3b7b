"""A Ray of one node that serves one application on Ray Serve's own HTTP proxy; run by a Python that has Ray.

    python ray_application.py TEMPORARY_FOLDER HTTP_PORT METRICS_PORT

The application goes while the model's file says `not_ready`, and comes back after.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from sums import predict, told


@serve.deployment(max_ongoing_requests=32)
class Sums:
    async def __call__(self, request: Any) -> list[list[float]]:
        return await asyncio.to_thread(predict, (await request.json())["x"])


def main(folder: str, http_port: int, metrics_port: int) -> None:
    ray.init(
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _metrics_export_port=metrics_port,
        _temp_dir=folder,
        object_store_memory=80_000_000,
    )
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=http_port))
    deployed = False
    while True:
        wanted = told()["mode"] != "not_ready"
        if wanted and not deployed:
            serve.run(Sums.bind(), name="sums", route_prefix="/sums")
        elif deployed and not wanted:
            serve.delete("sums")
        deployed = wanted
        time.sleep(0.1)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
