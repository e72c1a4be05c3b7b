// What an adapter answers, all of it; null: the server cannot say, and what would need it is not recorded.
// A counter may be several metrics, whose series are added up. `known_by`: another metric that tells the models that exist:
// a series whose model is not among them loses its name, so that clients cannot make models up.
local counter = { metric: true, 'matchers?': true, 'known_by?': true };
// The metric is named without _bucket; a `unit` is in seconds.
local histogram = { metric: true, 'matchers?': true, unit: true };
local mean = { sum: [counter], count: [counter], 'unit?': true };
local gauge = { metric: true, 'matchers?': true };

local answers = {
  // Predictions that were asked for, those that failed included.
  requests: [counter],
  // Those that failed, and not by the fault of the client.
  bad: [counter],
  // The time of a prediction; `edges`: the bounds of its buckets as the server writes them, in its own unit.
  latency: histogram { edges: true },
  // The same as a sum over a count.
  latency_mean: mean,
  // Requests in the queue, and their mean time in it.
  waiting: gauge,
  queue: mean,
  batch: mean,
  tokens_input: [counter],
  tokens_output: [counter],
  time_to_first_token: histogram,
  inter_token: histogram,
  // 0 to 1
  cache_usage: gauge,
};
local facts = {
  // The server's own labels for model and version, null where it has none; `unnamed`: values that stand for none.
  labels: { model: true, version: true, 'unnamed?': true },
  // `path`: where its metrics are by default. `keep`: all that is worth keeping, null for everything. `drop`: label → what
  // is not. `one_model`: the model's label is the name that clients ask for, so an endpoint with a model reads only that.
  // `needs_model`: it does not say of which model its errors are, so the endpoint has to.
  scrape: { path: true, keep: true, drop: true, one_model: true, 'needs_model?': true },
};

local optional(key) = std.endsWith(key, '?');
local named(key) = std.rstripChars(key, '?');

local checked(where, shape, value) =
  if std.isArray(shape) then
    if std.isArray(value) then [checked(where, shape[0], item) for item in value]
    else error '%s: must be a list' % where
  else if std.isObject(shape) then
    local missing = [key for key in std.objectFields(shape) if !optional(key) && !std.objectHas(value, key)];
    local unknown = std.setDiff(std.objectFields(value), std.set([named(key) for key in std.objectFields(shape)]));
    if missing != [] then error '%s: lacks %s' % [where, std.join(', ', missing)]
    else if unknown != [] then error '%s: %s is not in the contract' % [where, std.join(', ', unknown)]
    else {
      [named(key)]: checked('%s.%s' % [where, named(key)], shape[key], value[named(key)])
      for key in std.objectFields(shape)
      if std.objectHas(value, named(key))
    }
  else value;

{
  fields:: std.objectFields(answers + facts),

  // The adapter, or an error that names it and the field.
  check(server, adapter)::
    local where = 'alerts/servers/%s.libsonnet' % server;
    local fields = checked(where, { [name]: true for name in self.fields }, adapter);
    {
      [name]: if fields[name] == null then null else checked('%s: %s' % [where, name], answers[name], fields[name])
      for name in std.objectFields(answers)
    } + {
      [name]: checked('%s: %s' % [where, name], facts[name], fields[name])
      for name in std.objectFields(facts)
    },
}
