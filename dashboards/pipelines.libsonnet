// All training pipelines of some services: which fail, are late, slow or paused; a click leads to the one.
local m = import '../alerts/lib/metrics.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';
local state = import 'lib/state.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service", source=~"$source", pipeline=~"$pipeline"';
  local limits = config.alerting.thresholds;
  local q = (import '../alerts/lib/queries.libsonnet')(config);
  local s = signals(config, chosen, 'source=~"$source"');
  local of = signals(config, 'ml_service="$service"', 'source=~"$source"', by='ml_service', each='');
  local fed = { feed: 'list sources:' };
  // The worst first: failures in a row, and among those with as many the latest; before those without any, of which nothing is
  // known.
  local worst = '(%(failures)s + 1e-9 * (%(late)s)\nor\n%(failures)s\nor\n0.5 * %(all)s)' % {
    all: q.of('max', q.PIPELINE, m.ml_pipeline_info, [chosen]),
    failures: s.consecutiveFailures.query.expr,
    late: s.lateness.query.expr,
  };
  // A panel for each service that is chosen.
  local each(about) = panel.lines(12, about) { repeat: 'service', repeatDirection: 'h', maxPerRow: 2, gridPos+: { w: 24 } };

  d.new(
    uid='ml-pipelines',
    title='ML / Training pipelines',
    description='All training pipelines: which fail, are late, slow or paused, and since when.',
    variables=[
      d.variable('service', 'ml_service', m.ml_pipeline_info, several=true),
      d.variable('source', 'source', m.ml_pipeline_info + '{ml_service=~"$service"}', several=true),
      d.variable('pipeline', 'pipeline', m.ml_pipeline_info + '{ml_service=~"$service", source=~"$source"}', several=true),
    ],
    links=d.siblings('ml-pipelines', ['service']),
    annotations=[d.firing('ml_service=~"$service", source=~"$source", pipeline!=""')],
    panels=[
      panel.table(24, 12, {
        title: 'Pipelines',
        description: 'A line a pipeline, the two hundred worst; click one to open it. Failures are those in a row; the duration of the last success stands beside its share of the typical one. "unknown": its source cannot be read now, or no run of it has ended.',
        links: [d.to.pipeline] + d.out(config).pipeline,
        linked: { ml_service: [d.to.service], source: [d.to.source, d.out(config).source] },
        keys: ['ml_service', 'source', 'pipeline'],
        sort: ['Failures', true],
        rows: { on: q.PIPELINE, expr: 'topk(200, %s)' % worst },
        columns: [
          { name: 'Failures', steps: s.consecutiveFailures.steps, expr: s.consecutiveFailures.query.expr },
          { name: 'State', mappings: panel.meaning(state.words), expr: state.expr(q.PIPELINE, chosen, limits.failing_runs) },
          { name: 'Last success', unit: 'dateTimeFromNow', expr: s.lastSuccess.query.expr },
          { name: 'Late by', unit: 's', steps: s.lateness.steps, expr: s.lateness.query.expr },
          { name: 'Next due', unit: 'dateTimeFromNow', expr: s.nextDue.query.expr },
          { name: 'Duration', unit: 's', expr: s.duration.queries[0].expr },
          { name: 'vs typical', unit: 'percentunit', steps: s.durationRatio.steps, expr: s.durationRatio.query.expr },
          { name: 'Paused', mappings: s.paused.mappings, expr: s.paused.query.expr },
        ],
      } + fed),
      d.heading('Those that stand out'),
      panel.lines(12, panel.top(s.lateness { feed: 'nothing has a timetable' })),
      panel.lines(12, panel.top(s.durationRatio + fed)),
      panel.lines(12, panel.top(s.oldestRunning { queries: [super.queries[0] { legend: '{{source}}/{{pipeline}}' }], feed: 'nothing runs that is known of' })),
      panel.lines(12, panel.top(s.successRatio + fed, least=true)),
      panel.lines(12, panel.top(s.taskConsecutiveFailures { feed: 'switch tasks on for the source' })),
      panel.lines(12, panel.top(s.taskFailures { feed: 'switch tasks on for the source' })),
      d.heading('Each service that is chosen'),
      each(of.runsFinished { title: 'Runs of $service', style: 'bars', fill: 60, stacked: true } + fed),
    ]
  )
