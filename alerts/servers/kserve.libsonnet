// The Python SDK's servers (sklearn, xgboost, lightgbm, custom predictors): time, and nothing of errors.
local predict = 'request_predict_seconds';

{
  labels: { model: 'model_name', version: null },
  requests: [{ metric: predict + '_count' }],
  bad: null,
  latency: {
    metric: predict,
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
  latency_mean: {
    sum: [{ metric: predict + '_sum' }],
    count: [{ metric: predict + '_count' }],
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
