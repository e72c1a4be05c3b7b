"""What the web surface shows of the endpoints that are probed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ml_exporter import probe_debug
from ml_exporter.endpoint_states import Served
from ml_exporter.model import Outcome
from ml_exporter.probed import Endpoint, Probed
from ml_exporter.web.backend import EndpointView, EndpointViews, ModelView, State

ENDPOINTS_SHOWN = 200
MODELS_SHOWN = 20
MODELS_TOLD = 200
"""On the debug page: to strike out secrets takes some 0.3 ms a text."""
_FIRST: dict[State, int] = {"down": 0, "unknown": 1, "starting": 2, "up": 3}


def views(endpoints: Iterable[Endpoint]) -> EndpointViews:
    """All of them in numbers; in full the first ones only, beginning with those that fail."""
    by_state: dict[State, list[Endpoint]] = {state: [] for state in _FIRST}
    for endpoint in endpoints:
        by_state[_state(endpoint)].append(endpoint)
    ordered = [(endpoint, state) for state, found in by_state.items() for endpoint in found]
    shown = tuple(_view(endpoint, state) for endpoint, state in ordered[:ENDPOINTS_SHOWN])
    return EndpointViews({state: len(found) for state, found in by_state.items()}, shown)


def debug(endpoint: Endpoint) -> dict[str, Any]:
    """What the last probe of each model asked and got; of very many models, those that fail first.

    May be called from any thread.
    """
    common, models = endpoint.configured.common, _worst_first(endpoint)
    return {
        "endpoint": common.name,
        "protocol": common.protocol,
        "url": common.url,
        "service": endpoint.service,
        "interval": endpoint.configured.interval,
        "timeout": endpoint.configured.timeout,
        "tls_not_after": endpoint.client.not_after,
        "index": _index(endpoint),
        "models": [_model(endpoint, probed) for probed in models[:MODELS_TOLD]],
        "more": max(0, len(models) - MODELS_TOLD),
    }


def _index(endpoint: Endpoint) -> dict[str, Any] | None:
    if not endpoint.configured.common.discover:
        return None
    return {"up": endpoint.index_up, "models": endpoint.index_models, "error": endpoint.index_error}


def _model(endpoint: Endpoint, probed: Probed) -> dict[str, Any]:
    served = probed.served
    about = {"model": served.model, "version": served.version, "failures": served.failures, "lost": served.lost}
    last = served.last and probe_debug.described(served.last, endpoint.configured.common.url, endpoint.client)
    return {**about, "last_probe": last}


def _state(endpoint: Endpoint) -> State:
    """That of the model that is worst off; the index counts as one."""
    known = bool(endpoint.models) or endpoint.index_up is not None
    worst: State = "starting" if not known else "down" if endpoint.index_up is False else "up"
    # There may be 20,000, and nothing is probed meanwhile.
    for probed in endpoint.models.values():
        worst = min(worst, _state_of(probed.served), key=_FIRST.__getitem__)
    return worst


def _state_of(served: Served) -> State:
    if served.lost:
        return "unknown"
    if served.failures:
        return "down"
    return "up" if served.last else "starting"


def _worst_first(endpoint: Endpoint) -> list[Probed]:
    return sorted(endpoint.models.values(), key=lambda probed: (probed.served.failures == 0, probed.served.model))


def _view(endpoint: Endpoint, state: State) -> EndpointView:
    common, models = endpoint.configured.common, _worst_first(endpoint)
    return EndpointView(
        name=common.name,
        protocol=common.protocol,
        url=common.url,
        state=state,
        models=tuple(_model_view(probed) for probed in models[:MODELS_SHOWN]),
        more=max(0, len(models) - MODELS_SHOWN),
        index_error=endpoint.index_error,
    )


def _model_view(probed: Probed) -> ModelView:
    served, last = probed.served, probed.served.last
    view = ModelView(served.model, served.version, lost=served.lost)
    if last is None:
        return view
    well = {step.check for step in last.steps if step.outcome is Outcome.OK}
    checks = {str(step.check): step.check in well for step in probed.asked.steps}
    return dataclasses.replace(view, checks=checks, outcome=str(last.outcome), problem=last.problem, at=served.last_at)
