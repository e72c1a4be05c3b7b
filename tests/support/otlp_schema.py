"""OTLP's official schema: what a collector would understand of what was posted to it."""

from __future__ import annotations

import base64
import json

from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans


def parsed(body: bytes) -> ResourceSpans:
    """An export, read strictly. Only ids differ: hex digits in OTLP/JSON, base64 in Protobuf's own JSON."""
    tree = json.loads(body)
    for span in tree["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for key in ("traceId", "spanId"):
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    (whole,) = Parse(json.dumps(tree), ExportTraceServiceRequest()).resource_spans
    return whole
