"""Where a backend's own pages are. Kinds are found, not listed: one without a line here is red."""

from __future__ import annotations

import pytest

from ml_exporter import discovery
from ml_exporter.model import Pipeline

PAGES: dict[str, tuple[str, str | None, str | None, str | None]] = {
    # Kind: pipeline, its id, its page, where all pages begin.
    "airflow": ("team a/train", "team a/train", "http://it:1/dags/team%20a%2Ftrain", "http://it:1"),
    "argo": ("ml/train", "uid", None, None),
    "dagster": ("etl/repo/train", "etl/repo/train", "http://it:1/runs?q%5B0%5D=job%3Atrain", "http://it:1"),
    "kubeflow": ("ml/train", "a/b", "http://it:1/#/recurringrun/details/a%2Fb", "http://it:1"),
    "kubernetes": ("ml/train", "uid", None, None),
    "mlflow": ("fraud", "7", "http://it:1/#/experiments/7", "http://it:1"),
    "prefect": ("etl/daily", "d1", "http://it:1/deployments/deployment/d1", "http://it:1"),
    "ray": ("train", None, "http://it:1/#/jobs", "http://it:1"),
    "slurm": ("train", None, None, None),
}
WITHOUT_AN_ID = {
    "kubeflow": "http://it:1/#/runs",
    "mlflow": None,
    "prefect": "http://it:1/flows",
}


@pytest.mark.parametrize("kind", discovery.kinds())
def test_a_pipeline_has_a_page_where_its_backend_has_any(kind: str) -> None:
    name, id_, page, home = PAGES[kind]
    source = discovery.create(kind, "it", discovery.options_of(kind)(), "http://it:1")
    assert source.pipeline_url(Pipeline("it", name), id_) == page
    assert source.home_url() == home
    run = source.run_url(Pipeline("it", name), id_, "x/1")
    assert (run is None) == (page is None), "a kind has pages for runs and for pipelines, or for neither"
    assert run is None or run.startswith(f"{home}/"), "what a browser is sent to is told by its beginning"


@pytest.mark.parametrize("kind", WITHOUT_AN_ID)
def test_a_pipeline_that_only_its_runs_tell_of_has_the_list_they_stand_in(kind: str) -> None:
    source = discovery.create(kind, "it", discovery.options_of(kind)(), "http://it:1")
    assert source.pipeline_url(Pipeline("it", "train"), None) == WITHOUT_AN_ID[kind]


def test_prefect_cloud_has_its_pages_at_another_address_than_its_api() -> None:
    url = "https://api.prefect.cloud/api/accounts/a/workspaces/w"
    source = discovery.create("prefect", "it", discovery.options_of("prefect")(), url)
    home = "https://app.prefect.cloud/account/a/workspace/w"
    assert source.home_url() == home
    assert source.pipeline_url(Pipeline("it", "etl/daily"), "d1") == f"{home}/deployments/deployment/d1"
