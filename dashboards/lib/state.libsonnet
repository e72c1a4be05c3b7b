// How a pipeline does, as one number with a word. Unknown has a number of its own, so that it is never taken for fine.
local m = import '../../alerts/lib/metrics.libsonnet';

{
  words: [
    [0, 'succeeding', 'green'],
    [1, 'failed last', 'orange'],
    [2, 'failing', 'red'],
    [3, 'unknown', 'text'],
  ],

  // failures: consecutive failures of pipelines, with their source label
  expr(failures, failing):: |||
    (
      clamp_max(%(failures)s, 1) + (%(failures)s >= bool %(failing)d)
      and on (source)
      max by (source) (%(up)s) == 1
    )
    or
    0 * %(failures)s + 3
  ||| % { failures: failures, failing: failing, up: m.ml_source_up },
}
