// One training pipeline: what its runs did, how long they took, what they trained.
local m = import '../alerts/lib/metrics.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';
local state = import 'lib/state.libsonnet';

function(config)
  // Between backquotes and as a pattern: in quotes, Grafana writes Anna's experiment as none is called.
  local chosen = 'source="$source", pipeline=~`${pipeline:regex}`';
  // Whatever service it belongs to: an edited configuration moves a pipeline, and its past stays in view.
  local one(metric, more='', by='source, pipeline') = 'max by (%s) (%s{%s%s})' % [by, metric, chosen, more];

  local tasks = { feed: 'switch tasks on for the source' };
  local out = d.out(config).chosenPipeline;
  local s = signals(config, chosen, 'source="$source"', by='source, pipeline', each='');

  d.new(
    uid='ml-pipeline',
    title='ML / Pipeline',
    description='One pipeline: what its runs did, how long they took, and what they trained.',
    variables=[
      d.variable('service', 'ml_service', m.ml_pipeline_first_seen_timestamp_seconds, several=true),
      d.variable(
        'source', 'source', m.ml_pipeline_first_seen_timestamp_seconds + '{ml_service=~"$service"}', several=false
      ),
      d.variable(
        'pipeline',
        'pipeline',
        m.ml_pipeline_first_seen_timestamp_seconds + '{ml_service=~"$service", source="$source"}',
        several=false
      ),
    ],
    links=d.siblings('ml-pipeline', ['service']),
    annotations=[d.firing(chosen), d.failed(chosen)],
    panels=[
      panel.stat(4, {
        title: 'State',
        description: 'Outcome of the last runs; "unknown" means that the source cannot be read now, or that no run has ended.',
        unit: 'short',
        mappings: panel.meaning(state.words),
        query: { expr: state.expr('source, pipeline', chosen, config.alerting.thresholds.failing_runs) },
        links: out,
      }),
      panel.stat(4, s.consecutiveFailures { links: out }),
      panel.stat(4, s.lastSuccess),
      panel.stat(4, s.nextDue),
      panel.stat(4, s.lateness { feed: 'nothing wants a run at any time' }),
      panel.stat(4, {
        title: 'Data as of',
        description: 'The last successful poll of the source: everything here is as old as this.',
        unit: 'dateTimeFromNow',
        query: { expr: '1000 * max by (source) (%s{source="$source"})' % m.ml_source_last_success_timestamp_seconds },
      }),

      d.heading('Runs'),
      panel.lines(12, s.runsFinished { style: 'bars', fill: 60, stacked: true }),
      panel.lines(12, s.runsActive { fill: 20, stacked: true }),
      panel.lines(12, s.duration),
      panel.lines(12, s.successAge),
      panel.buckets(12, {
        title: 'Successes by duration',
        description: 'Successes in the time shown, by upper bound of their duration in seconds.',
        unit: 'short',
        query: {
          legend: '{{le}}',
          expr: 'max by (le) (increase(%s_bucket{%s}[$__range]))' % [m.ml_run_duration_seconds, chosen],
        },
      }),
      panel.lines(12, s.durations),
      panel.lines(12, s.runsUsual { feed: 'known after two weeks' }),
      panel.lines(12, s.runSecondsUsual { feed: 'known after two weeks' }),
      panel.stat(8, s.lastFinished { shows: 'value_and_name' }),
      panel.stat(4, s.lastDue),
      panel.stat(4, {
        title: 'Running since',
        description: 'When the oldest run that runs now was started; "no data" when nothing runs.',
        unit: 'dateTimeFromNow',
        query: {
          expr: '1000 * min by (source, pipeline) (%s{%s, state="running"})' % [
            m.ml_run_oldest_active_timestamp_seconds,
            chosen,
          ],
        },
      }),
      panel.stat(4, s.knownSince),
      panel.stat(4, s.costOfLastRun { feed: 'set cost_per_hour: of the pipeline' }),

      d.heading('Training'),
      panel.lines(8, {
        title: 'Training metrics',
        description: 'Of the last success, with the median of the successes before it.',
        unit: 'short',
        feed: 'name them under metrics: of the source',
        queries: [
          { legend: '{{metric}}', expr: one(m.ml_training_metric, by='metric') },
          { legend: '{{metric}} baseline', expr: one(m.ml_training_metric_baseline, by='metric') },
        ],
      }),
      panel.lines(8, {
        title: 'Worse than the baseline by',
        description: 'Positive is worse, whether higher or lower is better.',
        unit: 'percentunit',
        feed: 'known after 20 successes',
        steps: state.worseSteps(config.alerting.thresholds),
        queries: [{ legend: '{{metric}}', expr: one(m.ml_training_metric_degradation_ratio, by='metric') }],
      }),
      panel.lines(8, {
        title: 'Utilization',
        description: 'Mean over the active runs that report it.',
        unit: 'percentunit',
        feed: 'switch system metrics on in MLflow',
        queries: [{ legend: '{{resource}}', expr: one(m.ml_training_utilization_ratio, by='resource') }],
      }),
      panel.table(24, 7, {
        title: 'Versions trained here',
        description: 'Model versions that came from this pipeline (those with an alias, and the newest), and their data.',
        feed: 'register models from its runs',
        links: [d.to.model],
        keys: ['model', 'version', 'dataset', 'digest'],
        columns: [{
          name: 'Registered',
          unit: 'dateTimeFromNow',
          expr: |||
            1000 * max by (source, model, version) (%s{source="$source"})
            * on (source, model, version) group_right ()
            max by (source, model, version, dataset, digest) (%s{%s})
          ||| % [m.ml_model_version_created_timestamp_seconds, m.ml_model_version_info, chosen],
        }],
      }),

      d.heading('Tasks'),
      panel.lines(8, s.taskFailures + tasks),
      panel.lines(8, s.taskConsecutiveFailures + tasks),
      panel.lines(8, s.taskDuration + tasks),
      panel.table(24, 8, {
        title: 'Tasks, last finished',
        description: 'When a run of each task last ended, for each way to end.',
        keys: ['task', 'state'],
        sort: ['When', true],
        columns: [{ name: 'When', unit: 'dateTimeFromNow', expr: s.taskLastFinished.query.expr }],
      } + tasks),
    ]
  )
