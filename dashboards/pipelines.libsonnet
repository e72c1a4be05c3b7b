// One training pipeline: what its runs did, how long they took, what they trained.
local m = import '../alerts/lib/metrics.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';
local state = import 'lib/state.libsonnet';

function(config)
  local chosen = 'source="$source", pipeline="$pipeline"';
  // Whatever service it belongs to: an edited configuration moves a pipeline, and its past stays in view.
  local one(metric, more='', by='source, pipeline') = 'max by (%s) (%s{%s%s})' % [by, metric, chosen, more];

  local s = signals(config, chosen, 'source="$source"', by='source, pipeline', each='');

  d.new(
    uid='ml-pipelines',
    title='ML / Training pipelines',
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
    links=[d.link('Overview', 'ml-overview', { service: '$service', source: '$source' })],
    annotations=[{
      name: 'Alerts',
      iconColor: 'red',
      expr: 'ALERTS{alertstate="firing", %s}' % chosen,
      titleFormat: '{{alertname}}',
      tagKeys: 'severity',
      step: '60s',
    }],
    panels=[
      panel.stat(4, {
        title: 'State',
        description: 'Outcome of the last runs; "unknown" means that the source cannot be read now.',
        unit: 'short',
        mappings: panel.meaning(state.words),
        query: { expr: state.expr(one(m.ml_pipeline_consecutive_failures), config.alerting.thresholds.failing_runs) },
      }),
      panel.stat(4, s.consecutiveFailures),
      panel.stat(4, s.lastSuccess),
      panel.stat(4, s.nextDue),
      panel.stat(4, {
        title: 'Oldest running since',
        description: 'When the oldest run that runs now was started; "no data" when nothing runs.',
        unit: 'dateTimeFromNow',
        query: {
          expr: '1000 * min by (source, pipeline) (%s{%s, state="running"})' % [
            m.ml_run_oldest_active_timestamp_seconds,
            chosen,
          ],
        },
      }),
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
      panel.buckets(12, {
        title: 'How long successes took',
        description: 'Successes in the time shown, by upper bound of their duration in seconds.',
        unit: 'short',
        query: {
          legend: '{{le}}',
          expr: 'max by (le) (increase(%s_bucket{%s}[$__range]))' % [m.ml_run_duration_seconds, chosen],
        },
      }),

      d.heading('Training'),
      panel.lines(8, {
        title: 'Training metrics',
        description: 'Of the last success, with the median of the successes before it.',
        unit: 'short',
        queries: [
          { legend: '{{metric}}', expr: one(m.ml_training_metric, by='metric') },
          { legend: '{{metric}} baseline', expr: one(m.ml_training_metric_baseline, by='metric') },
        ],
      }),
      panel.lines(8, {
        title: 'Worse than the baseline by',
        description: 'Positive is worse, whether higher or lower is better.',
        unit: 'percentunit',
        queries: [{ legend: '{{metric}}', expr: one(m.ml_training_metric_degradation_ratio, by='metric') }],
      }),
      panel.lines(8, {
        title: 'Utilization',
        description: 'Mean over the active runs that report it.',
        unit: 'percentunit',
        queries: [{ legend: '{{resource}}', expr: one(m.ml_training_utilization_ratio, by='resource') }],
      }),
      panel.table(24, 7, {
        title: 'Versions trained here',
        description: 'Model versions that came from this pipeline (those with an alias, and the newest), and their data.',
        unit: 'short',
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
    ]
  )
