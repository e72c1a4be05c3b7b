// In which state each service is: the worst that is known of it, now and over time. Dashboards show it.
local m = import 'lib/metrics.libsonnet';
local pages = import 'lib/pages.libsonnet';
local recorded = import 'lib/recorded.libsonnet';
local t = import 'lib/text.libsonnet';

{
  local config = $._config,
  local q = (import 'lib/queries.libsonnet')(config),
  local e = (import 'lib/endpoint_queries.libsonnet')(config),
  local firing = pages(config).of,

  // A source that is read now, and its history whole: what its alerts say by their silence holds.
  local read = |||
    %s == 1
    and
    time() - %s <= %s * %s
    and
    %s == 1
  ||| % [
    q.source(m.ml_source_up),
    q.source(m.ml_source_last_success_timestamp_seconds),
    t.number(config.alerting.thresholds.source_stale_intervals),
    q.source(m.ml_source_interval_seconds),
    q.source(m.ml_source_backfill_complete),
  ],

  // Services of before, while no exporter tells of any: they are not gone, but out of sight.
  local gone = '(last_over_time(%s[1h]) unless on () group(%s))' % [m.ml_service_info, m.ml_service_info],

  // Services whose pipelines are in a source, as the configuration names them: of one that was never read there are none.
  local claims = [
    [service.name, std.split(item.pipeline, '/')[0]]
    for service in config.services
    for stage in std.objectValues(service.stages)
    for item in stage
    if item.pipeline != null
  ],
  local patterns = std.set([claim[1] for claim in claims]),
  local naming(source) =
    local matching = [pattern for pattern in patterns if t.like(pattern, source)];
    std.set([claim[0] for claim in claims if std.member(matching, claim[1])]),
  local notRead = [
    '%s unless on () %s' % [
      q.select(m.ml_service_info, [t.anyOf('ml_service', services)]),
      recorded.sourceRead + t.selector({ source: source.name }),
    ]
    for source in config.sources
    for services in [naming(source.name)]
    if services != []
  ],

  local any(matchers=[]) = std.join(' or ', [
    q.select(metric, matchers)
    for metric in [m.ml_pipeline_info, m.ml_model_versions, m.ml_endpoint_info]
  ]),
  local unknown = [
    '(%s or %s) unless on (source) %s' % [m.ml_pipeline_info, m.ml_model_versions, recorded.sourceRead],
    '%s unless on (%s) %s' % [m.ml_endpoint_info, e.ENDPOINT, m.ml_endpoint_up],
    '%s unless on (%s) %s' % [m.ml_endpoint_last_probe_timestamp_seconds, e.MODEL, m.ml_endpoint_up],
    '%s and on (ml_endpoint) (%s)' % [m.ml_endpoint_info, std.strReplace(std.rstripChars(e.stale, '\n'), '\n', ' ')],
  ] + notRead,

  prometheusRules+:: {
    groups+: [{
      name: 'ml-recording-services',
      rules: [
        { record: recorded.sourceRead, expr: read },
        {
          // 3: a page fires, 2: a ticket, 1: something of it is not known, 0: neither. What comes first wins. Of what no
          // service claims nothing alerts once there are services: it is never fine.
          record: recorded.serviceState,
          expr: |||
            3 * group by (ml_service) (%s)
            or
            2 * group by (ml_service) (%s)
            or
            group by (ml_service) (
              %s
            )
            or
            0 * group by (ml_service) (%s)
            or
            group by (ml_service) (%s or %s or %s)
          ||| % [
            firing('page'),
            firing('ticket'),
            std.join('\n  or\n  ', unknown),
            any(q.claimed),
            any(),
            m.ml_service_info,
            gone,
          ],
        },
      ],
    }],
  },
}
