// What alerts and dashboards ask about endpoints as probes see them, from outside.
// Replicas of the exporter probe the same endpoints, each on its own: the largest says it, and their sum says nothing.
local m = import 'metrics.libsonnet';
local recorded = import 'recorded_endpoints.libsonnet';
local t = import 'text.libsonnet';

// In seconds: windows that hold enough probes of the endpoints whose interval is `upTo`.
local pacesOf(window) = [
  { upTo: 60, short: window, long: 3 * window },
  { upTo: 300, short: 3600, long: 7200 },
  { upTo: 3600, short: 14400, long: 43200 },
];

function(config) {
  local e = self,
  local paces = pacesOf(config.alerting.thresholds.probe_window),
  local q = (import 'queries.libsonnet')(config),
  local memory = (import 'memory.libsonnet')(config),

  ENDPOINT:: 'ml_service, ml_endpoint',
  MODEL:: 'ml_service, ml_endpoint, model',
  VERSION:: 'ml_service, ml_endpoint, model, version',
  REGISTERED:: 'source, ml_service, ml_endpoint, model, version',

  // The windows that the configured endpoints need: as durations, with the matchers of the endpoints that they are for.
  local pace(endpoint) = std.length([1 for pace in paces if endpoint.interval > pace.upTo]),
  local seldomProbed = [[pace(endpoint), endpoint.name] for endpoint in config.endpoints if endpoint.interval > paces[0].upTo],
  local seldom = [each[1] for each in seldomProbed],
  local named = [[each[1] for each in seldomProbed if each[0] == i] for i in std.range(0, std.length(paces) - 1)],
  local windows = [
    {
      short: t.duration(paces[i].short),
      long: t.duration(paces[i].long),
      matchers: if i > 0 then [t.anyOf('ml_endpoint', named[i])]
      else if seldom == [] then []
      else [t.noneOf('ml_endpoint', seldom)],
    }
    for i in std.range(0, std.length(paces) - 1)
    if i == 0 || named[i] != []
  ],
  // A query for every endpoint over its own window: `of` gets short, long and matchers.
  overWindows(of):: '(\n' + std.join('\nor\n', [std.rstripChars(of(window), '\n') for window in windows]) + '\n)',

  // Probes
  lastProbe:: q.of('max', e.MODEL, m.ml_endpoint_last_probe_timestamp_seconds),
  // By ml_endpoint: for how long the model whose probe is oldest has not been probed, where that is too long. What is probed
  // every second is scraped more seldom than that.
  stale:: |||
    time() - min by (ml_endpoint) (%s)
    > clamp_min(%s * %s, %s)
  ||| % [
    e.lastProbe,
    t.number(config.alerting.thresholds.probes_stale_intervals),
    q.of('max', 'ml_endpoint', m.ml_endpoint_interval_seconds),
    t.number(std.max(60, 4 * config.stack.scrape_interval)),
  ],
  check(name, matchers=[]):: q.of('max', e.MODEL, m.ml_endpoint_up, ['check="' + name + '"'] + matchers),
  // 1 if the last probe went well: its prediction, else all of its checks. One replica that gets through is enough.
  well(matchers=[]):: '(\n%s\nor\nmin by (%s) (%s)\n)' % [
    e.check('predict', matchers),
    e.MODEL,
    q.of('max', e.MODEL + ', check', m.ml_endpoint_up, matchers),
  ],
  ended(outcomes, window, matchers=[])::
    'sum by (' + e.MODEL + ') (max by (' + e.VERSION + ', outcome) (increase('
    + q.select(m.ml_endpoint_probes_total, ['outcome=~"' + outcomes + '"'] + matchers) + '[' + window + '])))',
  FAILED:: 'timeout|unreachable|http_error',
  WRONG:: 'bad_prediction',

  // Ages are counted up to the last probe: while nobody probes, nothing gets older.
  failingSince:: '(' + memory.bridged(q.select(recorded.failingSince, q.claimed)) + ' > 0)',
  notReadySince:: '(' + memory.bridged(q.select(recorded.notReadySince, q.claimed)) + ' > 0)',
  failingFor:: '(' + e.lastProbe + ' - ' + e.failingSince + ')',
  notReadyFor:: '(' + e.lastProbe + ' - ' + e.notReadySince + ')',
  // What fired when the exporter ended goes on: its series are gone, and nobody has seen the endpoint well again.
  unseen(alert, since):: |||
    time() - max by (%(model)s) (last_over_time(%(since)s[1d]) > 0)
    and
    max by (%(model)s) (last_over_time(ALERTS{alertname="%(alert)s", alertstate="firing"}[5m]))
    and on ()
    max(up{job="ml-exporter"}) == 0
  ||| % { model: e.MODEL, since: since, alert: alert },
  // It answers, more often wrong than not at all.
  answersWrong:: '%s > %s' % [
    e.overWindows(function(window) e.ended(outcomes, window.short, q.claimed + window.matchers))
    for outcomes in [e.WRONG, e.FAILED]
  ],
}
