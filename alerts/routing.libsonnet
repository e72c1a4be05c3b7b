// Who is told, how often, and what keeps quiet because of what: all of it as tables.
local exists(label) = label + '=~".+"';

// What its users see of an endpoint that is hurt, beside the page that says so.
local ENDPOINT_SYMPTOMS = 'MLEndpoint(ErrorRatio|Slow|Saturated|Flapping|ViewsDisagree|WrongVersion)|ML(Latency|RequestVolume)Unusual';
local ENDPOINT_BLIND = 'MLEndpoint(IndexDown|MetricsDown)';
// A pipeline that does not deliver; one that is merely slow does.
local NO_RESULT = 'MLPipeline(FailingRepeatedly|Late|Overdue|NeverSucceeded)|MLRun(Stuck|QueuedTooLong)';
local BUDGET_TICKETS = 'MLObjectiveBurningSlowly|MLObjectiveLeaking';

// source, target: which alerts; equal: labels that both have, and alike; alike: labels that both may lack.
// Never does a ticket keep a page quiet, except that of a source which cannot be read: then nobody knows.
local inhibitions = [
  {
    why: 'a source that cannot be read says nothing about its pipelines and models',
    source: ['alertname="MLSourceDown"'],
    target: ['alertname!="MLSourceDown"'],
    equal: ['source'],
  },
  {
    why: 'the same, when polls hang instead of failing',
    source: ['alertname="MLSourceStale"'],
    target: ['alertname!~"MLSource.*"'],
    equal: ['source'],
  },
  {
    why: 'when no exporter is seen, each of them is down',
    source: ['alertname="MLExporterAbsent"'],
    target: ['alertname="MLExporterDown"'],
    equal: ['ml_service'],
  },
  {
    why: 'when no exporter is seen, nothing is measured, whatever the service',
    source: ['alertname="MLExporterAbsent"'],
    target: ['alertname="MLObjectiveAbsent"'],
    equal: [],
  },
  {
    why: 'a scheduler that is dead starts nothing in time',
    source: ['alertname="MLSchedulerHeartbeatStale"', 'component=~"(?i)scheduler|slurmctld"'],
    target: ['alertname=~"MLPipeline(Late|Overdue)|MLRunQueuedTooLong|MLRunVolumeUnusual"'],
    equal: ['source'],
  },
  {
    why: 'one message is enough for one pipeline',
    source: ['severity="page"'],
    target: ['severity="ticket"'],
    equal: ['source', 'ml_service', 'pipeline'],
  },
  {
    why: 'a pipeline that is late by its own timetable need not be late by `every:` as well',
    source: ['alertname="MLPipelineLate"'],
    target: ['alertname="MLPipelineOverdue"'],
    equal: ['source', 'ml_service', 'pipeline'],
  },
  {
    why: 'a fixed limit says it better than the usual, of runs that do not come',
    source: ['alertname=~"MLPipeline(Late|Overdue|FailingRepeatedly)"'],
    target: ['alertname="MLRunVolumeUnusual"'],
    equal: ['source', 'ml_service', 'pipeline'],
  },
  {
    why: 'a fixed limit says it better than the usual, of runs that take long',
    source: ['alertname=~"MLRun(Slow|Stuck|SuspiciouslyShort)"'],
    target: ['alertname="MLRunDurationUnusual"'],
    equal: ['source', 'ml_service', 'pipeline'],
  },
  {
    why: 'a fixed limit says it better than the usual, of answers that take long',
    source: ['alertname="MLEndpointSlow"'],
    target: ['alertname="MLLatencyUnusual"'],
    equal: ['ml_service', 'ml_endpoint'],
    alike: ['model'],
  },
  {
    why: 'one message is enough for one figure of a model',
    source: ['severity="page"'],
    target: ['severity="ticket"'],
    equal: ['source', 'ml_service', 'model', 'version', 'metric'],
    alike: ['dataset'],
  },
  {
    why: 'an endpoint that is down or wrong is slow, failing and unlike itself as well',
    source: ['alertname=~"MLEndpointDown|MLModelNotReady|MLEndpointWrongPredictions"'],
    target: ['alertname=~"%s|%s"' % [ENDPOINT_SYMPTOMS, ENDPOINT_BLIND], 'severity="ticket"'],
    equal: ['ml_service', 'ml_endpoint'],
  },
  {
    why: 'a budget that burns fast burns slowly, too, and a page of the service says what burns it',
    source: ['severity="page"'],
    target: ['alertname=~"%s"' % BUDGET_TICKETS],
    equal: ['ml_service'],
  },
  {
    why: 'downstream of a pipeline that does not deliver, models age',
    source: ['alertname=~"%s"' % NO_RESULT],
    target: ['alertname=~"MLModelQualityDegraded|MLTrainingMetricWorse|MLEndpointWrongVersion"', 'severity="ticket"'],
    equal: ['ml_service'],
  },
  {
    why: 'downstream of a pipeline that does not deliver, its own objectives lose their budget',
    source: ['alertname=~"%s"' % NO_RESULT],
    target: ['alertname=~"%s"' % BUDGET_TICKETS],
    equal: ['source', 'ml_service', 'pipeline'],
  },
  {
    why: 'downstream of a live model that is worse, its endpoints wait',
    source: ['alertname="MLModelQualityDegradedLive"'],
    target: ['alertname=~"%s"' % ENDPOINT_SYMPTOMS, 'severity="ticket"'],
    equal: ['ml_service'],
  },
];

{
  // In seconds: how long to collect before the first message, between messages of a group, and before repeating.
  times: {
    page: { group_wait: 30, group_interval: 300, repeat_interval: 4 * 3600 },
    ticket: { group_wait: 300, group_interval: 1800, repeat_interval: 24 * 3600 },
    info: { group_wait: 900, group_interval: 3 * 3600, repeat_interval: 72 * 3600 },
    // A dead man's switch: what listens raises the alarm when this stops.
    watchdog: { group_wait: 0, group_interval: 60, repeat_interval: 60 },
    // It has waited long enough.
    escalation: { group_wait: 0, group_interval: 300, repeat_interval: 3600 },
    audit: { group_wait: 0, group_interval: 60, repeat_interval: 24 * 3600 },
  },

  // The Alertmanager that first knew a setting; checked against `alerting.alertmanager`.
  since: {
    slack: { setting: 'slack_configs.api_url_file', minor: 22 },
    opsgenie: { setting: 'opsgenie_configs.api_key_file', minor: 24 },
    pagerduty: { setting: 'pagerduty_configs.routing_key_file', minor: 25 },
    'email.password_file': { setting: 'email_configs.auth_password_file', minor: 25 },
    intervals: { setting: 'time_intervals with a location', minor: 25 },
    'webhook.url_file': { setting: 'webhook_configs.url_file', minor: 26 },
    msteams: { setting: 'msteamsv2_configs', minor: 28 },
    // Not refused before that: messages then tell the time in UTC.
    zones: { setting: 'tz in templates', minor: 28 },
    incidentio: { setting: 'incidentio_configs', minor: 29 },
  },
  // Routes and inhibitions are written with `matchers`.
  oldest: 22,

  // Alertmanager takes a label that is missing on both sides for equal: every rule asks for the labels in `equal`.
  inhibitions: [
    { alike: [] } + rule + {
      source: rule.source + std.map(exists, rule.equal),
      target: rule.target + std.map(exists, rule.equal),
    }
    for rule in inhibitions
  ],
}
