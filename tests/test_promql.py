"""PromQL of objectives that is accepted: promtool reads the rules that become of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.programs import program
from tests.support.slos import BASE, sli, slo

from ml_exporter.config import from_data
from ml_exporter.render import generate

PROMQL = {
    "brackets and quotes in strings": sli("gauge", expr=r"""max(a{b=")\"(", c='"[\'', d=`{\`}) > bool 0"""),
    "every escape": sli("gauge", expr=r"""a{b="\\d\x41\101\u00e4\U0001F600\t", c='\''}"""),
    "dollars in strings": sli("gauge", expr='a{b=~"^c$"}'),
    "a comment at the end of a gauge": sli("gauge", expr="max(a) # all of them, (as ever"),
    "comments between lines": sli("gauge", expr="max( # it's\n  a # (b\n)\n# all"),
    "comments at the ends of a ratio": sli(
        "ratio", bad="sum(rate(a[$window])) # bad", total="sum(rate(b[$window])) # all of them )"
    ),
    "comments at the ends of good ones": sli(
        "ratio", good="sum(rate(a[$window]))\n# a", total="sum(rate(b[$window]))#b"
    ),
    "a subquery": sli("ratio", bad="sum(avg_over_time((a > 0)[$window:1m]))", total="sum(avg_over_time(b[ $window ]))"),
    "an increase over another range": sli(
        "ratio", bad="sum(avg_over_time(increase(a[1m])[$window:])) / 60", total="sum(rate(b[$window]))"
    ),
}


@pytest.mark.parametrize("kind", PROMQL.values(), ids=PROMQL)
def test_prometheus_reads_the_rules_of_what_is_accepted(tmp_path: Path, kind: dict[str, Any]) -> None:
    whole = slo(name="whole", **sli("composite"))
    for name, content in generate(from_data(BASE | {"slos": [slo(group_by=["region"], **kind), whole]})).items():
        if "/rules/" in name:
            (tmp_path / Path(name).name).write_bytes(content)
    files = sorted(tmp_path.iterdir())
    assert "slos.yml" in [file.name for file in files]
    done = subprocess.run([program("promtool"), "check", "rules", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
