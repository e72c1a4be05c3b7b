// What alerts and dashboards ask of the exporter. Everything is aggregated over instance, job and pod: a second
// replica doubles nothing.
local m = import 'metrics.libsonnet';
local t = import 'text.libsonnet';

function(config) {
  local q = self,

  // Once services are configured, only what one of them claims alerts.
  claimed:: if std.length(config.services) > 0 then ['ml_service!="unassigned"'] else [],

  select(metric, matchers=[])::
    // Put together with +: formatting is what takes a Jsonnet program's time.
    if matchers == [] then metric else metric + '{' + std.join(', ', matchers) + '}',

  of(operation, labels, metric, matchers=[])::
    operation + ' by (' + labels + ') (' + q.select(metric, matchers) + ')',

  PIPELINE:: 'source, ml_service, pipeline',
  FIGURE:: 'source, ml_service, model, version, metric, dataset',

  // Of a pipeline
  pipeline(metric, matchers=[]):: q.of('max', q.PIPELINE, metric, q.claimed + matchers),
  lastSuccess:: q.pipeline(m.ml_run_last_finished_timestamp_seconds, ['state="succeeded"']),
  lastFailure:: q.pipeline(m.ml_run_last_finished_timestamp_seconds, ['state=~"failed|timed_out"']),
  // The oldest sight that any replica has: a replica added today makes no history.
  firstSeen:: q.of('min', q.PIPELINE, m.ml_pipeline_first_seen_timestamp_seconds, q.claimed),
  oldest(state):: q.of('min', q.PIPELINE, m.ml_run_oldest_active_timestamp_seconds, q.claimed + ['state="%s"' % state]),
  typical:: q.pipeline(m.ml_run_typical_duration_seconds),
  lastDuration:: q.pipeline(m.ml_run_last_duration_seconds),
  paused:: q.pipeline(m.ml_pipeline_paused) + ' == 1',

  // Of a source
  source(metric, matchers=[]):: q.of('max', 'source', metric, matchers),
  // Ages are measured up to the last successful poll, not up to now: while a source is down nothing gets older,
  // because nobody knows.
  age(instant)::
    '(' + q.source(m.ml_source_last_success_timestamp_seconds) + ' - on (source) group_right () ' + instant + ')',

  // For how long a run has been wanted that did not come, by the timetable of its pipeline or by `every:`; 0 if none is.
  late(by=q.PIPELINE, matchers=[])::
    local of(metric, more=[]) = q.of('max', by, metric, matchers + more);
    local since = 'max by (%s) (%s or %s)' % [
      by,
      q.select(m.ml_run_last_finished_timestamp_seconds, matchers + ['state="succeeded"']),
      q.of('min', by, m.ml_pipeline_first_seen_timestamp_seconds, matchers),
    ];
    |||
      %s
      or
      clamp_min(%s - %s * %s, 0)
      unless
      %s == 1
      or
      0 * %s
    ||| % [
      q.age(of(m.ml_pipeline_unmet_due_timestamp_seconds)),
      q.age(since),
      t.number(config.alerting.thresholds.overdue_cycles),
      of(m.ml_pipeline_cycle_seconds),
      of(m.ml_pipeline_paused),
      of(m.ml_pipeline_last_due_timestamp_seconds),
    ],

  // Of a scheduler
  QUEUE:: 'source, queue',
  RESOURCE:: 'source, queue, resource',
  LOCATION:: 'source, location',
  waiting:: q.of('max', q.QUEUE, m.ml_scheduler_queue_length),
  // Nothing of a resource is free, though there is some of it and somebody waits.
  exhausted:: |||
    %s <= 0
    and
    sum by (%s) (max by (%s, state) (%s)) > 0
    and on (%s)
    %s > 0
  ||| % [
    q.of('max', q.RESOURCE, m.ml_scheduler_capacity, ['state="free"']),
    q.RESOURCE,
    q.RESOURCE,
    m.ml_scheduler_capacity,
    q.QUEUE,
    q.waiting,
  ],
  notLoaded:: q.of('max', q.LOCATION, m.ml_scheduler_load_errors) + ' > 0',

  // Of a version of a model
  liveAlias:: t.anyOf('alias', config.alerting.live_aliases),
}
