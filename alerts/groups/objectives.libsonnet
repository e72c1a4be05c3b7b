// Objectives: burning too fast, leaking, gone. One rule a tier for all of them: windows and factors are data.
local recorded = import '../lib/recorded_slos.libsonnet';
local t = import '../lib/text.libsonnet';
local objectiveOf = import '../slos/objective.libsonnet';
local windows = import '../slos/windows.libsonnet';

local NAMES = {
  page_fast: 'MLObjectiveBurningFast',
  page_slow: 'MLObjectiveBurning',
  ticket_fast: 'MLObjectiveBurningSlowly',
  ticket_slow: 'MLObjectiveLeaking',
};
// In seconds: a page goes on for a while after it was over, so that what comes back is one page and not five.
local KEPT = 600;
local ABSENT_FOR = 3600;
local IMPOSSIBLE_FOR = 600;
local DEADLINE_FOR = 120;
// Sums of rates are not exact to the last digit.
local ROUNDING = 0.001;

// Its name, and which of the groups that have a budget of their own.
local objective = 'Objective {{ $labels.slo }} of {{ $labels.ml_service }}'
                  + '{{ range $name, $value := $labels }}{{ if not (match "^(__name__|slo|ml_service)$" $name) }}'
                  + '{{ if $value }}, {{ $name }} {{ $value }}{{ end }}{{ end }}{{ end }}';
local asked(words, query, format) =
  '{{ with printf %s $labels.slo | query }} %s {{ . | first | value | %s }}.{{ end }}'
  % [std.escapeStringJson(query), words, format];
local promised = asked('Promised:', 'max(%s{slo=%%q})' % recorded.objective, 'humanizePercentage');
local left = promised
             + '{{ with printf %s $labels.slo | query }}' % std.escapeStringJson('min(%s{slo=%%q})' % recorded.budgetRemaining)
             + '{{ $left := . | first | value }}{{ if lt $left 0.0 }} Nothing of its budget is left.'
             + '{{ else }} Left of its budget: {{ $left | humanizePercentage }}.{{ end }}{{ end }}';
local now = asked('Bad of the last five minutes:', 'max(%s{slo=%%q, window="5m"})' % recorded.errorRatio, 'humanizePercentage');
local burning = 'Its budget burns {{ $value | printf "%.1f" }} times as fast as it may.' + now;

function(config)
  local slos = [objectiveOf(config)(slo) for slo in config.slos];
  local periods = { [t.duration(seconds)]: seconds for seconds in std.set([slo.window for slo in slos]) };

  // Objectives of one period that have a tier and the same least number of bad events: [period, number, names].
  local having(tier, keep) =
    local found = [
      [slo.period, each.minimum_bad, slo.name]
      for slo in slos
      if keep(slo)
      for each in slo.tiers
      if each.name == tier
    ];
    [key + [[each[2] for each in found if each[:2] == key]] for key in std.set([each[:2] for each in found])];
  local only(period, names) =
    if std.length(names) == std.length([slo for slo in slos if slo.period == period]) then '' else ', ' + t.anyOf('slo', names);

  local series(record, period, seconds, also='') =
    '%s{slo_window="%s", window="%s"%s}' % [record, period, t.duration(seconds), also];
  local atLeast(count) = t.number(count - windows.rounding);
  // Both windows, or for runs, of which a short window holds none, the long one and the last run.
  local burns(tier, of) =
    local window = windows.of(periods[of[0]])[tier];
    |||
      %(long)s > %(factor)s
      and ignoring (window)
      %(bad)s >= %(minimum)s
      and ignoring (window)
      (
        %(short)s > %(factor)s
        or ignoring (window)
        %(unrecovered)s{slo_window="%(period)s"} == 1
      )
    ||| % {
      period: of[0],
      factor: t.number(window.factor),
      minimum: atLeast(of[1]),
      long: series(recorded.burnRate, of[0], window.long, only(of[0], of[2])),
      short: series(recorded.burnRate, of[0], window.short),
      bad: series(recorded.badEvents, of[0], window.long),
      unrecovered: recorded.unrecovered,
    };
  local union(queries) = 'max without (slo_window, window) (\n%s)' % std.join('or\n', queries);
  local outage(of, within) =
    local tiers = windows.of(periods[of[0]]);
    |||
      %(bad)s >= %(atLeast)s
      and
      %(total)s - %(bad)s < %(none)s * %(total)s
      and ignoring (window)
      %(recently)s < %(enough)d
    ||| % {
      bad: series(recorded.badEvents, of[0], tiers[within].long, only(of[0], of[2])),
      total: series(recorded.totalEvents, of[0], tiers[within].long),
      atLeast: atLeast(windows.outage.bad),
      none: t.number(windows.outage.good),
      recently: series(recorded.badEvents, of[0], tiers.page_slow.long),
      enough: of[1],
    };

  local tierAlerts = [
    local tier = windows.tiers[name];
    {
      name: NAMES[name],
      severity: tier.severity,
      component: 'objective',
      expr: union([burns(name, of) for of in having(name, function(slo) true)]),
      'for': tier['for'],
      [if tier.severity == 'page' then 'keep_firing_for']: KEPT,
      impact: if tier.severity == 'page' then 'Users get less than they were promised, now.' else 'Users get a little less than they were promised.',
      summary: objective + (if tier.severity == 'page' then ' is burning its budget' else ' is losing its budget'),
      description: burning + left,
      when: '%d %% of a 30-day budget is gone within %s at this rate, and within %s it still burns as fast; not for fewer than %d bad events'
            % [100 * tier.budget, t.duration(tier.long), t.duration(tier.short), tier.minimum_bad],
      history: 'only what was counted since the objective was rendered counts',
    }
    for name in windows.names
    if having(name, function(slo) true) != []
  ];
  local counted = having('page_slow', function(slo) slo.outage != null);

  // The indicator, or one of its groups: versions come and go.
  local grouped = [slo for slo in slos if slo.group_by != [] && !std.member(slo.group_by, 'version')];
  local vanished = [
    local tiers = windows.of(periods[period]);
    |||
      or
      max without (slo_window, window) (
        %(day)s
        unless ignoring (window)
        %(total)s
        and on (slo)
        %(total)s
      )
    ||| % {
      day: series(recorded.totalEvents, period, tiers.ticket_fast.long, only(period, [slo.name for slo in grouped if slo.period == period])),
      total: recorded.total,
    }
    for period in std.set([slo.period for slo in grouped])
  ];
  local absent = std.join('', ['%s\nunless on (slo)\n%s\n' % [recorded.objective, recorded.total]] + vanished);

  if slos == [] then [] else tierAlerts + (
    if counted == [] then [] else [{
      name: 'MLObjectiveOutage',
      severity: 'page',
      component: 'objective',
      expr: union([outage(of, within) for of in counted for within in windows.outage.within]),
      keep_firing_for: KEPT,
      impact: 'Whoever asks gets nothing.',
      summary: objective + ': everything fails, of the little that there is',
      description: '{{ $value | printf "%.0f" }} bad events since the last good one, which is hours ago.' + left,
      when: 'within six hours, a day or three days three events were bad and none was good, and there are too few for a burn rate',
      history: 'only what was counted since the objective was rendered counts',
    }]
  ) + (
    if [slo for slo in slos if slo.deadline] == [] then [] else [{
      name: 'MLObjectiveDeadlineMissed',
      severity: 'page',
      component: 'objective',
      expr: 'max without (slo_window) (%s == 1)' % recorded.deadlineMissed,
      'for': DEADLINE_FOR,
      keep_firing_for: KEPT,
      impact: 'Users work with old results.',
      summary: objective + ': two cycles were missed',
      description: 'What it promises is long overdue: no success in twice the time, or two due times in a row unmet.' + left,
      when: 'there was no success for twice `within`, or a second due time was missed while the first is unmet',
      history: 'the clock starts at the first sight of the pipeline',
    }]
  ) + [
    {
      name: 'MLObjectiveAbsent',
      severity: 'ticket',
      component: 'objective',
      expr: absent,
      'for': ABSENT_FOR,
      impact: 'None that is known: nobody knows.',
      summary: objective + ' is not measured: nobody knows whether it is met',
      description: 'Its indicator has had no value for %s: a source that cannot be read, a name that has changed, or nothing to count.'
                   % t.duration(ABSENT_FOR),
      when: "an objective's indicator has had no value for an hour, or one of the groups that had a budget of its own yesterday",
      history: 'a new objective has an hour to be measured',
    },
    {
      name: 'MLObjectiveImpossible',
      severity: 'ticket',
      component: 'objective',
      expr: |||
        max without (slo_window) (
          %(bad)s > %(more)s * %(total)s
          or
          %(bad)s < %(less)s * %(total)s
          or
          %(bad)s > 0 unless %(total)s
        )
      ||| % { bad: recorded.bad, total: recorded.total, more: t.number(1 + ROUNDING), less: t.number(-ROUNDING) },
      'for': IMPOSSIBLE_FOR,
      impact: 'None that is known: what is counted is wrong.',
      summary: objective + ' counts what cannot be: its indicator is wrong',
      description: '{{ $value | printf "%.3g" }} bad events a second are more than there are, fewer than none, or of no group that is counted.',
      when: 'for ten minutes more events are bad than there are, or fewer than none, or they belong to no group that is counted',
    },
    {
      name: 'MLObjectiveBudgetSpent',
      severity: 'info',
      component: 'objective',
      // Before one bad event was allowed, the first one spends it all.
      expr: |||
        max without (slo_window) (
          %(left)s < 0
          and
          sum without (window) (%(total)s{window=~"%(whole)s"}) * on (slo) group_left () (1 - %(promised)s) >= 1
        )
      ||| % {
        left: recorded.budgetRemaining,
        total: recorded.totalEvents,
        whole: std.join('|', std.objectFields(periods)),
        promised: recorded.objective,
      },
      impact: 'Users got less than they were promised over the whole time.',
      summary: objective + ' has spent its budget',
      description: 'More was bad than it allows: {{ $value | humanizePercentage }} of it is left.' + promised,
      when: 'the budget of an objective is overspent, and large enough for one bad event',
      history: 'only what was counted since the objective was rendered counts',
    },
  ]
