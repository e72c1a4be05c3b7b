// An adapter's answers → PromQL by the normalised labels, over all replicas of a server.
local t = import 'text.libsonnet';

local BY = 'ml_service, ml_endpoint, model, version';

local select(metric, matchers) = '%s{%s}' % [metric, std.join(', ', matchers)];
local relabel(vector, target, replacement, source, regex) =
  'label_replace(%s, "%s", "%s", "%s", %s)' % [vector, target, replacement, source, std.escapeStringJson(regex)];
local scaled(unit, vector) = if unit == 1 then vector else '%s * %s' % [t.number(unit), vector];

function(server, adapter) {
  local labels = adapter.labels,
  local unnamed = std.get(labels, 'unnamed', []),
  // Names such as http_requests_total are everybody's: only what was scraped for an endpoint of this server counts.
  local ours = ['server="%s"' % server, 'ml_endpoint!=""'],

  local copied(vector, label, native) =
    if native == null || native == label then vector else relabel(vector, label, '$1', native, '(.+)'),
  local cleared(vector, value) = relabel(vector, 'version', '', 'version', t.literal(value)),
  local normalised(vector) =
    std.foldl(cleared, unnamed, copied(copied(vector, 'model', labels.model), 'version', labels.version)),

  local by(operation, vector, also='') = '%s by (%s%s) (%s)' % [operation, BY, also, normalised(vector)],
  local selected(series, also=[]) = select(series.metric, ours + std.get(series, 'matchers', []) + also),

  // A counter as vectors; the failures of models that are not known become those of no model.
  local rated(counter, window, also) =
    local rate = 'rate(%s[%s])' % [selected(counter, also), window];
    local known = select(std.get(counter, 'known_by', ''), ours);
    local on = 'on (ml_endpoint, %s, %s)' % [labels.model, labels.version];
    if !std.objectHas(counter, 'known_by') then [rate]
    else [
      '(%s and %s %s)' % [rate, on, known],
      'sum without (%s, %s) (%s unless %s %s)' % [labels.model, labels.version, rate, on, known],
    ],

  // `or` takes series with equal labels for the same one, and rate() has taken their names away.
  local union(vectors) =
    if std.length(vectors) == 1 then vectors[0]
    else '\n  ' + std.join('\n  or\n  ', [
      relabel(vectors[i], 'part', '%d' % i, '', '')
      for i in std.range(0, std.length(vectors) - 1)
    ]) + '\n',

  // Counters per second; `also`: further matchers.
  rate(counters, window, also=[]):: by('sum', union(std.flattenArrays([rated(c, window, also) for c in counters]))),

  // Counters that may have no series yet: 0 wherever something was recorded as `of`.
  zeroFilled(counters, of, window)::
    '%s\nor\n0 * sum by (%s) (%s{server="%s"})' % [self.rate(counters, window), BY, of, server],

  // Nothing where nothing was counted, instead of NaN.
  mean(mean, window):: scaled(
    std.get(mean, 'unit', 1),
    '%s\n/\n(%s > 0)' % [self.rate(mean.sum, window), self.rate(mean.count, window)]
  ),

  quantile(quantile, histogram, window):: scaled(
    histogram.unit,
    '(histogram_quantile(%s, %s) >= 0)' % [
      t.number(quantile),
      by('sum', 'rate(%s[%s])' % [selected(histogram { metric+: '_bucket' }), window], ', le'),
    ]
  ),

  max(gauge):: by('max', selected(gauge)),

  // Of a histogram: how many a second, and how many of them above an edge.
  timed(histogram, window, also):: self.rate([histogram { metric+: '_count' }], window, also),
  above(histogram, edge, window, also)::
    local digits = if std.endsWith(edge, '.0') then std.substr(edge, 0, std.length(edge) - 2) else edge;
    local fraction = std.length(std.findSubstr('.', digits) + std.findSubstr('e', digits)) > 0;
    // Prometheus 3 writes 500 as 500.0.
    local le = 'le=~' + std.escapeStringJson(t.literal(digits) + (if fraction then '' else '(\\.0)?'));
    'clamp_min(%s\n- %s, 0)' % [
      self.timed(histogram, window, also),
      self.rate([histogram { metric+: '_bucket' }], window, also + [le]),
    ],
}
