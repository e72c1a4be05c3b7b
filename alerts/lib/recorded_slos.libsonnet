// Names of what the rules record of objectives. All carry `slo`, `ml_service` and the labels that an objective is grouped by;
// what is counted also `slo_window`, the objective's own window, such as 30d.
{
  // Events per second over five minutes: all that count, and the bad ones, 0 where none is. Of objectives that judge time, an
  // event is a slice of a minute.
  total: 'slo:sli_total:rate5m',
  bad: 'slo:sli_bad:rate5m',
  // Of objectives that judge time: 1 if the minute is bad, 0 if it is good, absent if nobody knows.
  slice: 'slo:slice_bad:bool',
  // The same events, summed over 150 seconds: what sums over days are made of.
  totalStep: 'slo:total_events:increase150s',
  badStep: 'slo:bad_events:increase150s',
  // By `window`: events, the share of them that is bad, and that share in proportion to what the objective allows.
  totalEvents: 'slo:total_events:sum',
  badEvents: 'slo:bad_events:sum',
  errorRatio: 'slo:sli_error:ratio',
  burnRate: 'slo:burn_rate:ratio',
  // Of the objective's own window: 1 is untouched, 0 is spent, below 0 is overspent; and how long the rest will last.
  budgetRemaining: 'slo:error_budget_remaining:ratio',
  exhaustedIn: 'slo:error_budget_exhausted_in:seconds',
  // What was promised, as a share of 1, and over how many seconds.
  objective: 'slo:objective:ratio',
  window: 'slo:window:seconds',
  // Of pipelines: 1 while the last run was bad; 1 once two of its cycles were missed.
  unrecovered: 'slo:unrecovered:bool',
  deadlineMissed: 'slo:deadline_missed:bool',
}
