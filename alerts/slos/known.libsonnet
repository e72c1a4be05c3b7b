// Sources that were read lately, and whose history has been read. What is read of the others is old: nobody knows.
local m = import '../lib/metrics.libsonnet';
local t = import '../lib/text.libsonnet';

function(config)
  local q = (import '../lib/queries.libsonnet')(config);
  '(time() - %s) <= %s * %s\nand on (source)\n%s == 1' % [
    q.source(m.ml_source_last_success_timestamp_seconds),
    t.number(config.alerting.thresholds.source_stale_intervals),
    q.source(m.ml_source_interval_seconds),
    q.source(m.ml_source_backfill_complete),
  ]
