// An error that a Python backend answers for one request is HTTP 500 and yet counted as a success: bad does not see it.
local success = { metric: 'nv_inference_request_success' };

{
  labels: { model: 'model', version: 'version' },
  requests: [success, { metric: 'nv_inference_request_failure' }],
  // A request is cancelled by its client.
  bad: [{ metric: 'nv_inference_request_failure', matchers: ['reason!="CANCELED"'] }],
  latency: null,
  // Durations are those of successes.
  latency_mean: { sum: [{ metric: 'nv_inference_request_duration_us' }], count: [success], unit: 1e-6 },
  waiting: { metric: 'nv_inference_pending_request_count' },
  queue: { sum: [{ metric: 'nv_inference_queue_duration_us' }], count: [success], unit: 1e-6 },
  batch: { sum: [{ metric: 'nv_inference_count' }], count: [{ metric: 'nv_inference_exec_count' }] },
  tokens_input: null,
  tokens_output: null,
  time_to_first_token: null,
  inter_token: null,
  cache_usage: null,
  // Quantiles of one replica cannot be put together with those of another.
  scrape: { path: '/metrics', keep: null, drop: { __name__: 'nv_inference_.*_summary_us.*' }, one_model: true },
}
