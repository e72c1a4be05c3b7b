// Who is told, how often, and what keeps quiet because of what: all of it as tables.
{
  // In seconds: how long to collect before the first message, between messages of a group, and before repeating.
  times: {
    page: { group_wait: 30, group_interval: 300, repeat_interval: 4 * 3600 },
    ticket: { group_wait: 300, group_interval: 1800, repeat_interval: 24 * 3600 },
    info: { group_wait: 900, group_interval: 3 * 3600, repeat_interval: 72 * 3600 },
    // A dead man's switch: what listens raises the alarm when this stops.
    watchdog: { group_wait: 0, group_interval: 60, repeat_interval: 60 },
  },

  // The Alertmanager that first knew a setting; checked against `alerting.alertmanager`.
  since: {
    slack: { setting: 'slack_configs.api_url_file', minor: 22 },
    pagerduty: { setting: 'pagerduty_configs.routing_key_file', minor: 25 },
    'email.password_file': { setting: 'email_configs.auth_password_file', minor: 25 },
    'webhook.url_file': { setting: 'webhook_configs.url_file', minor: 26 },
    msteams: { setting: 'msteamsv2_configs', minor: 28 },
  },
  // Routes and inhibitions are written with `matchers`.
  oldest: 22,

  // Alertmanager takes a label that is missing on both sides for equal: every rule asks for the labels in `equal`.
  inhibitions: [
    {
      why: 'a source that cannot be read says nothing about its pipelines and models',
      source: ['alertname="MLSourceDown"'],
      target: ['alertname!="MLSourceDown"', 'source=~".+"'],
      equal: ['source'],
    },
    {
      why: 'the same, when polls hang instead of failing',
      source: ['alertname="MLSourceStale"'],
      target: ['alertname!~"MLSource.*"', 'source=~".+"'],
      equal: ['source'],
    },
    {
      why: 'one message is enough for one pipeline',
      source: ['severity="page"', 'pipeline=~".+"'],
      target: ['severity="ticket"', 'pipeline=~".+"'],
      equal: ['source', 'ml_service', 'pipeline'],
    },
    {
      why: 'a pipeline that is late by its own timetable need not be late by `every:` as well',
      source: ['alertname="MLPipelineLate"'],
      target: ['alertname="MLPipelineOverdue"'],
      equal: ['source', 'ml_service', 'pipeline'],
    },
    {
      why: 'one message is enough for one figure of a model',
      source: ['severity="page"', 'model=~".+"', 'metric=~".+"'],
      target: ['severity="ticket"', 'model=~".+"', 'metric=~".+"'],
      equal: ['source', 'ml_service', 'model', 'version', 'metric', 'dataset'],
    },
    {
      why: 'when no exporter is seen, each of them is down',
      source: ['alertname="MLExporterAbsent"'],
      target: ['alertname="MLExporterDown"'],
      equal: ['ml_service'],
    },
  ],
}
