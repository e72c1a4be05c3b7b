// What fires now, from Prometheus' own series of alerts: those of the services that are chosen.
local m = import '../../alerts/lib/metrics.libsonnet';
local recorded = import '../../alerts/lib/recorded.libsonnet';
local colour = import 'colours.libsonnet';
local d = import 'dashboard.libsonnet';
local panel = import 'panel.libsonnet';
local state = import 'state.libsonnet';

//   chosen: which services, and maybe severities, as matchers
function(config, chosen)
  local ALERT = 'severity, alertname, ml_service, source, pipeline, model, ml_endpoint, slo';
  local ours = 'alertname=~"ML.+", ' + chosen;
  local firing(more='') = 'ALERTS{%s%s, alertstate="firing"}' % [ours, more];
  local of(severity) = firing(', severity="%s"' % severity);
  // The time since which it fires, of each that does; a pending one has such a time, too.
  local since(more='') = 'ALERTS_FOR_STATE{%s%s}\nand ignoring (alertstate)\n%s' % [ours, more, firing(more)];
  local all = [d.link('What fires, how often and how long', 'ml-alerts', along=['service'])];
  local number(severity, about) = panel.stat(4, {
    unit: 'short',
    links: all,
    // 0 only where there is somebody to tell: without an exporter, or without our rules, a figure is unknown.
    query: {
      expr: 'count(%s)\nor\n0 * count(%s and on () %s)' % [of(severity), m.ml_exporter_build_info, recorded.serviceState],
    },
  } + about);

  {
    pages: number('page', {
      title: 'Pages',
      description: 'Alerts firing now that say that users are hurt.',
      steps: [[colour.hurt, 1]],
    }),
    tickets: number('ticket', {
      title: 'Tickets',
      description: 'Alerts firing now that want somebody within the working day.',
      steps: [[colour.look, 1]],
    }),

    byService(severity):: 'count by (ml_service) (%s)' % of(severity),
    // In milliseconds: of what needs somebody, what has fired longest.
    oldest:: '1000 * min by (ml_service) (\n%s\n)' % since(', severity=~"page|ticket"'),

    // Each with its owner; a click on what it names leads there. urgent: pages, then tickets; else all, the newest first
    table(count, title, urgent=false):: panel.table(24, 10, {
      title: title,
      description: (if urgent then 'Pages and tickets that fire' else 'What fires') + ', since when, and whose it is; of each severity the newest %d. Empty also when nothing is watched: see the state of the services.' % count,
      feed: 'nothing that is known of',
      keys: ['severity', 'alertname', 'ml_service', 'owner', 'source', 'pipeline', 'model', 'ml_endpoint', 'slo'],
      // By the alphabet.
      sort: if urgent then ['severity', false] else ['Since', true],
      links: [d.to.service],
      linked: d.linkedAlert(config),
      mapped: { severity: panel.words(state.severities) },
      columns: [{
        name: 'Since',
        unit: 'dateTimeFromNow',
        expr: 'topk by (severity) (%d, 1000 * (\n%s))' % [count, d.owned('min by (%s) (\n%s\n)' % [ALERT, since(if urgent then ', severity=~"page|ticket"' else '')])],
      }],
    }),
  }
