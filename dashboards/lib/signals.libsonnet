// The signals of pipelines, of the schedulers that run them, and of endpoints, each declared once: title, description, unit, queries,
// and the steps or words that mean something. A panel takes one as it is: panel.lines(12, signals.queueWait).
//   pipelines, sources, endpoints, models: which ones, as matchers; by: the labels of a pipeline that stay; each: how a legend
//   begins
local m = import '../../alerts/lib/metrics.libsonnet';
local t = import '../../alerts/lib/text.libsonnet';
local baseline = import 'baseline_signals.libsonnet';
local colour = import 'colours.libsonnet';
local cost = import 'cost_signals.libsonnet';
local endpoint = import 'endpoint_signals.libsonnet';
local panel = import 'panel.libsonnet';
local scheduler = import 'scheduler_signals.libsonnet';
local state = import 'state.libsonnet';

function(
  config,
  pipelines='source=~"$source", ml_service=~"$service", pipeline=~"$pipeline"',
  sources='source=~"$source"',
  by='source, ml_service, pipeline',
  each='{{source}}/{{pipeline}}',
  endpoints='ml_service=~"$service", ml_endpoint=~"$endpoint"',
  models='model=~"$model"',
)
  local q = (import '../../alerts/lib/queries.libsonnet')(config);
  local limits = config.alerting.thresholds;

  local labels(more) = if more == '' then by else by + ', ' + more;
  local legend(words) = std.stripChars(each + ' ' + words, ' ');
  // Of a panel's only line: its title says what it is.
  local alone(words) = if each == '' then words else each;
  // Replicas say the same: the largest of them is taken, before anything is added up.
  local one(metric, more='', matchers=[]) = q.of('max', labels(more), metric, [pipelines] + matchers);
  local succeeded = ['state="succeeded"'];
  local oldest(state) =
    q.age(q.of('min', by, m.ml_run_oldest_active_timestamp_seconds, [pipelines, 'state="%s"' % state]));
  // What is counted of several pipelines together is added up, of one at a time there is nothing to add.
  local together(more, expr) =
    if std.member(std.split(std.strReplace(by, ' ', ''), ','), 'pipeline') then 'max by (%s) (%s)' % [labels(more), expr]
    else 'sum by (%s) (max by (%s, %s) (%s))' % [labels(more), q.PIPELINE, more, expr];
  // Batch runs are few: within an hour there is often none.
  local ofTheDay(counter, more, matchers=[]) =
    together(more, 'increase(%s[1d])' % q.select(counter, [pipelines] + matchers));
  local quantiles(histogram) = [
    {
      legend: legend('p%d' % (100 * share)),
      // Of nothing it is not a number, which is no figure to be shown.
      expr: 'histogram_quantile(%s, %s) >= 0' % [t.number(share), ofTheDay(histogram + '_bucket', 'le')],
    }
    for share in [0.5, 0.95]
  ];

  // A panel of one figure shows the first query.
  local signal(about) = about { query:: about.queries[0] };

  local others =
    scheduler(config, sources)
    + cost(config, pipelines, by, each)
    + endpoint(config, endpoints, models)
    + baseline(config, pipelines, endpoints, models, by, each);

  std.mapWithKey(function(name, about) signal(about), {
    // Runs
    runsFinished: {
      title: 'Runs finished',
      description: 'Runs that ended, by how, as a rate per hour.',
      unit: 'suffix:/h',
      // Of one thing only: of several, each would have the same colours.
      [if each == '' then 'coloured']: state.ends,
      queries: [{
        legend: legend('{{state}}'),
        expr: '3600 * ' + together('state', 'rate(%s[$__rate_interval])' % q.select(m.ml_runs_finished_total, [pipelines])),
      }],
    },
    runsActive: {
      title: 'Runs active',
      description: 'Runs that are queued or running.',
      unit: 'short',
      queries: [{ legend: legend('{{state}}'), expr: together('state', q.select(m.ml_runs_active, [pipelines])) }],
    },
    successRatio: {
      title: 'Runs that succeeded',
      description: 'Share of the runs of the last day that succeeded; cancelled ones are left out.',
      unit: 'percentunit',
      queries: [{
        legend: alone('succeeded'),
        expr: |||
          sum by (%(by)s) (%(succeeded)s)
          /
          (sum by (%(by)s) (%(judged)s) > 0)
        ||| % {
          by: by,
          succeeded: ofTheDay(m.ml_runs_finished_total, 'state', succeeded),
          judged: ofTheDay(m.ml_runs_finished_total, 'state', ['state!="cancelled"']),
        },
      }],
    },
    consecutiveFailures: {
      title: 'Failures in a row',
      description: 'Runs that failed or timed out since the last success; the alert fires at %d.' % limits.failing_runs,
      unit: 'short',
      steps: [[colour.look, 1], [colour.hurt, limits.failing_runs]],
      queries: [{ legend: alone('failures in a row'), expr: one(m.ml_pipeline_consecutive_failures) }],
    },
    lastSuccess: {
      title: 'Last success',
      description: 'When the last run that succeeded ended.',
      unit: 'dateTimeFromNow',
      queries: [{
        legend: alone('last success'),
        expr: '1000 * ' + one(m.ml_run_last_finished_timestamp_seconds, matchers=succeeded),
      }],
    },
    lastFinished: {
      title: 'Last finished',
      description: 'When a run last ended, for each way to end.',
      unit: 'dateTimeFromNow',
      queries: [{
        legend: legend('{{state}}'),
        expr: '1000 * ' + one(m.ml_run_last_finished_timestamp_seconds, 'state'),
      }],
    },
    successAge: {
      title: 'Age of the last success',
      description: 'Up to the last poll, and how old it may get where `every:` says so.',
      unit: 's',
      queries: [
        { legend: legend('age'), expr: q.age(one(m.ml_run_last_finished_timestamp_seconds, matchers=succeeded)) },
        { legend: legend('allowed'), expr: '%s * %s' % [t.number(limits.overdue_cycles), one(m.ml_pipeline_cycle_seconds)] },
      ],
    },
    duration: {
      title: 'Duration of the last success',
      description: 'Against the typical one: the median of the last 20 successes, once there are 5.',
      unit: 's',
      queries: [
        { legend: legend('last'), expr: one(m.ml_run_last_duration_seconds) },
        { legend: legend('typical'), expr: one(m.ml_run_typical_duration_seconds) },
      ],
    },
    durationRatio: {
      title: 'Duration against the typical one',
      description: 'Of the last success: 100 % is as usual.',
      unit: 'percentunit',
      steps: [[colour.look, 0], [colour.fine, limits.fast_ratio], [colour.look, limits.slow_ratio]],
      queries: [{
        legend: alone('duration'),
        expr: '%s\n/\n%s' % [one(m.ml_run_last_duration_seconds), one(m.ml_run_typical_duration_seconds)],
      }],
    },
    durations: {
      title: 'How long successes took',
      description: 'Median and 95th percentile of the successes of the last day.',
      unit: 's',
      queries: quantiles(m.ml_run_duration_seconds),
    },
    queueWait: {
      title: 'Time in the queue',
      description: 'Median and 95th percentile of what the finished runs of the last day had waited before they started.',
      unit: 's',
      queries: quantiles(m.ml_run_queue_seconds),
    },
    oldestQueued: {
      title: 'Longest wait now',
      description: 'How long the oldest queued run has been waiting, up to the last poll.',
      unit: 's',
      steps: [[colour.hurt, limits.queued_too_long]],
      queries: [{ legend: alone('queued'), expr: oldest('queued') }],
    },
    oldestRunning: {
      title: 'Longest run now',
      description: 'How long the oldest run has been running, up to the last poll, and when it counts as stuck.',
      unit: 's',
      queries: [
        { legend: legend('running'), expr: oldest('running') },
        {
          legend: legend('stuck'),
          expr: 'clamp_min(%s * %s, %s)' % [
            t.number(limits.stuck_factor),
            one(m.ml_run_typical_duration_seconds),
            t.number(limits.stuck_at_least),
          ],
        },
      ],
    },

    // What is expected
    lateness: {
      title: 'Late by',
      description: 'Time since the first run that the timetable wanted and no success has met, or for which the last success has been older than %s times `every:`; 0 when nothing is open.' % t.number(limits.overdue_cycles),
      unit: 's',
      steps: [[colour.fine, 0], [colour.look, 1], [colour.hurt, limits.late_after]],
      queries: [{
        legend: alone('late by'),
        expr: q.late(by, [pipelines]),
      }],
    },
    lastDue: {
      title: 'Last due',
      description: 'When the timetable last wanted a run; "no data" where there is none, or it is paused.',
      unit: 'dateTimeFromNow',
      queries: [{ legend: alone('last due'), expr: '1000 * ' + one(m.ml_pipeline_last_due_timestamp_seconds) }],
    },
    nextDue: {
      title: 'Next due',
      description: 'The next run by the timetable, else the next success by `every:`; "no data" where there is neither.',
      unit: 'dateTimeFromNow',
      queries: [{ legend: alone('next due'), expr: '1000 * ' + one(m.ml_pipeline_next_due_timestamp_seconds) }],
    },
    paused: {
      title: 'Paused',
      description: 'Whether somebody paused it in its scheduler; "no data" where that cannot be.',
      unit: 'short',
      mappings: panel.meaning([[0, 'no', colour.fine], [1, 'paused', colour.look]]),
      queries: [{ legend: alone('paused'), expr: one(m.ml_pipeline_paused) }],
    },
    knownSince: {
      title: 'Known since',
      description: 'When ml-exporter first saw it; what happened before is history and alerts nobody.',
      unit: 'dateTimeFromNow',
      queries: [{
        legend: alone('known since'),
        expr: '1000 * ' + q.of('min', by, m.ml_pipeline_first_seen_timestamp_seconds, [pipelines]),
      }],
    },

    // Tasks
    taskFailures: {
      title: 'Task failures',
      description: 'Runs of a task that failed or timed out within the last day; tasks are read where that is switched on.',
      unit: 'short',
      steps: [[colour.look, 1]],
      queries: [{
        legend: legend('{{task}}'),
        expr: 'sum by (%s) (%s)' % [
          labels('task'),
          ofTheDay(m.ml_task_runs_finished_total, 'task, state', ['state=~"failed|timed_out"']),
        ],
      }],
    },
    taskConsecutiveFailures: {
      title: 'Task failures in a row',
      description: 'Runs of a task that failed or timed out since its last success.',
      unit: 'short',
      steps: [[colour.look, 1], [colour.hurt, limits.failing_runs]],
      queries: [{ legend: legend('{{task}}'), expr: one(m.ml_task_consecutive_failures, 'task') }],
    },
    taskLastFinished: {
      title: 'Task last finished',
      description: 'When a run of a task last ended, for each way to end.',
      unit: 'dateTimeFromNow',
      queries: [{
        legend: legend('{{task}} {{state}}'),
        expr: '1000 * ' + one(m.ml_task_last_finished_timestamp_seconds, 'task, state'),
      }],
    },
    taskDuration: {
      title: 'Duration of tasks',
      description: 'How long the last succeeded run of each task took.',
      unit: 's',
      queries: [{ legend: legend('{{task}}'), expr: one(m.ml_task_last_duration_seconds, 'task') }],
    },
  } + others)
