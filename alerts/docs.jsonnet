// docs/alerts.md, from the alerts and the default thresholds.
local defaults = import 'lib/defaults.json';
local t = import 'lib/text.libsonnet';
// One objective of each sort: without any there are no alerts on them.
local slo(kind, options) = {
  path: 'slos',
  name: kind,
  ml_service: 'any',
  kind: kind,
  options: options,
  objective: 99.5,
  window: 30 * 86400,
  group_by: [],
  tiers: null,
  minimum_bad: null,
  impact: null,
};
local config = {
  hash: 'any',
  alerting+: { escalation: {} },
  slos: [slo('gauge', { expr: 'vector(1)' }), slo('ratio', {}), slo('pipeline_freshness', {})],
};
local alerts = ((import '../mixin.libsonnet') { _config+:: config }).mlAlerts;

local limits = defaults.alerting.thresholds;
local areas = [
  ['pipelines', 'Pipelines'],
  ['models', 'Models'],
  ['endpoints', 'Endpoints'],
  ['baselines', 'Unlike the weeks before'],
  ['objectives', 'Objectives'],
  ['escalation', 'Escalation'],
  ['schedulers', 'Schedulers'],
  ['sources', 'Sources'],
  ['exporter', 'The exporter and its rules'],
];

local row(alert) = '| [%s](../alerts/runbooks/%s.md) | %s | %s | %s |' % [
  alert.name,
  alert.name,
  alert.severity,
  alert.when,
  std.get(alert, 'history', 'it is about now'),
];

function(mark, durations)
  local shown(name) = if std.member(durations, name) then t.duration(limits[name]) else t.number(limits[name]);
  std.join('\n', [
    '<!-- %s: change alerts/groups and run `make generate`. -->' % mark,
    '# Alerts',
    '',
    'Severity is urgency: **page**: users are hurt now; **ticket**: look at it within the working day; **info**: read it some day.',
    'Every alert carries `ml_service`, `severity` and the labels of what it is about; `owner` and `tier` are added by Prometheus',
    'from `services:`. Once services are configured, only what one of them claims alerts. The last column says why an',
    'installation on years of history is quiet.',
  ] + std.flattenArrays([
    ['', '## ' + area[1], '', '| alert | severity | fires when | not for the past because |', '|---|---|---|---|']
    + [row(alert) for alert in alerts[area[0]]]
    for area in areas
  ]) + [
    '',
    '## Thresholds',
    '',
    'Under `alerting.thresholds` in the configuration:',
    '',
    '| key | default |',
    '|---|---|',
  ] + ['| `%s` | %s |' % [name, shown(name)] for name in std.objectFields(limits)] + [
    '',
    '## Late by its timetable, late by `every:`',
    '',
    'Where a scheduler has a timetable of its own, lateness is judged by it (`MLPipelineLate`): what it leaves out, weekends or',
    'holidays, is not due. `every:` is a fixed age (`MLPipelineOverdue`), for what has no timetable; set for a pipeline that has',
    'one, both hold, and while the first fires the second is held back. Nothing is expected of what is paused, and nothing but',
    'what `every:` says of what is started by hand or by data.',
    '',
    "A heartbeat that is stale holds back none of them: the scheduler is one team's, the late pipelines are others'.",
    '',
    '## Objectives',
    '',
    'The alerts on objectives are one rule a tier for all of them; `ml-exporter slo` prints, for each objective, what would alert and how',
    'many bad events or minutes that takes. What can never fire is refused. [Objectives](objectives.md) tells how to write them.',
    '',
    '## Down, not ready, wrong',
    '',
    'Three pages tell apart what users of an endpoint feel alike: nothing answers (`MLEndpointDown`), the server lives and its',
    'model is not ready (`MLModelNotReady`), it answers and the answers are wrong (`MLEndpointWrongPredictions`). At any time at',
    'most one of the first two fires for a model, and the tickets that say nothing new beside them wait. Times run from the first',
    'failed probe to the last one, so that one failed probe never alerts, whatever the interval; a good probe starts them again.',
    '',
    "What a server's own metrics say (`MLEndpointErrorRatio`, `MLEndpointSaturated`) is a ticket: some count errors as successes, and",
    "some a client's mistakes as errors. What lies between the two views is `MLEndpointViewsDisagree`.",
    '',
    'An endpoint that is not probed any more gets neither better nor worse: nothing new fires, what fired goes on, and',
    '`MLEndpointProbesStale` says so. While the exporter itself is down, the pages MLEndpointDown and MLModelNotReady go on: nobody has seen the',
    'endpoint well.',
    '',
    '## Unlike the weeks before',
    '',
    'Fixed limits know no rhythm. Four tickets compare requests and mean latency of an hour, runs of six hours and the mean',
    'duration of a day with the median of the same time of the last four weeks and of now, so that neither a daily swing nor one',
    'odd week alarms. Two of the weeks must be known: for two weeks after an installation they are quiet. A lasting change is',
    'usual after two to three weeks. Holidays and the days that the clocks change are not known.',
    '',
    '## While a source is down',
    '',
    'Ages are counted up to the last successful poll: while a source cannot be read, none of its pipelines becomes late or',
    'stuck, because nobody knows. What fired before goes on firing, and Alertmanager holds it back (inhibition) as soon as',
    '`MLSourceDown` or `MLSourceStale` fires.',
    '',
  ])
