// Needs `metrics_mode=prometheus`. Only requests and times are by model; status codes are those of the whole server, its
// health and management included.
local asked = { metric: 'ts_inference_requests_total' };

{
  // The version is that of the address, else the word default.
  labels: { model: 'model_name', version: 'model_version', unnamed: ['default'] },
  requests: [asked],
  bad: [{ metric: 'Requests5XX' }],
  latency: null,
  // In spite of their names these are sums.
  latency_mean: { sum: [{ metric: 'ts_inference_latency_microseconds' }], count: [asked], unit: 1e-6 },
  waiting: null,
  queue: { sum: [{ metric: 'ts_queue_latency_microseconds' }], count: [asked], unit: 1e-6 },
  batch: null,
  tokens_input: null,
  tokens_output: null,
  time_to_first_token: null,
  inter_token: null,
  cache_usage: null,
  scrape: { path: '/metrics', keep: null, drop: {}, one_model: true, needs_model: true },
}
