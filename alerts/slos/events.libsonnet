// Kinds that count events: queries for all that count and for the bad (or the good) ones, per second over so many seconds, by the
// labels that the objective is grouped by.
local catalog = import '../lib/catalog.json';
local edges = import '../lib/edges.libsonnet';
local m = import '../lib/metrics.libsonnet';
local endpointRecords = import '../lib/recorded_endpoints.libsonnet';
local serverRecords = import '../lib/recorded_servers.libsonnet';
local t = import '../lib/text.libsonnet';
local windows = import 'windows.libsonnet';

local PROBE = 'ml_endpoint, model, version';
local RUN = 'source, pipeline';
// Cancelled runs are somebody's decision.
local ENDED = 'state=~"succeeded|failed|timed_out"';

function(config) {
  local q = (import '../lib/queries.libsonnet')(config),

  // Replicas of the exporter see the same: the largest says it. `where`: of which series.
  local counted(slo, each, metric, matchers, seconds, where='') =
    'sum by (%s) (max by (%s) (rate(%s[%s]))%s)' % [slo.by, each, q.select(metric, matchers), t.duration(seconds), where],
  // Counters of a source that is not read stand still: that is not known to be good.
  local known = '\nand on (source)\n' + (import 'known.libsonnet')(config) + '\n',

  // Rates over five minutes that were recorded already, of requests that users made. Over longer they are summed: a mean would
  // take the minutes since a series began for all of them.
  local recorded(slo, record, matchers, seconds) =
    local series = q.select(record, matchers);
    if seconds == windows.rate then 'sum by (%s) (%s)' % [slo.by, series]
    else '%s * sum by (%s) (sum_over_time(%s[%s]))' % [
      t.number(config.stack.evaluation_interval / seconds),
      slo.by,
      series,
      t.duration(seconds),
    ],

  local ofEndpoint(slo) =
    [t.matching('ml_endpoint', slo.options.endpoint)]
    + (if slo.options.model == null then [] else [t.matching('model', slo.options.model)]),
  local ofPipeline(slo) =
    local at = std.findSubstr('/', slo.options.pipeline)[0];
    [
      t.matching('source', std.substr(slo.options.pipeline, 0, at)),
      t.matching('pipeline', std.substr(slo.options.pipeline, at + 1, std.length(slo.options.pipeline))),
    ],

  local probes(slo, outcomes, seconds) =
    counted(slo, PROBE + ', outcome', m.ml_endpoint_probes_total, ofEndpoint(slo) + outcomes, seconds),
  local runs(slo, states, seconds) =
    counted(slo, RUN + ', state', m.ml_runs_finished_total, ofPipeline(slo) + [states], seconds, known),

  local edgeOf(slo, edge, what, around) =
    if edge != null then edge
    else error '%s.sli.%s.below: found %ss; allowed is an edge of %s, the nearest: %s' % [
      slo.path,
      slo.kind,
      t.number(slo.options.below),
      what,
      around,
    ],
  local within(slo, buckets, what) =
    edges.matcher(edgeOf(slo, edges.at(buckets, slo.options.below), what, edges.nearest(buckets, slo.options.below))),

  // Servers' own histograms are recorded at the limits of endpoints alone.
  local native(slo) =
    local named = [e for e in config.endpoints if t.like(slo.options.endpoint, e.name)];
    local others = [e for e in named if e.latency_from != 'native' || e.latency_limit != slo.options.below];
    if others == [] then slo
    else error '%s.sli.endpoint_latency.from: native needs latency_from: native and latency_limit: %s of every endpoint, and %s has not' % [
      slo.path,
      t.duration(slo.options.below),
      others[0].name,
    ],

  endpoint_availability(slo):: if slo.options.from_ == 'native' then {
    local versions = std.member(slo.group_by, 'version'),
    total(seconds): recorded(slo, if versions then serverRecords.requests else endpointRecords.requests, ofEndpoint(slo), seconds),
    bad(seconds): recorded(slo, if versions then serverRecords.bad else endpointRecords.bad, ofEndpoint(slo), seconds),
  } else {
    total(seconds): probes(slo, [], seconds),
    bad(seconds): probes(slo, ['outcome=~"timeout|unreachable|http_error"'], seconds),
  },

  // A fast refusal is not good latency: good is what was answered rightly, and in time, of all that was asked.
  endpoint_latency(slo):: if slo.options.from_ == 'native' then {
    total(seconds): recorded(native(slo), serverRecords.timed, ofEndpoint(slo), seconds),
    bad(seconds): recorded(slo, serverRecords.slow, ofEndpoint(slo), seconds),
  } else {
    local le = within(slo, config.probes.buckets, 'probes.buckets'),
    total(seconds): probes(slo, [], seconds),
    good(seconds): counted(slo, PROBE, m.ml_endpoint_probe_duration_seconds + '_bucket', ofEndpoint(slo) + [le], seconds),
  },

  // Of what was answered: what was not is another objective's.
  endpoint_correctness(slo):: {
    total(seconds): probes(slo, ['outcome=~"ok|bad_prediction"'], seconds),
    bad(seconds): probes(slo, ['outcome="bad_prediction"'], seconds),
  },

  pipeline_success(slo):: {
    total(seconds): runs(slo, ENDED, seconds),
    bad(seconds): runs(slo, 'state=~"failed|timed_out"', seconds),
  },

  // Only runs that succeeded are in the histogram: one that failed did not finish in time either.
  pipeline_duration(slo):: {
    local le = within(slo, catalog.metrics.ml_run_duration_seconds.buckets, 'the buckets of ml_run_duration_seconds'),
    total(seconds): runs(slo, ENDED, seconds),
    good(seconds): counted(slo, RUN, m.ml_run_duration_seconds + '_bucket', ofPipeline(slo) + [le], seconds, known),
  },

  ratio(slo):: {
    // A comment may end what somebody wrote.
    local told(expr, seconds) = 'sum by (%s) (%s\n)' % [slo.by, std.strReplace(expr, '$window', t.duration(seconds))],
    total(seconds): told(slo.options.total, seconds),
    [if slo.options.bad != null then 'bad']: function(seconds) told(slo.options.bad, seconds),
    [if slo.options.good != null then 'good']: function(seconds) told(slo.options.good, seconds),
  },

  // The last run of one of the pipelines was bad.
  unrecovered(slo)::
    'max by (%s) (%s > bool 0)' % [slo.by, q.of('max', RUN, m.ml_pipeline_consecutive_failures, ofPipeline(slo))]
    + (if slo.kind != 'pipeline_duration' then '' else
         ' > 0\nor\nmax by (%s) (%s > bool %s)' % [
           slo.by,
           q.of('max', RUN, m.ml_run_last_duration_seconds, ofPipeline(slo)),
           t.number(slo.options.below),
         ]),
}
