// An alert of ours as data → a Prometheus alerting rule.
//   name, severity (page, ticket, info), component (below), expr, summary, description: required
//   'for', keep_firing_for: seconds; when, history: for docs/alerts.md, why it fires and why not for what was there before
//   impact: what users may notice, where the configuration says nothing of that; 'None …' is kept, whatever it says
local firstChecks = import 'first_checks.json';
local t = import 'text.libsonnet';

// The labels that a component's alerts carry, and the page that shows it.
local components = {
  pipeline: {
    labels: ['source', 'ml_service', 'pipeline'],
    page: 'ml-pipeline',
    variables: { source: 'source', pipeline: 'pipeline' },
  },
  training_metric: self.pipeline { labels+: ['metric'] },
  model: {
    labels: ['source', 'ml_service', 'model', 'version', 'metric', 'dataset'],
    page: 'ml-models',
    variables: { service: 'ml_service', model: 'model' },
  },
  endpoint: {
    labels: ['ml_service', 'ml_endpoint'],
    page: 'ml-endpoints',
    variables: { service: 'ml_service', endpoint: 'ml_endpoint' },
  },
  served: self.endpoint { labels+: ['model'] },
  served_resource: self.served { labels+: ['resource'] },
  served_view: self.served { labels+: ['failing'] },
  registered: self.endpoint { labels: ['source'] + super.labels + ['model', 'version'] },
  // An objective's alerts also carry the labels that it is grouped by.
  objective: {
    labels: ['ml_service', 'slo'],
    page: 'ml-objectives',
    variables: { service: 'ml_service', slo: 'slo' },
  },
  escalation: { labels: ['ml_service', 'unresolved'], page: 'ml-service', variables: { service: 'ml_service' } },
  probed: { labels: ['ml_endpoint'], page: 'ml-endpoints', variables: { endpoint: 'ml_endpoint' } },
  component: self.source { labels+: ['component'], page: 'ml-schedulers' },
  resource: self.source { labels+: ['queue', 'resource'], page: 'ml-schedulers' },
  location: self.source { labels+: ['location'], page: 'ml-schedulers' },
  source: { labels: ['source'], page: 'ml-exporter', variables: { source: 'source' } },
  instance: { labels: ['instance'], page: 'ml-exporter', variables: {} },
  exporter: { labels: [], page: 'ml-exporter', variables: {} },
};

local ours = ['probed', 'source', 'component', 'resource', 'location', 'instance', 'exporter'];
local isOurs(alert) = std.member(ours, alert.component);

// A text as a template that says it.
local plain(text) = std.strReplace(text, '{{', '{{ "{{" }}');
// What the configuration says of the impact of its objectives and services, by the label that has the name of each. An alert
// of ours has no service in $labels, which are those of the query alone.
local impacts(config, alert) = [
  { label: kind.label, name: each.name, impact: each.impact }
  for kind in [
    { label: 'slo', all: if alert.component == 'objective' then config.slos else [] },
    { label: 'ml_service', all: if isOurs(alert) then [] else config.services },
  ]
  for each in kind.all
  if each.impact != null
];

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
    std.join('?', [std.rstripChars(config.alerting.dashboard_url, '/') + '/d/' + components[component].page]
                  + (if query == [] then [] else [std.join('&', query)])),

  // What users may notice: the objective's own words, else the service's, else the alert's.
  impact(config, alert)::
    local given = if std.startsWith(alert.impact, 'None') then [] else impacts(config, alert);
    if given == [] then alert.impact
    else '{{ %s{{ else }}%s{{ end }}' % [
      std.join('{{ else ', [
        'if eq $labels.%s %s }}%s' % [each.label, std.escapeStringJson(each.name), plain(each.impact)]
        for each in given
      ]),
      alert.impact,
    ],

  rule(config, alert):: {
    alert: alert.name,
    expr: std.rstripChars(alert.expr, '\n'),
    [if std.objectHas(alert, 'for') && alert['for'] > 0 then 'for']: t.duration(alert['for']),
    [if std.objectHas(alert, 'keep_firing_for') then 'keep_firing_for']: t.duration(alert.keep_firing_for),
    labels: {
      severity: alert.severity,
      // What watches the pipelines belongs to whoever runs the exporter.
      [if isOurs(alert) then 'ml_service']: 'ml-exporter',
    },
    annotations: {
      summary: alert.summary,
      description: alert.description,
      [if std.objectHas(alert, 'impact') then 'impact']: $.impact(config, alert),
      [if std.objectHas(firstChecks, alert.name) then 'check']: plain(firstChecks[alert.name]),
      runbook_url: std.rstripChars(config.alerting.runbook_url, '/') + '/' + alert.name + '.md',
      dashboard_url: $.dashboardUrl(config, alert.component),
    },
  },
}
