// Inference endpoints: what probes see from outside, what servers count inside, language models, and what it costs.
local m = import '../alerts/lib/metrics.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service", ml_endpoint=~"$endpoint"';
  local s = signals(config, endpoints=chosen, models='model=~"$model"');
  // With the protocol and the server of the endpoint.
  local described = '(%s)\n+ on (ml_service, ml_endpoint) group_left (protocol, server)\n0 * topk by (ml_service, ml_endpoint) (1, %s)' % [
    s.failingFor.query.expr,
    s.endpoints.query.expr,
  ];
  local probed = { feed: 'list endpoints:' };
  local native = { feed: 'set server: and metrics_url: of the endpoint' };
  local streamed = { feed: 'probe a language model with protocol: openai' };
  local priced = { feed: 'set cost_per_hour: of the endpoint' };

  d.new(
    uid='ml-endpoints',
    title='ML / Endpoints',
    description='Inference endpoints: whether they predict right and in time, what they serve, and what it costs.',
    variables=[
      d.variable('service', 'ml_service', m.ml_endpoint_info, several=true),
      d.variable('endpoint', 'ml_endpoint', m.ml_endpoint_info + '{ml_service=~"$service"}', several=true),
      d.variable('model', 'model', m.ml_endpoint_last_probe_timestamp_seconds + '{%s}' % chosen, several=true),
    ],
    links=d.siblings('ml-endpoints', ['service']),
    annotations=[d.firing(chosen + ', ml_endpoint!=""'), d.moved('ml_service=~"$service"')],
    panels=[
      panel.table(24, 9, {
        title: 'Endpoints',
        description: 'A line a model; the first hundred of those that fail longest. Availability of a day, latency of an hour and the age of what is known are those of probes, requests and errors those that the server counts. An empty cell: nothing tells it.',
        keys: ['ml_service', 'ml_endpoint', 'model', 'protocol', 'server'],
        sort: ['Failing for', true],
        links: [d.to.endpoint],
        linked: { ml_service: [d.to.service] },
        rows: { on: 'ml_service, ml_endpoint, model', expr: 'topk(100, %s)' % s.failingFor.query.expr },
        columns: [
          { name: 'Failing for', unit: 's', steps: s.failingFor.steps, expr: described },
          { name: 'Availability', unit: 'percentunit', expr: s.availability.query.expr },
          { name: 'p50', unit: 's', expr: s.probeLatency.queries[0].expr },
          { name: 'p99', unit: 's', expr: s.probeLatency.queries[1].expr },
          { name: 'Requests', unit: 'reqps', expr: s.requests.query.expr },
          { name: 'Errors', unit: 'percentunit', steps: s.errors.steps, expr: s.errors.query.expr },
          { name: 'Age', unit: 's', expr: s.probeAge.query.expr },
        ],
      } + probed),

      d.heading('From outside: what probes see'),
      panel.timeline(12, 8, panel.top(s.checks + probed, panel.rows(8), least=true)),
      panel.lines(12, panel.top(s.probes { style: 'bars', fill: 60, stacked: true } + probed)),
      panel.lines(12, panel.top(s.probeLatency { exemplars: true } + probed)),
      panel.lines(12, panel.top(s.probeAge + probed)),
      panel.lines(8, panel.top(s.availability + probed, least=true)),
      panel.table(8, 8, {
        title: s.certificate.title,
        description: s.certificate.description + ' The first fifty.',
        feed: 'endpoints without TLS show none',
        keys: ['ml_endpoint'],
        links: [d.to.endpoint],
        sort: ['Valid for', false],
        columns: [{ name: 'Valid for', unit: s.certificate.unit, steps: s.certificate.steps, expr: 'bottomk(50, %s)' % s.certificate.query.expr }],
      }),
      panel.table(8, 8, {
        title: s.servedVersion.title,
        description: s.servedVersion.description + ' The first hundred.',
        feed: 'set registered_model: of the endpoint',
        keys: ['ml_endpoint', 'model', 'version'],
        links: [d.to.model],
        sort: ['endpoint', false],
        columns: [{ name: 'Serves', hidden: true, expr: 'topk(100, %s)' % s.servedVersion.query.expr }],
      }),

      d.heading('From inside: what servers count'),
      panel.lines(12, panel.top(s.requests + native)),
      panel.lines(12, panel.top(s.errors + native)),
      panel.lines(12, panel.top(s.latency + native)),
      panel.lines(12, panel.top(s.slow { feed: 'set latency_from: native and latency_limit:' })),
      panel.lines(8, panel.top(s.waiting + native)),
      panel.lines(8, panel.top(s.queueTime + native)),
      panel.lines(8, panel.top(s.batchSize + native)),
      panel.lines(12, panel.top(s.requestsUsual { feed: 'known after two weeks' })),
      panel.lines(12, panel.top(s.latencyUsual { feed: 'known after two weeks' })),

      d.heading('Language models'),
      panel.lines(12, panel.top(s.probeFirstToken { exemplars: true } + streamed)),
      panel.lines(12, panel.top(s.probeBetweenTokens { exemplars: true } + streamed)),
      panel.lines(8, panel.top(s.firstToken + native)),
      panel.lines(8, panel.top(s.betweenTokens + native)),
      panel.lines(8, panel.top(s.tokens + native)),
      panel.lines(12, panel.top(s.cache + native)),
      panel.lines(12, panel.top(s.probeTokens + streamed)),

      d.heading('Found by a list of models, and what it costs'),
      panel.table(8, 8, {
        title: 'Lists of models',
        description: 'Whether the list of models could be read where endpoints are found by it, and how many of it are wanted; the first hundred.',
        feed: 'set discover: of the endpoint',
        keys: ['ml_endpoint'],
        links: [d.to.endpoint],
        sort: ['List', false],
        rows: { on: 'ml_endpoint', expr: 'bottomk(100, %s)' % s.listed.query.expr },
        columns: [
          { name: 'List', mappings: s.listed.mappings, expr: s.listed.query.expr },
          { name: 'Models', expr: s.listedModels.query.expr },
        ],
      }),
      panel.lines(8, panel.top(s.costPerHour + priced)),
      panel.lines(8, panel.top(s.costPerPrediction + priced)),
    ]
  )
