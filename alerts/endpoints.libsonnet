// What is recorded of endpoints for the alerts on them.
local edges = import 'lib/edges.libsonnet';
local m = import 'lib/metrics.libsonnet';
local recorded = import 'lib/recorded_endpoints.libsonnet';
local native = import 'lib/recorded_servers.libsonnet';
local t = import 'lib/text.libsonnet';

{
  local config = $._config,
  local q = (import 'lib/queries.libsonnet')(config),
  local e = (import 'lib/endpoint_queries.libsonnet')(config),
  local memory = (import 'lib/memory.libsonnet')(config),
  local ofModels(name, condition) =
    memory.unbroken(name, e.MODEL, condition, e.lastProbe, q.of('max', e.MODEL, m.ml_endpoint_up)),

  local edgeOf(endpoint, index) =
    local edge = edges.at(config.probes.buckets, endpoint.latency_limit);
    if edge != null then edge else
      error 'endpoints[%d].latency_limit: found %ss; allowed is an edge of probes.buckets, the nearest: %s' % [
        index,
        t.number(endpoint.latency_limit),
        edges.nearest(config.probes.buckets, endpoint.latency_limit),
      ],

  local limited = [
    { name: config.endpoints[i].name, edge: edgeOf(config.endpoints[i], i) }
    for i in std.range(0, std.length(config.endpoints) - 1)
    if config.endpoints[i].latency_limit != null && config.endpoints[i].latency_from == 'probe'
  ],
  local limits = std.set([endpoint.edge for endpoint in limited]),
  local within = {
    local named = [endpoint.name for endpoint in limited if endpoint.edge == edge],
    [t.number(edge)]: if std.length(named) == std.length(config.endpoints) then [] else [t.anyOf('ml_endpoint', named)]
    for edge in limits
  },
  local byModel(increase) = 'sum by (%s) (max by (%s) (%s))' % [e.MODEL, e.VERSION, increase],
  local counted(le, edge, window) = 'increase(%s[%s])' % [
    q.select(m.ml_endpoint_probe_duration_seconds + '_bucket', [le] + within[t.number(edge)] + window.matchers),
    window.long,
  ],
  local timed(edge) = e.overWindows(function(window) byModel(counted('le="+Inf"', edge, window))),
  local slow(edge) = e.overWindows(function(window) byModel(
    'clamp_min(%s - ignoring (le) %s, 0)' % [counted('le="+Inf"', edge, window), counted(edges.matcher(edge), edge, window)]
  )),

  // What failed and is of no model, beside models that answer, is a client's mistake: it asked for what there is not.
  local served(record) = |||
    sum by (%s) (
      %s
      or
      %s
      unless on (%s)
      %s
    )
  ||| % [
    e.MODEL,
    q.select(record, ['model!=""']),
    q.select(record, ['model=""']),
    e.ENDPOINT,
    q.select(native.requests, ['model!=""']),
  ],
  local union(of) = std.join('\nor\n', [of(edge) for edge in limits]),

  prometheusRules+:: {
    groups+: [{
      name: 'ml-recording-endpoints',
      rules: [
        ofModels(recorded.failingSince, e.well() + ' == 0'),
        ofModels(recorded.notReadySince, |||
          (%s == 0)
          and on (%s)
          (%s == 1)
          unless on (%s)
          (%s == 1)
        ||| % [e.check('ready'), e.MODEL, e.check('live'), e.MODEL, e.check('predict')]),
        // The clock is that of the registry: while it cannot be read, nobody knows which version should be served.
        memory.since(recorded.wrongVersionSince, e.REGISTERED, |||
          %s
          unless on (source, model, version)
          %s
          and on (source, model)
          %s
        ||| % [
          q.of('max', e.REGISTERED, m.ml_endpoint_serves_info),
          q.select(m.ml_model_alias_info, [q.liveAlias]),
          q.select(m.ml_model_alias_info, [q.liveAlias]),
        ]),
        { record: recorded.requests, expr: served(native.requests) },
        { record: recorded.bad, expr: served(native.bad) },
      ] + (
        if limits == [] then []
        else [
          { record: recorded.probesTimed, expr: union(timed) },
          { record: recorded.probesSlow, expr: union(slow) },
        ]
      ),
    }],
  },
}
