// An alert of ours as data → a Prometheus alerting rule.
//   name, severity (page, ticket, info), component (below), expr, summary, description: required
//   'for': seconds; when, history: for docs/alerts.md, why it fires and why not for what was there before
local t = import 'text.libsonnet';

// The labels that a component's alerts carry, and the page that shows it.
local components = {
  pipeline: {
    labels: ['source', 'ml_service', 'pipeline'],
    page: 'ml-pipelines',
    variables: { source: 'source', pipeline: 'pipeline' },
  },
  training_metric: self.pipeline { labels+: ['metric'] },
  model: {
    labels: ['source', 'ml_service', 'model', 'version', 'metric', 'dataset'],
    page: 'ml-overview',
    variables: { source: 'source', service: 'ml_service' },
  },
  endpoint: { labels: ['ml_service', 'ml_endpoint'], page: 'ml-overview', variables: { service: 'ml_service' } },
  served: self.endpoint { labels+: ['model'] },
  served_resource: self.served { labels+: ['resource'] },
  served_view: self.served { labels+: ['failing'] },
  registered: self.endpoint { labels: ['source'] + super.labels + ['model', 'version'] },
  probed: { labels: ['ml_endpoint'], page: 'ml-overview', variables: {} },
  component: self.source { labels+: ['component'] },
  resource: self.source { labels+: ['queue', 'resource'] },
  location: self.source { labels+: ['location'] },
  source: { labels: ['source'], page: 'ml-overview', variables: { source: 'source' } },
  instance: { labels: ['instance'], page: 'ml-overview', variables: {} },
  exporter: { labels: [], page: 'ml-overview', variables: {} },
};

local ours = ['probed', 'source', 'component', 'resource', 'location', 'instance', 'exporter'];
local isOurs(alert) = std.member(ours, alert.component);

{
  components:: components,

  // Every label that the alert will carry, owner and tier apart.
  labels(alert):: components[alert.component].labels
                  + (if isOurs(alert) then ['ml_service'] else [])
                  + ['severity'],

  dashboardUrl(config, component)::
    local variables = components[component].variables;
    local query = [
      'var-' + name + '={{ $labels.' + variables[name] + ' | urlquery }}'
      for name in std.objectFields(variables)
    ];
    std.join('?', [config.alerting.dashboard_url + '/d/' + components[component].page]
                  + (if query == [] then [] else [std.join('&', query)])),

  rule(config, alert):: {
    alert: alert.name,
    expr: std.rstripChars(alert.expr, '\n'),
    [if std.objectHas(alert, 'for') && alert['for'] > 0 then 'for']: t.duration(alert['for']),
    labels: {
      severity: alert.severity,
      // What watches the pipelines belongs to whoever runs the exporter.
      [if isOurs(alert) then 'ml_service']: 'ml-exporter',
    },
    annotations: {
      summary: alert.summary,
      description: alert.description,
      runbook_url: config.alerting.runbook_url + '/' + alert.name + '.md',
      dashboard_url: $.dashboardUrl(config, alert.component),
    },
  },
}
