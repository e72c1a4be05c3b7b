// Text Generation Inference
local latency = 'tgi_request_duration';

{
  // It names no model: the endpoint's is put on at scrape time.
  labels: { model: null, version: null },
  requests: [{ metric: 'tgi_request_count' }],
  // dropped: the client went away; validation and template: it asked for what cannot be.
  bad: [{ metric: 'tgi_request_failure', matchers: ['err=~"generation|incomplete|overloaded"'] }],
  // Of answers that are not streamed and of streams that came to their end. 0.0001 · 1.5ⁿ, with all their digits.
  latency: {
    metric: latency,
    unit: 1,
    edges: [
      '0.00015000000000000001',
      '0.00022500000000000002',
      '0.0003375',
      '0.00050625',
      '0.000759375',
      '0.0011390624999999999',
      '0.0017085937499999998',
      '0.0025628906249999996',
      '0.0038443359374999994',
      '0.00576650390625',
      '0.008649755859375',
      '0.0129746337890625',
      '0.01946195068359375',
      '0.029192926025390625',
      '0.043789389038085935',
      '0.0656840835571289',
      '0.09852612533569335',
      '0.14778918800354002',
      '0.22168378200531003',
      '0.33252567300796504',
      '0.49878850951194753',
      '0.7481827642679213',
      '1.122274146401882',
      '1.683411219602823',
      '2.5251168294042348',
      '3.787675244106352',
      '5.681512866159528',
      '8.52226929923929',
      '12.783403948858936',
      '19.175105923288406',
      '28.76265888493261',
      '43.143988327398915',
      '64.71598249109837',
      '97.07397373664756',
      '145.61096060497135',
    ],
  },
  latency_mean: {
    sum: [{ metric: latency + '_sum' }],
    count: [{ metric: latency + '_count' }],
    unit: 1,
  },
  waiting: { metric: 'tgi_queue_size' },
  queue: {
    sum: [{ metric: 'tgi_request_queue_duration_sum' }],
    count: [{ metric: 'tgi_request_queue_duration_count' }],
    unit: 1,
  },
  batch: { sum: [{ metric: 'tgi_batch_next_size_sum' }], count: [{ metric: 'tgi_batch_next_size_count' }] },
  tokens_input: [{ metric: 'tgi_request_input_length_sum' }],
  tokens_output: [{ metric: 'tgi_request_generated_tokens_sum' }],
  time_to_first_token: null,
  // tgi_request_mean_time_per_token_duration has one value a request, not one a token.
  inter_token: null,
  cache_usage: null,
  // Histograms of lengths have a hundred buckets and more; only their sums are read.
  scrape: {
    path: '/metrics',
    keep: null,
    drop: { __name__: 'tgi_(request_(input_length|max_new_tokens|generated_tokens)|batch_next_size)_bucket' },
    one_model: false,
  },
}
