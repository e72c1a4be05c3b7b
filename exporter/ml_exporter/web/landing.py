"""The page at `/`: what is watched, how it is, and where to look next. No scripts, no outside assets."""

from __future__ import annotations

from collections import Counter
from html import escape
from urllib.parse import quote

from ml_exporter.web import landing_endpoints
from ml_exporter.web.backend import Backend, SourceView
from ml_exporter.web.landing_parts import MARKS, address, ago, summary

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #57606a; --up: #1a7f37; --down: #b3261e; --starting: #7a5b00;
  --paper: #fff; --ink: #1f2328; --card: #f6f8fa; --link: #0550ae }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #9ea7b0; --up: #57c96b; --down: #ff8c82;
  --starting: #e3b341; --paper: #0d1117; --ink: #e6edf3; --card: #161b22; --link: #79b8ff } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  padding: 2rem 1rem; max-width: 72rem }
a { color: var(--link) } h1 { margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem } .soft { color: var(--soft) }
nav a { display: inline-block; margin: .5rem 1rem .5rem 0 }
article { border: 1px solid var(--line); border-radius: .5rem; background: var(--card); padding: .75rem 1rem;
  margin: 0 0 .75rem }
h3, p, pre { margin: .25rem 0; overflow-wrap: anywhere } h3 { font-size: 1rem }
.state { font-weight: 600 } .up { color: var(--up) } .down { color: var(--down) }
.starting, .unknown { color: var(--starting) }
pre { white-space: pre-wrap; border-left: 3px solid var(--down); padding-left: .75rem }
"""
_LINKS = (("metrics", "Metrics"), ("-/healthy", "Health"), ("-/ready", "Readiness"))


def page(backend: Backend, now: float) -> str:
    """The whole page; `now` is seconds since the epoch."""
    sources = backend.sources()
    ready, why = backend.ready()
    links = "".join(f'<a href="{path}">{title}</a>' for path, title in _LINKS)
    endpoints = backend.endpoints()
    states = Counter(source.state for source in sources)
    sections = landing_endpoints.section(endpoints, now)
    if sources or not sections:
        sections = f"<h2>Sources: {summary(states)}</h2>{_cards(sources, now)}{sections}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ml-exporter: {summary(states + Counter(endpoints.counts))}</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>ml-exporter</h1><p class=soft>Version {escape(backend.version)}, configuration "
        f"<code>{escape(backend.config_hash)}</code>, {'ready' if ready else 'not ready: ' + escape(why)}</p></header>"
        f"<nav>{links}</nav><main>{sections}</main></body></html>"
    )


def _cards(sources: list[SourceView], now: float) -> str:
    return "".join(_card(source, now) for source in sources) or "<p>No source is configured.</p>"


def _card(source: SourceView, now: float) -> str:
    name = escape(source.name)
    error = f"<p>Last error:</p><pre>{escape(source.last_error)}</pre>" if source.last_error else ""
    backfill = _history(source.backfill_progress)
    return (
        f'<article><h3>{name} <span class="state {source.state}">{MARKS[source.state]}</span></h3>'
        f"<p class=soft>{escape(source.kind)} at {address(source.url)}</p>"
        f"<p>{_last_success(source.last_success, now)} · {source.pipelines} pipelines · {source.series} series</p>"
        f'{backfill}{error}<p><a href="debug/sources/{quote(source.name, safe="")}">'
        f"What the last poll of {name} asked and got</a></p></article>"
    )


def _last_success(at: float | None, now: float) -> str:
    return "Never read" if at is None else f"Last read {ago(at, now)}"


def _history(progress: float | None) -> str:
    # Rounded down: 100 % would say that it is over.
    return "" if progress is None or progress >= 1 else f"<p>Reading the history: {int(progress * 100)} % done</p>"
