// Job schedulers: whether they are alive, what waits, what is free, what does not load, and what is late.
local m = import '../alerts/lib/metrics.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';

function(config)
  local sources = 'source=~"$source"';
  local s = signals(config, sources, sources, by='source', each='{{source}}');
  local p = signals(config, sources, sources);
  local fed = { feed: 'add a source of a scheduler' };

  d.new(
    uid='ml-schedulers',
    title='ML / Schedulers',
    description='Job schedulers: whether they are alive, what waits, what is free, what does not load, and what is late.',
    variables=[d.variable('source', 'source', m.ml_source_info, several=true)],
    links=d.siblings('ml-schedulers'),
    annotations=[d.firing(sources + ', source!="", ml_service="ml-exporter"')],
    panels=[
      panel.table(12, 6, {
        title: 'Schedulers',
        description: 'Where everything comes from, and how old it is; a click leads to its own pages.',
        feed: fed.feed,
        keys: ['source', 'kind'],
        links: [d.out(config).source],
        linked: { source: [d.to.source] },
        sort: [s.dataAsOf.title, false],
        columns: [
          { name: 'Last poll', mappings: s.sourceUp.mappings, expr: s.sourceUp.query.expr },
          { name: s.dataAsOf.title, unit: s.dataAsOf.unit, expr: s.dataAsOf.query.expr },
          { name: 'Kind', hidden: true, expr: 'max by (source, kind) (%s{%s})' % [m.ml_source_info, sources] },
        ],
      }),
      panel.timeline(12, 6, panel.top(s.sourceUp + fed, panel.rows(6), least=true)),
      panel.lines(12, panel.top(s.heartbeatAge + fed)),
      panel.table(12, 8, {
        title: s.loadErrors.title,
        description: s.loadErrors.description + ' The first hundred.',
        feed: 'no scheduler that tells is read',
        keys: ['source', 'location'],
        links: [d.to.source, d.out(config).source],
        sort: ['Errors', true],
        columns: [{ name: 'Errors', steps: s.loadErrors.steps, expr: 'topk(100, %s)' % s.loadErrors.query.expr }],
      }),
      d.heading('What waits, and for what'),
      panel.lines(12, panel.top(s.queueLength + fed)),
      panel.lines(12, panel.top(s.capacityUsed + fed)),
      panel.lines(12, panel.top(s.capacity { fill: 20 } + fed)),
      panel.lines(12, panel.top(s.exhaustedFor { feed: 'nothing waits for what is used up, as far as is known' })),
      d.heading('Runs'),
      panel.lines(12, panel.top(s.runsActive { fill: 20, stacked: true })),
      panel.lines(12, panel.top(s.runsFinished { style: 'bars', fill: 60, stacked: true })),
      panel.lines(12, panel.top(s.oldestQueued { feed: 'nothing waits that is known of' })),
      panel.lines(12, panel.top(s.queueWait { feed: 'this scheduler does not tell when runs were queued' })),
      panel.table(24, 8, {
        title: 'Late by their timetable',
        description: 'Pipelines of which a run is due, the fifty latest.',
        feed: 'nothing is late that is known of, or nothing has a timetable',
        keys: ['ml_service', 'source', 'pipeline'],
        sort: ['Late by', true],
        links: [d.to.pipeline] + d.out(config).pipeline,
        columns: [
          { name: 'Late by', unit: 's', steps: p.lateness.steps, expr: 'topk(50, (%s) > 0)' % p.lateness.query.expr },
        ],
      }),
    ]
  )
