// Scraping what model servers say of themselves: a job for every endpoint with a metrics_url.
local servers = import '../../alerts/lib/servers.libsonnet';
local t = import '../../alerts/lib/text.libsonnet';

local nothing = { labels: { model: null }, scrape: { path: '/metrics', keep: null, drop: {}, one_model: false } };

local parsed(url) =
  local scheme = std.splitLimit(url, '://', 1);
  local rest = std.splitLimit(scheme[1], '/', 1);
  { scheme: scheme[0], host: rest[0], path: if std.length(rest) > 1 && rest[1] != '' then '/' + rest[1] else null };

local keep(label, regex) = { source_labels: [label], regex: regex, action: 'keep' };
local drop(label, regex) = { source_labels: [label], regex: regex, action: 'drop' };

local job(endpoint) =
  local url = parsed(endpoint.metrics_url);
  local adapter = if endpoint.server == null then nothing else servers[endpoint.server];
  local native = adapter.labels.model;
  local scrape = adapter.scrape;
  {
    job_name: 'ml-endpoint-' + endpoint.name,
    scheme: url.scheme,
    metrics_path: if url.path != null then url.path else scrape.path,
    [if endpoint.ca_file != null then 'tls_config']: { ca_file: endpoint.ca_file },
    static_configs: [{
      targets: [url.host],
      labels: {
        ml_service: endpoint.ml_service,
        ml_endpoint: endpoint.name,
        [if endpoint.server != null then 'server']: endpoint.server,
        // Ours would win over the server's own label of that name.
        [if endpoint.model != null && native != 'model' then 'model']: endpoint.model,
      },
    }],
    metric_relabel_configs:
      [drop('__name__', '.*_created')]
      + (if scrape.keep == null then [] else [keep('__name__', scrape.keep)])
      + [drop(label, scrape.drop[label]) for label in std.objectFields(scrape.drop)]
      // Of what a server says of all its models, an endpoint reads its own, and what is said of none.
      + (if scrape.one_model && endpoint.model != null then [keep(native, t.literal(endpoint.model) + '|')] else []),
  };

function(endpoints) [job(endpoint) for endpoint in endpoints if endpoint.metrics_url != null]
