// A row for each set of labels, a column for each query. Labels of an answer that are no keys are left out.
// about.columns: [{ expr, name, unit?, mappings?, steps?, links?, hidden? }], hidden: asked for its labels only;
// about.keys: the labels shown, in order; about.names: label → what stands above it; about.links: of each key;
// about.grouped: keys that only the configuration knows; about.linked: label → links of its own;
// about.mapped: label → what to show in the place of its values; about.sort: [column, descending];
// about.rows: { expr, on }: which rows there are, where a column alone would bring too many
local b = import 'base.libsonnet';

// Of each label that an answer may have, how many pixels its column is wide; names of things share what is left. Grafana gives
// every column 150 if nothing else is said, and at 1280 pixels the later ones are out of sight.
local SHARED = null;
local LABELS = {
  alertname: 225,
  alias: 95,
  currency: 85,
  dataset: 120,
  digest: 95,
  impact: SHARED,
  kind: 90,
  location: SHARED,
  metric: 100,
  ml_endpoint: SHARED,
  ml_service: SHARED,
  model: SHARED,
  owner: 100,
  pipeline: SHARED,
  protocol: 120,
  server: 85,
  severity: 95,
  slo: SHARED,
  source: 90,
  stage: 110,
  state: 95,
  task: SHARED,
  tier: 60,
  version: 82,
  what: 140,
};
// Of figures, by their unit.
local FIGURES = { dateTimeFromNow: 142, percentunit: 78, s: 85, reqps: 85 };
// Of a letter, of what is free beside a text, and of the arrow of the column that is sorted by.
local LETTER = 7;
local FREE = 24;
local ARROW = 16;
// A column that shares is not narrower.
local LEAST = 80;

function(width, height, about)
  local names = { ml_service: 'service', ml_endpoint: 'endpoint', alertname: 'alert', slo: 'objective' } + std.get(about, 'names', {});
  local column(index) = if std.length(about.columns) == 1 then 'Value' else 'Value #' + std.char(65 + index);
  local numbers = std.range(0, std.length(about.columns) - 1);
  local hidden(index) = std.get(about.columns[index], 'hidden', false);
  local property(from, key, id, convert) = if std.objectHas(from, key) then [{ id: id, value: convert(from[key]) }] else [];
  local same(value) = value;
  local texts(column) = [option.text for mapping in std.get(column, 'mappings', []) for option in std.objectValues(mapping.options)];
  local isSorted(name) = std.objectHas(about, 'sort') && about.sort[0] == name;
  local wide(column) = std.max(
    std.get(FIGURES, std.get(column, 'unit', 'short'), 60),
    FREE + LETTER * std.foldl(function(most, text) std.max(most, std.length(text)), [column.name] + texts(column), 0)
  ) + (if isSorted(column.name) then ARROW else 0);
  local inColour = { id: 'custom.cellOptions', value: { type: 'color-text' } };
  // Else the first one takes what is left.
  local ofLabel(label) = if std.member(std.get(about, 'grouped', []), label) then std.get(LABELS, label, SHARED) else LABELS[label];
  local shares = std.length([label for label in about.keys if ofLabel(label) == SHARED]) > 0;
  local isFixed(label) = ofLabel(label) != SHARED && (shares || label != about.keys[0]);
  local linked = std.get(about, 'linked', {});
  local mapped = std.get(about, 'mapped', {});
  assert std.setDiff(std.objectFields(linked + mapped), std.set(about.keys)) == [] : about.title + ': links of labels that are no keys';
  local shown(column) = column + (
    if std.objectHas(about, 'rows')
    then { expr: '(\n' + std.rstripChars(column.expr, '\n') + '\n)\nand on (' + about.rows.on + ')\n' + about.rows.expr } else {}
  );

  // A label is text, also where it looks like a number: a version of 20241101 is no 20 millions.
  b.base('table', width, height, about { unit: 'string', links: [] }) + b.now(about, [shown(column) for column in about.columns], { format: 'table' }) {
    fieldConfig+: {
      defaults+: { custom: { align: 'auto', minWidth: LEAST } },
      overrides+: [
        // What an empty table says is not what an empty cell of it means.
        { matcher: { id: 'byRegexp', options: '.*' }, properties: [{ id: 'noValue', value: '–' }] },
      ] + [
        {
          local it = about.columns[index],
          matcher: { id: 'byName', options: it.name },
          properties: [{ id: 'unit', value: std.get(it, 'unit', 'short') }, { id: 'custom.width', value: wide(it) }]
                      + property(it, 'mappings', 'mappings', same)
                      + property(it, 'steps', 'thresholds', b.steps)
                      + property(it, 'links', 'links', same)
                      + (if std.objectHas(it, 'mappings') || std.objectHas(it, 'steps') then [inColour] else []),
        }
        for index in numbers
        if !hidden(index)
      ] + [
        {
          matcher: { id: 'byName', options: label },
          properties: [
                        { id: 'custom.filterable', value: true },
                        { id: 'links', value: std.get(linked, label, std.get(about, 'links', [])) },
                      ] + property(mapped, label, 'mappings', same)
                      + (if std.objectHas(mapped, label) then [inColour] else [])
                      + (if isFixed(label) then [{ id: 'custom.width', value: LABELS[label] }] else []),
        }
        for label in about.keys
      ],
    },
    transformations: [
      { id: 'merge', options: {} },
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true, __name__: true } + { [label]: true for label in std.objectFields(LABELS) if !std.member(about.keys, label) } + { [column(index)]: true for index in numbers if hidden(index) },
          indexByName: {
            [about.keys[index]]: index
            for index in std.range(0, std.length(about.keys) - 1)
          } + { [column(index)]: std.length(about.keys) + index for index in numbers },
          renameByName: { [label]: names[label] for label in about.keys if std.objectHas(names, label) }
                        + { [column(index)]: about.columns[index].name for index in numbers },
        },
      },
    ],
    options: {
      showHeader: true,
      cellHeight: 'sm',
      footer: { show: false },
      sortBy: if std.objectHas(about, 'sort') then [{ displayName: about.sort[0], desc: about.sort[1] }] else [],
    },
  }
