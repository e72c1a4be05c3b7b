// Windows of burn-rate alerts, as data. A tier fires when both windows burn `factor` times as fast as the budget allows:
// factor = the share of the budget that the long window may spend × the objective's window / the long window. The first,
// second and fourth row are table 5-8 of the SRE workbook ("Alerting on SLOs"), the third is common practice.
// `minimum_bad`: fewer bad events (minutes, where time is judged) in the long window alarm nobody: an event or two of
// little traffic look like a fire.
local DAY = 86400;
local tiers = {
  page_fast: { severity: 'page', long: 3600, short: 300, budget: 0.02, 'for': 120, minimum_bad: 5 },
  page_slow: { severity: 'page', long: 21600, short: 1800, budget: 0.05, 'for': 900, minimum_bad: 10 },
  ticket_fast: { severity: 'ticket', long: 86400, short: 7200, budget: 0.10, 'for': 3600, minimum_bad: 10 },
  ticket_slow: { severity: 'ticket', long: 259200, short: 21600, budget: 0.10, 'for': 10800, minimum_bad: 20 },
};
// What the table is for; below the shorter one its windows shrink with the objective's, else factors would fall under 1.
local MADE_FOR = 30 * DAY;
local UNSCALED = 28 * DAY;
local minutes(seconds) = 60 * std.floor(seconds / 60 + 0.5);

{
  // How long a slice of time is, and how often rules on objectives are evaluated.
  slice:: 60,
  // How often sums over long windows are made, from sums over this.
  step:: 150,
  // A range of Prometheus 2 has both its ends, one of Prometheus 3 only the later one: so much less holds as many samples in
  // both.
  open:: 1,
  // Rates are over this, and no window is shorter.
  rate:: 300,
  shortestLong:: 1800,
  tiers:: tiers,
  // An outage of little traffic, by counting: so many bad events and as good as none that was not, within one of these tiers'
  // long windows. Sums of rates are seldom exactly 0.
  outage:: { bad: 3, good: 0.01, within: ['page_slow', 'ticket_fast', 'ticket_slow'] },
  // How much less than `minimum_bad` is enough: rates count an event as 0.83 to 1.11 of one, by the phase of scrapes.
  rounding:: 0.55,
  madeFor:: MADE_FOR,
  names:: ['page_fast', 'page_slow', 'ticket_fast', 'ticket_slow'],

  // The tiers of an objective over `period` seconds, each with its `factor`.
  of(period)::
    local scale = if period >= UNSCALED then 1 else period / MADE_FOR;
    {
      [name]: tiers[name] {
        long: std.max(minutes(super.long * scale), $.shortestLong),
        short: std.max(minutes(super.short * scale), $.rate),
        factor: super.budget * period / self.long,
      }
      for name in std.objectFields(tiers)
    },
}
