// Recording rules: only what alerts and dashboards read.
local m = import 'lib/metrics.libsonnet';
local recorded = import 'lib/recorded.libsonnet';

{
  local config = $._config,
  local memory = (import 'lib/memory.libsonnet')(config),
  local q = (import 'lib/queries.libsonnet')(config),

  prometheusRules+:: {
    groups+: [{
      name: 'ml-recording',
      rules: [
        {
          record: recorded.liveDegradation,
          expr: |||
            %s
            and on (source, model, version)
            %s
          ||| % [
            q.of('max', q.FIGURE, m.ml_model_metric_degradation_ratio),
            q.of('max', 'source, model, version', m.ml_model_alias_info, [q.liveAlias]),
          ],
        },
        {
          // Versions that came after us: registered, or given a live alias, since we first saw the source.
          record: recorded.newVersion,
          expr: |||
            max by (source, model, version) (
              %s
              and on (source, model, alias)
              %s
            )
            or
            %s
            > on (source) group_left ()
            %s
          ||| % [
            q.select(m.ml_model_alias_info, [q.liveAlias]),
            m.ml_model_alias_changed_timestamp_seconds,
            q.of('max', 'source, model, version', m.ml_model_version_created_timestamp_seconds),
            q.of('min', 'source', m.ml_pipeline_first_seen_timestamp_seconds),
          ],
        },
        memory.since(recorded.exhaustedSince, q.RESOURCE, q.exhausted),
        memory.since(recorded.notLoadedSince, q.LOCATION, q.notLoaded),
      ] + (
        // Without a rendered configuration there is nothing to be out of step with.
        if config.hash == '' then []
        else [{ record: recorded.rulesConfig, expr: 'vector(1)', labels: { hash: config.hash } }]
      ),
    }],
  },
}
