// Inference endpoints, as probes see them. Whatever serves them: no alert names a server.
local e = import '../lib/endpoint_queries.libsonnet';
local say = import '../lib/endpoint_text.libsonnet';
local m = import '../lib/metrics.libsonnet';
local queries = import '../lib/queries.libsonnet';
local recorded = import '../lib/recorded_endpoints.libsonnet';
local t = import '../lib/text.libsonnet';
local requests = import 'endpoint_requests.libsonnet';

function(config)
  local limits = config.alerting.thresholds;
  local q = queries(config);
  local of = e(config);
  local down = '%s >= %s' % [of.failingFor, t.number(limits.endpoint_down_for)];
  local notReady = '%s >= %s' % [of.notReadyFor, t.number(limits.model_not_ready_for)];
  // More than one reading of the list must fail.
  local unlistedFor = std.max(limits.endpoint_down_for, 2.5 * config.probes.discovery_interval);
  local ended(outcomes, length) =
    of.overWindows(function(window) of.ended(outcomes, window[length], q.claimed + window.matchers));
  local claimed(record) = q.select(record, q.claimed);

  [
    {
      name: 'MLEndpointDown',
      severity: 'page',
      component: 'served',
      // The time that the server was up and its model merely not ready is MLModelNotReady's. Where models are listed and
      // no list was ever read, there is nothing to probe: the exporter was started when the endpoint was down already.
      expr: |||
        %(failingFor)s
        and
        (%(notReadySince)s or %(lastProbe)s) - %(failingSince)s >= %(downFor)s
        unless
        %(answersWrong)s
        unless
        %(notReady)s
        or
        (max by (%(endpoint)s) (max_over_time(%(index)s[%(listFor)s])) == 0) + %(seconds)d
        and
        max by (%(endpoint)s) (present_over_time(%(index)s[5m] offset %(listFor)s))
        unless on (%(endpoint)s)
        %(lastProbe)s
        or
        %(unseen)s
      ||| % {
        unseen: std.rstripChars(of.unseen('MLEndpointDown', recorded.failingSince), '\n'),
        failingFor: of.failingFor,
        notReadySince: of.notReadySince,
        lastProbe: of.lastProbe,
        failingSince: of.failingSince,
        downFor: t.number(limits.endpoint_down_for),
        answersWrong: of.answersWrong,
        notReady: notReady,
        endpoint: of.ENDPOINT,
        index: claimed(m.ml_endpoint_index_up),
        seconds: unlistedFor,
        listFor: t.duration(unlistedFor),
      },
      summary: 'Endpoint %s is down' % say.served,
      description: 'Every probe has failed for %s.' % say.duration + say.outcomes(of.FAILED),
      impact: 'No predictions: whatever waits for them stops or falls back.',
      when: 'no probe has gone well for `endpoint_down_for`: time-outs, no connection, HTTP errors; never one probe alone',
    },
    {
      name: 'MLModelNotReady',
      severity: 'page',
      component: 'served',
      expr: notReady + '\nor\n' + of.unseen('MLModelNotReady', recorded.notReadySince),
      summary: 'The model at endpoint %s is not ready' % say.served,
      description: 'The server lives, and has said for %s that the model is not ready; no prediction went well.' % say.duration,
      impact: 'No predictions of this model: whatever waits for them stops or falls back.',
      when: 'the server lives, its model is not ready and answers no predictions for `model_not_ready_for`',
    },
    {
      name: 'MLEndpointWrongPredictions',
      severity: 'page',
      component: 'served',
      expr: '%s >= %d' % [ended(of.WRONG, 'short'), limits.wrong_predictions],
      summary: 'Endpoint %s answers, and its predictions are wrong' % say.served,
      description: '{{ $value | printf "%.0f" }} canary predictions were not what they must be.'
                   + say.versions(of.WRONG),
      impact: 'Decisions that rest on the predictions are wrong, and look as if they were right.',
      when: '`wrong_predictions` canaries got a wrong answer within `probe_window` (an hour or four where probes are rare)',
    },
    {
      name: 'MLEndpointFlapping',
      severity: 'ticket',
      component: 'served',
      expr: |||
        %s >= %d
        and
        %s >= %d
        unless
        %s
      ||| % [
        of.overWindows(function(window) |||
          max by (%(by)s) (resets(%(predicts)s[%(long)s]))
          or
          max by (%(by)s) (resets(%(all)s[%(long)s]))
        ||| % {
          by: of.MODEL,
          predicts: q.select(m.ml_endpoint_up, ['check="predict"'] + q.claimed + window.matchers),
          all: q.select(m.ml_endpoint_up, q.claimed + window.matchers),
          long: window.long,
        }),
        limits.endpoint_flaps,
        ended(of.FAILED, 'long'),
        limits.endpoint_flaps,
        down,
      ],
      summary: 'Endpoint %s fails again and again, and recovers' % say.served,
      description: 'It has gone from well to failing {{ $value }} times.' + say.outcomes(of.FAILED),
      impact: 'Some predictions fail or come late.',
      when: 'it failed `endpoint_flaps` times within three times `probe_window` (longer where probes are rare), each time too shortly '
            + 'to be down',
    },
    {
      name: 'MLEndpointCertificateExpiring',
      severity: 'ticket',
      component: 'endpoint',
      expr: '%s - time() < %s' % [
        q.of('min', of.ENDPOINT, m.ml_endpoint_tls_not_after_timestamp_seconds, q.claimed),
        t.number(limits.certificate_days * 86400),
      ],
      summary: 'The certificate of endpoint %s {{ if lt $value 0.0 }}has expired{{ else }}expires soon{{ end }}' % say.endpoint,
      description: 'It {{ if lt $value 0.0 }}was valid until {{ $value | humanizeDuration | reReplaceAll "^-" "" }} ago'
                   + '{{ else }}is valid for another {{ $value | humanizeDuration }}{{ end }}.',
      impact: 'None yet: when the certificate ends, clients get no predictions.',
      when: 'a certificate is valid for less than `certificate_days`, or not any more',
    },
    {
      name: 'MLEndpointWrongVersion',
      severity: 'ticket',
      component: 'registered',
      expr: |||
        %s >= %s
        unless on (%s)
        %s
      ||| % [
        q.age(claimed(recorded.wrongVersionSince)),
        t.number(limits.wrong_version_for),
        of.ENDPOINT,
        of.failingSince,
      ],
      summary: 'Endpoint %s serves version {{ $labels.version }} of {{ $labels.model }}, which is not live' % say.endpoint,
      description: 'For %s no live alias has pointed to it.' % say.duration + say.aliases,
      impact: 'Decisions are made by another model than the one that was approved.',
      when: 'the version that answers is behind no live alias of its `registered_model` for `wrong_version_for`',
    },
    {
      name: 'MLEndpointIndexDown',
      severity: 'ticket',
      component: 'endpoint',
      expr: |||
        %(index)s == 0
        and on (%(endpoint)s)
        %(lastProbe)s
        unless on (%(endpoint)s)
        %(failingSince)s
      ||| % {
        index: q.of('max', of.ENDPOINT, m.ml_endpoint_index_up, q.claimed),
        endpoint: of.ENDPOINT,
        lastProbe: of.lastProbe,
        failingSince: of.failingSince,
      },
      local unreadFor = std.max(limits.index_down_for, unlistedFor),
      'for': unreadFor,
      summary: 'The models of endpoint %s cannot be listed' % say.endpoint,
      description: 'Its index of models has not been readable for %s: models that are new there are not probed.'
                   % t.duration(unreadFor),
      impact: 'None that is known: models that are new there are not watched.',
      when: "a server's index of models cannot be read for `index_down_for`",
    },
    {
      name: 'MLEndpointMetricsDown',
      severity: 'ticket',
      component: 'endpoint',
      // Only what our scrape configuration, or one like it, labels; while the endpoint itself is down, that is the news.
      expr: |||
        %s == 0
        unless on (%s)
        %s
      ||| % [
        q.of('max', of.ENDPOINT, 'up', ['ml_endpoint!=""', 'server!=""'] + q.claimed),
        of.ENDPOINT,
        of.failingSince,
      ],
      'for': limits.metrics_down_for,
      summary: 'What the server of endpoint %s says of itself cannot be read' % say.endpoint,
      description: 'Prometheus has not been able to scrape its metrics for %s: errors, latency and queue of real requests are not watched.'
                   % t.duration(limits.metrics_down_for),
      impact: 'None that is known: errors and latency of real requests are not watched.',
      when: 'Prometheus has not been able to scrape a `metrics_url` for `metrics_down_for`',
    },
    {
      name: 'MLEndpointProbesStale',
      severity: 'ticket',
      component: 'probed',
      expr: of.stale,
      summary: 'Endpoint %s is not probed any more: nobody knows how it is' % say.endpoint,
      description: 'Its last probe ended %s ago, over %s intervals.' % [say.duration, t.number(limits.probes_stale_intervals)],
      impact: 'None that is known: an outage of this endpoint would not be seen.',
      when: 'no probe has ended for `probes_stale_intervals` intervals',
    },
  ] + requests(config)
