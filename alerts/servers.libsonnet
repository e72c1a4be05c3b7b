// What model servers say of themselves, recorded in one vocabulary for the servers that endpoints name.
local m = import 'lib/metrics.libsonnet';
local nativeOf = import 'lib/native.libsonnet';
local recorded = import 'lib/recorded_servers.libsonnet';
local servers = import 'lib/servers.libsonnet';
local t = import 'lib/text.libsonnet';

local WINDOW = '5m';
local second(value) = '%.7gs' % value;

// The bucket edge that an endpoint's limit sits on. PromQL cannot look between two edges: anything else is refused.
local edgeOf(endpoint, latency) =
  local seconds(edge) = std.parseJson(edge) * latency.unit;
  local limit = endpoint.latency_limit;
  local refuse(why) = error 'endpoints[%d].latency_limit: found %s; %s; or use latency_from: probe' % [
    endpoint.index,
    second(limit),
    why,
  ];
  if latency == null then refuse('%s has no histogram of latency' % endpoint.server)
  else
    // A limit is written with as many digits as the refusal shows.
    local near(edge) = std.abs(seconds(edge) - limit) <= 1e-5 * limit;
    local exact = std.filter(near, latency.edges);
    local below = [second(seconds(edge)) for edge in latency.edges if seconds(edge) < limit];
    local above = [second(seconds(edge)) for edge in latency.edges if seconds(edge) > limit];
    if exact != [] then exact[0]
    else if below == [] then refuse('the lowest bucket edge of %s is %s' % [endpoint.server, above[0]])
    else if above == [] then refuse('the highest bucket edge of %s is %s' % [endpoint.server, below[std.length(below) - 1]])
    else refuse('the nearest bucket edges of %s are %s and %s' % [
      endpoint.server,
      below[std.length(below) - 1],
      above[0],
    ]);

{
  local endpoints = [
    $._config.endpoints[i] { index: i }
    for i in std.range(0, std.length($._config.endpoints) - 1)
  ],
  local served = [endpoint for endpoint in endpoints if endpoint.server != null],
  local strangers = [endpoint for endpoint in served if !std.objectHas(servers, endpoint.server)],
  local limited = [e for e in endpoints if e.latency_from == 'native' && e.latency_limit != null],
  local speechless = [endpoint for endpoint in limited if endpoint.server == null],

  assert strangers == [] : "endpoints[%d].server: found '%s'; allowed are %s" % [
    strangers[0].index,
    strangers[0].server,
    std.join(', ', std.objectFields(servers)),
  ],
  assert speechless == [] :
         'endpoints[%d].latency_from: native needs a server, whose histogram is to be read; else it is probe'
         % speechless[0].index,

  local rulesOf(server, adapter) =
    local native = nativeOf(server, adapter);
    local rule(name, answer, expr) =
      if answer == null then [] else [{ record: name, expr: expr, labels: { server: server } }];
    local rate(name, answer, window=WINDOW) = rule(name, answer, native.rate(answer, window));
    local mean(name, answer) = rule(name, answer, native.mean(answer, WINDOW));
    local quantile(name, answer, q) = rule(name, answer, native.quantile(q, answer, WINDOW));
    local gauge(name, answer) = rule(name, answer, native.max(answer));

    rate(recorded.requests, adapter.requests)
    + rate(recorded.requestsHour, adapter.requests, '1h')
    + rule(recorded.bad, adapter.bad, native.zeroFilled(adapter.bad, recorded.requests, WINDOW))
    + mean(recorded.mean, adapter.latency_mean)
    + quantile(recorded.p50, adapter.latency, 0.5)
    + quantile(recorded.p99, adapter.latency, 0.99)
    + gauge(recorded.waiting, adapter.waiting)
    + mean(recorded.queue, adapter.queue)
    + mean(recorded.batch, adapter.batch)
    + rate(recorded.tokensInput, adapter.tokens_input)
    + rate(recorded.tokensOutput, adapter.tokens_output)
    + quantile(recorded.timeToFirstToken, adapter.time_to_first_token, 0.99)
    + quantile(recorded.interToken, adapter.inter_token, 0.99)
    + gauge(recorded.cacheUsage, adapter.cache_usage),

  local limitOf(endpoint) =
    local native = nativeOf(endpoint.server, servers[endpoint.server]);
    local latency = servers[endpoint.server].latency;
    local edge = edgeOf(endpoint, latency);
    local only = ['ml_endpoint="%s"' % endpoint.name];
    local labels = { server: endpoint.server, ml_endpoint: endpoint.name };
    [
      { record: recorded.timed, expr: native.timed(latency, WINDOW, only), labels: labels },
      { record: recorded.slow, expr: native.above(latency, edge, WINDOW, only), labels: labels },
    ],

  local costed = [e for e in served if e.cost_per_hour != null && servers[e.server].requests != null],
  local cost = {
    record: recorded.costPerPrediction,
    expr: |||
      max by (ml_service, ml_endpoint, currency) (%s)
      / on (ml_service, ml_endpoint) group_left ()
      (3600 * sum by (ml_service, ml_endpoint) (%s) > 0)
    ||| % [m.ml_cost_per_hour, recorded.requestsHour],
  },

  prometheusRules+:: {
    local rules = std.flattenArrays(
      [rulesOf(server, servers[server]) for server in std.set([endpoint.server for endpoint in served])]
      + [limitOf(endpoint) for endpoint in limited]
    ) + (if costed == [] then [] else [cost]),
    groups+: if rules == [] then [] else [{ name: 'ml-servers', rules: rules }],
  },
}
