"""What scrapers ask for, and what they get."""

from __future__ import annotations

import pytest

from ml_exporter.web.negotiation import TEXT, content_type, takes_gzip

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OLD_OPENMETRICS = "application/openmetrics-text; version=0.0.1; charset=utf-8"

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3_5 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_TEXT_ONLY = "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_2_42, OPENMETRICS),
        (PROMETHEUS_3_5, OPENMETRICS),
        (PROMETHEUS_WITH_PROTOBUF, OPENMETRICS),
        (PROMETHEUS_TEXT_ONLY, TEXT),
        (BROWSER, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", OLD_OPENMETRICS),
        ('Application/OpenMetrics-Text; Version="1.0.0"', OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;q=0, */*", TEXT),
        ("application/openmetrics-text;q=0.3,text/plain;q=0.9", TEXT),
        ("application/openmetrics-text;q=0.9,text/plain;q=0.3,*/*;q=1", OPENMETRICS),
        ("text/plain;q=0,application/openmetrics-text;q=0.1", OPENMETRICS),
        ("image/png", TEXT),
        ("application/openmetrics-text;q=many", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        (",;,=;q=,", TEXT),
    ],
)
def test_the_best_acceptable_format_is_chosen(accept: str, expected: str) -> None:
    assert content_type(accept) == expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=1.0", True),
        ("br", False),
    ],
)
def test_gzip_is_sent_only_where_it_is_welcome(accept_encoding: str, expected: bool) -> None:
    assert takes_gzip(accept_encoding) is expected
