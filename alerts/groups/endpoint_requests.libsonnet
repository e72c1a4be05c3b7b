// Inference endpoints, as their servers count requests, and against what probes see. The rest of endpoints.libsonnet.
local e = import '../lib/endpoint_queries.libsonnet';
local say = import '../lib/endpoint_text.libsonnet';
local m = import '../lib/metrics.libsonnet';
local queries = import '../lib/queries.libsonnet';
local recorded = import '../lib/recorded_endpoints.libsonnet';
local native = import '../lib/recorded_servers.libsonnet';
local t = import '../lib/text.libsonnet';

// What ml:*:rate5m counts, as a number of requests.
local per5m(rate) = '300 * ' + rate;
local marked(vector, label, value) =
  'label_replace(\n' + std.rstripChars(vector, '\n') + ',\n"' + label + '", "' + value + '", "", ""\n)';

function(config)
  local limits = config.alerting.thresholds;
  local q = queries(config);
  local of = e(config);
  local down = '%s >= %s' % [of.failingFor, t.number(limits.endpoint_down_for)];
  local claimed(record) = q.select(record, q.claimed);
  local total(by, record) = q.of('sum', by, record, q.claimed);
  // A ratio, and enough requests behind it.
  local ratio(part, whole, above) =
    part + ' / ' + whole + ' > ' + t.number(above) + '\nand\n' + per5m(part) + ' >= ' + t.number(limits.requests_at_least);

  [
    {
      name: 'MLEndpointErrorRatio',
      severity: 'ticket',
      component: 'served',
      expr: ratio(claimed(recorded.bad), recorded.requests, limits.endpoint_error_ratio),
      'for': limits.endpoint_degraded_for,
      summary: 'Requests to endpoint %s fail' % say.served,
      description: say.percentage + ' of its requests fail, by its own metrics.',
      impact: 'Part of the predictions that are asked for are not given.',
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
      summary: 'Endpoint %s is slower than its limit' % say.served,
      description: say.percentage + ' of its answers took too long.' + say.limit,
      impact: 'Predictions take longer than promised; callers with a time limit of their own get none.',
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
      local known(record) = 'max by (%s) (present_over_time(%s[5m] offset %s))' % [of.MODEL, record, window],
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
      summary: 'Endpoint %s is given more than it can do' % say.served,
      description: '{{ if eq $labels.resource "cache" }}On average %s of its cache was in use in the last %s.' % [say.percentage, window]
                   + '{{ else if lt $value 1e9 }}At the rate of the last %s, what waits takes %s to be served.'
                     % [window, say.duration]
                   + '{{ else }}Requests wait, and in the last %s none was served.{{ end }}' % window,
      impact: 'Predictions take longer and longer; soon some are refused.',
      when: 'in `endpoint_saturated_for` the queue was on average longer than what is served within `queue_wait`, or the '
            + 'cache fuller than `cache_full`',
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
      local failing = '0 * %s + 1\nunless\n%s' % [of.failingSince, of.answersWrong],
      expr: std.join('\nor\n', [
        marked(beside(wellBy, failing), 'failing', 'probes'),
        marked(beside(badBy, of.well(q.claimed) + ' == 1'), 'failing', 'requests'),
        marked('%s == 0\nand\n%s == 1' % [of.check('ready', q.claimed), of.check('predict')], 'failing', 'readiness'),
      ]),
      'for': limits.views_disagree_for,
      summary: 'Endpoint %s: what probes see and what the server says contradict each other' % say.served,
      description: '{{ if eq $labels.failing "probes" }}Probes fail, and by its own metrics next to no request does.'
                   + '{{ else if eq $labels.failing "requests" }}Probes go well, and by its own metrics %s of the requests fail.'
                     % say.percentage
                   + '{{ else }}It says that its model is not ready, and the model predicts well.{{ end }}',
      impact: 'None that is known: one of the two views is wrong, and an outage may be missed.',
      when: 'probes fail while the server counts requests that go well, or the other way round, or a model that is not '
            + 'ready predicts, for `views_disagree_for`',
    },
  ]
