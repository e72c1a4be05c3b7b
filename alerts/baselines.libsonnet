// What is usual at this time of the week: the median of the last four weeks and of now. Now counts among them so that of two
// weeks that differ neither is the usual one; two weeks must be known.
local m = import 'lib/metrics.libsonnet';
local nativeOf = import 'lib/native.libsonnet';
local recorded = import 'lib/recorded_baselines.libsonnet';
local endpoints = import 'lib/recorded_endpoints.libsonnet';
local native = import 'lib/recorded_servers.libsonnet';
local servers = import 'lib/servers.libsonnet';
local t = import 'lib/text.libsonnet';

local WEEKS = 4;
local AT_LEAST = 2;
// One evaluation may have been missed a week ago.
local NEAR = t.duration(3 * recorded.step);

local week(number, vector) = 'label_replace(%s, "week", "%d", "", "")' % [vector, number];
local past(record) = [
  week(number, 'last_over_time(%s[%s] offset %dw)' % [record, NEAR, number])
  for number in std.range(1, WEEKS)
];
local usual(by, record) = {
  record: recorded.usual(record),
  expr: |||
    quantile by (%(by)s) (0.5,
      %(weeks)s
      or
      %(now)s
    )
    and
    count by (%(by)s) (
      %(weeks)s
    ) >= %(atLeast)d
  ||| % { by: by, weeks: std.join('\n  or\n  ', past(record)), now: week(0, record), atLeast: AT_LEAST },
};

{
  local config = $._config,
  local q = (import 'lib/queries.libsonnet')(config),
  local e = (import 'lib/endpoint_queries.libsonnet')(config),

  // Whose latency the server tells. Of the others probes do; of one endpoint never both, which are not comparable.
  local telling = [
    { name: endpoint.name, server: endpoint.server }
    for endpoint in config.endpoints
    if endpoint.server != null && servers[endpoint.server].latency_mean != null && servers[endpoint.server].requests != null
  ],
  local unprobed = if telling == [] then [] else [t.noneOf('ml_endpoint', [endpoint.name for endpoint in telling])],

  local mean(seconds, count) = '(\n  %s\n)\n/\n(\n  %s > 0\n)' % [seconds, count],
  // Replicas probe on their own: what all of them measured is one mean.
  local probed(part) =
    'sum by (%s) (rate(%s[1h]))' % [e.MODEL, q.select(m.ml_endpoint_probe_duration_seconds + '_' + part, unprobed)],
  local byServer(server) =
    local answer = servers[server].latency_mean;
    local unit = std.get(answer, 'unit', 1);
    local rate(counters) = 'sum by (%s) (%s)' % [e.MODEL, nativeOf(server, servers[server]).rate(counters, '1h')];
    mean((if unit == 1 then '' else t.number(unit) + ' * ') + rate(answer.sum), rate(answer.count)),
  // Only models that exist: the rule that counts requests by five minutes knows which.
  local ofModels(vector) = vector + '\nand\n' + endpoints.requests,

  local inHour(counter, more='', matchers=[]) =
    'max by (%s%s) (increase(%s[1h]))' % [q.PIPELINE, more, q.select(counter, matchers)],
  local PIPELINES = ['runs', 'runSeconds'],

  prometheusRules+:: {
    groups+: [{
      name: 'ml-recording-baselines',
      interval: t.duration(recorded.step),
      rules: [
        {
          record: recorded.requests,
          expr: ofModels('3600 * sum by (%s) (%s)' % [e.MODEL, native.requestsHour]),
        },
        {
          record: recorded.latency,
          expr: std.join('\nor\n', [mean(probed('sum'), probed('count'))] + [
            ofModels(byServer(server))
            for server in std.set([endpoint.server for endpoint in telling])
          ]),
        },
        { record: recorded.runsHour, expr: 'sum by (%s) (%s)' % [q.PIPELINE, inHour(m.ml_runs_finished_total, ', state')] },
        { record: recorded.succeededHour, expr: inHour(m.ml_run_duration_seconds + '_count') },
        { record: recorded.secondsHour, expr: inHour(m.ml_run_duration_seconds + '_sum') },
        { record: recorded.runs, expr: '6 * avg_over_time(%s[6h])' % recorded.runsHour },
        {
          record: recorded.runSeconds,
          expr: 'sum_over_time(%s[1d])\n/\n(sum_over_time(%s[1d]) > 0)' % [recorded.secondsHour, recorded.succeededHour],
        },
        {
          record: recorded.fresh,
          expr: |||
            time() - %s
            <= bool clamp_min(%s * %s, 300)
          ||| % [
            q.source(m.ml_source_last_success_timestamp_seconds),
            t.number(config.alerting.thresholds.source_stale_intervals),
            q.source(m.ml_source_interval_seconds),
          ],
        },
      ] + [
        usual(if std.member(PIPELINES, name) then q.PIPELINE else e.MODEL, recorded[name])
        for name in recorded.compared
      ],
    }],
  },
}
