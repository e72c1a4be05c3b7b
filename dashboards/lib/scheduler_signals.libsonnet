// The signals of schedulers: see signals.libsonnet, which has them too.
local m = import '../../alerts/lib/metrics.libsonnet';
local recorded = import '../../alerts/lib/recorded.libsonnet';
local colour = import 'colours.libsonnet';
local panel = import 'panel.libsonnet';

function(config, sources)
  local q = (import '../../alerts/lib/queries.libsonnet')(config);
  local limits = config.alerting.thresholds;
  local capacity(matchers=[]) = q.of('max', q.RESOURCE + ', state', m.ml_scheduler_capacity, [sources] + matchers);

  {
    sourceUp: {
      title: 'Sources over time',
      description: 'Whether each source could be read: while it cannot, all that is known of it is as old as the last good poll.',
      unit: 'short',
      mappings: panel.meaning([[0, 'failed', colour.hurt], [1, 'ok', colour.fine]]),
      queries: [{ legend: '{{source}}', expr: q.of('max', 'source', m.ml_source_up, [sources]) }],
    },
    dataAsOf: {
      title: 'Data as of',
      description: 'When each source was last read: what is shown about it is as old.',
      unit: 'dateTimeFromNow',
      queries: [{ legend: '{{source}}', expr: '1000 * ' + q.of('max', 'source', m.ml_source_last_success_timestamp_seconds, [sources]) }],
    },
    heartbeatAge: {
      title: 'Age of heartbeats',
      description: 'Time since each part of a scheduler was last alive, up to the last poll.',
      unit: 's',
      steps: [[colour.fine, 0], [colour.hurt, limits.scheduler_heartbeat_after]],
      queries: [{
        legend: '{{source}} {{component}}',
        expr: q.age(q.of('max', 'source, component', m.ml_scheduler_heartbeat_timestamp_seconds, [sources])),
      }],
    },
    queueLength: {
      title: 'Waiting',
      description: 'Runs or jobs that wait in each pool, partition or work queue.',
      unit: 'short',
      queries: [{
        legend: '{{source}} {{queue}}',
        expr: q.of('max', q.QUEUE, m.ml_scheduler_queue_length, [sources]),
      }],
    },
    capacity: {
      title: 'Capacity',
      description: 'Units of each resource of a queue, by what they do; together they are all there are.',
      unit: 'short',
      queries: [{ legend: '{{source}} {{queue}} {{resource}} {{state}}', expr: capacity() }],
    },
    capacityUsed: {
      title: 'Capacity used',
      description: 'Share of each resource of a queue that is used, of all there is, available or not.',
      unit: 'percentunit',
      steps: [[colour.fine, 0], [colour.look, 1]],
      queries: [{
        legend: '{{source}} {{queue}} {{resource}}',
        expr: 'sum by (%s) (%s)\n/\n(sum by (%s) (%s) > 0)' % [
          q.RESOURCE,
          capacity(['state="used"']),
          q.RESOURCE,
          capacity(),
        ],
      }],
    },
    exhaustedFor: {
      title: 'Nothing free for',
      description: 'How long runs have been waiting while nothing of a resource was free; "no data" when that is not so.',
      unit: 's',
      steps: [[colour.look, 0], [colour.hurt, limits.capacity_exhausted_for]],
      queries: [{
        legend: '{{source}} {{queue}} {{resource}}',
        expr: q.age(q.select(recorded.exhaustedSince, [sources])),
      }],
    },
    loadErrors: {
      title: 'Definitions that do not load',
      description: 'Errors by where the definitions come from; what is defined there does not run.',
      unit: 'short',
      steps: [[colour.fine, 0], [colour.hurt, 1]],
      queries: [{
        legend: '{{source}} {{location}}',
        expr: q.of('max', q.LOCATION, m.ml_scheduler_load_errors, [sources]),
      }],
    },
  }
