// Pipelines: failing, late, stuck, slow. Whatever runs them: no alert names a scheduler.
local m = import '../lib/metrics.libsonnet';
local t = import '../lib/text.libsonnet';

function(config)
  local limits = config.alerting.thresholds;
  local q = (import '../lib/queries.libsonnet')(config);
  local pipeline = '{{ $labels.pipeline }} ({{ $labels.source }})';
  // Only where tasks are read; they are off by default.
  local failingTasks =
    '{{ with printf "topk(5, max by (task) (%s{source=%%q, pipeline=%%q}) > 0)" $labels.source $labels.pipeline | query }}'
    % m.ml_task_consecutive_failures
    + ' Failing: {{ range $i, $each := . }}{{ if $i }}, {{ end }}{{ $each.Labels.task }}{{ end }}.{{ end }}';
  local historyRead = q.source(m.ml_source_backfill_complete) + ' == 1';
  local usual = '(%s or %s)' % [q.typical, q.lastDuration];
  local unmetFor = q.age(q.pipeline(m.ml_pipeline_unmet_due_timestamp_seconds));
  local succeededSince = '(%s > %s)' % [q.lastSuccess, q.firstSeen];

  [
    {
      name: 'MLPipelineFailingRepeatedly',
      severity: 'ticket',
      component: 'pipeline',
      expr: |||
        %s >= %d
        and
        (%s > %s)
      ||| % [q.pipeline(m.ml_pipeline_consecutive_failures), limits.failing_runs, q.lastFailure, q.firstSeen],
      summary: 'Pipeline %s keeps failing' % pipeline,
      description: 'The last {{ $value }} runs failed or timed out, with no success between them.' + failingTasks,
      impact: 'What is made from its output gets older: a model, features, predictions.',
      when: '`failing_runs` runs in a row failed or timed out',
      history: 'the last failure must be younger than the first sight of the pipeline',
    },
    {
      name: 'MLPipelineLate',
      severity: 'ticket',
      component: 'pipeline',
      // Where nobody knows how long a run takes, a run that is on its way is given its time: MLRunStuck minds it.
      expr: |||
        (
          %(unmetFor)s > clamp_min(%(factor)s * %(usual)s, %(after)s)
          or
          (
            %(unmetFor)s > %(after)s
            unless
            %(usual)s
            unless
            %(running)s > 0
          )
        )
        and on (source)
        %(historyRead)s
      ||| % {
        unmetFor: unmetFor,
        usual: usual,
        factor: t.number(limits.late_factor),
        after: t.number(limits.late_after),
        running: q.pipeline(m.ml_runs_active, ['state="running"']),
        historyRead: historyRead,
      },
      summary: 'Pipeline %s is late: its timetable wanted a run' % pipeline,
      description: 'A run was due {{ $value | humanizeDuration }} ago, and no success has begun since.',
      impact: 'What is made from its output is older than promised: a model, features, predictions.',
      when: 'its own timetable wanted a run, and for `late_after` and `late_factor` times its typical duration no '
            + 'success has begun since',
      history: 'only what came due under our eyes counts, and not before the whole history is read',
    },
    {
      name: 'MLPipelineOverdue',
      severity: 'ticket',
      component: 'pipeline',
      expr: |||
        %s > %s * %s
        unless
        %s
        and on (source)
        %s
      ||| % [
        q.age('max by (%s) (\n    %s\n    or\n    %s\n  )' % [
          q.PIPELINE,
          q.select(m.ml_run_last_finished_timestamp_seconds, q.claimed + ['state="succeeded"']),
          q.firstSeen,
        ]),
        t.number(limits.overdue_cycles),
        q.pipeline(m.ml_pipeline_cycle_seconds),
        q.paused,
        historyRead,
      ],
      summary: 'Pipeline %s has not succeeded when it should have' % pipeline,
      description: 'No success for {{ $value | humanizeDuration }}: that is over %s times its cycle.'
                   % t.number(limits.overdue_cycles),
      impact: 'What is made from its output is older than promised: a model, features, predictions.',
      when: 'no success for `overdue_cycles` times `every:`',
      history: 'the clock starts at the first sight of the pipeline, and not before the whole history is read',
    },
    {
      name: 'MLPipelineNeverSucceeded',
      severity: 'ticket',
      component: 'pipeline',
      expr: |||
        (
          %s > %s
          and
          (%s > %s)
        )
        unless
        %s
        and on (source)
        %s
      ||| % [
        q.age(q.firstSeen),
        t.number(limits.never_succeeded_after),
        q.lastFailure,
        q.firstSeen,
        q.lastSuccess,
        historyRead,
      ],
      summary: 'Pipeline %s has never succeeded' % pipeline,
      description: 'It has been known for {{ $value | humanizeDuration }}, its runs fail, and none has ever succeeded.',
      impact: 'What the pipeline was made for is not there.',
      when: 'a run failed, none ever succeeded, and the pipeline is known for `never_succeeded_after`',
      history: 'a run must have failed since the first sight, and the whole history must have been read',
    },
    {
      name: 'MLRunStuck',
      severity: 'ticket',
      component: 'pipeline',
      expr: |||
        %s > clamp_min(%s * %s, %s)
        or
        (%s > %s unless %s)
      ||| % [
        q.age(q.oldest('running')),
        t.number(limits.stuck_factor),
        q.typical,
        t.number(limits.stuck_at_least),
        q.age(q.oldest('running')),
        t.number(limits.stuck_without_typical),
        q.typical,
      ],
      summary: 'A run of pipeline %s looks stuck' % pipeline,
      description: 'Its oldest run has been running for {{ $value | humanizeDuration }}, far longer than its runs take.',
      impact: 'New output does not come, and the next runs may wait for this one.',
      when: 'a run takes `stuck_factor` times its typical duration and at least `stuck_at_least`, '
            + 'or `stuck_without_typical` where nothing is typical yet',
      history: 'runs that were already active at the first sight have no start time in the metrics',
    },
    {
      name: 'MLRunSlow',
      severity: 'ticket',
      component: 'pipeline',
      expr: |||
        %s / (%s >= %s) > %s
        and
        %s
      ||| % [
        q.lastDuration,
        q.typical,
        t.number(limits.duration_at_least),
        t.number(limits.slow_ratio),
        succeededSince,
      ],
      summary: 'The last run of pipeline %s took much longer than usual' % pipeline,
      description: 'It took {{ $value | humanizePercentage }} of the typical duration.',
      impact: 'New output comes later than usual, and costs more.',
      when: 'the last success took over `slow_ratio` times the typical duration (of `duration_at_least` or more)',
      history: 'the last success must be younger than the first sight of the pipeline',
    },
    {
      name: 'MLRunSuspiciouslyShort',
      severity: 'ticket',
      component: 'pipeline',
      expr: |||
        %s / (%s >= %s) < %s
        and
        %s
      ||| % [
        q.lastDuration,
        q.typical,
        t.number(limits.duration_at_least),
        t.number(limits.fast_ratio),
        succeededSince,
      ],
      summary: 'The last run of pipeline %s succeeded suspiciously fast' % pipeline,
      description: 'It took {{ $value | humanizePercentage }} of the typical duration: did it have data to work on?',
      impact: 'Its output may be empty or incomplete.',
      when: 'the last success took under `fast_ratio` of the typical duration (of `duration_at_least` or more)',
      history: 'the last success must be younger than the first sight of the pipeline',
    },
    {
      name: 'MLRunQueuedTooLong',
      severity: 'ticket',
      component: 'pipeline',
      expr: '%s > %s' % [q.age(q.oldest('queued')), t.number(limits.queued_too_long)],
      summary: 'A run of pipeline %s is waiting and does not start' % pipeline,
      description: 'Its oldest queued run has been waiting for {{ $value | humanizeDuration }}.',
      impact: 'New output will be late.',
      when: 'a run is queued for over `queued_too_long`',
      history: 'runs that were already queued at the first sight have no queue time in the metrics',
    },
  ]
