// Names of what the rules record for the overview: it shows hundreds of services over a day, and a pipeline's own series would
// be thousands at every step. Rules write them, dashboards read them.
{
  // Layer → the stages of its pipelines. What is counted of pipelines carries ml_service and layer.
  LAYERS:: { data: 'ingestion|features|validation', model: 'training' },
  pipelines: 'ml:pipelines:count',
  succeeding: 'ml:pipelines_succeeding:count',
  // Those that a timetable or `every:` wants, and those of them that are not late.
  withTime: 'ml:pipelines_timed:count',
  onTime: 'ml:pipelines_on_time:count',

  // By ml_service: of the latest pipeline, in seconds.
  late: 'ml:pipeline_late_seconds:max',
  // By source, ml_service and pipeline: of those that are late, in seconds.
  latePipeline: 'ml:pipeline_late:seconds',
  // Models of endpoints, and those of them whose last probe went well.
  models: 'ml:endpoint_models:count',
  predicting: 'ml:endpoint_models_predicting:count',
  // Of all servers together, as recorded_servers.libsonnet names them.
  requests: 'ml:service_requests:rate5m',
  bad: 'ml:service_requests_bad:rate5m',
  timed: 'ml:service_requests_timed:rate5m',
  slow: 'ml:service_requests_slow:rate5m',
  // Of the slowest model: the 99th percentile of an hour's good probes, in seconds.
  p99: 'ml:probe_seconds:p99_1h_max',

  // Figures of live versions that have a baseline, and those of them that are not worse than it.
  figures: 'ml:live_figures:count',
  asGood: 'ml:live_figures_as_good:count',

  // By source, ml_service, model and alias: when it moved, for a day. An annotation would read all aliases at every step.
  moved: 'ml:model_alias_moved:timestamp_seconds',
}
