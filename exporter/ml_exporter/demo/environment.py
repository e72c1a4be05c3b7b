"""What the parts of the demo that use MLflow tell it and numpy, which read it when they are imported."""

from __future__ import annotations

import os
import warnings

_VARIABLES = {
    # Matrices this small are multiplied faster by one thread than by several.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # No questions to git, no telemetry, no two lines of addresses for each run, no bars.
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # An outage of MLflow's server fails one request instead of blocking for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def prepare() -> None:
    """To be called before the first import of mlflow or numpy. What the environment says already, stays."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    warnings.simplefilter("ignore")
