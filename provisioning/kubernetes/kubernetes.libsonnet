// The same rules and dashboards as objects for the Prometheus operator and Grafana's sidecar.
local relabel = import '../prometheus/relabel.libsonnet';

local meta(name, labels={}) = {
  name: name,
  labels: { 'app.kubernetes.io/name': 'ml-exporter', 'app.kubernetes.io/managed-by': 'ml-exporter-render' } + labels,
};

function(config, ruleFiles, dashboards)
  {
    ['kubernetes/prometheusrule-%s.yml' % name]: {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata: meta('ml-exporter-' + name),
      spec: ruleFiles[name],
    }
    for name in std.objectFields(ruleFiles)
  } + {
    ['kubernetes/dashboard-%s.yml' % std.strReplace(name, '.json', '')]: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: meta('ml-exporter-dashboard-' + std.strReplace(name, '.json', ''), { grafana_dashboard: '1' }) + {
        annotations: { grafana_folder: 'ML' },
      },
      data: { [name]: std.manifestJsonEx(dashboards[name], '  ') },
    }
    for name in std.objectFields(dashboards)
  } + {
    // For the Prometheus object's spec.additionalAlertRelabelConfigs, which takes nothing but a Secret.
    'kubernetes/alert-relabel-configs.yml': {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: meta('ml-exporter-alert-relabel-configs'),
      stringData: { 'alert-relabel-configs.yml': std.manifestJsonEx(relabel(config.services), '  ') },
    },
  }
