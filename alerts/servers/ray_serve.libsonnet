// The counters of the proxy hold errors and what never reached a replica; those of a deployment leave errors out of its
// requests, and count a request once for every deployment it goes through.
local served = ['application!=""'];  // not /-/healthz, not /-/routes, not 404 (route="")
local asked = 'ray_serve_num_http_requests_total';

{
  labels: { model: 'application', version: null },
  requests: [{ metric: asked, matchers: served }],
  bad: [{ metric: asked, matchers: served + ['status_code=~"5.."'] }],
  latency: {
    metric: 'ray_serve_http_request_latency_ms',
    matchers: served + ['status_code=~"2.."'],
    unit: 0.001,
    // The defaults; RAY_SERVE_REQUEST_LATENCY_BUCKETS_MS changes them.
    edges: [
      '1.0',
      '2.0',
      '5.0',
      '10.0',
      '20.0',
      '50.0',
      '100.0',
      '200.0',
      '300.0',
      '400.0',
      '500.0',
      '1000.0',
      '2000.0',
      '5000.0',
      '10000.0',
      '60000.0',
      '120000.0',
      '300000.0',
      '600000.0',
    ],
  },
  // The sums of its histograms are made of the middles of their buckets.
  latency_mean: null,
  waiting: { metric: 'ray_serve_deployment_queued_queries' },
  queue: null,
  batch: null,
  tokens_input: null,
  tokens_output: null,
  time_to_first_token: null,
  inter_token: null,
  cache_usage: null,
  // A node has thousands of series besides.
  scrape: {
    path: '/metrics',
    keep: 'ray_serve_(num_http_requests_total|http_request_latency_ms_(bucket|count)|deployment_queued_queries)',
    drop: {},
    one_model: false,
  },
}
