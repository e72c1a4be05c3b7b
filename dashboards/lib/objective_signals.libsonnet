// The signals of objectives, each declared once: see signals.libsonnet. All are recorded by the rules.
local slo = import '../../alerts/lib/recorded_slos.libsonnet';
local t = import '../../alerts/lib/text.libsonnet';
local windows = import '../../alerts/slos/windows.libsonnet';
local colour = import 'colours.libsonnet';
local panel = import 'panel.libsonnet';
local state = import 'state.libsonnet';

//   chosen: which objectives, as matchers
function(config, chosen)
  local periods = if config.slos == [] then [30 * 86400] else std.set([each.window for each in config.slos]);
  // The long window of a tier's alert, by the objective's own window: that of a short one is shorter.
  local long(tier) = [{ period: t.duration(period), window: t.duration(windows.of(period)[tier].long) } for period in periods];
  local of(record, more='') = '%s{%s%s}' % [record, chosen, more];
  // Of an hour, by the slices of time that are recorded: a gap adds nothing. A second less, or it would be a slice too many.
  local summed(series) = t.number(windows.slice) + ' * sum_over_time(' + series + '[3599s])';
  // An objective may be grouped: what it is grouped by is said behind its name.
  local groups = ['ml_endpoint', 'model', 'version', 'source', 'pipeline'];
  local grouped = std.set(std.flattenArrays([each.group_by for each in config.slos]));
  local labels = ['ml_service', 'slo'] + groups + std.setDiff(grouped, std.set(['ml_service', 'slo'] + groups));
  local each = std.join(' ', ['{{%s}}' % label for label in labels[1:]]);
  local left = 'max without (slo_window) (%s)' % of(slo.budgetRemaining);
  local burning(tier) = std.join('\nor\n', [
    of(slo.burnRate, ', slo_window="%s", window="%s"' % [each.period, each.window])
    for each in long(tier)
  ]);
  local signal(about) = about { query:: about.queries[0] };

  std.mapWithKey(function(name, about) signal(about), {
    budget: {
      title: 'Budget left',
      description: 'Share of the error budget that is left: 1 is untouched, below 0 it is overspent.',
      unit: 'percentunit',
      steps: state.budgetSteps,
      queries: [{ legend: each, expr: left }],
    },
    budgetOverTime: self.budget {
      title: 'Budget left, over time',
      description: 'Share of the error budget that is left; what is overspent by more than all of it is drawn at -100 %, else the others would be one line.',
      queries: [{ legend: each, expr: 'clamp_min(%s, -1)' % left }],
    },
    promised: {
      title: 'Promised',
      description: 'The share of good events, or of good minutes, that was promised.',
      unit: 'percentunit',
      // With the labels of its groups, of which each has the same promise; alone while nothing is known of it.
      queries: [{
        legend: each,
        expr: '0 * max without (slo_window) (%s) + on (ml_service, slo) group_left () %s\nor\nmax by (ml_service, slo) (%s unless on (ml_service, slo) %s)' % [
          of(slo.budgetRemaining),
          of(slo.objective),
          of(slo.objective),
          of(slo.budgetRemaining),
        ],
      }],
    },
    bad: {
      title: 'Bad events',
      description: 'Share of the events of its own window that were bad.',
      unit: 'percentunit',
      queries: [{ legend: each, expr: '(1 - max without (slo_window) (%s)) * on (ml_service, slo) group_left () (1 - %s)' % [of(slo.budgetRemaining), of(slo.objective)] }],
    },
    lasts: {
      title: 'Budget lasts',
      description: 'How long the rest of the budget lasts at the pace of the last day; "no data" where it burns not at all.',
      unit: 's',
      mappings: panel.meaning([[0, 'spent', colour.hurt]]),
      queries: [{ legend: each, expr: 'max without (slo_window) (%s)' % of(slo.exhaustedIn) }],
    },
    burn: {
      title: 'Burn rate by window',
      description: 'How many times as fast as allowed the budget burns, by window; an alert wants a long and a short one of them.',
      unit: 'suffix:×',
      steps: state.burnSteps,
      queries: [{ legend: each + ' {{window}}', expr: 'max without (slo_window) (%s)' % std.join('\nor\n', [burning(tier) for tier in windows.names]) }],
    },
    spent: {
      title: 'Bad events, by hour',
      description: 'Bad events, or bad minutes, of the hour before: what has spent the budget.',
      unit: 'short',
      queries: [{ legend: each, expr: summed(of(slo.bad)) }],
    },
    events: {
      title: 'Events, by hour',
      description: 'Events that count, or minutes that were judged, of the hour before.',
      unit: 'short',
      queries: [{ legend: each, expr: summed(of(slo.total)) }],
    },
  }) + {
    labels:: labels,
    grouped:: grouped,
    tiers:: windows.names,
    windowOf(tier):: std.join(' or ', std.set([each.window for each in long(tier)])),
    burnOver(tier):: 'max without (slo_window, window) (%s)' % burning(tier),
  }
