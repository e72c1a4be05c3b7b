// The recording rules of objectives alone: quick to make, and what they refuse is what `render` refuses.
function(config) ((import '../config.libsonnet') + (import '../slos.libsonnet') + { _config+:: config }).prometheusRules
