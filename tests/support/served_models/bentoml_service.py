"""A BentoML service of one API; run by BentoML, in packages of its own."""

from __future__ import annotations

import bentoml
from sums import predict, told


# More than one thread: else a prediction that hangs holds up all that follow.
@bentoml.service(name="sums", workers=1, threads=16)
class Sums:
    @bentoml.api
    def predict(self, x: list[list[float]]) -> list[list[float]]:
        return predict(x)

    def __is_ready__(self) -> bool:
        return told()["mode"] != "not_ready"
