// prometheus.yml
local t = import '../../alerts/lib/text.libsonnet';
local relabel = import 'relabel.libsonnet';
local servers = import 'servers.libsonnet';

function(config)
  local stack = config.stack;
  {
    global: {
      scrape_interval: t.duration(stack.scrape_interval),
      evaluation_interval: t.duration(stack.evaluation_interval),
    },
    rule_files: ['rules/*.yml'],
    alerting: {
      alert_relabel_configs: relabel(config.services),
      alertmanagers: if std.length(stack.alertmanager_targets) == 0 then []
      else [{ static_configs: [{ targets: stack.alertmanager_targets }] }],
    },
    scrape_configs: [{
      job_name: 'ml-exporter',
      [if std.startsWith(stack.exporter_url, 'https:') then 'scheme']: 'https',
      [if stack.exporter_ca_file != null then 'tls_config']: { ca_file: stack.exporter_ca_file },
      [if stack.exporter_username != null then 'basic_auth']: {
        username: stack.exporter_username,
        password_file: stack.exporter_password_file,
      },
      static_configs: [{ targets: stack.exporter_targets }],
    }] + servers(config.endpoints),
  }
