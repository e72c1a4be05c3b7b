// What is failing, late, worse or unknown: a line a service, four layers on one screen, and what fires.
local m = import '../alerts/lib/metrics.libsonnet';
local recorded = import '../alerts/lib/recorded.libsonnet';
local overview = import '../alerts/lib/recorded_overview.libsonnet';
local slo = import '../alerts/lib/recorded_slos.libsonnet';
local t = import '../alerts/lib/text.libsonnet';
local colour = import 'lib/colours.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local firing = import 'lib/firing.libsonnet';
local impact = import 'lib/impact.libsonnet';
local layers = import 'lib/layers.libsonnet';
local objectives = import 'lib/objective_signals.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';
local state = import 'lib/state.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service"';
  local limits = config.alerting.thresholds;
  local q = (import '../alerts/lib/queries.libsonnet')(config);
  local s = signals(config, chosen, 'source=~".+"', endpoints=chosen, models='model=~".*"');
  local f = firing(config, chosen);
  local hurts = impact(config);
  local owners = d.owners(chosen);

  local service(record, operation='max') = '%s by (ml_service) (%s{%s})' % [operation, record, chosen];
  local failures = q.of('max', q.PIPELINE, m.ml_pipeline_consecutive_failures, [chosen]);
  // Of those that are late by more than what a poll and a run take; of all, it would be asked for thousands.
  local latest = '%s > 60' % q.select(overview.latePipeline, [chosen]);
  local well = (import '../alerts/lib/endpoint_queries.libsonnet')(config).well([chosen]);
  local up = q.source(m.ml_source_up);
  local left = '%s{%s}' % [slo.budgetRemaining, chosen];
  // How many of those there are; no figure where there are none, which is not 0.
  local counted(expr, among) = 'count(%s)\nor\n0 * count(%s)' % [expr, among];
  local number(about) = panel.stat(4, { unit: 'short', steps: [[colour.hurt, 1]] } + about);

  d.new(
    uid='ml-overview',
    title='ML / Overview',
    description='What is failing, late, worse or unknown, since when, and whose it is.',
    variables=[d.variable('service', 'ml_service', recorded.serviceState, several=true)],
    links=d.siblings('ml-overview', ['service']),
    // What is now, and how it came; a day of hundreds of services is much to read.
    from='now-6h',
    // Pages only: tickets, and aliases, of hundreds of services would hide everything.
    annotations=[d.firing(chosen + ', severity="page"', every=2)],
    panels=[
      f.pages,
      f.tickets,
      number({
        title: 'Budgets spent',
        description: 'Objectives whose error budget is used up.',
        feed: 'write slos:',
        query: { expr: counted(left + ' <= 0', left) },
        links: [d.link('Objectives', 'ml-objectives', along=['service'])],
      }),
      number({
        title: 'Pipelines failing',
        description: 'Pipelines whose last %d runs or more failed or timed out.' % limits.failing_runs,
        feed: 'list sources:',
        query: { expr: counted('%s >= %d' % [failures, limits.failing_runs], failures) },
        links: [d.link('Training pipelines', 'ml-pipelines', along=['service'])],
      }),
      number({
        title: 'Endpoints failing',
        description: 'Models of endpoints whose last probe did not go well: no right prediction or, without a canary, not live and ready.',
        feed: 'list endpoints:',
        query: { expr: counted(well + ' == 0', well) },
        links: [d.link('Endpoints', 'ml-endpoints', along=['service'])],
      }),
      number({
        title: 'Sources unknown',
        description: 'Sources that cannot be read now, or whose history is not whole yet: what is shown about them is as old as their last good poll.',
        feed: 'list sources:',
        query: { expr: counted(up + ' unless on (source) ' + recorded.sourceRead, up) },
        links: [d.link('The exporter and its sources', 'ml-exporter')],
      }),

      panel.table(24, 10, {
        title: 'Services',
        description: 'The worst of each service: "unknown" means that something of it cannot be seen now; an empty cell, that nothing tells it.',
        links: [d.to.service],
        keys: ['ml_service', 'owner', 'tier'] + (if hurts.any then [hurts.label] else []),
        [if hurts.any then 'mapped']: { [hurts.label]: hurts.mappings },
        sort: ['State', true],
        columns: [
          {
            name: 'State',
            mappings: panel.meaning(state.serviceWords),
            expr: service(recorded.serviceState),
          },
          { name: 'Since', unit: 'dateTimeFromNow', expr: f.oldest },
          { name: 'Pages', steps: [[colour.hurt, 1]], expr: f.byService('page') },
          { name: 'Tickets', steps: [[colour.look, 1]], expr: f.byService('ticket') },
          {
            name: 'Budget left',
            unit: 'percentunit',
            steps: state.budgetSteps,
            expr: service(slo.budgetRemaining, 'min'),
            links: [d.to.objectives],
          },
          {
            name: 'Burn rate',
            unit: 'suffix:×',
            steps: state.burnSteps,
            expr: 'max by (ml_service) (%s)' % objectives(config, chosen).burnOver('page_fast'),
            links: [d.to.objectives],
          },
          { name: 'Late by', unit: 's', steps: s.lateness.steps, expr: service(overview.late) },
          {
            name: 'Worse by',
            unit: 'percentunit',
            steps: state.worseSteps(limits),
            expr: service(recorded.liveDegradation),
          },
          { name: 'Slowest p99', unit: 's', expr: service(overview.p99) },
          { name: 'Owner', hidden: true, expr: if hurts.any then hurts.named(owners) else owners },
        ],
      }),

      d.heading('Layers'),
    ] + layers(config, chosen, s) + [
      d.heading('What is wrong now'),
      f.table(100, 'Alerts', urgent=true),
      panel.table(24, 8, {
        title: 'Pipelines in trouble',
        description: 'Those that fail (failures in a row) or are late by more than a minute, the worst fifty of each, and when they last succeeded.',
        links: [d.to.pipeline],
        feed: 'none that is known of',
        keys: ['ml_service', 'source', 'pipeline'],
        sort: ['Failures', true],
        rows: {
          on: q.PIPELINE,
          expr: '(topk(50, %s > 0)\nor\ntopk(50, %s))' % [failures, latest],
        },
        columns: [
          { name: 'Failures', steps: s.consecutiveFailures.steps, expr: failures },
          { name: 'Late by', unit: 's', steps: s.lateness.steps, expr: latest },
          { name: 'Last success', unit: 'dateTimeFromNow', expr: s.lastSuccess.query.expr },
        ],
      }),
      panel.table(10, 7, {
        title: 'Endpoints in trouble',
        description: 'Models whose last probe did not go well, since when; the fifty that fail longest.',
        links: [d.to.endpoint],
        feed: 'none that is known of',
        keys: ['ml_service', 'ml_endpoint', 'model'],
        sort: ['Failing for', true],
        columns: [{ name: 'Failing for', unit: 's', steps: s.failingFor.steps, expr: 'topk(50, %s)' % s.failingFor.failing }],
      }),
      panel.table(14, 7, {
        title: 'Models in trouble',
        description: 'Live versions that are worse than their baseline, by figure and data set, the fifty worst.',
        links: [d.to.model],
        feed: 'none that is known of',
        keys: ['ml_service', 'source', 'model', 'version', 'metric', 'dataset'],
        sort: ['Worse by', true],
        columns: [{
          name: 'Worse by',
          unit: 'percentunit',
          steps: state.worseSteps(limits),
          expr: 'topk(50, max by (ml_service, source, model, version, metric, dataset) (%s{%s}) > %s)' % [
            recorded.liveDegradation,
            chosen,
            t.number(limits.metric_worse),
          ],
        }],
      }),
    ]
  )
