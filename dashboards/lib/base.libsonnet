// What all panels have: title, description, unit, what no data reads, thresholds, links, and the queries.
local colour = import 'colours.libsonnet';

// A figure has no room for a sentence: Grafana would write it too small to be read.
local isBrief(type) = type == 'stat';
local noData(type, about) = if std.objectHas(about, 'feed') && !isBrief(type) then 'no data: ' + about.feed else 'no data';
local described(type, about) =
  about.description + (if std.objectHas(about, 'feed') && isBrief(type) then ' No data: ' + about.feed else '');

local steps(list) = {
  mode: 'absolute',
  steps: [{ color: colour.neutral, value: null }] + [{ color: step[0], value: step[1] } for step in list],
};

local base(type, width, height, about) = {
  type: type,
  title: about.title,
  description: described(type, about),
  datasource: { type: 'prometheus', uid: '${datasource}' },
  gridPos: { w: width, h: height },
  links: std.get(about, 'more', []),
  fieldConfig: {
    defaults: {
      unit: about.unit,
      noValue: noData(type, about),
      color: { mode: 'thresholds' },
      thresholds: steps(std.get(about, 'steps', [])),
      mappings: std.get(about, 'mappings', []),
      links: std.get(about, 'links', []),
      [if std.objectHas(about, 'min') then 'min']: about.min,
      [if std.objectHas(about, 'max') then 'max']: about.max,
    },
    overrides: std.get(about, 'overrides', []),
  },
};

local target(index, query) = {
  refId: std.char(65 + index),
  datasource: { type: 'prometheus', uid: '${datasource}' },
  editorMode: 'code',
  expr: std.rstripChars(query.expr, '\n'),
  legendFormat: std.get(query, 'legend', '__auto'),
};

// Of a page of many. At one time the first of a ranking are picked; over time they are ranked once, by the best or the worst that
// each was: picked anew at every step, they would be all in the end.
local ranked(about, expr, instant) =
  if !std.objectHasAll(about, 'ranked') then expr
  else
    local first = (if about.ranked.least then 'bottomk(' else 'topk(') + about.ranked.count + ', ';
    if instant then first + expr + ')'
    else '(' + expr + ')\nand\n' + first + about.ranked.by + '_over_time((' + expr + ')[$__range:$__interval] @ end()))';

local all(about) = std.get(about, 'queries', [about.query]);
local asked(about, queries, more, instant) = {
  targets: std.mapWithIndex(
    function(index, query) target(index, query { expr: ranked(about, super.expr, instant) }) + more, queries
  ),
};
local overTime(about, more={}) = asked(about, all(about), more, instant=false) + {
  // The rank is asked for as often as the lines themselves.
  [if std.objectHasAll(about, 'ranked') then 'maxDataPoints']: 300,
};
local now(about, queries, more={}) = asked(about, queries, { instant: true, range: false } + more, instant=true);

{
  steps:: steps,
  base:: base,
  overTime:: overTime,
  now:: now,
}
