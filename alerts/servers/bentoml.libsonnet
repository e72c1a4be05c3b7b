// `endpoint` is the path as it was asked for: whoever scans the server makes series, and its health is counted, too.
local served = [
  'endpoint!~"/|/livez|/readyz|/healthz|/metrics|/schema.json|/docs.json|/static.*|/favicon.ico"',
  'http_response_code!="404"',
];
local asked = 'bentoml_service_request_total';
local timed = served + ['http_response_code=~"2.."'];
local latency = 'bentoml_service_request_duration_seconds';
local batch = 'bentoml_service_adaptive_batch_size';

{
  // A service that was not built has no version.
  labels: { model: 'service_name', version: 'service_version', unnamed: ['not available'] },
  requests: [{ metric: asked, matchers: served }],
  bad: [{ metric: asked, matchers: served + ['http_response_code=~"5.."'] }],
  latency: {
    metric: latency,
    matchers: timed,
    unit: 1,
    // The defaults; metrics.duration in the service's configuration changes them.
    edges: [
      '0.005',
      '0.01',
      '0.025',
      '0.05',
      '0.1',
      '0.25',
      '0.5',
      '1.0',
      '2.5',
      '5.0',
      '10.0',
      '30.0',
      '60.0',
      '120.0',
      '180.0',
    ],
  },
  latency_mean: {
    sum: [{ metric: latency + '_sum', matchers: timed }],
    count: [{ metric: latency + '_count', matchers: timed }],
    unit: 1,
  },
  waiting: null,
  queue: null,
  batch: { sum: [{ metric: batch + '_sum' }], count: [{ metric: batch + '_count' }] },
  tokens_input: null,
  tokens_output: null,
  time_to_first_token: null,
  inter_token: null,
  cache_usage: null,
  scrape: {
    path: '/metrics',
    keep: 'bentoml_service_(request_total|request_duration_seconds_.*|adaptive_batch_size_(sum|count))',
    drop: { http_response_code: '404' },
    one_model: false,
  },
}
