// Quality of models: a page only for the version behind a live alias.
local m = import '../lib/metrics.libsonnet';
local t = import '../lib/text.libsonnet';
local recorded = (import '../lib/recorded.libsonnet');

function(config)
  local limits = config.alerting.thresholds;
  local q = (import '../lib/queries.libsonnet')(config);
  local model = '{{ $labels.model }} version {{ $labels.version }} ({{ $labels.source }})';
  local onDataset = '{{ if $labels.dataset }} on {{ $labels.dataset }}{{ end }}';
  local since = 'the version was registered, the alias moved to it, or the figure appeared or changed, '
                + 'after the first sight of the source';

  local live(worse, severity, name) = {
    name: name,
    severity: severity,
    component: 'model',
    expr: |||
      %(live)s > %(worse)s
      and (
        %(live)s and on (source, model, version) %(new)s
        or
        %(live)s and on (source, model, version, metric, dataset) %(changed)s
      )
    ||| % {
      live: q.select(recorded.liveDegradation, q.claimed),
      new: recorded.newVersion,
      changed: m.ml_model_metric_changed_timestamp_seconds,
      worse: t.number(worse),
    },
    summary: 'Live model %s is worse than its baseline' % model,
    description: '{{ $labels.metric }}' + onDataset + ' is {{ $value | humanizePercentage }} worse than the baseline.',
    history: since,
  };

  [
    {
      name: 'MLTrainingMetricWorse',
      severity: 'ticket',
      component: 'training_metric',
      expr: |||
        %s > %s
        and on (%s)
        (%s > %s)
      ||| % [
        q.of('max', q.PIPELINE + ', metric', m.ml_training_metric_degradation_ratio, q.claimed),
        t.number(limits.metric_worse_not_live),
        q.PIPELINE,
        q.lastSuccess,
        q.firstSeen,
      ],
      summary: 'Pipeline {{ $labels.pipeline }} ({{ $labels.source }}) trained a worse model than usual',
      description: '{{ $labels.metric }} of the last success is {{ $value | humanizePercentage }} worse than the '
                   + 'median of the successes before it.',
      impact: 'None yet: a worse model would be next to serve.',
      when: 'a metric of the last success is over `metric_worse_not_live` worse than its baseline',
      history: 'the last success must be younger than the first sight of the pipeline',
    },
    live(limits.metric_worse, 'ticket', 'MLModelQualityDegraded') {
      impact: 'Decisions may be less accurate than usual.',
      when: 'a version behind a live alias is over `metric_worse` worse than its baseline',
    },
    live(limits.metric_worse_page, 'page', 'MLModelQualityDegradedLive') {
      impact: 'Decisions are clearly less accurate than usual.',
      when: 'a version behind a live alias is over `metric_worse_page` worse than its baseline',
    },
  ]
