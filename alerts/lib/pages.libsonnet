// Alerts that fire, as Prometheus itself tells of them.
local t = import 'text.libsonnet';

// As far back as a plain selector looks.
local LOOKBACK = 300;

function(config) {
  // What has ended is gone at once. Rules that are evaluated seldom need a longer look, and learn of the end later.
  of(severity, name='alertname=~"ML.+"')::
    local interval = config.stack.evaluation_interval;
    local alerts = 'ALERTS{%s, alertstate="firing", severity="%s"}' % [name, severity];
    if 2 * interval <= LOOKBACK then alerts else 'last_over_time(%s[%s])' % [alerts, t.duration(2 * interval)],

  // An escalation is none, else it would escalate.
  firing:: self.of('page', 'alertname=~"ML.+", alertname!="MLAlertUnresolved"'),
}
