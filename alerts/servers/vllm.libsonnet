// Its engine does not count what is refused before it: availability is that of its HTTP routes, which name no model.
local routes = ['method="POST"', 'handler=~"/v1/.*|/invocations"'];
local asked = 'http_requests_total';
local latency = 'vllm:e2e_request_latency_seconds';
local wait = 'vllm:request_queue_time_seconds';

{
  labels: { model: 'model_name', version: null },
  requests: [{ metric: asked, matchers: routes }],
  bad: [{ metric: asked, matchers: routes + ['status="5xx"'] }],
  latency: {
    metric: latency,
    unit: 1,
    edges: [
      '0.3',
      '0.5',
      '0.8',
      '1.0',
      '1.5',
      '2.0',
      '2.5',
      '5.0',
      '10.0',
      '15.0',
      '20.0',
      '30.0',
      '40.0',
      '50.0',
      '60.0',
      '120.0',
      '240.0',
      '480.0',
      '960.0',
      '1920.0',
      '7680.0',
    ],
  },
  latency_mean: {
    sum: [{ metric: latency + '_sum' }],
    count: [{ metric: latency + '_count' }],
    unit: 1,
  },
  waiting: { metric: 'vllm:num_requests_waiting' },
  queue: { sum: [{ metric: wait + '_sum' }], count: [{ metric: wait + '_count' }], unit: 1 },
  // vllm:iteration_tokens_total, a histogram in spite of its name, has tokens and not requests.
  batch: null,
  tokens_input: [{ metric: 'vllm:prompt_tokens_total' }],
  tokens_output: [{ metric: 'vllm:generation_tokens_total' }],
  time_to_first_token: { metric: 'vllm:time_to_first_token_seconds', unit: 1 },
  inter_token: { metric: 'vllm:inter_token_latency_seconds', unit: 1 },
  cache_usage: { metric: 'vllm:kv_cache_usage_perc' },
  // Its series carry the first served name, whatever name clients ask for.
  scrape: { path: '/metrics', keep: null, drop: {}, one_model: false },
}
