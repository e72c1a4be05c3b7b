// What runs and predictions cost, by service: what is paid for, and what of it was for nothing.
local m = import '../alerts/lib/metrics.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service"';
  local s = signals(config, chosen, endpoints=chosen, models='model=~".*"');
  local runs = { feed: 'set cost_per_hour: of pipelines under services[].stages' };
  local endpoints = { feed: 'set cost_per_hour: of endpoints' };
  local summed(expr) = 'sum by (ml_service, currency) (%s)' % expr;

  d.new(
    uid='ml-cost',
    title='ML / Cost',
    description='What runs and predictions cost, by service, at the prices of the configuration.',
    variables=[d.variable('service', 'ml_service', m.ml_service_info, several=true)],
    links=d.siblings('ml-cost', ['service']),
    panels=[
      panel.table(24, 8, {
        title: 'Services',
        description: 'What each service costs a day: its runs of the last day, and its endpoints at their price of an hour.',
        keys: ['ml_service', 'currency'],
        sort: ['Runs, a day', true],
        links: [d.to.service],
        columns: [
          { name: 'Runs, a day', expr: summed(s.costOfRuns.query.expr) },
          { name: 'Endpoints, a day', expr: '24 * ' + summed(s.costPerHour.query.expr) },
        ],
      } + runs),
      d.heading('Runs'),
      panel.lines(12, panel.top(s.costOfRuns + runs)),
      panel.lines(12, panel.top(s.busy)),
      panel.table(24, 8, {
        title: 'Trainings',
        description: 'What the last success of each pipeline cost, and a step of it (an epoch, for most); the hundred dearest.',
        keys: ['ml_service', 'source', 'pipeline', 'currency'],
        sort: ['Last run', true],
        links: [d.to.pipeline],
        rows: { on: 'ml_service, source, pipeline', expr: 'topk(100, %s)' % s.costOfLastRun.query.expr },
        columns: [
          { name: 'Last run', expr: s.costOfLastRun.query.expr },
          { name: 'Steps', expr: s.lastSteps.query.expr },
          { name: 'A step', expr: s.costPerStep.query.expr },
        ],
      } + runs),
      d.heading('Predictions'),
      panel.lines(12, panel.top(s.costPerHour + endpoints)),
      panel.lines(12, panel.top(s.costPerPrediction + endpoints)),
    ]
  )
