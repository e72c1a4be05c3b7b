// What is recorded of objectives. Of each only what it counts, and its promise; the rest are a few rules over all of them:
// windows, ratios and budgets are read from series that carry `slo`.
local recorded = import 'lib/recorded_slos.libsonnet';
local t = import 'lib/text.libsonnet';
local counting = import 'slos/counted.libsonnet';
local objectiveOf = import 'slos/objective.libsonnet';
local summed = import 'slos/summed.libsonnet';
local windows = import 'slos/windows.libsonnet';

{
  // The objectives, each with its tiers, in the order of the configuration.
  mlObjectives:: [objectiveOf($._config)(slo) for slo in $._config.slos],

  local slos = $.mlObjectives,
  local counted = counting($._config),
  local periods = [summed(seconds) for seconds in std.set([slo.window for slo in slos])],
  local componentsOf(slo) = [
    other
    for other in slos
    if (if slo.options.slos != null then std.member(slo.options.slos, other.name)
        else other.ml_service == slo.ml_service && other.kind != 'composite')
  ],
  local each(rules, keep) = std.flattenArrays([rules(slo) for slo in slos if keep(slo)]),
  local isComposite(slo) = slo.kind == 'composite',
  // Slices of time as events per second.
  local rated = [
    { record: pair[0], expr: '%s_over_time(%s[%s]) / %d' % [pair[1], recorded.slice, t.duration(windows.rate - windows.open), windows.rate] }
    for pair in [[recorded.total, 'count'], [recorded.bad, 'sum']]
  ],

  prometheusRules+:: {
    groups+: if slos == [] then [] else [
      {
        name: 'ml-slos',
        interval: t.duration(windows.slice),
        rules: each(counted.promise, function(slo) true)
               + each(counted.events, function(slo) slo.events)
               + each(counted.slices, function(slo) !slo.events && !isComposite(slo))
               + each(function(slo) counted.composite(slo, componentsOf(slo)), isComposite)
               + rated
               + std.flattenArrays([period.fast for period in periods]),
      },
      {
        name: 'ml-slo-budgets',
        interval: t.duration(windows.step),
        rules: std.flattenArrays([period.slow for period in periods]),
      },
    ],
  },
}
