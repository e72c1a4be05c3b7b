// Every alert that ships, by area.
local lib = import 'lib/alert.libsonnet';
local t = import 'lib/text.libsonnet';

local areas = {
  pipelines: import 'groups/pipelines.libsonnet',
  models: import 'groups/models.libsonnet',
  endpoints: import 'groups/endpoints.libsonnet',
  baselines: import 'groups/baselines.libsonnet',
  objectives: import 'groups/objectives.libsonnet',
  escalation: import 'groups/escalation.libsonnet',
  schedulers: import 'groups/schedulers.libsonnet',
  sources: import 'groups/sources.libsonnet',
  exporter: import 'groups/exporter.libsonnet',
};

// Areas whose rules are evaluated at a pace of their own, in seconds.
local intervals = {
  baselines: (import 'lib/recorded_baselines.libsonnet').step,
  objectives: (import 'slos/windows.libsonnet').slice,
};

{
  local config = $._config,

  // The alerts as data: change one by name before it becomes a rule.
  mlAlerts+:: { [area]: areas[area](config) for area in std.objectFields(areas) },

  prometheusAlerts+:: {
    groups+: [
      {
        name: 'ml-' + area,
        [if std.objectHas(intervals, area) then 'interval']: t.duration(intervals[area]),
        rules: [lib.rule(config, alert) for alert in $.mlAlerts[area]],
      }
      for area in std.objectFields($.mlAlerts)
      if $.mlAlerts[area] != []
    ],
  },
}
