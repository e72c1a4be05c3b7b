// Inference endpoints: down, wrong, slow, full. Whatever serves them: no alert names a server.
local e = import '../lib/endpoint_queries.libsonnet';
local m = import '../lib/metrics.libsonnet';
local queries = import '../lib/queries.libsonnet';
local recorded = import '../lib/recorded_endpoints.libsonnet';
local native = import '../lib/recorded_servers.libsonnet';
local t = import '../lib/text.libsonnet';

local endpoint = '{{ $labels.ml_endpoint }}';
local served = endpoint + '{{ with $labels.model }} (model {{ . }}){{ end }}';
local duration = '{{ $value | humanizeDuration }}';
local percentage = '{{ $value | humanizePercentage }}';

// Names of what a query finds, after `words`; nothing where it finds nothing.
local named(words, query, labels, each) =
  '{{ with printf %s %s | query }}%s{{ range $i, $found := . }}{{ if $i }}, {{ end }}%s{{ end }}.{{ end }}' % [
    std.escapeStringJson(query),
    std.join(' ', ['$labels.' + label for label in labels]),
    words,
    each,
  ];
local probes(label, matcher) = 'topk(3, max by (%s) (increase(%s{ml_endpoint=%%q, model=%%q, %s}[1h])) > 0)' % [
  label,
  m.ml_endpoint_probes_total,
  matcher,
];
local outcomes(of) =
  named(
    ' Seen in the last hour: ',
    probes('outcome', 'outcome=~"%s"' % of.FAILED),
    ['ml_endpoint', 'model'],
    '{{ $found.Labels.outcome }}'
  );
local versions(of) =
  named(
    ' Answered by version ',
    probes('version', 'version!="", outcome="%s"' % of.WRONG),
    ['ml_endpoint', 'model'],
    '{{ $found.Labels.version }}'
  );
local limitOf = named(
  ' The limit is ',
  'max(%s{ml_endpoint=%%q})' % m.ml_endpoint_latency_limit_seconds,
  ['ml_endpoint'],
  '{{ $found.Value | humanizeDuration }}',
);
local aliases = named(
  ' The registry says: ',
  'max by (alias, version) (%s{source=%%q, model=%%q})' % m.ml_model_alias_info,
  ['source', 'model'],
  '{{ $found.Labels.alias }} is version {{ $found.Labels.version }}',
);

// What ml:*:rate5m counts, as a number of requests.
local per5m(rate) = '300 * %s' % rate;
local marked(vector, label, value) = 'label_replace(\n%s,\n"%s", "%s", "", ""\n)' % [vector, label, value];

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
  local total(by, record) = 'sum by (%s) (%s)' % [by, claimed(record)];
  // A ratio, and enough requests behind it.
  local ratio(part, whole, above) = '%s / %s > %s\nand\n%s >= %s' % [
    part,
    whole,
    t.number(above),
    per5m(part),
    t.number(limits.requests_at_least),
  ];

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
      ||| % {
        failingFor: of.failingFor,
        notReadySince: recorded.notReadySince,
        lastProbe: of.lastProbe,
        failingSince: recorded.failingSince,
        downFor: t.number(limits.endpoint_down_for),
        answersWrong: of.answersWrong,
        notReady: notReady,
        endpoint: of.ENDPOINT,
        index: claimed(m.ml_endpoint_index_up),
        seconds: unlistedFor,
        listFor: t.duration(unlistedFor),
      },
      summary: 'Endpoint %s is down' % served,
      description: 'Every probe has failed for %s.' % duration + outcomes(of),
      when: 'no probe has gone well for `endpoint_down_for`: time-outs, no connection, HTTP errors; never one probe alone',
    },
    {
      name: 'MLModelNotReady',
      severity: 'page',
      component: 'served',
      expr: notReady,
      summary: 'The model at endpoint %s is not ready' % served,
      description: 'The server lives, and has said for %s that the model is not ready; no prediction went well.' % duration,
      when: 'the server lives, its model is not ready and answers no predictions for `model_not_ready_for`',
    },
    {
      name: 'MLEndpointWrongPredictions',
      severity: 'page',
      component: 'served',
      expr: '%s >= %d' % [ended(of.WRONG, 'short'), limits.wrong_predictions],
      summary: 'Endpoint %s answers, and its predictions are wrong' % served,
      description: '{{ $value | printf "%.0f" }} canary predictions were not what they must be.'
                   + versions(of),
      when: '`wrong_predictions` canaries got a wrong answer within ten minutes (an hour or four where probes are rare)',
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
      summary: 'Endpoint %s fails again and again, and recovers' % served,
      description: 'It has gone from well to failing {{ $value }} times.' + outcomes(of),
      when: 'it failed `endpoint_flaps` times within half an hour (longer where probes are rare), each time too shortly '
            + 'to be down',
    },
    {
      name: 'MLEndpointErrorRatio',
      severity: 'ticket',
      component: 'served',
      expr: ratio(claimed(recorded.bad), recorded.requests, limits.endpoint_error_ratio),
      'for': limits.endpoint_degraded_for,
      summary: 'Requests to endpoint %s fail' % served,
      description: percentage + ' of its requests fail, by its own metrics.',
      when: 'over `endpoint_error_ratio` of the requests that a server counts fail, at least `requests_at_least` within '
            + 'five minutes, for `endpoint_degraded_for`',
    },
    {
      name: 'MLEndpointSlow',
      severity: 'ticket',
      component: 'served',
      expr: |||
        (
          %(slow)s / %(timed)s > %(above)s
          and
          %(slow)s >= %(probes)d
          or
          %(native)s
        )
        unless
        %(down)s
      ||| % {
        slow: claimed(recorded.probesSlow),
        timed: recorded.probesTimed,
        above: t.number(limits.endpoint_slow_ratio),
        probes: limits.slow_probes,
        native: ratio(total(of.MODEL, native.slow), total(of.MODEL, native.timed), limits.endpoint_slow_ratio),
        down: down,
      },
      'for': limits.endpoint_degraded_for,
      summary: 'Endpoint %s is slower than its limit' % served,
      description: percentage + ' of its answers took too long.' + limitOf,
      when: 'over `endpoint_slow_ratio` of the answers take longer than the `latency_limit` of the endpoint, at least '
            + '`slow_probes` of them (`requests_at_least`, where the server measures), for `endpoint_degraded_for`',
    },
    {
      name: 'MLEndpointSaturated',
      severity: 'ticket',
      component: 'served_resource',
      local window = t.duration(limits.endpoint_saturated_for),
      local average(record) = 'avg_over_time(%s[%s])' % [q.select(record, q.claimed), window],
      // Not `for`: a server that is full is late with its metrics, too.
      local known(record) = '%s by (%s) (present_over_time(%s[5m] offset %s))' % ['max', of.MODEL, record, window],
      local waiting = 'max by (%s) (%s)' % [of.MODEL, average(native.waiting)],
      local rate(by) = 'sum by (%s) (%s)' % [by, average(native.requests)],
      expr: marked(|||
        (
          %(waiting)s / %(ofModel)s
          or
          %(waiting)s / on (%(endpoint)s) group_left () %(ofAll)s
        ) > %(wait)s
        and
        %(known)s
      ||| % {
        waiting: waiting,
        endpoint: of.ENDPOINT,
        ofModel: rate(of.MODEL),
        ofAll: rate(of.ENDPOINT),
        wait: t.number(limits.queue_wait),
        known: known(native.waiting),
      }, 'resource', 'queue') + '\nor\n' + marked(|||
        max by (%s) (%s) > %s
        and
        %s
      ||| % [of.MODEL, average(native.cacheUsage), t.number(limits.cache_full), known(native.cacheUsage)], 'resource', 'cache'),
      summary: 'Endpoint %s is given more than it can do' % served,
      description: '{{ if eq $labels.resource "queue" }}At the rate of the last %s, what waits takes %s to be served.'
                   % [window, duration]
                   + '{{ else }}On average %s of its cache was in use in the last %s.{{ end }}' % [percentage, window],
      when: 'in `endpoint_saturated_for` the queue was on average longer than what is served within `queue_wait`, or the '
            + 'cache fuller than `cache_full`',
    },
    {
      name: 'MLEndpointCertificateExpiring',
      severity: 'ticket',
      component: 'endpoint',
      expr: '%s - time() < %s' % [
        q.of('min', of.ENDPOINT, m.ml_endpoint_tls_not_after_timestamp_seconds, q.claimed),
        t.number(limits.certificate_days * 86400),
      ],
      summary: 'The certificate of endpoint %s {{ if lt $value 0.0 }}has expired{{ else }}expires soon{{ end }}' % endpoint,
      description: 'It {{ if lt $value 0.0 }}was valid until {{ $value | humanizeDuration | reReplaceAll "^-" "" }} ago'
                   + '{{ else }}is valid for another {{ $value | humanizeDuration }}{{ end }}.',
      when: 'a certificate is valid for less than `certificate_days`, or not any more',
    },
    {
      name: 'MLEndpointViewsDisagree',
      severity: 'ticket',
      component: 'served_view',
      local wellBy(by) = '%s / %s <= %s\nand\n%s >= %s' % [
        total(by, recorded.bad),
        total(by, recorded.requests),
        t.number(limits.endpoint_error_ratio),
        per5m(total(by, recorded.requests)),
        t.number(limits.requests_at_least),
      ],
      local badBy(by) =
        ratio(total(by, recorded.bad), total(by, recorded.requests), limits.endpoint_error_ratio),
      // By the name of the model; where an endpoint has but one, whatever the server calls it.
      local beside(figures, probed) = |||
        (%(ofModel)s) * on (%(model)s) group_right () (%(probed)s)
        and on (%(endpoint)s)
        %(listed)s
        or
        (%(ofAll)s) * on (%(endpoint)s) group_right () (%(probed)s)
        unless on (%(endpoint)s)
        %(listed)s
      ||| % {
        model: of.MODEL,
        endpoint: of.ENDPOINT,
        ofModel: figures(of.MODEL),
        ofAll: figures(of.ENDPOINT),
        probed: probed,
        listed: m.ml_endpoint_index_up,
      },
      local failing = '0 * %s + 1\nunless\n%s' % [claimed(recorded.failingSince), of.answersWrong],
      expr: std.join('\nor\n', [
        marked(beside(wellBy, failing), 'failing', 'probes'),
        marked(beside(badBy, of.well(q.claimed) + ' == 1'), 'failing', 'requests'),
        marked('%s == 0\nand\n%s == 1' % [of.check('ready', q.claimed), of.check('predict')], 'failing', 'readiness'),
      ]),
      'for': limits.views_disagree_for,
      summary: 'Endpoint %s: what probes see and what the server says contradict each other' % served,
      description: '{{ if eq $labels.failing "probes" }}Probes fail, and by its own metrics next to no request does.'
                   + '{{ else if eq $labels.failing "requests" }}Probes go well, and by its own metrics %s of the requests fail.'
                     % percentage
                   + '{{ else }}It says that its model is not ready, and the model predicts well.{{ end }}',
      when: 'probes fail while the server counts requests that go well, or the other way round, or a model that is not '
            + 'ready predicts, for `views_disagree_for`',
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
        recorded.failingSince,
      ],
      summary: 'Endpoint %s serves version {{ $labels.version }} of {{ $labels.model }}, which is not live' % endpoint,
      description: 'For %s no live alias has pointed to it.' % duration + aliases,
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
        failingSince: recorded.failingSince,
      },
      'for': std.max(limits.index_down_for, unlistedFor),
      summary: 'The models of endpoint %s cannot be listed' % endpoint,
      description: 'Its index of models cannot be read: models that are new there are not probed.',
      when: "a server's index of models cannot be read for `index_down_for`",
    },
    {
      name: 'MLEndpointProbesStale',
      severity: 'ticket',
      component: 'probed',
      // What is probed every second is scraped more seldom than that.
      expr: |||
        time() - min by (ml_endpoint) (%s)
        > clamp_min(%s * %s, %s)
      ||| % [
        of.lastProbe,
        t.number(limits.probes_stale_intervals),
        q.of('max', 'ml_endpoint', m.ml_endpoint_interval_seconds),
        t.number(std.max(60, 4 * config.stack.scrape_interval)),
      ],
      summary: 'Endpoint %s is not probed any more: nobody knows how it is' % endpoint,
      description: 'Its last probe ended %s ago, over %s intervals.' % [duration, t.number(limits.probes_stale_intervals)],
      when: 'no probe has ended for `probes_stale_intervals` intervals',
    },
  ]
