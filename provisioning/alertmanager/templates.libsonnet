// The texts of messages, as templates of Alertmanager: what is hurt, since when, how bad, whose it is, what to do first.
// One list of facts for every channel; a channel says how a bold word, a link and the end of a line look there.
local routing = import '../../alerts/routing.libsonnet';

// More than so many alerts are counted, not told.
local SHOWN = 10;

local replace(pattern, text) = ' | reReplaceAll %s %s' % [std.escapeStringJson(pattern), std.escapeStringJson(text)];

local plain = { escape: '', escapeUrl: '', bold(text): text, link(name, url): '%s: %s' % [name, url], between: '\n', newline: '\n' };
local channels = {
  'ml.text': plain,
  'ml.pager': plain,
  'ml.slack': plain {
    escape: replace('&', '&amp;') + replace('<', '&lt;') + replace('>', '&gt;'),
    escapeUrl: self.escape,
    bold(text): '*%s*' % text,
    link(name, url): '<%s|%s>' % [url, name],
    between: ' · ',
  },
  'ml.teams': plain {
    // Else what somebody calls a pipeline could be a link.
    escape: replace('([\\[\\]*])', '\\$1'),
    bold(text): '**%s**' % text,
    link(name, url): '[%s](%s)' % [name, url],
    between: ' · ',
    newline: '\n\n',
  },
};

// An alert, as labels: what the silence form of Alertmanager is filled in with.
local silence = '{{ $.ExternalURL }}/#/silences/new?filter=%7B{{ range $at, $label := .Labels.SortedPairs }}'
                + '{{ if $at }}%2C{{ end }}{{ $label.Name }}%3D{{ printf "%q" $label.Value | urlquery'
                + replace('\\+', '%20') + ' }}{{ end }}%7D';

local when(value, text) = '{{ with %s }}%s{{ end }}' % [value, text];
local summary = 'or .Annotations.summary .Labels.alertname';

// Go's own formatting where Alertmanager has none: then the time is told in UTC.
local timeIn(zone) = function(value)
  local format = '"2006-01-02 15:04 MST"';
  if zone == null then '{{ %s.UTC.Format %s }}' % [value, format]
  else '{{ %s | tz %s | date %s }}' % [value, std.escapeStringJson(zone), format];

local firing(channel, time) =
  local say(value) = '{{ %s%s }}' % [value, channel.escape];
  local line(value, text) = when(value, text + channel.newline);
  local link(name, annotation) =
    when('.Annotations.' + annotation, channel.link(name, '{{ .%s }}' % channel.escapeUrl) + channel.between);
  std.join('', [
    line('.Annotations.impact', channel.bold('Impact: ' + say('.'))),
    line(summary, channel.bold(say('.'))),
    'Alerting since ' + time('.StartsAt') + channel.newline,
    line('.Annotations.description', say('.')),
    'Owner: ' + say('or .Labels.owner "unassigned"') + channel.newline,
    line('.Annotations.check', 'Check first: ' + say('.')),
    link('Runbook', 'runbook_url') + link('Dashboard', 'dashboard_url') + channel.link('Silence', silence) + '\n',
  ]);

local resolved(channel, time) =
  'Resolved: {{ %s%s }}, %s to %s\n' % [summary, channel.escape, time('.StartsAt'), time('.EndsAt')];

// The first of a list of alerts, with a line between two, and how many are left.
local each(list, alert, between) =
  '{{ range $at, $alert := %s }}{{ if lt $at %d }}{{ if $at }}%s{{ end }}%s{{ end }}{{ end }}' % [list, SHOWN, between, alert]
  + '{{ if gt (len %(list)s) %(shown)d }}%(between)sand {{ len (slice %(list)s %(shown)d) }} more\n{{ end }}'
    % { list: list, shown: SHOWN, between: between };

// A detail of PagerDuty's. Alertmanager since 0.30 reads it as YAML and sends an object if it is one: a line without a
// colon among lines with one is none.
local ENDED = '{{ len .Alerts.Resolved }} ended\n';
local detail(list, start, text) = '{{ if %s }}%s%s{{ else }}none{{ end }}' % [list, start, text];

local define(name, text) = '{{ define "%s" }}%s{{ end }}\n' % [name, text];

local title(channel) =
  local words(list) =
    '{{ with index %s 0 }}{{ %s%s%s }}{{ end }}' % [list, summary, replace('\\s+', ' '), channel.escape]
    + '{{ if gt (len %(list)s) 1 }} and {{ len (slice %(list)s 1) }} more{{ end }}' % { list: list };
  '{{ if .Alerts.Firing }}[{{ or .CommonLabels.severity "alert" | toUpper }}]{{ else }}[RESOLVED]{{ end }} '
  + '{{ with .CommonLabels.ml_service }}{{ .%s }}: {{ end }}' % channel.escape
  + '{{ if .Alerts.Firing }}%s{{ else }}%s{{ end }}' % [words('.Alerts.Firing'), words('.Alerts.Resolved')];

{
  minor(alerting):: std.parseInt(std.split(alerting.alertmanager, '.')[1]),

  text(config)::
    local hours = config.alerting.business_hours;
    local zone = if hours == null || self.minor(config.alerting) < routing.since.zones.minor then null else hours.location;
    local time = timeIn(zone);
    local firingOf(name) = each('.Alerts.Firing', firing(channels[name], time), '\n');
    local resolvedOf(name) = each('.Alerts.Resolved', resolved(channels[name], time), channels[name].newline[1:]);
    std.join('', [
      define('ml.title', title(plain)),
      define('ml.slack.title', title(channels['ml.slack'])),
      define('ml.teams.title', title(channels['ml.teams'])),
      define('ml.pager', detail('.Alerts.Firing', '', firingOf('ml.pager'))),
      define('ml.pager.resolved', detail('.Alerts.Resolved', ENDED, resolvedOf('ml.pager'))),
    ] + [
      define(name, firingOf(name) + '{{ if and .Alerts.Firing .Alerts.Resolved }}\n{{ end }}' + resolvedOf(name))
      for name in ['ml.text', 'ml.slack', 'ml.teams']
    ]),
}
