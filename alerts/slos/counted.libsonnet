// What is recorded of one objective: what it counts, and its promise.
local recorded = import '../lib/recorded_slos.libsonnet';
local t = import '../lib/text.libsonnet';
local eventKinds = import 'events.libsonnet';
local sliceKinds = import 'slices.libsonnet';
local windows = import 'windows.libsonnet';

function(config) {
  local events = eventKinds(config),
  local slices = sliceKinds(config),

  local rule(slo, record, expr, labels={}) = { record: record, expr: std.rstripChars(expr, '\n'), labels: slo.labels + labels },
  // A series of its own, as a vector by the labels that it is grouped by.
  local own(slo, record, labels={}) = 'sum by (%s) (%s)' % [slo.by, record + t.selector({ slo: slo.name } + labels)],
  // What is no number is known to nobody.
  local known(expr) = '%s > -Inf < Inf' % expr,
  // No bad events are 0 of them, no good ones are all bad. 0 times what is no number is none either. Bad events of a group
  // that has none at all are a mistake of the query, and an alert.
  local badOf(slo, query, seconds) =
    local total = query.total(seconds);
    local stray = if slo.kind == 'ratio' && slo.group_by != [] then '\nor\n%s unless %s' % [query.bad(seconds), total] else '';
    known('(\n%s\n)' % (
      if std.objectHasAll(query, 'bad') then '%s + 0 * %s\nor\n0 * %s%s' % [query.bad(seconds), total, total, stray]
      else '%s - %s\nor\n%s' % [total, query.good(seconds), total]
    )),
  // An event of which nobody knows whether it was bad is none.
  local totalOf(query, seconds, bad) = '%s\nand\n%s' % [known(query.total(seconds)), bad],

  promise(slo):: [
    { record: pair[0], expr: 'vector(%s)' % t.number(pair[1]), labels: { slo: slo.name, ml_service: slo.ml_service } }
    for pair in [[recorded.objective, 1 - slo.budget], [recorded.window, slo.window]]
  ],

  events(slo)::
    local query = events[slo.kind](slo);
    // From the counters themselves: sums of rates lag behind them by minutes, and this window is what pages first.
    local seconds = windows.of(slo.window).page_fast.long;
    local direct = { window: t.duration(seconds) };
    local sum(expr) = '%s * (\n%s\n)' % [t.number(seconds), expr];
    [
      rule(slo, recorded.bad, badOf(slo, query, windows.rate)),
      rule(slo, recorded.total, totalOf(query, windows.rate, own(slo, recorded.bad))),
      rule(slo, recorded.badEvents, sum(badOf(slo, query, seconds)), direct),
      rule(slo, recorded.totalEvents, sum(totalOf(query, seconds, own(slo, recorded.badEvents, direct))), direct),
    ] + (if slo.runs then [rule(slo, recorded.unrecovered, events.unrecovered(slo))] else []),

  slices(slo)::
    [rule(slo, recorded.slice, slices[slo.kind](slo))]
    + (if slo.deadline then [rule(slo, recorded.deadlineMissed, slices.deadlineMissed(slo))] else []),

  composite(slo, components):: [rule(slo, recorded.slice, slices.composite(slo, components))],
}
