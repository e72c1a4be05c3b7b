"""Objectives for tests: a configuration to have them in, and one of every kind."""

from __future__ import annotations

from typing import Any

INPUT = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
FRAUD = {"name": "fraud-eu", "protocol": "open_inference", "url": "http://triton:8000", "model": "fraud"}
BASE: dict[str, Any] = {
    "sources": [{"name": "tracking", "kind": "mlflow", "url": "http://mlflow:5000"}],
    "endpoints": [FRAUD, FRAUD | {"name": "churn", "canary": {"request": {"inputs": [INPUT]}}}],
    "services": [{"name": "fraud-detection", "owner": "risk-ml"}],
}
SLI: dict[str, Any] = {"endpoint_availability": {"endpoint": "fraud-eu"}}
SLO: dict[str, Any] = {"name": "fraud", "service": "fraud-detection", "sli": SLI, "objective": 99}

EVERY_KIND: dict[str, dict[str, Any]] = {
    "endpoint_availability": {"endpoint": "fraud-*"},
    "endpoint_latency": {"endpoint": "churn", "below": "250ms", "from": "probe"},
    "endpoint_correctness": {"endpoint": "churn", "model": "fraud"},
    "pipeline_success": {"pipeline": "tracking/fraud-*"},
    "pipeline_freshness": {"pipeline": "track*/fraud", "late": "1h"},
    "pipeline_duration": {"pipeline": "tracking/fraud", "below": "1h"},
    "model_quality": {"model": "tracking/fraud", "within": 0.05},
    "ratio": {"good": "sum(rate(ok_total[$window]))", "total": "sum(rate(all_total[$window]))"},
    "gauge": {"expr": "up"},
    "composite": {},
}


def slo(**keys: Any) -> dict[str, Any]:
    return {key: value for key, value in {**SLO, **keys}.items() if value is not None}


def sli(kind: str, **options: Any) -> dict[str, Any]:
    return {"sli": {kind: options}}
