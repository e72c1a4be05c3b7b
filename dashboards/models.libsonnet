// Registered models: champion beside challenger, quality on each data set against its baseline, and how old what is live is.
local m = import '../alerts/lib/metrics.libsonnet';
local recorded = import '../alerts/lib/recorded.libsonnet';
local t = import '../alerts/lib/text.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local state = import 'lib/state.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service", model=~"$model"';
  local FIGURE = 'source, ml_service, model, version, metric, dataset';
  local of(metric, labels, more='') = 'max by (%s) (%s{%s%s})' % [labels, metric, chosen, more];
  local aliases = of(m.ml_model_alias_info, 'source, model, version, alias');
  local live = ', ' + t.anyOf('alias', config.alerting.live_aliases);
  local VERSION = 'source, model, version';
  // One alias of each version, a live one if it has any: two would make a figure match twice, which is an error.
  local oneAlias = 'group by (source, model, version, alias) (topk by (%s) (1, 1 + %s\nor\n%s))' % [
    VERSION,
    of(m.ml_model_alias_info, VERSION + ', alias', live),
    aliases,
  ];
  // What is behind an alias, under the name of the alias.
  local aliased(expr) =
    'max by (source, model, alias, version, metric, dataset) (\n%s\n* on (%s) group_left (alias)\n%s\n)' % [expr, VERSION, oneAlias];
  local registered = '1000 * max by (source, model, alias, version) (%s * on (source, model, version) group_right () %s)' % [
    of(m.ml_model_version_created_timestamp_seconds, 'source, model, version'),
    aliases,
  ];
  local worse = aliased(of(m.ml_model_metric_degradation_ratio, FIGURE));
  local figure = aliased(of(m.ml_model_metric, FIGURE));
  // Beside each figure that of the version behind a live alias, on the same data.
  local ofLive = '0 * %s\n+ on (source, model, metric, dataset) group_left ()\nmax by (source, model, metric, dataset) (\n%s\n* on (source, model, version) group_left ()\n%s\n)' % [
    figure,
    of(m.ml_model_metric, FIGURE),
    of(m.ml_model_alias_info, VERSION, live),
  ];
  local baseline = '0 * %s\n+ on (source, model, version, metric) group_left ()\n%s' % [figure, of(m.ml_model_metric_baseline, 'source, model, version, metric')];
  local claimed = { feed: 'claim models under services[].models' };

  d.new(
    uid='ml-models',
    title='ML / Models',
    description='Registered models: champion beside challenger, quality on each data set against its baseline, and how old what is live is.',
    variables=[
      d.variable('service', 'ml_service', m.ml_model_versions, several=true),
      d.variable('model', 'model', m.ml_model_versions + '{ml_service=~"$service"}', several=true),
    ],
    links=d.siblings('ml-models', ['service']),
    annotations=[d.moved(chosen), d.firing(chosen + ', model!=""')],
    panels=[
      panel.table(24, 8, {
        title: 'Aliases',
        description: 'What each alias points at, since when, and how old the version is; the two hundred oldest.',
        keys: ['source', 'model', 'alias', 'version'],
        sort: ['model', false],
        links: [d.to.model],
        rows: { on: 'source, model, alias, version', expr: 'bottomk(200, %s)' % registered },
        columns: [
          {
            name: 'Registered',
            unit: 'dateTimeFromNow',
            expr: registered,
          },
          {
            name: 'Moved there',
            unit: 'dateTimeFromNow',
            expr: '1000 * max by (source, model, alias, version) (%s * on (source, model, alias) group_left () %s)' % [
              aliases,
              of(m.ml_model_alias_changed_timestamp_seconds, 'source, model, alias'),
            ],
          },
        ],
      } + claimed),
      d.heading('Champion beside challenger'),
      panel.table(24, 10, {
        title: 'Quality on each data set',
        description: 'Figures of the versions that have an alias, beside those of the live one and their own baseline: positive is worse, whichever way is better; the three hundred worst.',
        keys: ['source', 'model', 'metric', 'dataset', 'alias', 'version'],
        sort: ['model', false],
        links: [d.to.model],
        rows: {
          on: 'source, model, metric, dataset, alias, version',
          // A figure without a baseline comes after those that have one.
          expr: 'topk(300, %s or (0 * %s - 10000))' % [worse, figure],
        },
        columns: [
          { name: 'Value', unit: 'short', expr: figure },
          { name: 'Live value', unit: 'short', expr: ofLive },
          { name: 'Baseline', unit: 'short', expr: baseline },
          { name: 'Worse by', unit: 'percentunit', steps: state.worseSteps(config.alerting.thresholds), expr: worse },
        ],
      } + claimed),
      panel.lines(12, panel.top({
        title: 'Quality over time',
        description: 'Figures of what is behind each alias: a step is a version that took the place of another, or was judged anew.',
        unit: 'short',
        queries: [{ legend: '{{source}}/{{model}} {{alias}} {{metric}} {{dataset}}', expr: 'max by (source, model, alias, metric, dataset) (%s)' % figure }],
      }) + claimed),
      panel.lines(12, panel.top({
        title: 'Worse than the baseline by',
        description: 'Of live versions: positive is worse; the alerts fire at the limits of the configuration.',
        unit: 'percentunit',
        steps: state.worseSteps(config.alerting.thresholds),
        queries: [{
          legend: '{{source}}/{{model}} {{metric}} {{dataset}}',
          expr: 'max by (source, model, metric, dataset) (%s{%s})' % [recorded.liveDegradation, chosen],
        }],
      }) + claimed),
      d.heading('Where they come from'),
      panel.table(24, 8, {
        title: 'Versions',
        description: 'Versions with an alias and the newest one: the pipeline that trained them, the data set, and when.',
        keys: ['model', 'version', 'source', 'pipeline', 'dataset', 'digest'],
        sort: ['Registered', true],
        links: [d.to.pipeline] + d.out(config).pipeline,
        linked: { model: [d.to.model] },
        columns: [{
          name: 'Registered',
          unit: 'dateTimeFromNow',
          expr: |||
            topk(200, 1000 * %s
            * on (source, model, version) group_right ()
            %s)
          ||| % [
            of(m.ml_model_version_created_timestamp_seconds, 'source, model, version'),
            of(m.ml_model_version_info, 'source, model, version, pipeline, dataset, digest'),
          ],
        }],
      } + claimed),
      panel.lines(12, panel.top({
        title: 'Versions registered',
        description: 'Versions of each model, by status.',
        unit: 'short',
        queries: [{ legend: '{{source}}/{{model}} {{status}}', expr: of(m.ml_model_versions, 'source, model, status') }],
      }) + claimed),
      panel.lines(12, panel.top({
        title: 'Age of what is live',
        description: 'Since the version behind each live alias was registered.',
        unit: 's',
        queries: [{
          legend: '{{source}}/{{model}} {{alias}}',
          expr: 'time() - max by (source, model, alias) (%s * on (source, model, version) group_right () %s)' % [
            of(m.ml_model_version_created_timestamp_seconds, 'source, model, version'),
            of(m.ml_model_alias_info, VERSION + ', alias', live),
          ],
        }],
      }) + claimed),
    ]
  )
