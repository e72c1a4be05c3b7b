"""The jobs of a real Dagster in tests: run by Dagster's own Python, never imported by tests."""

import os
import time
from pathlib import Path

import dagster as dg

GATE = Path(os.environ["GATE"])
RUNNING, RUNNING_SENSOR = dg.DefaultScheduleStatus.RUNNING, dg.DefaultSensorStatus.RUNNING
quick = {"executor_def": dg.in_process_executor}


@dg.op
def nothing():
    pass


@dg.op
def raises():
    raise ValueError("no data today")


@dg.op
def waits():
    while not GATE.exists():
        time.sleep(0.1)


@dg.job(tags={"service": "fraud", "team": "risk"}, **quick)
def train():
    nothing()


@dg.job(**quick)
def broken():
    raises()


@dg.job(**quick)
def slow():
    waits()


@dg.job(tags={"limited": "yes"}, **quick)
def limited():
    waits()


@dg.job(tags={"dagster/max_runtime": "1"}, **quick)
def endless():
    waits()


@dg.job(**quick)
def ticking():
    nothing()


@dg.job(**quick)
def sensed():
    nothing()


@dg.job(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]), **quick)
def parted():
    nothing()


@dg.asset(automation_condition=dg.AutomationCondition.missing() & ~dg.AutomationCondition.in_progress())
def features():
    return 1


@dg.sensor(job=sensed, minimum_interval_seconds=5, default_status=RUNNING_SENSOR)
def seen(context):
    if context.cursor:
        return dg.SkipReason("told before")
    context.update_cursor("told")
    return dg.RunRequest(run_key="one")


@dg.schedule(cron_schedule="* * * * *", job=slow, default_status=RUNNING)
def skipping(context):
    return dg.SkipReason("nothing to do")


@dg.schedule(cron_schedule="* * * * *", job=endless, default_status=RUNNING)
def failing(context):
    raise ValueError("the calendar is down")


SEVERAL = ["0 4 * * *", "30 16 * * 1-5"]
schedules = [
    dg.ScheduleDefinition("minutely", cron_schedule="* * * * *", job=ticking, default_status=RUNNING),
    dg.ScheduleDefinition("daily", cron_schedule="15 2 * * *", job=train, default_status=RUNNING),
    dg.ScheduleDefinition(
        "several", cron_schedule=SEVERAL, job=train, execution_timezone="Europe/Berlin", default_status=RUNNING
    ),
    dg.ScheduleDefinition("stopped", cron_schedule="0 3 * * 1-5", job=broken),
    skipping,
    failing,
]
automation = dg.AutomationConditionSensorDefinition(
    "automation", target="*", default_status=RUNNING_SENSOR, minimum_interval_seconds=5
)
defs = dg.Definitions(
    jobs=[train, broken, slow, limited, endless, ticking, sensed, parted],
    assets=[features],
    schedules=schedules,
    sensors=[seen, automation],
    executor=dg.in_process_executor,
)
