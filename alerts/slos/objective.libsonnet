// An entry of `slos:` → the objective with its tiers, or the reason why it cannot be.
local t = import '../lib/text.libsonnet';
local kinds = import 'kinds.libsonnet';
local windows = import 'windows.libsonnet';

local DEADLINE = 'deadline';
// Shares and factors are sums of fractions of ten: what is equal on paper is equal here.
local EXACT = 1e-9;

local percent(ratio) = '%s %%' % t.number(100 * ratio);

// How often something is counted, in seconds: minutes, and our own probes; null where nobody knows.
local paceOf(config, slo, kind) =
  local asked = std.get(slo.options, 'endpoint');
  local named = [e.interval for e in config.endpoints if asked != null && t.like(asked, e.name)];
  if !kind.events then windows.slice
  else if named == [] || std.get(slo.options, 'from_', 'probe') == 'native' then null
  else std.foldl(std.max, named, 0);

// A tier of the objective. An error ratio of 1 is the worst there is: what needs more can never fire.
local tier(slo, kind, name, budget, pace) =
  local window = windows.of(slo.window)[name];
  local minimum = if slo.minimum_bad != null then slo.minimum_bad
  else if kind.minimum_bad != null then kind.minimum_bad
  else window.minimum_bad;
  if window.factor * budget >= 1 - EXACT then
    error '%s.objective: found %s; %s can never fire, for it needs %s times %s of bad ones; allowed are objectives above %s, or tiers without it' % [
      slo.path,
      t.number(slo.objective),
      name,
      t.number(window.factor),
      percent(budget),
      t.number(std.ceil(100 * 100 * (1 - 1 / window.factor)) / 100),
    ]
  else if pace != null && minimum * pace > window.long then
    error '%s.tiers: %s can never fire, for it needs %d bad probes within %s, and there is one every %s; allowed are tiers without it, or a smaller minimum_bad' % [
      slo.path,
      name,
      minimum,
      t.duration(window.long),
      t.duration(pace),
    ]
  else window { name: name, minimum_bad: minimum };

local checkedName(slo, kind, index, name) =
  local allowed = windows.names + (if slo.kind == 'pipeline_freshness' then [DEADLINE] else []);
  if std.member(allowed, name) then name
  else error "%s.tiers[%d]: found '%s'; allowed for %s are %s" % [slo.path, index, name, slo.kind, std.join(', ', allowed)];

function(config) function(slo)
  local kind = kinds[slo.kind];
  local budget = (100 - slo.objective) / 100;
  local given = if slo.tiers == null then kind.tiers else slo.tiers;
  local pace = paceOf(config, slo, kind);
  assert config.stack.scrape_interval <= windows.rate / 2 :
         'stack.scrape_interval: found %s; objectives count over %s and so need at most %s' % [
    t.duration(config.stack.scrape_interval),
    t.duration(windows.rate),
    t.duration(windows.rate / 2),
  ];
  local names = std.mapWithIndex(function(index, name) checkedName(slo, kind, index, name), given);
  slo {
    events: kind.events,
    runs: kind.runs,
    budget: budget,
    pace: pace,
    period: t.duration(slo.window),
    deadline: std.member(names, DEADLINE),
    // Where events are few, a burn rate says nothing, and nothing that is good says it all.
    outage: if !kind.events || kind.runs || !std.member(names, 'page_slow') then null else {
      bad: windows.outage.bad,
      within: [windows.of(slo.window)[name].long for name in windows.outage.within],
    },
    tiers: [tier(slo, kind, name, budget, pace) for name in windows.names if std.member(names, name)],
    // What each of its series is known by.
    labels: { slo: slo.name, ml_service: slo.ml_service, slo_window: t.duration(slo.window) },
    by: std.join(', ', slo.group_by),
  }
