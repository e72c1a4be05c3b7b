// What `ml-exporter slo` says of each objective: what would alert, and how much it takes.
local t = import '../lib/text.libsonnet';
local objectiveOf = import 'objective.libsonnet';

local tierOf(slo, tier) =
  // Of each window, the share that has to be bad for the tier to fire.
  local ratio = tier.factor * slo.budget;
  {
    tier: tier.name,
    severity: tier.severity,
    long: tier.long,
    short: tier.short,
    'for': tier['for'],
    factor: tier.factor,
    minimum_bad: tier.minimum_bad,
    error_ratio: ratio,
    minutes_of_outage: ratio * tier.long / 60,
  };

// How often a probe says something about an objective, in seconds; null where nobody knows how many events there are.
local paceOf(config, slo) =
  local asked = std.get(slo.options, 'endpoint');
  local named = [e.interval for e in config.endpoints if asked != null && t.like(asked, e.name)];
  if named == [] || std.get(slo.options, 'from_', 'probe') == 'native' then null
  else std.foldl(std.max, named, 0);

local reported(config, slo) = {
  path: slo.path,
  name: slo.name,
  ml_service: slo.ml_service,
  kind: slo.kind,
  options: slo.options,
  unit: if slo.events then 'events' else 'minutes',
  // An alert ends with the next good run: no run need fall into the short window.
  runs: slo.runs,
  pace: paceOf(config, slo),
  objective: slo.objective,
  window: slo.window,
  group_by: slo.group_by,
  budget_ratio: slo.budget,
  budget_minutes: slo.budget * slo.window / 60,
  deadline: slo.deadline,
  outage: slo.outage,
  tiers: [tierOf(slo, tier) for tier in slo.tiers],
};

function(config) [reported(config, objectiveOf(slo)) for slo in config.slos]
