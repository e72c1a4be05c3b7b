// Kinds that judge time: a query that is 1 while it is bad, 0 while it is good, and absent while nobody knows.
local m = import '../lib/metrics.libsonnet';
local recorded = import '../lib/recorded.libsonnet';
local slos = import '../lib/recorded_slos.libsonnet';
local t = import '../lib/text.libsonnet';
local windows = import 'windows.libsonnet';

// Cycles, or times `within`, after which a person is woken: Prometheus' own advice on batch jobs.
local CYCLES = 2;
// A component is out while it burns so fast that it pages if that goes on; at the latest when half of it is bad.
local OUT = 14.4;
local OUT_AT_MOST = 0.5;
// One bad event is no outage.
local OUT_EVENTS = 2;

function(config) {
  local q = (import '../lib/queries.libsonnet')(config),

  local known = (import 'known.libsonnet')(config),
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
  local nextDue(slo) = most(slo, m.ml_pipeline_next_due_timestamp_seconds),
  local paused(slo) = most(slo, m.ml_pipeline_paused),

  pipeline_freshness(slo):: judged(
    slo,
    if slo.options.within != null then '%s > bool %s' % [age(slo), t.number(slo.options.within)]
    else '%s > bool %s\nor\n0 * %s' % [q.age(unmet(slo)), t.number(slo.options.late), lastDue(slo)]
  ),

  // Two cycles were missed: twice the age that was promised, unless somebody paused it and so knows; or another due time has
  // passed and is late itself while the first one is unmet. Where the next is due before one is late, none ever is: there the
  // first has to wait a period more. What was missed stays so when yet another comes due.
  deadlineMissed(slo)::
    if slo.options.within != null
    then judged(slo, '%s > bool %s\nunless\n%s == 1' % [age(slo), t.number(CYCLES * slo.options.within), paused(slo)])
    else
      local last = lastDue(slo);
      local passed = '(%s > bool %s)' % [last, unmet(slo)];
      local missed = judged(slo, |||
        (
          (%(ageOfLast)s > bool %(late)s)
          + ((%(ageOfFirst)s > bool %(late)s + %(period)s) * (%(period)s <= bool %(late)s) or 0 * %(last)s)
          > bool 0
        ) * %(passed)s
        or
        0 * %(last)s
      ||| % {
        late: t.number(slo.options.late),
        ageOfLast: q.age(last),
        ageOfFirst: q.age(unmet(slo)),
        period: '(%s - %s)' % [nextDue(slo), last],
        last: last,
        passed: passed,
      });
      '%(missed)s == 1\nor\n%(standing)s\n* max by (%(by)s) (last_over_time(%(own)s[5m]))\nor\n%(missed)s' % {
        missed: missed,
        standing: judged(slo, passed),
        by: slo.by,
        own: slos.deadlineMissed + t.selector({ slo: slo.name }),
      },

  model_quality(slo):: judged(slo, '%s > bool %s' % [
    q.select(
      recorded.liveDegradation,
      pathed('model', slo.options.model) + named('metric', slo.options.metric) + named('dataset', slo.options.dataset)
    ),
    t.number(slo.options.within),
  ]),

  // A comment may end what somebody wrote.
  gauge(slo):: 'max by (%s) (((%s\n) > -Inf < Inf) <= bool 0)' % [slo.by, slo.options.expr],

  // Bad while one of its components is out. While one of them is not known, it is not good.
  composite(slo, components)::
    local of(component) =
      local selector = '{slo=%s}' % std.escapeStringJson(component.name);
      'max by (slo) (%s)' % (
        if !component.events then slos.slice + selector
        else '(%(bad)s > bool %(share)s * %(total)s) * (%(bad)s >= bool %(few)s)' % {
          bad: slos.bad + selector,
          total: slos.total + selector,
          share: t.number(std.min(OUT * component.budget, OUT_AT_MOST)),
          few: t.number((OUT_EVENTS - windows.rounding) / windows.rate),
        }
      );
    local all = std.join('\nor\n', [of(component) for component in components]);
    'max(\n%(all)s\n) == 1\nor\nmax(\n%(all)s\n) and count(\n%(all)s\n) == %(count)d' % { all: all, count: std.length(components) },
}
