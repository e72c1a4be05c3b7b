// Names of what is compared with the same time of the weeks before, for the rules that write it and the alerts that read it.
{
  // By ml_service, ml_endpoint and model: what was asked for in the last hour, and how long it took on average, in seconds.
  requests: 'ml:endpoint_requests:increase1h',
  latency: 'ml:endpoint_seconds:mean1h',
  // By source, ml_service and pipeline: runs that ended, successes and their time, of the last hour, to make more of.
  runsHour: 'ml:runs_finished:increase1h',
  succeededHour: 'ml:runs_succeeded:increase1h',
  secondsHour: 'ml:run_seconds:increase1h',
  // Runs that ended within six hours, and how long the successes of a day took on average.
  runs: 'ml:runs_finished:increase6h',
  runSeconds: 'ml:run_seconds:mean1d',
  // By source: whether what is known of it is new.
  fresh: 'ml:source_fresh:bool',

  compared:: ['requests', 'latency', 'runs', 'runSeconds'],
  usual(record):: record + '_usual',
  // How often they are recorded, in seconds: a query looks back five minutes, and must find the last one.
  step:: 240,
}
