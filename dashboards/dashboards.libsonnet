// Every dashboard that ships: file name → dashboard. A file is named after its dashboard's uid.
{
  local config = $._config,

  grafanaDashboards+:: {
    'ml-overview.json': (import 'overview.libsonnet')(config),
    'ml-service.json': (import 'service.libsonnet')(config),
    'ml-pipelines.json': (import 'pipelines.libsonnet')(config),
    'ml-pipeline.json': (import 'pipeline.libsonnet')(config),
    'ml-models.json': (import 'models.libsonnet')(config),
    'ml-endpoints.json': (import 'endpoints.libsonnet')(config),
    'ml-objectives.json': (import 'objectives.libsonnet')(config),
    'ml-schedulers.json': (import 'schedulers.libsonnet')(config),
    'ml-cost.json': (import 'cost.libsonnet')(config),
    'ml-alerts.json': (import 'alerts.libsonnet')(config),
    'ml-exporter.json': (import 'exporter.libsonnet')(config),
  },
}
