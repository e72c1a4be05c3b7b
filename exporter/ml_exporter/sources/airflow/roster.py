"""DAGs → roster entries: what is due when, what is paused, what it is tagged with."""

from __future__ import annotations

from functools import partial

from ml_exporter.model import Pipeline, PipelineInfo, Schedule
from ml_exporter.reading import tags
from ml_exporter.sources.airflow.api import Api, Steps, all_items, list_dags
from ml_exporter.sources.airflow.runs import time, word
from ml_exporter.sources.airflow.shapes import DagRecord


def read_dags(api: Api, page_size: int) -> Steps[dict[str, DagRecord]]:
    """All DAGs whose file is there, by id. Raises `Malformed` for a listing that is not whole."""
    records = yield from all_items("dags", partial(list_dags, api, page_size))
    return {dag_id: record for record in records or () if (dag_id := word(record.dag_id))}


def to_info(source: str, dag_id: str, record: DagRecord) -> PipelineInfo:
    paused = record.is_paused if isinstance(record.is_paused, bool) else None
    return PipelineInfo(Pipeline(source, dag_id), dag_id, schedule=schedule(record), paused=paused, tags=_tags(record))


def schedule(record: DagRecord) -> Schedule | None:
    """When the next run is due; None for a DAG that is started by hand, by data, or again as soon as it ends."""
    given = record.schedule_interval
    if "@continuous" in (record.timetable_summary, given.get("value") if isinstance(given, dict) else None):
        return None
    due = time(record.next_dagrun_run_after or record.next_dagrun_create_after)
    if due is None:
        # Before 3.3, a DAG with as many runs as it may have is given no time, but its interval stays.
        due = time(record.next_dagrun_data_interval_end)
    return None if due is None else Schedule(next_due=due)


def _tags(record: DagRecord) -> tuple[str, ...]:
    listed = record.tags if isinstance(record.tags, list) else []
    return tags(*(tag.get("name") for tag in listed if isinstance(tag, dict)))
