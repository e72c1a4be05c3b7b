// A severity's section of the configuration → what Alertmanager sends, and with which words.
local routing = import '../../alerts/routing.libsonnet';

local eachAlert = std.join('\n', [
  '{{ range .Alerts }}{{ .Annotations.summary }}',
  '{{ .Annotations.description }}',
  'Owner: {{ or .Labels.owner "unassigned" }} · Runbook: {{ .Annotations.runbook_url }} · Dashboard: {{ .Annotations.dashboard_url }}',
  '{{ end }}',
]);
local title = '[{{ .Status | toUpper }}] {{ .CommonLabels.severity }} · {{ .GroupLabels.ml_service }}'
              + ' · {{ len .Alerts }} alert{{ if gt (len .Alerts) 1 }}s{{ end }}';

// What each section becomes. `settings`: the part of the version table that it needs.
local kinds = {
  webhook: {
    key: 'webhook_configs',
    settings(section): if section.url_file != null then ['webhook.url_file'] else [],
    build(section): if section.url_file != null then { url_file: section.url_file } else { url: section.url },
  },
  slack: {
    key: 'slack_configs',
    settings(section): ['slack'],
    build(section): { channel: section.channel, api_url_file: section.api_url_file, title: title, text: eachAlert },
  },
  pagerduty: {
    key: 'pagerduty_configs',
    settings(section): ['pagerduty'],
    build(section): {
      routing_key_file: section.routing_key_file,
      description: title,
      details: { alerts: eachAlert },
    },
  },
  email: {
    key: 'email_configs',
    settings(section): if section.password_file != null then ['email.password_file'] else [],
    build(section): {
      to: section.to,
      from: section.from_,
      smarthost: section.smarthost,
      headers: { Subject: title },
      text: eachAlert,
      [if section.username != null then 'auth_username']: section.username,
      [if section.password_file != null then 'auth_password_file']: section.password_file,
    },
  },
  msteams: {
    key: 'msteamsv2_configs',
    settings(section): ['msteams'],
    build(section): { webhook_url_file: section.webhook_url_file, title: title, text: eachAlert },
  },
};

local minor(version) = std.parseInt(std.split(version, '.')[1]);

// Refuse what the target version does not know, with the key to change.
local checked(alerting, severity, name) =
  local needed = routing.since[name];
  if minor(alerting.alertmanager) >= needed.minor then true
  else error 'alerting.%s.%s: needs %s, which Alertmanager has since 0.%d; alerting.alertmanager is %s' % [
    severity,
    name,
    needed.setting,
    needed.minor,
    alerting.alertmanager,
  ];

function(alerting, severity)
  local route = alerting[severity];
  local given = [name for name in std.objectFields(kinds) if route[name] != null];
  local allowed = std.foldl(
    function(sofar, name) sofar && checked(alerting, severity, name),
    std.flattenArrays([kinds[name].settings(route[name]) for name in given]),
    true
  );
  assert allowed;
  { name: severity } + {
    [kinds[name].key]: [{ send_resolved: severity != 'watchdog' } + kinds[name].build(route[name])]
    for name in given
  }
