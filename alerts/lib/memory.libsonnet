// Recording rules that read their own last value: they remember since when something holds, which `for` forgets at the
// first missed scrape. Five minutes without a value are bridged; after a longer gap the clock starts again.
local m = import 'metrics.libsonnet';
local t = import 'text.libsonnet';

function(config) {
  local q = (import 'queries.libsonnet')(config),
  // Rules that are evaluated more seldom than that must still find their last value.
  local window = t.duration(std.max(300, 2 * config.stack.evaluation_interval)),

  // Since when `condition` holds, for each of `labels`. `clock`: the time that it counts from, one for each of `by`; else
  // the source's last successful poll.
  since(name, labels, condition, clock=q.source(m.ml_source_last_success_timestamp_seconds), by='source'):: {
    record: name,
    expr: |||
      last_over_time(%(name)s[%(window)s])
      and on (%(labels)s)
      (%(condition)s)
      or
      0 * (%(condition)s)
      + on (%(by)s) group_left ()
      %(clock)s
    ||| % {
      name: name,
      window: window,
      labels: labels,
      condition: std.rstripChars(condition, '\n'),
      by: by,
      clock: clock,
    },
  },
}
