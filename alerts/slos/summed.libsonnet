// Windows, ratios and budgets of all objectives over the same time: a few rules, whatever the number of objectives.
local recorded = import '../lib/recorded_slos.libsonnet';
local t = import '../lib/text.libsonnet';
local windows = import 'windows.libsonnet';

local SLICE = t.number(windows.slice);
local STEP = t.duration(windows.step);
local isSlow(seconds) = seconds > 3600;

// The rules for objectives over `seconds`.
function(seconds)
  local period = t.duration(seconds);
  local tiers = windows.of(seconds);
  local direct = tiers.page_fast.long;
  local lengths = std.set(std.flattenArrays([[tier.long, tier.short] for tier in std.objectValues(tiers)]));
  local fast = [length for length in lengths if !isSlow(length)];
  local slow = std.setUnion([length for length in lengths if isSlow(length)], [seconds]);

  local of(record, labels={}) = record + t.selector({ slo_window: period } + labels);
  local rule(record, expr, labels={}) = { record: record, expr: expr, labels: { slo_window: period } + labels };
  // How many events there were within a window, all and bad ones, by how it is found out.
  local counts(length, total, bad) =
    local window = { window: t.duration(length) };
    [rule(recorded.totalEvents, total, window), rule(recorded.badEvents, bad, window)];
  local overTime(operation, record, length) =
    '%s_over_time(%s[%s])' % [operation, of(record), t.duration(length - windows.open)];
  local times(factor, query) = '%s * %s' % [factor, query];

  local fastCounts(length) =
    // Of what is counted in events it is recorded for each: here are the slices of time.
    if length == direct then counts(length, overTime('count', recorded.slice, length), overTime('sum', recorded.slice, length))
    else if length == windows.rate then counts(length, times(length, of(recorded.total)), times(length, of(recorded.bad)))
    else counts(length, times(SLICE, overTime('sum', recorded.total, length)), times(SLICE, overTime('sum', recorded.bad, length)));
  local slowCounts(length) = counts(length, overTime('sum', recorded.totalStep, length), overTime('sum', recorded.badStep, length));

  local ratios(these) =
    local named = { window: std.join('|', [t.duration(length) for length in these]) };
    local among(record) = '%s{slo_window="%s", window=~"%s"}' % [record, period, named.window];
    [
      rule(recorded.errorRatio, '%s\n/\n(%s > 0)' % [among(recorded.badEvents), among(recorded.totalEvents)]),
      rule(recorded.burnRate, '%s\n/ on (slo) group_left ()\n(1 - %s)' % [among(recorded.errorRatio), recorded.objective]),
    ];
  local burn(length) = 'sum without (window) (%s)' % of(recorded.burnRate, { window: t.duration(length) });

  {
    // Every slice of time.
    fast: std.flattenArrays([fastCounts(length) for length in fast]) + ratios(fast),
    // Every step. A minute late: by then everything that belongs to it has been recorded.
    slow: [
      rule(pair[1], 'clamp_min(%s * sum_over_time(%s[%s] offset %ss), 0)' % [SLICE, of(pair[0]), STEP, SLICE])
      for pair in [[recorded.total, recorded.totalStep], [recorded.bad, recorded.badStep]]
    ] + std.flattenArrays([slowCounts(length) for length in slow]) + ratios(slow) + [
      rule(recorded.budgetRemaining, '1 - ' + burn(seconds)),
      rule(recorded.exhaustedIn, '%s * clamp_min(%s, 0)\n/\n(%s > 0)' % [
        t.number(seconds),
        of(recorded.budgetRemaining),
        burn(tiers.ticket_fast.long),
      ]),
    ],
  }
