// Every alert that ships, by area.
local lib = import 'lib/alert.libsonnet';

local areas = {
  pipelines: import 'groups/pipelines.libsonnet',
  models: import 'groups/models.libsonnet',
  endpoints: import 'groups/endpoints.libsonnet',
  schedulers: import 'groups/schedulers.libsonnet',
  sources: import 'groups/sources.libsonnet',
  exporter: import 'groups/exporter.libsonnet',
};

{
  local config = $._config,

  // The alerts as data: change one by name before it becomes a rule.
  mlAlerts+:: { [area]: areas[area](config) for area in std.objectFields(areas) },

  prometheusAlerts+:: {
    groups+: [
      { name: 'ml-' + area, rules: [lib.rule(config, alert) for alert in $.mlAlerts[area]] }
      for area in std.objectFields($.mlAlerts)
    ],
  },
}
