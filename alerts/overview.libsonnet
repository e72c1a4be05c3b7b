// What the overview shows of pipelines and endpoints, by service: see lib/recorded_overview.libsonnet.
local m = import 'lib/metrics.libsonnet';
local sources = import 'lib/recorded.libsonnet';
local recorded = import 'lib/recorded_overview.libsonnet';
local native = import 'lib/recorded_servers.libsonnet';
local t = import 'lib/text.libsonnet';

{
  local config = $._config,
  local q = (import 'lib/queries.libsonnet')(config),
  local e = (import 'lib/endpoint_queries.libsonnet')(config),

  local of(operation, expr) = operation + ' by (ml_service) (\n' + std.rstripChars(expr, '\n') + '\n)',
  // While no run of a pipeline has ended, no failures are no success.
  local failures = '(%s and %s)' % [
    q.of('max', q.PIPELINE, m.ml_pipeline_consecutive_failures),
    q.of('max', q.PIPELINE, m.ml_run_last_finished_timestamp_seconds, ['state=~"succeeded|failed|timed_out"']),
  ],
  local late = q.late(),
  // Of a source that is not read nobody knows how late it is by now.
  local lateNow = '(' + late + ')\nand on (source)\n' + sources.sourceRead,
  local p99 = 'histogram_quantile(0.99, sum by (%s, le) (max by (%s, le) (increase(%s_bucket[1h]))))' % [
    e.MODEL,
    e.VERSION,
    m.ml_endpoint_probe_duration_seconds,
  ],
  local well = e.well(),
  local worse = t.number(config.alerting.thresholds.metric_worse),

  local ofLayer(layer) =
    local within(expr) = '(\n%s\n)\nand on (%s)\n%s\nand on (source)\n%s' % [
      std.rstripChars(expr, '\n'),
      q.PIPELINE,
      q.select(m.ml_pipeline_info, ['stage=~"%s"' % recorded.LAYERS[layer]]),
      // Of a source that is not read nobody knows: its pipelines are left out.
      sources.sourceRead,
    ];
    [
      rule { labels: { layer: layer } }
      for rule in [
        { record: recorded.pipelines, expr: of('count', within(failures)) },
        { record: recorded.succeeding, expr: of('sum', within(failures + ' == bool 0')) },
        { record: recorded.withTime, expr: of('count', within(late)) },
        { record: recorded.onTime, expr: of('sum', within('(' + late + ') == bool 0')) },
      ]
    ],

  prometheusRules+:: {
    groups+: [
      {
        name: 'ml-recording-layers',
        // A day of all services is read at once: every sample counts.
        interval: '2m',
        rules: ofLayer('data') + ofLayer('model') + [
          { record: recorded[name], expr: 'sum by (ml_service) (%s)' % native[name] }
          for name in ['requests', 'bad', 'timed', 'slow']
        ] + [
          { record: recorded.models, expr: of('count', well) },
          { record: recorded.predicting, expr: of('sum', well) },
          { record: recorded.figures, expr: of('count', sources.liveDegradation) },
          { record: recorded.asGood, expr: of('sum', sources.liveDegradation + ' <= bool ' + worse) },
        ],
      },
      {
        name: 'ml-recording-overview',
        // An hour of all histograms is read each time.
        interval: '1m',
        rules: [
          { record: recorded.late, expr: of('max', lateNow) },
          { record: recorded.latePipeline, expr: '(' + lateNow + ') > 0' },
          // Nothing where no probe went well: that is no number.
          { record: recorded.p99, expr: of('max', p99 + ' >= 0') },
          {
            record: recorded.moved,
            expr: 'max by (source, ml_service, model, alias) (%s > time() - 86400)' % m.ml_model_alias_changed_timestamp_seconds,
          },
        ],
      },
    ],
  },
}
