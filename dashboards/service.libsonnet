// One service: its stages from ingestion to inference in order, what changed and when, and what its users were promised.
local m = import '../alerts/lib/metrics.libsonnet';
local recorded = import '../alerts/lib/recorded.libsonnet';
local slo = import '../alerts/lib/recorded_slos.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local firing = import 'lib/firing.libsonnet';
local impact = import 'lib/impact.libsonnet';
local objectives = import 'lib/objective_signals.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';
local state = import 'lib/state.libsonnet';

// In the order in which data flows; the number sorts.
local STAGES = ['ingestion', 'features', 'training', 'validation', 'inference', 'monitoring'];

function(config)
  local chosen = 'ml_service="$service"';
  local limits = config.alerting.thresholds;
  local q = (import '../alerts/lib/queries.libsonnet')(config);
  local s = signals(config, chosen, 'source=~".+"', endpoints=chosen, models='model=~".*"');
  local o = objectives(config, chosen);
  local f = firing(config, chosen);
  local hurts = impact(config);

  local pipelineState = state.expr(q.PIPELINE, chosen, limits.failing_runs);
  local ENDPOINT = 'ml_service, ml_endpoint';
  // Of its models the worst.
  local well = 'min by (%s) (%s)' % [ENDPOINT, (import '../alerts/lib/endpoint_queries.libsonnet')(config).well([chosen])];
  local numbered(expr) = std.foldl(
    function(inner, index)
      'label_replace(' + inner + ', "stage", "' + (index + 1) + ' ' + STAGES[index] + '", "stage", "' + STAGES[index] + '")',
    std.range(0, std.length(STAGES) - 1),
    expr
  );
  local staged(expr, info, on) =
    '(\n' + std.rstripChars(expr, '\n') + '\n)\n* on (' + on + ') group_left (stage)\n'
    + numbered('topk by (' + on + ') (1, max by (' + on + ', stage) (' + info + '{' + chosen + '}))');
  local ofPipelines(expr) = staged(expr, m.ml_pipeline_info, q.PIPELINE);
  local ofEndpoints(operation, expr) =
    staged(operation + ' by (' + ENDPOINT + ') (' + expr + ')', m.ml_endpoint_info, ENDPOINT);
  local change(what, expr) = 'label_replace(%s, "what", "%s", "", "")' % [expr, what];

  d.new(
    uid='ml-service',
    title='ML / Service',
    description='One service: its stages in order, what changed and when, and what its users were promised.',
    variables=[d.variable('service', 'ml_service', recorded.serviceState, several=false)],
    links=d.siblings('ml-service', ['service']),
    annotations=[d.moved(chosen), d.firing(chosen), d.failed(chosen)],
    panels=[
      panel.stat(4, {
        title: 'State',
        description: 'The worst of what is known of the service; "unknown" means that something of it cannot be seen now.',
        unit: 'short',
        mappings: panel.meaning(state.serviceWords),
        query: { expr: '%s{%s}' % [recorded.serviceState, chosen] },
      }),
      f.pages,
      f.tickets,
      panel.stat(4, {
        title: 'Least budget left',
        description: 'Of the objective of the service that has least of it left.',
        unit: 'percentunit',
        steps: state.budgetSteps,
        feed: 'write slos:',
        query: { expr: 'min(%s{%s})' % [slo.budgetRemaining, chosen] },
        links: [d.link('Objectives', 'ml-objectives', along=['service'])],
      }),
      panel.stat(4, {
        title: 'Owner',
        description: 'Whose it is, and how much depends on it: tier 1 is the most.',
        unit: 'short',
        feed: 'name it under services:',
        query: { expr: d.owners(chosen) },
        shown: '/^(owner|tier)$/',
      }),
      panel.stat(4, {
        title: 'Last change',
        description: 'When an alias last moved or a version was registered.',
        unit: 'dateTimeFromNow',
        feed: 'claim models under services[].models',
        query: {
          expr: '1000 * max(%s{%s} or %s{%s})' % [
            m.ml_model_alias_changed_timestamp_seconds,
            chosen,
            m.ml_model_version_created_timestamp_seconds,
            chosen,
          ],
        },
      }),
    ] + (if hurts.any then [
           panel.stat(24, {
             title: 'What it hurts',
             description: 'What users notice when the service fails, as `impact` of the service in the configuration says it.',
             unit: 'string',
             height: 3,
             shown: '/^' + hurts.label + '$/',
             mappings: hurts.mappings,
             query: { expr: hurts.named('max by (ml_service) (%s{%s})' % [m.ml_service_info, chosen]) },
           }),
         ] else []) + [
      d.heading('Stages, from ingestion to inference'),
      panel.table(24, 8, {
        title: 'Pipelines by stage',
        description: 'The pipelines of each stage, in the order in which data flows; those without a stage come first. Failures are those in a row; the last duration is a share of the typical one. The two hundred with the most failures.',
        feed: 'name pipelines under services[].stages',
        keys: ['stage', 'source', 'pipeline'],
        sort: ['stage', false],
        links: [d.to.pipeline] + d.out(config).pipeline,
        rows: { on: q.PIPELINE, expr: 'topk(200, %s or 0.5 * %s)' % [s.consecutiveFailures.query.expr, q.of('max', q.PIPELINE, m.ml_pipeline_info, [chosen])] },
        columns: [
          { name: 'State', mappings: panel.meaning(state.words), expr: ofPipelines(pipelineState) },
          { name: 'Last success', unit: 'dateTimeFromNow', expr: ofPipelines(s.lastSuccess.query.expr) },
          { name: 'Late by', unit: 's', steps: s.lateness.steps, expr: ofPipelines(s.lateness.query.expr) },
          { name: 'Failures', steps: s.consecutiveFailures.steps, expr: ofPipelines(s.consecutiveFailures.query.expr) },
          { name: 'vs typical', unit: 'percentunit', steps: s.durationRatio.steps, expr: ofPipelines(s.durationRatio.query.expr) },
        ],
      }),
      panel.table(24, 6, {
        title: 'Endpoints by stage',
        description: 'The endpoints of each stage: whether their last probe went well (a right prediction or, without a canary, live and ready), since when not, how much of a day they were available, and how fast they are; the two hundred worst.',
        feed: 'name endpoints under services[].stages',
        keys: ['stage', 'ml_endpoint'],
        sort: ['stage', false],
        links: [d.to.endpoint],
        rows: { on: ENDPOINT, expr: 'bottomk(200, %s)' % well },
        columns: [
          { name: 'Last probe', mappings: s.checks.mappings, expr: ofEndpoints('min', well) },
          { name: 'Failing for', unit: 's', steps: s.failingFor.steps, expr: ofEndpoints('max', s.failingFor.query.expr) },
          { name: 'Availability', unit: 'percentunit', expr: ofEndpoints('min', s.availability.query.expr) },
          { name: 'p99', unit: 's', expr: ofEndpoints('max', s.probeLatency.queries[1].expr) },
        ],
      }),
      panel.table(24, 6, {
        title: 'Live models',
        description: 'Figures of the versions behind a live alias, against their baseline: positive is worse, the two hundred worst.',
        feed: 'claim models under services[].models',
        keys: ['source', 'model', 'version', 'metric', 'dataset'],
        sort: ['Worse by', true],
        links: [d.to.model],
        columns: [{
          name: 'Worse by',
          unit: 'percentunit',
          steps: state.worseSteps(limits),
          expr: 'topk(200, max by (source, model, version, metric, dataset) (%s{%s}))' % [recorded.liveDegradation, chosen],
        }],
      }),

      d.heading('What changed, and when'),
      panel.timeline(12, 8, panel.top({
        title: 'Pipelines over time',
        description: 'How the runs of each pipeline went; a gap or "unknown" is a time of which nothing is known.',
        unit: 'short',
        mappings: panel.meaning(state.words),
        feed: 'name pipelines under services[].stages',
        queries: [{ legend: '{{source}}/{{pipeline}}', expr: pipelineState }],
      }, panel.rows(8))),
      panel.timeline(12, 8, panel.top({
        title: 'Endpoints over time',
        description: 'Whether the last probe of each endpoint went well; a gap is a time of which nothing is known.',
        unit: 'short',
        mappings: s.checks.mappings,
        feed: 'name endpoints under services[].stages',
        queries: [{ legend: '{{ml_endpoint}}', expr: well }],
      }, panel.rows(8), least=true)),
      panel.table(24, 7, {
        title: 'Changes',
        description: 'Aliases that moved, versions that were registered and figures that changed, the last fifty first.',
        feed: 'claim models under services[].models',
        keys: ['what', 'source', 'model', 'alias', 'version', 'metric', 'dataset'],
        sort: ['When', true],
        links: [d.to.model],
        columns: [{
          name: 'When',
          unit: 'dateTimeFromNow',
          expr: 'topk(50, 1000 * max by (what, source, model, alias, version, metric, dataset) (\n%s\n))' % std.join('\nor\n', [
            change('alias moved', '%s{%s}' % [m.ml_model_alias_changed_timestamp_seconds, chosen]),
            change('version registered', '%s{%s}' % [m.ml_model_version_created_timestamp_seconds, chosen]),
            change('figure changed', '%s{%s}' % [m.ml_model_metric_changed_timestamp_seconds, chosen]),
          ]),
        }],
      }),

      d.heading('What fires, and what was promised'),
      f.table(100, 'Alerts'),
      panel.lines(12, panel.top(o.budgetOverTime { feed: 'write slos:' }, least=true)),
      panel.lines(12, panel.top(o.burn { feed: 'write slos:' }, 12)),
    ]
  )
