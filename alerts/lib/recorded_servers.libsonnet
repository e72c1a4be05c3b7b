// Names of what the rules record of model servers, by ml_service, ml_endpoint, server, model and version. Dashboards and
// alerts read these and never a server's own metrics. Rates are per second, times in seconds.
{
  // Predictions that were asked for, and those of them that failed by no fault of the client: 0 where nothing failed.
  requests: 'ml:requests:rate5m',
  requestsHour: 'ml:requests:rate1h',
  bad: 'ml:requests_bad:rate5m',
  // The time of a prediction. The mean is there for servers without a histogram, too.
  mean: 'ml:request_seconds:mean5m',
  p50: 'ml:request_seconds:p50_5m',
  p99: 'ml:request_seconds:p99_5m',
  // Of endpoints with `latency_from: native`: predictions that were timed, and those of them above `latency_limit`.
  timed: 'ml:requests_timed:rate5m',
  slow: 'ml:requests_slow:rate5m',
  // The longest queue among the replicas of an endpoint; the mean time in it; the mean size of a batch.
  waiting: 'ml:requests_waiting:max',
  queue: 'ml:queue_seconds:mean5m',
  batch: 'ml:batch_size:mean5m',
  // Language models
  tokensInput: 'ml:tokens_input:rate5m',
  tokensOutput: 'ml:tokens_output:rate5m',
  timeToFirstToken: 'ml:time_to_first_token_seconds:p99_5m',
  interToken: 'ml:inter_token_seconds:p99_5m',
  // The fullest cache among the replicas, 0 to 1.
  cacheUsage: 'ml:cache_usage:ratio',
  // By ml_service, ml_endpoint and currency: what one prediction cost in the last hour.
  costPerPrediction: 'ml:cost_per_prediction:ratio1h',
}
