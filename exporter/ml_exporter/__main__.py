"""The command line. Exit codes: 0 done, 1 it could not be done, 2 the configuration or the command is wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ml_exporter import __version__
from ml_exporter.config import from_data, load, warnings
from ml_exporter.errors import ConfigError, MlExporterError
from ml_exporter.settings import Config

_EXAMPLES = """examples:
  ml-exporter run --mlflow http://mlflow:5000       watch one MLflow, nothing to configure
  ml-exporter run --config ml-exporter.yaml         the real thing
  ml-exporter check --config ml-exporter.yaml       is the file right, does every source answer,
                                                    does every endpoint predict?
  ml-exporter render --config ml-exporter.yaml --output /etc/ml-exporter
                                                    rules, dashboards, routing
  ml-exporter apply --config ml-exporter.yaml       after an edit: render, and let every part reload
  ml-exporter digest --config ml-exporter.yaml      what alerted in the last week
  ml-exporter slo --config ml-exporter.yaml         objectives: what each promises, what pages, what opens a ticket
  ml-exporter metrics                               every metric with its labels
  ml-exporter demo                                  the whole stack on this machine, with pipelines that really fail
  ml-exporter gameday                               the same with faults put in: is the right person told in time?
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments, rest = _parser().parse_known_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    if command in (_demo, _gameday):
        arguments.rest = rest  # they have parsers of their own
    elif rest:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return command(arguments)
    except ConfigError as error:
        print(f"ml-exporter: {error}", file=sys.stderr)
        return 2
    except MlExporterError as error:
        print(f"ml-exporter: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: that is no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ml-exporter",
        description="Watch machine-learning pipelines and inference endpoints with Prometheus.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ml-exporter {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[argparse.Namespace], int], text: str, *, add_help: bool = True
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", add_help=add_help)
        sub.set_defaults(command=function)
        return sub

    run = command("run", _run, "poll the sources, probe the endpoints, serve /metrics and /probe")
    _configured(run)
    run.add_argument("--listen", metavar="HOST:PORT", help="address to serve on, instead of server.listen")
    run.add_argument("--state", metavar="FILE", help="state file, instead of state")
    run.add_argument("--log-format", choices=("logfmt", "json"), default="logfmt")
    run.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")

    check = command("check", _check, "check the configuration, ask every source and probe every endpoint once")
    _configured(check)
    check.add_argument("--offline", action="store_true", help="check the file only, ask nobody")

    render = command("render", _render, "write rules, dashboards and routing")
    _configured(render)
    render.add_argument("--output", type=Path, metavar="DIR", required=True, help="folder to write into")
    render.add_argument(
        "--format",
        choices=("files", "kubernetes"),
        default="files",
        help="files that Prometheus, Alertmanager and Grafana read, or objects for the Prometheus operator",
    )

    apply = command("apply", _apply, "render, then let exporter, Prometheus and Alertmanager reload")
    _configured(apply)
    apply.add_argument("--output", type=Path, metavar="DIR", help="instead of stack.output")

    digest = command("digest", _digest, "what alerted in the last week, printed or sent to whom alerting.info names")
    digest.add_argument("--config", type=Path, metavar="FILE", required=True, help="configuration file (YAML)")
    digest.add_argument("--since", metavar="TIME", default="7d", help="how far to look back, 1h to 35d (7d)")
    digest.add_argument("--severity", metavar="LIST", default="page,ticket,info", help="only these (page,ticket,info)")
    digest.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    digest.add_argument("--send", action="store_true", help="send it to the receivers of alerting.info")
    digest.add_argument("--timeout", metavar="TIME", default="1m", help="for each attempt at each question (1m)")

    slo = command("slo", _slo, "list the objectives: what each promises, and how much of what is bad alerts whom")
    slo.add_argument("--config", type=Path, metavar="FILE", required=True, help="configuration file (YAML)")
    slo.add_argument("--file", type=Path, metavar="FILE", action="append", default=[], help="and one as of slo_files")
    slo.add_argument("--format", choices=("table", "json"), default="table")

    metrics = command("metrics", _metrics, "list every metric with its type, labels and help")
    metrics.add_argument("--format", choices=("table", "markdown", "json"), default="table")

    what = "run the whole stack on this machine, with pipelines that really train and really fail"
    command("demo", _demo, what, add_help=False)
    what = "put faults into a stack of its own, and check that the right receiver is told in time, and nobody else"
    command("gameday", _gameday, what, add_help=False)
    return parser


def _configured(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, metavar="FILE", help="configuration file (YAML)")
    which.add_argument("--mlflow", metavar="URL", help="one MLflow and no configuration file")


def _loader(arguments: argparse.Namespace) -> Callable[[], Config]:
    """How the configuration is read, now and at every reload; options given on the command line stay on top."""

    def read() -> Config:
        if arguments.config:
            config = load(arguments.config)
        else:
            config = from_data({"sources": [{"name": "mlflow", "kind": "mlflow", "url": arguments.mlflow}]})
        return _overridden(config, arguments)

    return read


def _overridden(config: Config, arguments: argparse.Namespace) -> Config:
    import dataclasses

    if getattr(arguments, "listen", None):
        config = dataclasses.replace(config, server=dataclasses.replace(config.server, listen=arguments.listen))
    if getattr(arguments, "state", None):
        config = dataclasses.replace(config, state=arguments.state)
    return config


def _run(arguments: argparse.Namespace) -> int:
    import asyncio

    from ml_exporter import garbage

    garbage.leave()  # even of the imports, which are a tenth of the start

    from ml_exporter import logs
    from ml_exporter.app import App

    logs.configure(arguments.log_format, arguments.log_level)
    asyncio.run(App(_loader(arguments)).run())
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from ml_exporter import promtool
    from ml_exporter.check import absent, check
    from ml_exporter.render import generate

    config = _loader(arguments)()
    promtool.check_rules(generate(config))  # what the target Alertmanager does not know is found only there
    counts = ", ".join(f"{name}: {len(getattr(config, name))}" for name in ("sources", "endpoints", "services", "slos"))
    print(f"configuration: ok ({counts}, hash {config.hash})")
    _warn(config)
    for note in absent(config):
        print(f"note: {note}", file=sys.stderr)
    return 0 if arguments.offline or check(config, print) else 1


def _warn(config: Config) -> None:
    for warning in warnings(config):
        print(f"note: {warning}", file=sys.stderr)


def _render(arguments: argparse.Namespace) -> int:
    from ml_exporter.render import render

    config = _loader(arguments)()
    files = render(config, arguments.output, arguments.format)
    _warn(config)
    for file in files:
        print(file)
    return 0


def _apply(arguments: argparse.Namespace) -> int:
    from ml_exporter.apply import apply

    config = _loader(arguments)()
    output = arguments.output or (Path(config.stack.output) if config.stack.output else None)
    if output is None:
        raise ConfigError("stack.output: missing; say where to render to, there or by --output")
    return 0 if apply(config, output, print) else 1


def _digest(arguments: argparse.Namespace) -> int:
    from ml_exporter.digest.command import Options, run

    options = Options(**{name: getattr(arguments, name) for name in Options._fields})
    return 0 if run(_loader(arguments)(), options, arguments.config.parent, print) else 1


def _slo(arguments: argparse.Namespace) -> int:
    from ml_exporter import slo_report
    from ml_exporter.slo_config import with_files

    config = with_files(load(arguments.config), arguments.file)
    found = slo_report.entries(config)
    for note in config.slo_notes:
        print(f"note: {note}", file=sys.stderr)
    print({"table": slo_report.table, "json": slo_report.as_json}[arguments.format](found))
    return 0


def _metrics(arguments: argparse.Namespace) -> int:
    from ml_exporter import reference

    print({"table": reference.table, "markdown": reference.markdown, "json": reference.as_json}[arguments.format]())
    return 0


def _gameday(arguments: argparse.Namespace) -> int:
    from ml_exporter.gameday import main as gameday

    return gameday(arguments.rest)


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from ml_exporter.demo import main as demo
    except ImportError as error:
        raise ConfigError(f"the demo needs more: pip install 'ml-exporter[demo]' ({error})") from error
    return int(demo(arguments.rest))


if __name__ == "__main__":
    sys.exit(main())
