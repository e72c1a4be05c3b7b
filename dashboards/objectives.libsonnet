// Objectives: what was promised, how much of the budget is left, what burns it, and what has spent it.
local slo = import '../alerts/lib/recorded_slos.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local signals = import 'lib/objective_signals.libsonnet';
local panel = import 'lib/panel.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service", slo=~"$slo"';
  local s = signals(config, chosen);

  d.new(
    uid='ml-objectives',
    title='ML / Objectives',
    description='Objectives: what was promised, how much of the budget is left, what burns it, and what has spent it.',
    variables=[
      d.variable('service', 'ml_service', slo.objective, several=true),
      d.variable('slo', 'slo', slo.objective + '{ml_service=~"$service"}', several=true),
    ],
    links=d.siblings('ml-objectives', ['service']),
    annotations=[d.firing(chosen + ', slo!=""')],
    panels=[
      panel.table(24, 10, {
        title: 'Objectives',
        description: 'A line an objective, or a group of one; the two hundred with the least left, after those of which nothing is known. Bad is the share of the events of its window.',
        feed: 'write slos:',
        keys: s.labels,
        grouped: s.grouped,
        links: [d.to.objective],
        linked: { ml_service: [d.to.service], ml_endpoint: [d.to.endpoint], model: [d.to.model], pipeline: [d.to.pipeline] },
        rows: { on: std.join(', ', s.labels), expr: 'bottomk(200, %s or ((%s) - 10000))' % [s.budget.query.expr, s.promised.query.expr] },
        sort: ['Budget left', false],
        columns: [
          { name: 'Budget left', unit: 'percentunit', steps: s.budget.steps, expr: s.budget.query.expr },
          { name: 'Promised', unit: 'percentunit', expr: s.promised.query.expr },
          { name: 'Bad', unit: 'percentunit', expr: s.bad.query.expr },
          { name: 'Budget lasts', unit: 's', mappings: s.lasts.mappings, expr: s.lasts.query.expr },
        ] + [
          { name: 'Burn, ' + s.windowOf(tier), unit: 'suffix:×', steps: s.burn.steps, expr: s.burnOver(tier) }
          for tier in s.tiers
        ],
      }),
      d.heading('Over time'),
      panel.lines(12, panel.top(s.budgetOverTime { feed: 'write slos:' }, least=true)),
      panel.lines(12, panel.top(s.burn { feed: 'write slos:' }, 12)),
      d.heading('What has spent it'),
      panel.lines(12, panel.top(s.spent { style: 'bars', fill: 60, stacked: true, feed: 'write slos:' })),
      panel.lines(12, panel.top(s.events { feed: 'write slos:' })),
    ]
  )
