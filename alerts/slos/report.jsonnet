// What `ml-exporter slo` says of each objective: what would alert, and how much it takes.
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

local reported(slo) = {
  path: slo.path,
  name: slo.name,
  ml_service: slo.ml_service,
  kind: slo.kind,
  options: slo.options,
  unit: if slo.events then 'events' else 'minutes',
  // An alert ends with the next good run: no run need fall into the short window.
  runs: slo.runs,
  pace: slo.pace,
  objective: slo.objective,
  window: slo.window,
  group_by: slo.group_by,
  budget_ratio: slo.budget,
  budget_minutes: slo.budget * slo.window / 60,
  deadline: slo.deadline,
  outage: slo.outage,
  tiers: [tierOf(slo, tier) for tier in slo.tiers],
};

function(config) [reported(objectiveOf(config)(slo)) for slo in config.slos]
