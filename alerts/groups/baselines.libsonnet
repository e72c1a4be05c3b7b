// Unlike the same time of the last weeks: tickets beside the fixed limits, for what has none or a weekly rhythm.
local say = import '../lib/endpoint_text.libsonnet';
local recorded = import '../lib/recorded_baselines.libsonnet';
local t = import '../lib/text.libsonnet';

local pipeline = '{{ $labels.pipeline }} ({{ $labels.source }})';
// What is usual, after the figure of now.
local usual(record, labels, format) = '{{ with printf "%s{%s}" %s | query }} Usual at this time of the week: {{ . | first | value | %s }}.{{ end }}' % [
  recorded.usual(record),
  std.join(', ', [label + '=%q' for label in labels]),
  std.join(' ', ['$labels.' + label for label in labels]),
  format,
];
local count = 'printf "%.0f"';
local MODEL = ['ml_endpoint', 'model'];
local PIPELINE = ['source', 'pipeline'];
// How long runs are counted. A source counts as known when nine tenths of the time that runs are counted over it was.
local COUNTED = 6 * 3600;
local KNOWN_FOR = COUNTED + 3600;
local KNOWN = 0.9 * KNOWN_FOR / recorded.step;

function(config)
  local limits = config.alerting.thresholds;
  local q = (import '../lib/queries.libsonnet')(config);
  local e = (import '../lib/endpoint_queries.libsonnet')(config);
  local known = 'sum_over_time(%s[%s]) >= %s' % [recorded.fresh, t.duration(KNOWN_FOR), t.number(KNOWN)];
  local now(record) = q.select(record, q.claimed);

  // Far above what is usual, or far below; what is usual counts as `floor` at least, and below it nothing is too little.
  local outside(record, floor, low, high) = |||
    (
      %(now)s > %(high)s * clamp_min(%(usual)s, %(floor)s)
      or
      %(now)s < %(low)s * (%(usual)s >= %(floor)s)
    )
  ||| % {
    now: now(record),
    usual: recorded.usual(record),
    floor: t.number(floor),
    low: t.number(low),
    high: t.number(high),
  };
  // A number of events that come by chance scatters by its root, so that its root scatters by one half, whatever the number.
  local volume(record, floor) = outside(record, floor, limits.unusual_volume_low, limits.unusual_volume_high) + |||
    and
    abs(sqrt(%(now)s + 0.375) - sqrt(%(usual)s + 0.375)) > %(half)s
  ||| % { now: now(record), usual: recorded.usual(record), half: t.number(limits.unusual_deviations / 2) };
  local ofKnownSources(condition) = condition + |||
    and on (source)
    %s
  ||| % known;
  // While it is down that is the news, and what is counted says nothing.
  local ofLiving(condition) = condition + |||
    unless on (%s)
    %s
  ||| % [e.ENDPOINT, e.failingSince];
  local history = 'two of the last four weeks must be known';

  [
    {
      name: 'MLRequestVolumeUnusual',
      severity: 'ticket',
      component: 'served',
      expr: ofLiving(volume(recorded.requests, limits.unusual_requests_at_least)),
      'for': limits.unusual_for,
      summary: 'Endpoint %s is asked for an unusual number of predictions' % say.served,
      description: '{{ $value | printf "%.0f" }} requests in the last hour.' + usual(recorded.requests, MODEL, count),
      impact: 'None that is known: callers ask for far fewer or far more predictions than usual.',
      when: 'the requests of an hour are below `unusual_volume_low` or above `unusual_volume_high` of what is usual at this '
            + 'time of the week (of `unusual_requests_at_least` or more), for `unusual_for`',
      history: history,
    },
    {
      name: 'MLLatencyUnusual',
      severity: 'ticket',
      component: 'served',
      expr: ofLiving(|||
        (%(now)s > %(high)s * %(usual)s)
        and
        %(now)s - %(usual)s >= %(more)s
        unless
        %(requests)s < %(floor)s
      ||| % {
        now: now(recorded.latency),
        usual: recorded.usual(recorded.latency),
        high: t.number(limits.unusual_latency),
        more: t.number(limits.unusual_latency_more),
        requests: recorded.requests,
        floor: t.number(limits.unusual_requests_at_least),
      }),
      'for': limits.unusual_for,
      summary: 'Endpoint %s is slower than usual' % say.served,
      description: 'Its answers took %s on average in the last hour.' % say.duration
                   + usual(recorded.latency, MODEL, 'humanizeDuration'),
      impact: 'Predictions take longer than usual.',
      when: 'the mean latency of an hour is above `unusual_latency` times what is usual at this time of the week, and by '
            + '`unusual_latency_more`, for `unusual_for`',
      history: history,
    },
    {
      name: 'MLRunDurationUnusual',
      severity: 'ticket',
      component: 'pipeline',
      expr: ofKnownSources(
        outside(recorded.runSeconds, limits.duration_at_least, limits.unusual_duration_low, limits.unusual_duration_high)
      ),
      'for': limits.unusual_for,
      summary: 'Runs of pipeline %s take an unusual time' % pipeline,
      description: 'The successes of the last day took %s on average.' % say.duration
                   + usual(recorded.runSeconds, PIPELINE, 'humanizeDuration'),
      impact: 'New output comes later than usual, or is incomplete.',
      when: 'the mean duration of a day is below `unusual_duration_low` or above `unusual_duration_high` of what is usual at '
            + 'this time of the week (of `duration_at_least` or more), for `unusual_for`',
      history: history,
    },
    {
      name: 'MLRunVolumeUnusual',
      severity: 'ticket',
      component: 'pipeline',
      expr: ofKnownSources(volume(recorded.runs, limits.unusual_runs_at_least)) + |||
        unless
        %s
      ||| % q.paused,
      // Longer than what is counted: runs that are started five at a time scatter far more than by chance alone.
      'for': std.max(limits.unusual_for, COUNTED),
      summary: 'Pipeline %s runs unusually often or seldom' % pipeline,
      description: '{{ $value | printf "%.0f" }} runs ended within six hours.' + usual(recorded.runs, PIPELINE, count),
      impact: 'Output may be missing, or there is more of it than usual.',
      when: 'the runs that ended within six hours are below `unusual_volume_low` or above `unusual_volume_high` of what is '
            + 'usual at this time of the week (of `unusual_runs_at_least` or more), for six hours',
      history: history,
    },
  ]
