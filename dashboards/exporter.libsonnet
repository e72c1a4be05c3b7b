// What watches: whether each source can be read, how old what is known of it is, and what reading it costs.
local m = import '../alerts/lib/metrics.libsonnet';
local colour = import 'lib/colours.libsonnet';
local d = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local signals = import 'lib/signals.libsonnet';

function(config)
  local chosen = 'source=~"$source"';
  local s = signals(config, chosen, chosen, endpoints='ml_endpoint=~".+"');
  local of(metric, by='source', more='') = 'max by (%s) (%s{%s%s})' % [by, metric, chosen, more];
  local rate(counter, by) = 'sum by (%s) (rate(%s{%s}[$__rate_interval]))' % [by, counter, chosen];
  local line(title, description, unit, legend, expr, more={}) = { title: title, description: description, unit: unit, queries: [{ legend: legend, expr: expr }] } + more;

  d.new(
    uid='ml-exporter',
    title='ML / Exporter',
    description='What watches: whether each source can be read, how old what is known of it is, and what reading it costs.',
    variables=[d.variable('source', 'source', m.ml_source_info, several=true)],
    links=d.siblings('ml-exporter'),
    // Its own, and those of sources.
    annotations=[d.firing('ml_service="ml-exporter"')],
    panels=[
      panel.table(8, 4, {
        title: 'Version',
        description: 'The versions of ml-exporter that run, and how many of each.',
        feed: 'no exporter is scraped',
        keys: ['version'],
        sort: ['Run', true],
        columns: [{ name: 'Run', expr: 'count by (version) (%s)' % m.ml_exporter_build_info }],
      }),
      panel.stat(5, {
        title: 'Last reload',
        description: 'Whether the configuration that was read last was accepted.',
        unit: 'short',
        mappings: panel.meaning([[0, 'refused', colour.hurt], [1, 'accepted', colour.fine]]),
        query: { expr: 'min(%s)' % m.ml_exporter_config_last_reload_successful },
      }),
      panel.stat(5, {
        title: 'Configuration since',
        description: 'When a configuration was last accepted.',
        unit: 'dateTimeFromNow',
        query: { expr: '1000 * max(%s)' % m.ml_exporter_config_last_reload_success_timestamp_seconds },
      }),
      panel.stat(6, {
        title: 'State files kept aside',
        description: 'Unreadable state files beside the current one: what was counted before is in them.',
        unit: 'short',
        steps: [[colour.fine, 0], [colour.look, 1]],
        query: { expr: 'max(%s)' % m.ml_exporter_state_kept_aside },
      }),

      d.heading('Sources'),
      panel.table(24, 8, {
        title: 'Sources',
        description: 'Where everything comes from, and how old it is.',
        feed: 'list sources:',
        keys: ['source', 'kind'],
        links: [d.out(config).source],
        sort: ['Data as of', false],
        columns: [
          { name: 'Last poll', mappings: s.sourceUp.mappings, expr: s.sourceUp.query.expr },
          { name: s.dataAsOf.title, unit: s.dataAsOf.unit, expr: s.dataAsOf.query.expr },
          { name: 'History read', unit: 'percentunit', expr: of(m.ml_source_backfill_progress_ratio) },
          { name: 'Series', expr: of(m.ml_source_series) },
          { name: 'Series limit', expr: of(m.ml_source_series_limit) },
          { name: 'Kind', hidden: true, expr: of(m.ml_source_info, 'source, kind') },
        ],
      }),
      panel.timeline(12, 8, panel.top(s.sourceUp { feed: 'list sources:' }, panel.rows(8), least=true)),
      panel.lines(12, line(
        'Polls that failed',
        'Polls that failed, by reason, as a rate per hour.',
        'suffix:/h',
        '{{source}} {{reason}}',
        '3600 * sum by (source, reason) (rate(%s{%s, outcome="failed"}[$__rate_interval])) > 0' % [m.ml_source_polls_total, chosen],
        { feed: 'none failed, or no exporter is scraped' }
      )),
      panel.lines(8, line(
        'Duration of polls',
        'The 95th percentile, failed ones too.',
        's',
        '{{source}}',
        'histogram_quantile(0.95, sum by (source, le) (rate(%s_bucket{%s}[$__rate_interval])))' % [m.ml_source_poll_duration_seconds, chosen]
      )),
      panel.lines(8, line('Requests', 'What is sent to each source, retries too.', 'reqps', '{{source}}', rate(m.ml_source_requests_total, 'source'))),
      panel.lines(8, line('Bytes received', 'Of bodies, from each source.', 'Bps', '{{source}}', rate(m.ml_source_response_bytes_total, 'source'))),
      panel.lines(12, line(
        'Series of sources left out',
        'Within the last hour, because of the limit of a source.',
        'short',
        '{{source}} {{family}}',
        'max by (source, family) (increase(%s{%s}[1h])) > 0' % [m.ml_source_series_dropped_total, chosen],
        { feed: 'none is left out, or no exporter is scraped' }
      )),
      panel.lines(12, line(
        'Series',
        'Time series of each source.',
        'short',
        '{{source}}',
        of(m.ml_source_series)
      )),

      d.heading('Probes'),
      panel.lines(8, panel.top(s.seriesLeftOut { feed: 'list endpoints:' })),
      panel.lines(8, s.proberLateness { feed: 'list endpoints:' }),
      panel.lines(8, s.spansDropped { feed: 'set tracing:' }),
    ]
  )
