// What is failing, late, worse or unknown, over all pipelines, models and sources.
local m = import '../alerts/lib/metrics.libsonnet';
local recorded = import '../alerts/lib/recorded.libsonnet';
local t = import '../alerts/lib/text.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local state = import 'lib/state.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service", source=~"$source"';
  local P = 'source, ml_service, pipeline';
  local pipelines(metric, more='') = 'max by (%s) (%s{%s%s})' % [P, metric, chosen, more];
  // Zero only where there is something to count: with no exporter a figure is unknown, not 0.
  local counted(expr, among) = 'count(%s)\nor\n0 * count(%s)' % [expr, among];
  local firing(severity) = 'ALERTS{alertstate="firing", severity="%s", alertname!="Watchdog", %s}' % [severity, chosen];
  local toPipeline = d.link('Open this pipeline', 'ml-pipelines', {
    service: '${__data.fields.ml_service:percentencode}',
    source: '${__data.fields.source:percentencode}',
    pipeline: '${__data.fields.pipeline:percentencode}',
  });

  d.new(
    uid='ml-overview',
    title='ML / Overview',
    description='What is failing, late, worse or unknown, since when, and whose it is.',
    variables=[
      d.variable('service', 'ml_service', m.ml_pipeline_first_seen_timestamp_seconds, several=true),
      d.variable('source', 'source', m.ml_source_info, several=true),
    ],
    links=[d.link('Training pipelines', 'ml-pipelines', { service: '$service' })],
    annotations=[
      {
        name: 'Alias moved',
        iconColor: 'blue',
        expr: 'max by (source, model, alias) (%s{%s}) * 1000' % [m.ml_model_alias_changed_timestamp_seconds, chosen],
        useValueForTime: 'on',
        titleFormat: '{{alias}} of {{model}} moved',
        tagKeys: 'model,alias',
      },
    ],
    panels=[
      panel.stat(4, {
        title: 'Pages',
        description: 'Alerts firing now that say that users are hurt.',
        unit: 'short',
        steps: [['red', 1]],
        query: { expr: counted(firing('page'), m.ml_exporter_build_info) },
      }),
      panel.stat(4, {
        title: 'Tickets',
        description: 'Alerts firing now that want somebody within the working day.',
        unit: 'short',
        steps: [['orange', 1]],
        query: { expr: counted(firing('ticket'), m.ml_exporter_build_info) },
      }),
      panel.stat(4, {
        title: 'Sources unknown',
        description: 'Sources whose last poll failed: what is shown about them is as old as their last good poll.',
        unit: 'short',
        steps: [['red', 1]],
        query: {
          local up = 'max by (source) (%s{source=~"$source"})' % m.ml_source_up,
          expr: counted(up + ' == 0', up),
        },
      }),
      panel.stat(4, {
        title: 'Pipelines failing',
        description: 'Pipelines whose last %d runs or more failed or timed out.' % config.alerting.thresholds.failing_runs,
        unit: 'short',
        steps: [['red', 1]],
        query: {
          local failures = pipelines(m.ml_pipeline_consecutive_failures),
          expr: counted('%s >= %d' % [failures, config.alerting.thresholds.failing_runs], failures),
        },
      }),
      panel.stat(4, {
        title: 'Pipelines late',
        description: 'Pipelines with no success since their timetable wanted a run %s ago, or past their time by `every:`.'
                     % t.duration(config.alerting.thresholds.late_after),
        unit: 'short',
        steps: [['orange', 1]],
        query: {
          local lastDue = pipelines(m.ml_pipeline_last_due_timestamp_seconds),
          local nextDue = pipelines(m.ml_pipeline_next_due_timestamp_seconds),
          expr: counted(
            '(\n  %s < time() - %s\n  or\n  %s < time()\n  unless\n  %s\n)' % [
              pipelines(m.ml_pipeline_unmet_due_timestamp_seconds),
              t.number(config.alerting.thresholds.late_after),
              nextDue,
              lastDue,
            ],
            '(%s or %s)' % [lastDue, nextDue]
          ),
        },
      }),
      panel.stat(4, {
        title: 'Runs active',
        description: 'Runs that are queued or running now.',
        unit: 'short',
        query: { expr: 'sum(max by (%s, state) (%s{%s}))' % [P, m.ml_runs_active, chosen] },
      }),

      d.heading('Firing now'),
      panel.table(24, 7, {
        title: 'Alerts',
        description: 'What fires, since when. Empty also when nothing is watched: see the sources below.',
        unit: 'short',
        keys: ['severity', 'alertname', 'ml_service', 'source', 'pipeline', 'model'],
        columns: [{
          name: 'Since',
          unit: 'dateTimeFromNow',
          expr: |||
            1000 * max by (severity, alertname, ml_service, source, pipeline, model) (
              ALERTS_FOR_STATE{alertname!="Watchdog", %(chosen)s}
              and ignoring (alertstate)
              ALERTS{alertstate="firing", %(chosen)s}
            )
          ||| % { chosen: chosen },
        }],
      }),

      d.heading('Pipelines'),
      panel.table(24, 10, {
        title: 'Pipelines',
        description: 'One line a pipeline; click one to open it. "unknown" means that its source cannot be read now.',
        unit: 'short',
        links: [toPipeline],
        keys: ['ml_service', 'source', 'pipeline'],
        columns: [
          {
            name: 'State',
            mappings: panel.meaning(state.words),
            expr: state.expr(pipelines(m.ml_pipeline_consecutive_failures), config.alerting.thresholds.failing_runs),
          },
          { name: 'Failures in a row', expr: pipelines(m.ml_pipeline_consecutive_failures) },
          {
            name: 'Last success',
            unit: 'dateTimeFromNow',
            expr: '1000 * ' + pipelines(m.ml_run_last_finished_timestamp_seconds, ', state="succeeded"'),
          },
          {
            name: 'Next due',
            unit: 'dateTimeFromNow',
            expr: '1000 * ' + pipelines(m.ml_pipeline_next_due_timestamp_seconds),
          },
          { name: 'Last duration', unit: 's', expr: pipelines(m.ml_run_last_duration_seconds) },
          { name: 'Typical duration', unit: 's', expr: pipelines(m.ml_run_typical_duration_seconds) },
        ],
      }),
      panel.lines(24, {
        title: 'Runs finished',
        description: 'Runs that ended, by how, as a rate per hour.',
        unit: 'suffix: /h',
        style: 'bars',
        fill: 60,
        stacked: true,
        queries: [{
          legend: '{{state}}',
          expr: '3600 * sum by (state) (max by (%s, state) (rate(%s{%s}[$__rate_interval])))' % [
            P,
            m.ml_runs_finished_total,
            chosen,
          ],
        }],
      }),

      d.heading('Models'),
      panel.table(24, 7, {
        title: 'Live models against their baseline',
        description: 'How much worse the version behind a live alias is than its baseline; below zero it is better.',
        unit: 'percentunit',
        keys: ['ml_service', 'source', 'model', 'version', 'metric', 'dataset'],
        columns: [{
          name: 'Worse by',
          unit: 'percentunit',
          expr: '%s{%s}' % [recorded.liveDegradation, chosen],
        }],
      }),

      d.heading('Sources'),
      panel.table(24, 7, {
        title: 'Sources',
        description: 'Where all of the above comes from, and how old it is.',
        unit: 'short',
        keys: ['source'],
        columns: [
          {
            name: 'Last poll',
            mappings: panel.meaning([[0, 'failed', 'red'], [1, 'ok', 'green']]),
            expr: 'max by (source) (%s{source=~"$source"})' % m.ml_source_up,
          },
          {
            name: 'Data as of',
            unit: 'dateTimeFromNow',
            expr: '1000 * max by (source) (%s{source=~"$source"})' % m.ml_source_last_success_timestamp_seconds,
          },
          {
            name: 'History read',
            unit: 'percentunit',
            expr: 'max by (source) (%s{source=~"$source"})' % m.ml_source_backfill_progress_ratio,
          },
          { name: 'Series', expr: 'max by (source) (%s{source=~"$source"})' % m.ml_source_series },
          { name: 'Series limit', expr: 'max by (source) (%s{source=~"$source"})' % m.ml_source_series_limit },
        ],
      }),
    ]
  )
