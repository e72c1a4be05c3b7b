// Names of the recorded series, level:metric:operation, for the rules that write them and those that read them.
{
  rulesConfig: 'ml:rules_config:info',
  liveDegradation: 'ml:model_metric_degradation_ratio:live',
  newVersion: 'ml:model_version_new:info',
  exhaustedSince: 'ml:scheduler_exhausted_since:timestamp_seconds',
  notLoadedSince: 'ml:scheduler_not_loaded_since:timestamp_seconds',
  // By source: 1 while it is read and what is known of it is whole, absent else.
  sourceRead: 'ml:source_read:info',
  // By ml_service: see services.libsonnet.
  serviceState: 'ml:service_state:worst',
  // By all labels of the page.
  pageFiringSince: 'ml:page_firing_since:timestamp_seconds',
}
