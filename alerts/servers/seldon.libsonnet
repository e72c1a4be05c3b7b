// Seldon Core 2: its agent beside the server. Codes are HTTP's for REST and words for gRPC.
local asked = 'seldon_model_infer_total';

{
  // `model` is the name that clients use; model_internal has a number behind it, which is no version of ours.
  labels: { model: 'model', version: null },
  requests: [{ metric: asked }],
  bad: [{ metric: asked, matchers: ['code=~"5..|Unknown|DeadlineExceeded|Internal|Unavailable|DataLoss"'] }],
  latency: {
    metric: 'seldon_model_infer_api_seconds',
    matchers: ['code=~"2..|OK"'],
    unit: 1,
    edges: ['0.005', '0.01', '0.025', '0.05', '0.075', '0.1', '0.25', '0.5', '0.75', '1', '2.5', '5', '7.5', '10'],
  },
  latency_mean: { sum: [{ metric: 'seldon_model_infer_seconds_total' }], count: [{ metric: asked }], unit: 1 },
  waiting: null,
  queue: null,
  batch: null,
  tokens_input: null,
  tokens_output: null,
  time_to_first_token: null,
  inter_token: null,
  cache_usage: null,
  scrape: { path: '/metrics', keep: null, drop: {}, one_model: true },
}
