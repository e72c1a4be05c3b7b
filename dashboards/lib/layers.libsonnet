// The four layers of a platform, a panel each: infrastructure, serving, data, model. Shares, so that one scale fits all.
//   chosen: which services, as matchers; s: signals of them
local m = import '../../alerts/lib/metrics.libsonnet';
local recorded = import '../../alerts/lib/recorded.libsonnet';
local overview = import '../../alerts/lib/recorded_overview.libsonnet';
local t = import '../../alerts/lib/text.libsonnet';
local d = import 'dashboard.libsonnet';
local panel = import 'panel.libsonnet';

function(config, chosen, s)
  local limits = config.alerting.thresholds;
  local q = (import '../../alerts/lib/queries.libsonnet')(config);

  local share(expr) = 'avg(%s)' % expr;
  // Of a source that is not read nobody knows: it is left out.
  local known(expr) = '(%s)\nand on (source)\n%s' % [expr, recorded.sourceRead];
  local part(of, all, more='') = 'sum(%(of)s{%(which)s})\n/\n(sum(%(all)s{%(which)s}) > 0)' % { of: of, all: all, which: chosen + more };
  local succeeds(layer) = part(overview.succeeding, overview.pipelines, ', layer="%s"' % layer);
  local onTime(layer) = part(overview.onTime, overview.withTime, ', layer="%s"' % layer);
  local well(bad, of) = '1 - sum(%s{%s}) / (sum(%s{%s}) > 0)' % [bad, chosen, of, chosen];
  // As many points as a quarter of a screen shows.
  local layer(about) = panel.lines(6, { unit: 'percentunit', min: 0, max: 1 } + about) { maxDataPoints: 300 };

  [
    layer({
      title: 'Infrastructure',
      description: 'Sources that can be read, parts of schedulers that are alive, and resources that have something free.',
      more: [d.link('Schedulers', 'ml-schedulers')],
      feed: 'list sources:',
      queries: [
        { legend: 'sources read', expr: share(q.source(m.ml_source_up)) },
        {
          legend: 'schedulers alive',
          expr: share(known('%s < bool %s' % [s.heartbeatAge.query.expr, t.number(limits.scheduler_heartbeat_after)])),
        },
        {
          legend: 'capacity free',
          expr: share(known('%s > bool 0' % q.of('max', q.RESOURCE, m.ml_scheduler_capacity, ['state="free"']))),
        },
      ],
    }),
    layer({
      title: 'Serving',
      description: 'Models whose last probe went well, and requests that did not fail or were in time, as servers count them.',
      more: [d.link('Endpoints', 'ml-endpoints', along=['service'])],
      feed: 'list endpoints:',
      queries: [
        { legend: 'probes well', expr: part(overview.predicting, overview.models) },
        { legend: 'requests served', expr: well(overview.bad, overview.requests) },
        { legend: 'requests in time', expr: well(overview.slow, overview.timed) },
      ],
    }),
    layer({
      title: 'Data',
      description: 'Pipelines of the stages ingestion, features and validation that succeed and are on time.',
      more: [d.link('Training pipelines', 'ml-pipelines', along=['service'])],
      feed: 'name pipelines under services[].stages.ingestion or .features',
      queries: [
        { legend: 'succeed', expr: succeeds('data') },
        { legend: 'on time', expr: onTime('data') },
      ],
    }),
    layer({
      title: 'Model',
      description: 'Trainings that succeed and are on time, and figures of live models that are not worse than their baseline by %s %%.' % t.number(100 * limits.metric_worse),
      more: [d.link('Models', 'ml-models', along=['service'])],
      feed: 'name pipelines under services[].stages.training',
      queries: [
        { legend: 'trainings succeed', expr: succeeds('model') },
        { legend: 'trainings on time', expr: onTime('model') },
        { legend: 'as good as before', expr: part(overview.asGood, overview.figures) },
      ],
    }),
  ]
