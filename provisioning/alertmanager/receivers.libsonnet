// A section with receivers → what Alertmanager sends, and with which of our templates.
local routing = import '../../alerts/routing.libsonnet';
local templates = import 'templates.libsonnet';

local use(name, context='.') = '{{ template "%s" %s }}' % [name, context];

// How pagers call our severities.
local urgencies = {
  page: { pagerduty: 'critical', opsgenie: 'P1' },
  ticket: { pagerduty: 'warning', opsgenie: 'P3' },
  info: { pagerduty: 'info', opsgenie: 'P5' },
};

// What each section becomes. `settings`: the part of the version table that it needs.
local kinds = {
  webhook: {
    key: 'webhook_configs',
    settings(section): if section.url_file != null then ['webhook.url_file'] else [],
    build(section, severity): if section.url_file != null then { url_file: section.url_file } else { url: section.url },
  },
  slack: {
    key: 'slack_configs',
    settings(section): ['slack'],
    build(section, severity): {
      channel: section.channel,
      api_url_file: section.api_url_file,
      title: use('ml.slack.title'),
      fallback: use('ml.slack.title'),
      text: use('ml.slack'),
    },
  },
  pagerduty: {
    key: 'pagerduty_configs',
    settings(section): ['pagerduty'],
    build(section, severity): {
      routing_key_file: section.routing_key_file,
      description: use('ml.title'),
      severity: urgencies[severity].pagerduty,
      group: '{{ .GroupLabels.ml_service }}',
      details: { firing: use('ml.pager'), resolved: use('ml.pager.resolved') },
    },
  },
  email: {
    key: 'email_configs',
    settings(section): if section.password_file != null then ['email.password_file'] else [],
    build(section, severity): {
      to: section.to,
      from: section.from_,
      smarthost: section.smarthost,
      headers: { Subject: use('ml.title') },
      // Without this, Alertmanager adds its own page, and mail programs show that.
      html: '',
      text: use('ml.text'),
      [if !section.require_tls then 'require_tls']: false,
      [if section.username != null then 'auth_username']: section.username,
      [if section.password_file != null then 'auth_password_file']: section.password_file,
    },
  },
  msteams: {
    key: 'msteamsv2_configs',
    settings(section): ['msteams'],
    build(section, severity): {
      webhook_url_file: section.webhook_url_file,
      title: use('ml.teams.title'),
      text: use('ml.teams'),
    },
  },
  opsgenie: {
    key: 'opsgenie_configs',
    settings(section): ['opsgenie'],
    build(section, severity): {
      api_key_file: section.api_key_file,
      api_url: section.api_url,
      message: use('ml.title'),
      description: use('ml.text'),
      entity: '{{ .GroupLabels.ml_service }}',
      priority: urgencies[severity].opsgenie,
    },
  },
  incidentio: {
    key: 'incidentio_configs',
    settings(section): ['incidentio'],
    build(section, severity): { url: section.url, alert_source_token_file: section.alert_source_token_file },
  },
};

local checked(alerting, path, name) =
  local needed = routing.since[name];
  if templates.minor(alerting) >= needed.minor then true
  else error '%s: needs %s, which Alertmanager has since 0.%d; alerting.alertmanager is %s' % [
    path,
    needed.setting,
    needed.minor,
    alerting.alertmanager,
  ];

{
  // True if the target version has all of these parts of the version table; else an error that names the key to change.
  known(alerting, parts):: std.foldl(function(sofar, part) sofar && checked(alerting, part.path, part.name), parts, true),

  build(alerting, row)::
    local given = [name for name in std.objectFields(kinds) if row.section[name] != null];
    local needed = std.flattenArrays([kinds[name].settings(row.section[name]) for name in given]);
    assert $.known(alerting, [{ path: row.path + '.' + name, name: name } for name in needed]);
    { name: row.name } + {
      [kinds[name].key]: [{ send_resolved: row.name != 'watchdog' } + kinds[name].build(row.section[name], row.severity)]
      for name in given
    },
}
