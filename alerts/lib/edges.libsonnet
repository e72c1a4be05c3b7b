// PromQL cannot look between two edges of a histogram's buckets: a limit has to be one of them.
local t = import 'text.libsonnet';

{
  // The edge that is the limit, or null.
  at(edges, limit)::
    local near(edge) = std.abs(edge - limit) <= 1e-9 * limit;
    // Exactly equal ones first: edges may be as close as that to each other.
    local found = [edge for edge in edges if edge == limit] + std.filter(near, edges);
    if found == [] then null else found[0],

  // The edges on both sides of it, in words.
  nearest(edges, limit)::
    local below = [edge for edge in edges if edge < limit];
    local above = [edge for edge in edges if edge > limit];
    local around = (if below == [] then [] else [below[std.length(below) - 1]]) + above[:1];
    std.join(' and ', ['%ss' % t.number(edge) for edge in around]),

  // A matcher for it as an exporter writes it: 1.0, which a Prometheus before 3 does not turn into 1.
  matcher(edge)::
    local text = t.literal(t.number(edge));
    'le=~' + std.escapeStringJson(if std.member(text, '.') then text else text + '(\\.0)?'),
}
