"""The part of the page at `/` that is about endpoints."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from ml_exporter.web.backend import EndpointView, EndpointViews, ModelView
from ml_exporter.web.landing_parts import MARKS, address, ago, summary


def section(endpoints: EndpointViews, now: float) -> str:
    """Heading and cards; nothing where there are no endpoints. `now` is seconds since the epoch."""
    total = sum(endpoints.counts.values())
    if not total:
        return ""
    cards = "".join(_card(endpoint, now) for endpoint in endpoints.shown)
    hidden = total - len(endpoints.shown)
    rest = f"<p>And {hidden} more, none of which is worse than the last one here.</p>" if hidden else ""
    return f"<h2>Endpoints: {summary(endpoints.counts)}</h2>{cards}{rest}"


def _card(endpoint: EndpointView, now: float) -> str:
    name = escape(endpoint.name)
    index = "<p>The index of models cannot be read:</p>" + _pre(endpoint.index_error) if endpoint.index_error else ""
    models = "".join(_model(model, now) for model in endpoint.models)
    more = f"<p class=soft>And {endpoint.more} more models</p>" if endpoint.more else ""
    return (
        f'<article><h3>{name} <span class="state {endpoint.state}">{MARKS[endpoint.state]}</span></h3>'
        f"<p class=soft>{escape(endpoint.protocol)} at {address(endpoint.url)}</p>{index}{models}{more}"
        f'<p><a href="debug/endpoints/{quote(endpoint.name, safe="")}">'
        f"What the last probe of {name} asked and got</a></p></article>"
    )


def _model(model: ModelView, now: float) -> str:
    name = f"<b>{escape(model.model)}</b>" if model.model else "The model"
    version = f" version {escape(model.version)}" if model.version else ""
    if model.lost:
        return f"<p>{name}{version}: not known, for the last probe could not be made; the log says why</p>"
    if model.at is None:
        return f"<p>{name}{version}: not probed yet</p>"
    checks = ", ".join(f"{escape(check)} {'✓' if well else '✗'}" for check, well in model.checks.items())
    problem = _pre(model.problem) if model.problem else ""
    return f"<p>{name}{version}: {escape(model.outcome or '')} ({checks}), probed {ago(model.at, now)}</p>{problem}"


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
