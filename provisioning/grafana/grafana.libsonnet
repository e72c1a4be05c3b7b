// Grafana's own provisioning files: data sources with pinned uids, and the folder with our dashboards.
function(config)
  local stack = config.stack;
  local traces = stack.traces;
  // Grafana drops a link without a word where the label is called otherwise than in the exposition.
  local TRACE_LABEL = 'trace_id';

  {
    datasources: {
      apiVersion: 1,
      datasources: [
        {
          name: 'ML Prometheus',
          uid: 'ml-prometheus',
          type: 'prometheus',
          access: 'proxy',
          url: stack.prometheus_url,
          editable: false,
          jsonData: {
            httpMethod: 'POST',
            timeInterval: '%ds' % std.max(1, std.floor(stack.scrape_interval)),
            [if traces.datasource != null then 'exemplarTraceIdDestinations']: [
              { name: TRACE_LABEL, datasourceUid: traces.datasource },
            ],
          },
        },
        {
          name: 'ML Alertmanager',
          uid: 'ml-alertmanager',
          type: 'alertmanager',
          access: 'proxy',
          url: stack.alertmanager_url,
          editable: false,
          jsonData: { implementation: 'prometheus', handleGrafanaManagedAlerts: false },
        },
      ] + (
        if traces.url == null then []
        else [{
          name: 'ML traces',
          uid: traces.datasource,
          type: traces.kind,
          access: 'proxy',
          url: traces.url,
          editable: false,
        }]
      ),
    },
    dashboards: {
      apiVersion: 1,
      providers: [{
        name: 'ml-exporter',
        folder: 'ML',
        folderUid: 'ml-exporter',
        type: 'file',
        disableDeletion: true,
        allowUiUpdates: false,
        updateIntervalSeconds: 30,
        options: { path: stack.grafana_dashboards },
      }],
    },
    // Nothing: Grafana (up to 10 for notifiers) logs an error for each of these folders that is not there.
    empty: {
      alerting: { apiVersion: 1 },
      notifiers: { notifiers: [] },
      plugins: { apiVersion: 1, apps: [] },
    },
  }
