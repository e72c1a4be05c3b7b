// Whoever asks for a model that does not exist makes a series of failures for it, and only of failures.
local success = 'model_infer_request_success_total';
local known(metric) = { metric: metric, known_by: success };

{
  // The version is that of the address, else the word None.
  labels: { model: 'model', version: 'version', unnamed: ['None'] },
  requests: [{ metric: success }, known('model_infer_request_failure_total')],
  bad: [known('model_infer_request_failure_total')],
  latency: {
    metric: 'rest_server_request_duration_seconds',
    matchers: ['path=~".*/infer"', 'status_code=~"2.."'],
    unit: 1,
    edges: [
      '0.005',
      '0.01',
      '0.025',
      '0.05',
      '0.075',
      '0.1',
      '0.25',
      '0.5',
      '0.75',
      '1.0',
      '2.5',
      '5.0',
      '7.5',
      '10.0',
    ],
  },
  // A summary without quantiles: all of it adds up.
  latency_mean: {
    sum: [known('model_infer_request_duration_sum')],
    count: [known('model_infer_request_duration_count')],
    unit: 1,
  },
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
