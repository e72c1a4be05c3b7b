"""Puts the version behind an alias behind the gate, and the next one when the alias moves."""

from __future__ import annotations

import gc
import tempfile
import time

import mlflow
from mlflow import MlflowClient
from mlflow.pyfunc import scoring_server

from ml_exporter.demo.serving.gate import Application, Gate

EVERY = 2.0
"""Seconds between two looks at the registry."""


class Champion:
    """What is behind an alias of a registered model, and served. An alias that vanishes leaves it as it is."""

    def __init__(self, gate: Gate, tracking_uri: str, model: str, alias: str) -> None:
        mlflow.set_tracking_uri(tracking_uri)
        self._client = MlflowClient()
        self._gate, self._model, self._alias = gate, model, alias
        self._served = self._said = ""

    def follow(self) -> None:
        """Look again and again; does not return."""
        while True:
            self.look()
            time.sleep(EVERY)

    def look(self) -> None:
        """Serve another version if the alias has moved. Raises nothing: what is served goes on being served."""
        try:
            version = str(self._client.get_model_version_by_alias(self._model, self._alias).version)
            if version != self._served:
                self._gate.behind = _loaded(self._model, version)
                self._served = version
            self._say(f"serves {self._model} {version}")
        except Exception as error:  # whatever the registry, the artifact or the model is like
            self._say(f"{self._model}@{self._alias}: {(str(error).splitlines() or [repr(error)])[0]}")

    def _say(self, text: str) -> None:
        if text != self._said:
            print(text, flush=True)
            self._said = text


def _loaded(model: str, version: str) -> Application:
    """MLflow's own application of one version."""
    with tempfile.TemporaryDirectory() as folder:  # else what was downloaded stays until we end
        loaded = mlflow.pyfunc.load_model(f"models:/{model}/{version}", dst_path=folder)
    gc.collect()  # each download leaves idle threads in a cycle of garbage, which would pile up for hours
    application: Application = scoring_server.init(loaded)
    return application
