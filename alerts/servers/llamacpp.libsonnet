// llama.cpp, needs `--metrics`. It counts tokens, and neither requests nor errors.
{
  // It names no model: the endpoint's is put on at scrape time.
  labels: { model: null, version: null },
  requests: null,
  bad: null,
  latency: null,
  latency_mean: null,
  waiting: { metric: 'llamacpp:requests_deferred' },
  queue: null,
  batch: null,
  tokens_input: [{ metric: 'llamacpp:prompt_tokens_total' }],
  tokens_output: [{ metric: 'llamacpp:tokens_predicted_total' }],
  time_to_first_token: null,
  inter_token: null,
  cache_usage: null,
  scrape: { path: '/metrics', keep: null, drop: {}, one_model: false },
}
