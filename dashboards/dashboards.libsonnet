// Every dashboard that ships: file name → dashboard.
{
  local config = $._config,

  grafanaDashboards+:: {
    'ml-overview.json': (import 'overview.libsonnet')(config),
    'ml-pipelines.json': (import 'pipelines.libsonnet')(config),
  },
}
