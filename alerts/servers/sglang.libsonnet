// Needs `--enable-metrics`. sglang:num_requests_total are the finished ones, and most of the aborted ones were given up by
// their clients: availability is that of its HTTP routes, which name no model.
local routes = ['method="POST"', 'endpoint=~"/v1/.*|/generate|/invocations"'];
local asked = 'sglang:http_responses_total';
local latency = 'sglang:e2e_request_latency_seconds';
local wait = 'sglang:queue_time_seconds';

{
  labels: { model: 'model_name', version: null },
  requests: [{ metric: asked, matchers: routes }],
  bad: [{ metric: asked, matchers: routes + ['status_code=~"5.."'] }],
  latency: {
    metric: latency,
    unit: 1,
    // The defaults; --bucket-e2e-request-latency changes them.
    edges: [
      '0.1',
      '0.2',
      '0.4',
      '0.6',
      '0.8',
      '1.0',
      '2.0',
      '4.0',
      '6.0',
      '8.0',
      '10.0',
      '20.0',
      '40.0',
      '60.0',
      '80.0',
      '100.0',
      '200.0',
      '400.0',
      '600.0',
      '1200.0',
      '1800.0',
      '2400.0',
    ],
  },
  latency_mean: {
    sum: [{ metric: latency + '_sum' }],
    count: [{ metric: latency + '_count' }],
    unit: 1,
  },
  waiting: { metric: 'sglang:num_queue_reqs' },
  queue: { sum: [{ metric: wait + '_sum' }], count: [{ metric: wait + '_count' }], unit: 1 },
  batch: null,
  tokens_input: [{ metric: 'sglang:prompt_tokens_total' }],
  tokens_output: [{ metric: 'sglang:generation_tokens_total' }],
  time_to_first_token: { metric: 'sglang:time_to_first_token_seconds', unit: 1 },
  inter_token: { metric: 'sglang:inter_token_latency_seconds', unit: 1 },
  cache_usage: { metric: 'sglang:token_usage' },
  scrape: { path: '/metrics', keep: null, drop: {}, one_model: false },
}
