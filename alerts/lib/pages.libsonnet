// Pages that fire, as Prometheus itself tells of them; an escalation is none, else it would escalate.
local t = import 'text.libsonnet';

// As far back as a plain selector looks.
local LOOKBACK = 300;
local pages = 'ALERTS{alertname=~"ML.+", alertname!="MLAlertUnresolved", alertstate="firing", severity="page"}';

function(config) {
  // What has ended is gone at once. Rules that are evaluated seldom need a longer look, and learn of the end later.
  firing::
    local interval = config.stack.evaluation_interval;
    if 2 * interval <= LOOKBACK then pages else 'last_over_time(%s[%s])' % [pages, t.duration(2 * interval)],
}
