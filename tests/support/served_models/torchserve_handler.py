"""A TorchServe handler; run by TorchServe's own worker, in packages of its own."""

from __future__ import annotations

import json
import time
from typing import Any

from sums import predict, told


class Sums:
    def initialize(self, context: Any) -> None:
        """Loading lasts as long as the file says `not_ready`."""
        while told()["mode"] == "not_ready":
            time.sleep(0.02)

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[list[list[float]]]:
        bodies = [each["body"] for each in data]
        return [predict((body if isinstance(body, dict) else json.loads(body))["x"]) for body in bodies]
