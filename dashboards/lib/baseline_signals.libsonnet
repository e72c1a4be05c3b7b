// The signals of what is compared with the same time of the weeks before: see signals.libsonnet, which has them too.
local e = import '../../alerts/lib/endpoint_queries.libsonnet';
local recorded = import '../../alerts/lib/recorded_baselines.libsonnet';

//   pipelines, endpoints, models: which ones, as matchers; by, each: see signals.libsonnet
function(config, pipelines, endpoints, models, by, each)
  local q = (import '../../alerts/lib/queries.libsonnet')(config);
  local legend(of, words) = std.stripChars(of + ' ' + words, ' ');
  // Now, and what is usual now.
  local beside(record, labels, of, matchers) = [
    { legend: legend(of, line.words), expr: q.of('max', labels, line.record, matchers) }
    for line in [{ words: 'now', record: record }, { words: 'usual', record: recorded.usual(record) }]
  ];
  local ofModel(record) = beside(record, e(config).MODEL, '{{ml_endpoint}} {{model}}', [endpoints, models]);
  local ofPipeline(record) = beside(record, by, each, [pipelines]);

  {
    requestsUsual: {
      title: 'Requests, and the usual number',
      description: 'Predictions that were asked for in the last hour, beside the median of the same hour of the last weeks.',
      unit: 'short',
      queries: ofModel(recorded.requests),
    },
    latencyUsual: {
      title: 'Mean latency, and the usual one',
      description: 'Mean time of a prediction in the last hour, beside the median of the same hour of the last weeks.',
      unit: 's',
      queries: ofModel(recorded.latency),
    },
    runsUsual: {
      title: 'Runs, and the usual number',
      description: 'Runs that ended within six hours, beside the median of the same hours of the last weeks.',
      unit: 'short',
      queries: ofPipeline(recorded.runs),
    },
    runSecondsUsual: {
      title: 'Duration of runs, and the usual one',
      description: 'Mean duration of the successes of the last day, beside the median of the same day of the last weeks.',
      unit: 's',
      queries: ofPipeline(recorded.runSeconds),
    },
  }
