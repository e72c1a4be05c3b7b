// The exporter and its rules: who watches the watcher.
local m = import '../lib/metrics.libsonnet';
local recorded = import '../lib/recorded.libsonnet';

function(config)
  [
    {
      name: 'MLExporterDown',
      severity: 'ticket',
      component: 'instance',
      expr: 'max by (instance) (up{job="ml-exporter"}) == 0',
      'for': 120,
      summary: 'ml-exporter on {{ $labels.instance }} does not answer',
      description: 'Prometheus has not been able to scrape it for 2 minutes.',
      impact: 'None that is known: without a second exporter nobody watches the pipelines.',
      when: 'Prometheus cannot scrape an exporter for 2 minutes',
    },
    {
      name: 'MLExporterAbsent',
      severity: 'ticket',
      component: 'exporter',
      expr: 'absent(%s)' % m.ml_exporter_build_info,
      'for': 300,
      summary: 'No ml-exporter is seen at all: nobody watches the pipelines',
      description: 'No exporter has been scraped for 5 minutes; no other alert about pipelines and models can fire.',
      impact: 'None that is known: nobody watches pipelines, models and endpoints.',
      when: 'no exporter was scraped for 5 minutes',
    },
    {
      name: 'MLExporterConfigReloadFailed',
      severity: 'ticket',
      component: 'instance',
      expr: 'max by (instance) (%s) == 0' % m.ml_exporter_config_last_reload_successful,
      'for': 60,
      summary: 'ml-exporter on {{ $labels.instance }} refused its new configuration',
      description: 'For over 1 minute it has gone on with the old one; its log names the key and what is allowed.',
      impact: 'None: what was changed in the configuration has no effect.',
      when: 'the last reload was refused',
    },
    {
      name: 'MLExporterStateKeptAside',
      severity: 'ticket',
      component: 'instance',
      expr: 'max by (instance) (%s) > 0' % m.ml_exporter_state_kept_aside,
      summary: 'ml-exporter on {{ $labels.instance }} could not read its state and kept it aside',
      description: '{{ $value }} unreadable state file(s) lie beside the current one, which is younger: what they knew is missing.',
      impact: 'None: what happened before is not known any more.',
      when: 'an unreadable state file was kept aside',
    },
    {
      name: 'Watchdog',
      severity: 'info',
      component: 'exporter',
      expr: 'vector(1)',
      summary: 'Alerts get through',
      description: 'This alert always fires: when its receiver stops hearing it, alerting is broken.',
      impact: 'None: when this message stops, no other alert arrives either.',
      when: 'always: its absence is the alarm',
    },
  ] + (
    if config.hash == '' then []
    else [{
      name: 'MLExporterConfigOutOfStep',
      severity: 'ticket',
      component: 'exporter',
      expr: |||
        count(
          max by (hash) (%s)
          unless on (hash)
          %s
        ) > 0
      ||| % [m.ml_exporter_config_info, recorded.rulesConfig],
      'for': 600,
      summary: 'ml-exporter and the Prometheus rules come from different configurations',
      description: 'The rules were rendered from configuration %s; the exporter runs another one. '
                   % config.hash + 'Run `ml-exporter apply --config FILE`.',
      impact: 'None: new services and thresholds may not alert as the file says.',
      when: 'exporter and rules have had different configurations for 10 minutes',
    }]
  )
