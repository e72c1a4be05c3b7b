// How a pipeline does, as one number with a word. Unknown has a number of its own, so that it is never taken for fine.
local m = import '../../alerts/lib/metrics.libsonnet';
local recorded = import '../../alerts/lib/recorded.libsonnet';
local windows = import '../../alerts/slos/windows.libsonnet';
local colour = import 'colours.libsonnet';

{
  words: [
    [0, 'succeeding', colour.fine],
    [1, 'unknown', colour.neutral],
    [2, 'failed last', colour.look],
    [3, 'failing', colour.hurt],
  ],

  // Of a service: what ml:service_state:worst says.
  serviceWords: [
    [0, 'fine', colour.fine],
    [1, 'unknown', colour.neutral],
    [2, 'ticket', colour.look],
    [3, 'page', colour.hurt],
  ],

  // How a run ended, and how much an alert matters.
  ends: { succeeded: colour.fine, failed: colour.hurt, timed_out: colour.look, cancelled: colour.neutral },
  severities: { page: colour.hurt, ticket: colour.look, info: colour.note },

  // How fast a budget burns: from 1 on it ends before its window does, from the factor of the slower page on it pages.
  burnSteps: [[colour.fine, 0], [colour.look, 1], [colour.hurt, windows.of(windows.madeFor).page_slow.factor]],

  // Of an error budget that is left, and of how much worse than its baseline a figure is.
  budgetSteps: [[colour.hurt, -10000], [colour.look, 0], [colour.fine, 0.25]],
  worseSteps(limits):: [[colour.fine, -10000], [colour.look, limits.metric_worse], [colour.hurt, limits.metric_worse_page]],

  // Of a pipeline of which no run ended no failures are known either: that is not success.
  //   by: labels of pipelines, the source among them; chosen: which ones, as matchers; failing: so many failures in a row
  expr(by, chosen, failing)::
    local of(metric, more='') = 'max by (%s) (%s{%s%s})' % [by, metric, chosen, more];
    |||
      (
        2 * clamp_max(%(failures)s, 1) + (%(failures)s >= bool %(failing)d)
        and on (source)
        %(read)s
        and
        %(ended)s
      )
      or
      0 * %(all)s + 1
    ||| % {
      failures: of(m.ml_pipeline_consecutive_failures),
      failing: failing,
      read: recorded.sourceRead,
      ended: of(m.ml_run_last_finished_timestamp_seconds, ', state=~"succeeded|failed|timed_out"'),
      all: of(m.ml_pipeline_info),
    },
}
