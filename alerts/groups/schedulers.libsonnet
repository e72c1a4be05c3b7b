// Schedulers: what starts the pipelines. The series are the same for all of them: no alert names a scheduler.
local m = import '../lib/metrics.libsonnet';
local recorded = import '../lib/recorded.libsonnet';
local t = import '../lib/text.libsonnet';

function(config)
  local limits = config.alerting.thresholds;
  local q = (import '../lib/queries.libsonnet')(config);

  [
    {
      name: 'MLSchedulerHeartbeatStale',
      severity: 'ticket',
      component: 'component',
      expr: '%s > %s' % [
        q.age('(\n  %s\n  > on (source) group_left ()\n  %s\n)' % [
          q.of('max', 'source, component', m.ml_scheduler_heartbeat_timestamp_seconds),
          q.of('min', 'source', m.ml_pipeline_first_seen_timestamp_seconds),
        ]),
        t.number(limits.scheduler_heartbeat_after),
      ],
      summary: 'The {{ $labels.component }} of scheduler {{ $labels.source }} gives no sign of life',
      description: 'Its last heartbeat is {{ $value | humanizeDuration }} old, though the scheduler itself can be read.',
      impact: 'Pipelines do not start or do not go on; their output will be late.',
      when: 'a part of a scheduler has had no heartbeat for `scheduler_heartbeat_after`',
      history: 'it must have been alive since the first sight of the source',
    },
    {
      name: 'MLSchedulerCapacityExhausted',
      severity: 'ticket',
      component: 'resource',
      expr: '%s > %s' % [q.age(recorded.exhaustedSince), t.number(limits.capacity_exhausted_for)],
      summary: 'Runs wait in {{ $labels.queue }} of {{ $labels.source }}, and no {{ $labels.resource }} is free',
      description: 'Nothing of it has been free for {{ $value | humanizeDuration }} while runs were waiting.',
      impact: 'Pipelines wait; their output will be late.',
      when: 'runs wait in a queue and nothing of one of its resources has been free for `capacity_exhausted_for`',
      history: 'the clock starts at the first sight of it',
    },
    {
      name: 'MLSchedulerLoadErrors',
      severity: 'ticket',
      component: 'location',
      expr: |||
        %s
        and on (%s)
        %s > %s
      ||| % [q.notLoaded, q.LOCATION, q.age(recorded.notLoadedSince), t.number(limits.load_errors_for)],
      summary: 'Scheduler {{ $labels.source }} cannot load {{ $labels.location }}',
      description: '{{ $value }} error(s) for over %s: what it defines may not run, and nothing else would say so.'
                   % t.duration(limits.load_errors_for),
      impact: 'Pipelines that are defined there do not run, or run in an old version.',
      when: 'definitions have not loaded for `load_errors_for`',
      history: 'it is about now: what does not load does not run today',
    },
  ]
