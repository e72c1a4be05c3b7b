// Kinds that judge time: a query that is 1 while it is bad, 0 while it is good, and absent while nobody knows.
local m = import '../lib/metrics.libsonnet';
local recorded = import '../lib/recorded.libsonnet';
local slos = import '../lib/recorded_slos.libsonnet';
local t = import '../lib/text.libsonnet';

// Cycles, or times `within`, after which a person is woken: Prometheus' own advice on batch jobs.
local CYCLES = 2;
// A component is out while it burns so fast that it pages if that goes on; at the latest when half of it is bad.
local OUT = 14.4;
local OUT_AT_MOST = 0.5;

function(config) {
  local q = (import '../lib/queries.libsonnet')(config),

  // A source that was not read lately says nothing.
  local known = '(time() - %s) <= %s * %s\nand on (source)\n%s == 1' % [
    q.source(m.ml_source_last_success_timestamp_seconds),
    t.number(config.alerting.thresholds.source_stale_intervals),
    q.source(m.ml_source_interval_seconds),
    q.source(m.ml_source_backfill_complete),
  ],
  local judged(slo, expr) = 'max by (%s) (\n(\n%s\n)\nand on (source)\n%s\n)' % [slo.by, expr, known],
  local named(label, path) = if path == null then [] else [t.matching(label, path)],
  local pathed(label, path) =
    local at = std.findSubstr('/', path);
    if at == [] then [t.matching(label, path)]
    else [t.matching('source', std.substr(path, 0, at[0])), t.matching(label, std.substr(path, at[0] + 1, std.length(path)))],

  local select(slo, metric, also=[]) = q.select(metric, pathed('pipeline', slo.options.pipeline) + also),
  // The oldest first sight: a replica added today makes nothing fresh.
  local age(slo) = q.age('max by (%(by)s) (%(last)s or min by (%(by)s) (%(seen)s))' % {
    by: q.PIPELINE,
    last: select(slo, m.ml_run_last_finished_timestamp_seconds, ['state="succeeded"']),
    seen: select(slo, m.ml_pipeline_first_seen_timestamp_seconds),
  }),
  local most(slo, metric) = 'max by (%s) (%s)' % [q.PIPELINE, select(slo, metric)],
  local unmet(slo) = most(slo, m.ml_pipeline_unmet_due_timestamp_seconds),
  local lastDue(slo) = most(slo, m.ml_pipeline_last_due_timestamp_seconds),

  pipeline_freshness(slo):: judged(
    slo,
    if slo.options.within != null then '%s > bool %s' % [age(slo), t.number(slo.options.within)]
    else '%s > bool %s\nor\n0 * %s' % [q.age(unmet(slo)), t.number(slo.options.late), lastDue(slo)]
  ),

  // Two cycles were missed: twice the age that was promised, or a second due time while the first is not met yet.
  deadlineMissed(slo):: judged(
    slo,
    if slo.options.within != null then '%s > bool %s' % [age(slo), t.number(CYCLES * slo.options.within)]
    else '(%s > bool %s)\n* (%s > bool %s)\nor\n0 * %s' % [
      q.age(lastDue(slo)),
      t.number(slo.options.late),
      lastDue(slo),
      unmet(slo),
      lastDue(slo),
    ]
  ),

  model_quality(slo):: judged(slo, '%s > bool %s' % [
    q.select(
      recorded.liveDegradation,
      pathed('model', slo.options.model) + named('metric', slo.options.metric) + named('dataset', slo.options.dataset)
    ),
    t.number(slo.options.within),
  ]),

  gauge(slo):: 'max by (%s) (((%s) > -Inf < Inf) <= bool 0)' % [slo.by, slo.options.expr],

  // Bad while one of its components is out. While one of them is not known, it is not good.
  composite(slo, components)::
    local of(component) =
      local selector = '{slo=%s}' % std.escapeStringJson(component.name);
      'max by (slo) (%s)' % (
        if !component.events then slos.slice + selector
        else '%s%s > bool %s * %s%s' % [
          slos.bad,
          selector,
          t.number(std.min(OUT * component.budget, OUT_AT_MOST)),
          slos.total,
          selector,
        ]
      );
    local all = std.join('\nor\n', [of(component) for component in components]);
    'max(\n%(all)s\n) == 1\nor\nmax(\n%(all)s\n) and count(\n%(all)s\n) == %(count)d' % { all: all, count: std.length(components) },
}
