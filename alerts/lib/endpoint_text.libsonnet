// What alerts on endpoints say: names, figures, and what a query finds at the time.
local m = import 'metrics.libsonnet';

local endpoint = '{{ $labels.ml_endpoint }}';

// Names of what a query finds, after `words`; nothing where it finds nothing.
local named(words, query, labels, each, by=null) =
  '{{ with printf %s %s | query%s }}%s{{ range $i, $found := . }}{{ if $i }}, {{ end }}%s{{ end }}.{{ end }}' % [
    std.escapeStringJson(query),
    std.join(' ', ['$labels.' + label for label in labels]),
    // A query gives its answers in any order, and an annotation that changes is sent again.
    if by == null then '' else ' | sortByLabel "%s"' % by,
    words,
    each,
  ];
local probes(label, matcher) = 'topk(3, max by (%s) (increase(%s{ml_endpoint=%%q, model=%%q, %s}[1h])) > 0)' % [
  label,
  m.ml_endpoint_probes_total,
  matcher,
];

{
  endpoint:: endpoint,
  served:: endpoint + '{{ with $labels.model }} (model {{ . }}){{ end }}',
  duration:: '{{ $value | humanizeDuration }}',
  percentage:: '{{ $value | humanizePercentage }}',

  outcomes(outcomes):: named(
    ' Seen in the last hour: ',
    probes('outcome', 'outcome=~"%s"' % outcomes),
    ['ml_endpoint', 'model'],
    '{{ $found.Labels.outcome }}',
    'outcome'
  ),
  versions(outcome):: named(
    ' Answered by version ',
    probes('version', 'version!="", outcome="%s"' % outcome),
    ['ml_endpoint', 'model'],
    '{{ $found.Labels.version }}',
    'version'
  ),
  limit:: named(
    ' The limit is ',
    'max(%s{ml_endpoint=%%q})' % m.ml_endpoint_latency_limit_seconds,
    ['ml_endpoint'],
    '{{ $found.Value | humanizeDuration }}',
  ),
  aliases:: named(
    ' The registry says: ',
    'max by (alias, version) (%s{source=%%q, model=%%q})' % m.ml_model_alias_info,
    ['source', 'model'],
    '{{ $found.Labels.alias }} is version {{ $found.Labels.version }}',
    'alias',
  ),
}
