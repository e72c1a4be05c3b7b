// What fired, how often and how long: an alert that fires often and ends by itself is noise, and noise is a defect.
local recorded = import '../alerts/lib/recorded.libsonnet';
local colour = import 'lib/colours.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local firing = import 'lib/firing.libsonnet';
local panel = import 'lib/panel.libsonnet';
local state = import 'lib/state.libsonnet';

function(config)
  local chosen = 'ml_service=~"$service", severity=~"$severity"';
  local now = 'ALERTS{alertname=~"ML.+", %s, alertstate="firing"}' % chosen;
  local BY = 'alertname, severity, ml_service';
  local one = 'max by (%s) (%s)' % [BY, now];
  // Minutes in which any of its instances fired, and how often it began to: the minute before nothing of it fired.
  local minutes = 'sum_over_time((%s)[$__range:1m])' % one;
  local began = 'sum_over_time((%s\nunless\nmax by (%s) (%s offset 1m))[$__range:1m])' % [one, BY, now];

  d.new(
    uid='ml-alerts',
    title='ML / Alerts',
    description='What fired, how often and how long. An alert that fires often and ends by itself is noise, and noise is a defect.',
    variables=[
      d.variable('service', 'ml_service', recorded.serviceState, several=true),
      d.values('severity', ['page', 'ticket', 'info']),
    ],
    links=d.siblings('ml-alerts', ['service']),
    panels=[
      firing(config, chosen).table(200, 'Firing now'),
      d.heading('In the time that is shown'),
      panel.table(24, 10, {
        title: 'How often, and how long',
        description: 'How often each alert began, how long it fired in all, and how long each time: often and short is noise. The two hundred that fired longest.',
        feed: 'nothing fired that is known of',
        keys: ['severity', 'alertname', 'ml_service'],
        sort: ['Times', true],
        links: [d.runbook(config)],
        linked: { ml_service: [d.to.service] },
        mapped: { severity: panel.words(state.severities) },
        rows: { on: BY, expr: 'topk(200, %s)' % minutes },
        columns: [
          // What began before the time that is shown began not once in it.
          { name: 'Times', steps: [[colour.neutral, 0], [colour.look, 10]], expr: '%s\nor\n0 * %s' % [began, minutes] },
          { name: 'Firing for', unit: 's', expr: '60 * ' + minutes },
          { name: 'Each time', unit: 's', expr: '60 * %s\n/\n(%s > 0)' % [minutes, began] },
        ],
      }),
      panel.lines(24, {
        title: 'Alerts firing',
        description: 'By severity, over time.',
        unit: 'short',
        style: 'bars',
        fill: 60,
        stacked: true,
        coloured: state.severities,
        feed: 'nothing fires that is known of',
        queries: [{ legend: '{{severity}}', expr: 'count by (severity) (%s)' % now }],
      }),
      panel.timeline(24, 10, panel.top({
        title: 'When they fired',
        description: 'A gap is a time in which it did not.',
        unit: 'short',
        feed: 'nothing fires that is known of',
        mappings: panel.meaning([[1, 'firing', colour.hurt]]),
        queries: [{ legend: '{{alertname}} {{ml_service}}', expr: one }],
      }, panel.rows(10), by='sum')),
    ]
  )
