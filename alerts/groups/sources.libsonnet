// Sources: what we read from. While one is down its pipelines are unknown, and this is the alert that says so.
local m = import '../lib/metrics.libsonnet';
local t = import '../lib/text.libsonnet';

function(config)
  local limits = config.alerting.thresholds;
  local q = (import '../lib/queries.libsonnet')(config);
  local backfillAfter = t.duration(limits.backfill_after);

  [
    {
      name: 'MLSourceDown',
      severity: 'ticket',
      component: 'source',
      expr: q.source(m.ml_source_up) + ' == 0',
      'for': limits.source_down_for,
      summary: 'Source {{ $labels.source }} cannot be read',
      description: 'Every poll has failed for %s: what its pipelines do now is unknown, and their alerts are held back.'
                   % t.duration(limits.source_down_for),
      impact: 'None that is known: a failing pipeline would not be seen.',
      when: 'polls fail for `source_down_for`',
      history: 'it is about now',
    },
    {
      name: 'MLSourceStale',
      severity: 'ticket',
      component: 'source',
      expr: |||
        (time() - %s)
        > %s * %s
      ||| % [
        q.source(m.ml_source_last_success_timestamp_seconds),
        t.number(limits.source_stale_intervals),
        q.source(m.ml_source_interval_seconds),
      ],
      'for': 60,
      summary: 'What is known about source {{ $labels.source }} is old',
      description: 'The last successful poll ended {{ $value | humanizeDuration }} ago, over %s intervals.'
                   % t.number(limits.source_stale_intervals),
      impact: 'None that is known: what happened since then is not seen.',
      when: 'no poll has succeeded for `source_stale_intervals` intervals',
      history: 'it is about now',
    },
    {
      name: 'MLSourceSeriesDropped',
      severity: 'ticket',
      component: 'source',
      expr: 'sum by (source) (max by (source, family) (increase(%s[15m]))) > 0' % m.ml_source_series_dropped_total,
      summary: 'Source {{ $labels.source }} has more series than its limit, and some are left out',
      description: 'Within 15 minutes some were left out: tasks, then training metrics, then histograms; states and last successes stay.',
      impact: 'None: some figures are missing on dashboards.',
      when: 'series were left out within 15 minutes',
      history: 'it is about now',
    },
    {
      name: 'MLSourceBackfillNotFinishing',
      severity: 'ticket',
      component: 'source',
      // Not `for`: one missed scrape would start the day again.
      expr: |||
        max by (source) (max_over_time(%(complete)s[%(after)s])) == 0
        and
        max by (source) (%(complete)s offset %(after)s) == 0
      ||| % { complete: m.ml_source_backfill_complete, after: backfillAfter },
      summary: 'The history of source {{ $labels.source }} is not read to its end',
      description: 'It has been read for over %s; counters of pipelines that are not read yet are missing.'
                   % backfillAfter,
      impact: 'None: late pipelines of this source are not found yet.',
      when: 'the history is not read whole after `backfill_after`',
      history: 'a fresh installation has `backfill_after` to read it',
    },
  ]
