// The signals of endpoints: see signals.libsonnet, which has them too. From outside what probes see, from inside what the
// servers count; where both can tell a thing, there are two signals.
local m = import '../../alerts/lib/metrics.libsonnet';
local recorded = import '../../alerts/lib/recorded_endpoints.libsonnet';
local native = import '../../alerts/lib/recorded_servers.libsonnet';
local t = import '../../alerts/lib/text.libsonnet';
local colour = import 'colours.libsonnet';
local panel = import 'panel.libsonnet';

//   endpoints: which ones, as matchers; models: which of their models
function(config, endpoints, models)
  local q = (import '../../alerts/lib/queries.libsonnet')(config);
  local e = (import '../../alerts/lib/endpoint_queries.libsonnet')(config);
  local limits = config.alerting.thresholds;

  local each = '{{ml_endpoint}} {{model}}';
  local ofEndpoint(operation, metric, more='') = q.of(operation, e.ENDPOINT + more, metric, [endpoints]);
  local ofModel(metric, more='') = q.of('max', e.MODEL + more, metric, [endpoints, models]);
  local lastProbe = ofModel(m.ml_endpoint_last_probe_timestamp_seconds);
  local failingNow = '%s - (%s > 0)' % [lastProbe, q.select(recorded.failingSince, [endpoints, models])];
  // Replicas probe on their own: the largest of them is taken, then versions are added up.
  local counted(operation, counter, window, more='', matchers=[]) =
    'sum by (%s%s) (max by (%s%s) (%s(%s[%s])))' % [
      e.MODEL,
      more,
      e.VERSION,
      more,
      operation,
      q.select(counter, [endpoints, models] + matchers),
      window,
    ];
  // Probes are few: half a minute or an hour lies between them.
  local quantiles(histogram) = [
    {
      legend: '%s p%d' % [each, 100 * share],
      // Of nothing it is not a number, which is no figure to be shown.
      expr: 'histogram_quantile(%s, %s) >= 0' % [t.number(share), counted('increase', histogram + '_bucket', '1h', ', le')],
    }
    for share in [0.5, 0.99]
  ];
  local inside(record, operation='max') = q.of(operation, e.MODEL, record, [endpoints, models]);
  local ended(matchers=[]) =
    'sum by (%s) (%s)' % [e.MODEL, counted('increase', m.ml_endpoint_probes_total, '1d', ', outcome', matchers)];

  {
    // Probes
    probes: {
      title: 'Probes',
      description: 'Probes that ended, by outcome, as a rate per hour.',
      unit: 'suffix:/h',
      queries: [{
        legend: each + ' {{outcome}}',
        // Most outcomes never come.
        expr: '3600 * %s > 0' % counted('rate', m.ml_endpoint_probes_total, '$__rate_interval', ', outcome'),
      }],
    },
    availability: {
      title: 'Availability',
      description: 'Share of the probes of the last day that ended well.',
      unit: 'percentunit',
      queries: [{ legend: each, expr: '%s\n/\n(%s > 0)' % [ended(['outcome="ok"']), ended()] }],
    },
    seriesLeftOut: {
      title: 'Series left out',
      description: 'Series of an endpoint beyond the limit: histograms of its models are not exported.',
      unit: 'short',
      steps: [[colour.fine, 0], [colour.hurt, 1]],
      queries: [{ legend: '{{ml_endpoint}}', expr: ofEndpoint('max', m.ml_endpoint_series_dropped) }],
    },
    checks: {
      title: 'Checks',
      description: 'Whether the last probe went well, by what it asked: is it alive, is the model ready, does it predict.',
      unit: 'short',
      mappings: panel.meaning([[0, 'failed', colour.hurt], [1, 'well', colour.fine]]),
      queries: [{ legend: each + ' {{check}}', expr: ofModel(m.ml_endpoint_up, ', check') }],
    },
    failingFor: {
      title: 'Failing for',
      description: 'Time from the first failed probe to the last one; 0 while probes go well.',
      unit: 's',
      steps: [[colour.fine, 0], [colour.look, 1], [colour.hurt, limits.endpoint_down_for]],
      // Of those that fail only: at the first failed probe it is 0, too.
      failing:: failingNow,
      queries: [{
        legend: each,
        expr: '%s\nor\n0 * %s' % [failingNow, lastProbe],
      }],
    },
    probeLatency: {
      title: 'Latency of probes',
      description: 'Median and 99th percentile of the good probes of the last hour, and the limit where there is one.',
      unit: 's',
      queries: quantiles(m.ml_endpoint_probe_duration_seconds) + [
        { legend: '{{ml_endpoint}} limit', expr: ofEndpoint('max', m.ml_endpoint_latency_limit_seconds) },
      ],
    },
    probeFirstToken: {
      title: 'Time to the first token, of probes',
      description: 'Median and 99th percentile of the canaries of the last hour whose answer was streamed.',
      unit: 's',
      queries: quantiles(m.ml_endpoint_time_to_first_token_seconds),
    },
    probeBetweenTokens: {
      title: 'Time between tokens, of probes',
      description: 'Median and 99th percentile within the canaries of the last hour whose answer was streamed.',
      unit: 's',
      queries: quantiles(m.ml_endpoint_inter_token_seconds),
    },
    probeTokens: {
      title: 'Tokens of probes',
      description: 'Tokens that were generated for canaries, as a rate per hour.',
      unit: 'suffix:/h',
      queries: [{
        legend: each,
        expr: '3600 * ' + counted('rate', m.ml_endpoint_output_tokens_total, '$__rate_interval'),
      }],
    },
    probeAge: {
      title: 'Age of what is known',
      description: 'Time since the last probe ended, and how old that may get.',
      unit: 's',
      queries: [
        { legend: each, expr: 'time() - ' + lastProbe },
        {
          legend: '{{ml_endpoint}} allowed',
          expr: '%s * %s' % [
            t.number(limits.probes_stale_intervals),
            ofEndpoint('max', m.ml_endpoint_interval_seconds),
          ],
        },
      ],
    },
    certificate: {
      title: 'Certificate',
      description: 'Days that the certificate which was shown last is still valid.',
      unit: 'd',
      steps: [[colour.hurt, -10000], [colour.look, 1], [colour.fine, limits.certificate_days]],
      queries: [{
        legend: '{{ml_endpoint}}',
        expr: '(%s - time()) / 86400' % ofEndpoint('min', m.ml_endpoint_tls_not_after_timestamp_seconds),
      }],
    },

    // What is served
    endpoints: {
      title: 'Endpoints',
      description: 'The endpoints that are configured, with the protocol and the kind of server of each.',
      unit: 'short',
      queries: [{
        legend: '{{ml_endpoint}} {{protocol}} {{server}}',
        expr: ofEndpoint('max', m.ml_endpoint_info, ', protocol, server'),
      }],
    },
    servedVersion: {
      title: 'Version served',
      description: 'The version of a registered model that was last seen to answer.',
      unit: 'short',
      queries: [{
        legend: '{{ml_endpoint}} {{model}} version {{version}}',
        expr: q.of('max', e.REGISTERED, m.ml_endpoint_serves_info, [endpoints]),
      }],
    },
    listed: {
      title: 'List of models',
      description: 'Whether the list of models could be read where endpoints are found by it.',
      unit: 'short',
      mappings: panel.meaning([[0, 'not read', colour.hurt], [1, 'read', colour.fine]]),
      queries: [{ legend: '{{ml_endpoint}}', expr: ofEndpoint('max', m.ml_endpoint_index_up) }],
    },
    listedModels: {
      title: 'Models listed',
      description: 'Models in the list of a server that are wanted, probed or not.',
      unit: 'short',
      queries: [{ legend: '{{ml_endpoint}}', expr: ofEndpoint('max', m.ml_endpoint_index_models) }],
    },

    // What the servers count
    requests: {
      title: 'Requests',
      description: 'Predictions that were asked for per second, as the server counts them.',
      unit: 'reqps',
      queries: [{ legend: each, expr: inside(native.requests, 'sum') }],
    },
    errors: {
      title: 'Errors',
      description: 'Share of the requests that failed, as the server counts them.',
      unit: 'percentunit',
      steps: [[colour.fine, 0], [colour.hurt, limits.endpoint_error_ratio]],
      queries: [{
        legend: each,
        expr: '%s\n/\n(%s > 0)' % [inside(native.bad, 'sum'), inside(native.requests, 'sum')],
      }],
    },
    latency: {
      title: 'Latency',
      description: 'Of requests, as the server measures it; the slowest version of a model, for quantiles do not add up.',
      unit: 's',
      queries: [
        { legend: each + ' p50', expr: inside(native.p50) },
        { legend: each + ' p99', expr: inside(native.p99) },
        { legend: each + ' mean', expr: inside(native.mean) },
      ],
    },
    slow: {
      title: 'Slower than the limit',
      description: 'Share of the requests that took longer than the limit, where the server measures that.',
      unit: 'percentunit',
      steps: [[colour.fine, 0], [colour.hurt, limits.endpoint_slow_ratio]],
      queries: [{
        legend: each,
        expr: '%s\n/\n(%s > 0)' % [inside(native.slow, 'sum'), inside(native.timed, 'sum')],
      }],
    },
    waiting: {
      title: 'Requests waiting',
      description: 'The longest queue among the replicas of a server.',
      unit: 'short',
      queries: [{ legend: each, expr: inside(native.waiting) }],
    },
    queueTime: {
      title: 'Time of requests in the queue',
      description: 'On average, as the server measures it.',
      unit: 's',
      queries: [{ legend: each, expr: inside(native.queue) }],
    },
    batchSize: {
      title: 'Size of batches',
      description: 'Requests that are worked on together, on average.',
      unit: 'short',
      queries: [{ legend: each, expr: inside(native.batch) }],
    },
    tokens: {
      title: 'Tokens',
      description: 'Tokens per second that were read and written, as the server counts them.',
      unit: 'suffix:/s',
      queries: [
        { legend: each + ' in', expr: inside(native.tokensInput, 'sum') },
        { legend: each + ' out', expr: inside(native.tokensOutput, 'sum') },
      ],
    },
    firstToken: {
      title: 'Time to the first token',
      description: 'The 99th percentile, as the server measures it.',
      unit: 's',
      queries: [{ legend: each, expr: inside(native.timeToFirstToken) }],
    },
    betweenTokens: {
      title: 'Time between tokens',
      description: 'The 99th percentile, as the server measures it.',
      unit: 's',
      queries: [{ legend: each, expr: inside(native.interToken) }],
    },
    cache: {
      title: 'Cache used',
      description: 'The fullest cache among the replicas of a server.',
      unit: 'percentunit',
      steps: [[colour.fine, 0], [colour.hurt, limits.cache_full]],
      queries: [{ legend: each, expr: inside(native.cacheUsage) }],
    },

    // What it costs
    costPerHour: {
      title: 'Cost per hour',
      description: 'Of an endpoint with all its replicas, from the configuration.',
      unit: 'short',
      queries: [{ legend: '{{ml_endpoint}} {{currency}}', expr: ofEndpoint('max', m.ml_cost_per_hour, ', currency') }],
    },
    costPerPrediction: {
      title: 'Cost per prediction',
      description: 'Cost of an hour over the predictions of the last hour; "no data" where none was asked for.',
      unit: 'short',
      queries: [{
        legend: '{{ml_endpoint}} {{currency}}',
        expr: q.select(native.costPerPrediction, [endpoints]),
      }],
    },

    // The prober
    proberLateness: {
      title: 'Lateness of probes',
      description: 'How late probes begin, 99th percentile of each exporter, against their interval.',
      unit: 's',
      queries: [{
        legend: '{{instance}}',
        expr: 'histogram_quantile(0.99, max by (instance, le) (rate(%s_bucket[$__rate_interval])))'
              % m.ml_prober_lateness_seconds,
      }],
    },
    spansDropped: {
      title: 'Spans dropped',
      description: 'Spans of probes that could not be exported within the last hour, of each exporter.',
      unit: 'short',
      steps: [[colour.fine, 0], [colour.look, 1]],
      queries: [{
        legend: '{{instance}}',
        expr: 'max by (instance) (increase(%s[1h]))' % m.ml_prober_spans_dropped_total,
      }],
    },
  }
