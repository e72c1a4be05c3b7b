// Recording rules that read their own last value: they remember since when something holds, which `for` forgets at the
// first missed scrape. Five minutes without a value are bridged; after a longer gap the clock starts again.
local m = import 'metrics.libsonnet';
local t = import 'text.libsonnet';

function(config) {
  local q = (import 'queries.libsonnet')(config),
  // Rules that are evaluated more seldom than that must still find their last value.
  local window = t.duration(std.max(300, 2 * config.stack.evaluation_interval)),

  // A remembered time, also while for a moment nobody knows whether it still holds.
  bridged(selector):: 'last_over_time(%s[%s])' % [selector, window],

  // Since when `condition` holds, for each of `labels`; counted from the source's last successful poll.
  since(name, labels, condition):: {
    record: name,
    expr: |||
      last_over_time(%(name)s[%(window)s])
      and on (%(labels)s)
      (%(condition)s)
      or
      0 * (%(condition)s)
      + on (source) group_left ()
      %(polled)s
    ||| % {
      name: name,
      window: window,
      labels: labels,
      condition: std.rstripChars(condition, '\n'),
      polled: q.source(m.ml_source_last_success_timestamp_seconds),
    },
  },

  // Since when `condition` holds without a break, by `clock`, which has the same labels; 0 where it does not hold, of what is
  // `known`. Only what is not known is bridged.
  unbroken(name, labels, condition, clock, known):: {
    record: name,
    expr: |||
      last_over_time(%(name)s[%(window)s]) > 0
      and on (%(labels)s)
      (%(condition)s)
      or
      %(clock)s
      and on (%(labels)s)
      (%(condition)s)
      or
      0 * %(clock)s
      and on (%(labels)s)
      %(known)s
    ||| % {
      name: name,
      window: window,
      labels: labels,
      condition: std.rstripChars(condition, '\n'),
      clock: clock,
      known: known,
    },
  },
}
