// Since when each page has been firing. `for` would forget it when Prometheus starts again, and ALERTS_FOR_STATE with it.
local recorded = import 'lib/recorded.libsonnet';

{
  local config = $._config,
  local firing = (import 'lib/pages.libsonnet')(config).firing,
  local memory = (import 'lib/memory.libsonnet')(config),

  prometheusRules+:: {
    groups+: if std.get(config.alerting, 'escalation') == null then [] else [{
      name: 'ml-recording-escalation',
      rules: [{
        record: recorded.pageFiringSince,
        expr: |||
          %s
          and
          %s
          or
          time() * %s
        ||| % [memory.bridged(recorded.pageFiringSince), firing, firing],
      }],
    }],
  },
}
