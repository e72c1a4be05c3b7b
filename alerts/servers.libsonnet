// What model servers say of themselves, recorded in one vocabulary for the servers that endpoints name.
local m = import 'lib/metrics.libsonnet';
local nativeOf = import 'lib/native.libsonnet';
local recorded = import 'lib/recorded_servers.libsonnet';
local servers = import 'lib/servers.libsonnet';

local WINDOW = '5m';
local second(value) = '%.7gs' % value;

local refuse(endpoint, why) = error 'endpoints[%d].latency_limit: found %s; %s; or use latency_from: probe' % [
  endpoint.index,
  second(endpoint.latency_limit),
  why % endpoint.server,
];

// The bucket's edge that an endpoint's limit sits on. PromQL cannot look between two edges: anything else is refused.
// seconds: the edges in seconds.
local edgeOf(endpoint, edges, seconds) =
  local limit = endpoint.latency_limit;
  // A limit has as many digits as the refusal shows.
  local exact = [
    edges[i]
    for i in std.range(0, std.length(edges) - 1)
    if std.abs(seconds[i] - limit) <= 1e-5 * limit
  ];
  local below = [edge for edge in seconds if edge < limit];
  local above = [edge for edge in seconds if edge > limit];
  if exact != [] then exact[0]
  else if below == [] then refuse(endpoint, 'the lowest bucket edge of %s is ' + second(above[0]))
  else
    local last = second(below[std.length(below) - 1]);
    if above == [] then refuse(endpoint, 'the highest bucket edge of %s is ' + last)
    else refuse(endpoint, 'the nearest bucket edges of %s are ' + last + ' and ' + second(above[0]));

{
  local endpoints = [
    $._config.endpoints[i] { index: i }
    for i in std.range(0, std.length($._config.endpoints) - 1)
  ],
  local served = [endpoint for endpoint in endpoints if endpoint.server != null],
  local strangers = [endpoint for endpoint in served if !std.objectHas(servers, endpoint.server)],
  local limited = [e for e in endpoints if e.latency_from == 'native' && e.latency_limit != null],
  local nameless = [
    endpoint
    for endpoint in served
    if endpoint.model == null && std.get(servers[endpoint.server].scrape, 'needs_model', false)
  ],
  local speechless = [endpoint for endpoint in limited if endpoint.server == null],

  assert strangers == [] : "endpoints[%d].server: found '%s'; allowed are %s" % [
    strangers[0].index,
    strangers[0].server,
    std.join(', ', std.objectFields(servers)),
  ],
  assert nameless == [] : 'endpoints[%d].model: missing; %s does not say of which model its errors are' % [
    nameless[0].index,
    nameless[0].server,
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

  // One pair of rules for all endpoints of a server, whatever their limits.
  local limitsOf(server, given) =
    local native = nativeOf(server, servers[server]);
    local latency = servers[server].latency;
    local seconds = [std.parseJson(edge) * latency.unit for edge in latency.edges];
    local sitting = [{ edge: edgeOf(endpoint, latency.edges, seconds), name: endpoint.name } for endpoint in given];
    local edges = {
      [edge]: [one.name for one in sitting if one.edge == edge]
      for edge in std.set([one.edge for one in sitting])
    };
    local labels = { server: server };
    if latency == null then refuse(given[0], '%s has no histogram of latency')
    else [
      { record: recorded.timed, expr: native.timed(latency, edges, WINDOW), labels: labels },
      { record: recorded.slow, expr: native.above(latency, edges, recorded.timed, WINDOW), labels: labels },
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
      + [
        limitsOf(server, [endpoint for endpoint in limited if endpoint.server == server])
        for server in std.set([endpoint.server for endpoint in limited])
      ]
    ) + (if costed == [] then [] else [cost]),
    groups+: if rules == [] then [] else [{ name: 'ml-servers', rules: rules }],
  },
}
