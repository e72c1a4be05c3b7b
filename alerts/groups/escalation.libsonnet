// What stays unresolved. Alertmanager repeats a message and cannot send it to somebody else: this is another alert.
local pages = import '../lib/pages.libsonnet';
local recorded = import '../lib/recorded.libsonnet';
local t = import '../lib/text.libsonnet';

function(config)
  local escalation = std.get(config.alerting, 'escalation');

  if escalation == null then []
  else [{
    name: 'MLAlertUnresolved',
    severity: 'page',
    component: 'escalation',
    // By service and alert: ten endpoints of a service that are down are one escalation.
    expr: |||
      time() - min by (ml_service, unresolved) (
        label_replace(
          %s
          and
          %s,
          "unresolved", "$1", "alertname", "(.+)"
        )
      ) >= %s
    ||| % [recorded.pageFiringSince, pages(config).firing, t.number(escalation.after)],
    impact: 'What the page reports still goes on.',
    summary: '{{ $labels.unresolved }} of {{ $labels.ml_service }} has not been resolved',
    description: 'It has been firing for {{ $value | humanizeDuration }}.',
    when: 'a page has been firing for `alerting.escalation.after`; gaps and recoveries of less than five minutes do not '
          + 'count. Without `alerting.escalation` there is no such alert',
  }]
