// Names of what the rules record of endpoints, by ml_service, ml_endpoint and model, for the alerts.
{
  // When the first of the failing probes ended: none has gone well since. The same for a model that is not ready. 0: it is
  // not so.
  failingSince: 'ml:endpoint_failing_since:timestamp_seconds',
  notReadySince: 'ml:endpoint_not_ready_since:timestamp_seconds',
  // Also by source and version: since when what is served is behind no live alias.
  wrongVersionSince: 'ml:endpoint_wrong_version_since:timestamp_seconds',
  // Of endpoints with a `latency_limit` that probes judge: recent probes that ended well, and those above the limit.
  probesTimed: 'ml:probes_timed:increase',
  probesSlow: 'ml:probes_slow:increase',
  // What the servers count, without the failures of models that do not exist.
  requests: 'ml:endpoint_requests:rate5m',
  bad: 'ml:endpoint_requests_bad:rate5m',
}
