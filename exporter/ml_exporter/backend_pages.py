"""Ways out: the pages that backends have of their own, as a browser finds them."""

from __future__ import annotations

from ml_exporter.model import Pipeline
from ml_exporter.poller import Poller


def of_last_failed(poller: Poller, pipeline: str) -> str | None:
    """The page of a pipeline's last failed run; None: none is known, or there are no pages."""
    state = poller.ledger.pipelines.get(pipeline)
    run_id = state.last_failed_id() if state else None
    if state is None or run_id is None:
        return None
    return _for_browser(poller, poller.source.run_url(Pipeline(poller.name, pipeline), state.id, run_id))


def of_pipeline(poller: Poller, pipeline: str) -> str | None:
    """The page of a pipeline, or the list of its runs."""
    state = poller.ledger.pipelines.get(pipeline)
    if state is None:
        return None
    return _for_browser(poller, poller.source.pipeline_url(Pipeline(poller.name, pipeline), state.id))


def of_backend(poller: Poller) -> str | None:
    """Where its pages begin. One that has none may have those of another program, at its `browser_url`."""
    return poller.configured.common.browser_url or poller.source.home_url()


def _for_browser(poller: Poller, url: str | None) -> str | None:
    browser_url, home = poller.configured.common.browser_url, poller.source.home_url()
    if url is None or home is None or browser_url is None or not url.startswith(home):
        return url
    return browser_url + url.removeprefix(home)
