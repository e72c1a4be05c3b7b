// An adapter's answers → PromQL by the normalised labels, over all replicas of a server.
local t = import 'text.libsonnet';

local BY = 'ml_service, ml_endpoint, model, version';

// Put together with +: formatting is what takes a Jsonnet program's time.
local select(metric, matchers) = metric + '{' + std.join(', ', matchers) + '}';
local relabel(vector, target, replacement, source, regex) =
  'label_replace(' + vector + ', "' + target + '", "' + replacement + '", "' + source + '", '
  + std.escapeStringJson(regex) + ')';
local scaled(unit, vector) = if unit == 1 then vector else t.number(unit) + ' * ' + vector;
// A matcher for an edge as the server writes it, and as Prometheus 3 does: 500 as 500.0.
local le(edge) =
  local digits = if std.endsWith(edge, '.0') then std.substr(edge, 0, std.length(edge) - 2) else edge;
  local fraction = std.length(std.findSubstr('.', digits) + std.findSubstr('e', digits)) > 0;
  'le=~' + std.escapeStringJson(t.literal(digits) + (if fraction then '' else '(\\.0)?'));

function(server, adapter) {
  local labels = adapter.labels,
  local unnamed = std.get(labels, 'unnamed', []),
  // Names such as http_requests_total are everybody's: only what was scraped for an endpoint of this server counts.
  local ours = ['server="' + server + '"', 'ml_endpoint!=""'],

  local copied(vector, label, native) =
    if native == null || native == label then vector else relabel(vector, label, '$1', native, '(.+)'),
  local cleared(vector, value) = relabel(vector, 'version', '', 'version', t.literal(value)),
  local normalised(vector) =
    std.foldl(cleared, unnamed, copied(copied(vector, 'model', labels.model), 'version', labels.version)),

  local by(operation, vector, also='') = operation + ' by (' + BY + also + ') (' + normalised(vector) + ')',
  local selected(series, also=[]) = select(series.metric, ours + std.get(series, 'matchers', []) + also),

  // A counter as vectors; the failures of models that are not known become those of no model.
  local rated(counter, window, also) =
    local rate = 'rate(' + selected(counter, also) + '[' + window + '])';
    local named = labels.model + ', ' + labels.version;
    local known = ' on (ml_endpoint, ' + named + ') ' + select(std.get(counter, 'known_by', ''), ours);
    if !std.objectHas(counter, 'known_by') then [rate]
    else ['(' + rate + ' and' + known + ')', 'sum without (' + named + ') (' + rate + ' unless' + known + ')'],

  // `or` takes series with equal labels for the same one, and rate() has taken their names away.
  local union(vectors) =
    if std.length(vectors) == 1 then vectors[0]
    else '\n  ' + std.join('\n  or\n  ', [
      relabel(vectors[i], 'part', std.toString(i), '', '')
      for i in std.range(0, std.length(vectors) - 1)
    ]) + '\n',

  // Counters per second; `also`: further matchers.
  rate(counters, window, also=[]):: by('sum', union(std.flattenArrays([rated(c, window, also) for c in counters]))),

  // Counters that may have no series yet: 0 wherever something was recorded as `of`.
  zeroFilled(counters, of, window)::
    self.rate(counters, window) + '\nor\n0 * sum by (' + BY + ') (' + of + '{server="' + server + '"})',

  // Nothing where nothing was counted, instead of NaN.
  mean(mean, window):: scaled(
    std.get(mean, 'unit', 1),
    self.rate(mean.sum, window) + '\n/\n(' + self.rate(mean.count, window) + ' > 0)'
  ),

  quantile(quantile, histogram, window)::
    local buckets = 'rate(' + selected(histogram { metric+: '_bucket' }) + '[' + window + '])';
    local value = 'histogram_quantile(' + t.number(quantile) + ', ' + by('sum', buckets, ', le') + ')';
    scaled(histogram.unit, '(' + value + ' >= 0)'),

  max(gauge):: by('max', selected(gauge)),

  // Of the endpoints that `edges` names (bucket's edge → names): how many were timed, and how many were above the edge.
  timed(histogram, edges, window)::
    local names = std.flattenArrays([edges[edge] for edge in std.objectFields(edges)]);
    self.rate([histogram { metric+: '_count' }], window, [t.anyOf('ml_endpoint', names)]),
  above(histogram, edges, of, window)::
    local within(edge) =
      self.rate([histogram { metric+: '_bucket' }], window, [t.anyOf('ml_endpoint', edges[edge]), le(edge)]);
    'clamp_min(\n  sum by (' + BY + ') (' + of + '{server="' + server + '"})\n  - (\n    '
    + std.join('\n    or\n    ', [within(edge) for edge in std.objectFields(edges)])
    + '\n  ),\n  0\n)',
}
