// Everything `ml-exporter render` writes: path → content. config: the configuration as data.
function(config, format='files')
  local mixin = (import '../mixin.libsonnet') { _config:: config };
  local grafana = (import 'grafana/grafana.libsonnet')(config);
  local areaOf(group) = std.substr(group.name, 3, std.length(group.name) - 3);  // 'ml-pipelines' → 'pipelines'
  local ruleFiles = {
    [areaOf(group)]: { groups: [group] }
    for group in mixin.prometheusRules.groups + mixin.prometheusAlerts.groups
  };

  if format == 'kubernetes' then
    (import 'kubernetes/kubernetes.libsonnet')(config, ruleFiles, mixin.grafanaDashboards)
  else
    { ['prometheus/rules/%s.yml' % name]: ruleFiles[name] for name in std.objectFields(ruleFiles) }
    + { ['grafana/dashboards/' + name]: mixin.grafanaDashboards[name] for name in std.objectFields(mixin.grafanaDashboards) }
    + {
      'prometheus/prometheus.yml': (import 'prometheus/prometheus.libsonnet')(config),
      'alertmanager/alertmanager.yml': (import 'alertmanager/alertmanager.libsonnet')(config),
      'alertmanager/templates/ml-exporter.tmpl': (import 'alertmanager/templates.libsonnet').text(config),
      'grafana/provisioning/datasources/ml-exporter.yml': grafana.datasources,
      'grafana/provisioning/dashboards/ml-exporter.yml': grafana.dashboards,
    } + {
      ['grafana/provisioning/%s/ml-exporter.yml' % folder]: grafana.empty[folder]
      for folder in std.objectFields(grafana.empty)
    }
