// Grafana's own provisioning files: data sources with pinned uids, and the folder with our dashboards.
function(config) {
  datasources: {
    apiVersion: 1,
    datasources: [
      {
        name: 'ML Prometheus',
        uid: 'ml-prometheus',
        type: 'prometheus',
        access: 'proxy',
        url: config.stack.prometheus_url,
        isDefault: true,
        editable: false,
        jsonData: { httpMethod: 'POST', timeInterval: '%ds' % std.max(1, std.floor(config.stack.scrape_interval)) },
      },
      {
        name: 'ML Alertmanager',
        uid: 'ml-alertmanager',
        type: 'alertmanager',
        access: 'proxy',
        url: config.stack.alertmanager_url,
        editable: false,
        jsonData: { implementation: 'prometheus', handleGrafanaManagedAlerts: false },
      },
    ],
  },
  dashboards: {
    apiVersion: 1,
    providers: [{
      name: 'ml-exporter',
      folder: 'ML',
      type: 'file',
      disableDeletion: true,
      allowUiUpdates: false,
      updateIntervalSeconds: 30,
      options: { path: config.stack.grafana_dashboards },
    }],
  },
}
