// A row for each set of labels, a column for each query. Labels of an answer that are no keys are left out.
// about.columns: [{ expr, name, unit?, mappings?, steps?, links?, hidden? }], hidden: asked for its labels only;
// about.keys: the labels shown, in order; about.names: label → what stands above it; about.links: of each key;
// about.linked: label → links of its own;
// about.mapped: label → what to show in the place of its values; about.sort: [column, descending];
// about.rows: { expr, on }: which rows there are, where a column alone would bring too many
local b = import 'base.libsonnet';

// Of each label that an answer may have, how many pixels it needs at least. Grafana gives every column 150 if nothing else is
// said, and at 1280 pixels the later ones are out of sight.
local LABELS = {
  alertname: 225,
  alias: 85,
  currency: 75,
  dataset: 110,
  digest: 85,
  impact: 150,
  kind: 90,
  metric: 90,
  ml_endpoint: 115,
  ml_service: 115,
  model: 115,
  owner: 90,
  pipeline: 135,
  protocol: 110,
  server: 75,
  severity: 75,
  slo: 130,
  source: 80,
  stage: 100,
  state: 85,
  task: 120,
  tier: 50,
  version: 65,
  what: 130,
};
// Of figures, by their unit.
local FIGURES = { dateTimeFromNow: 110, s: 75, reqps: 80 };
// Of a letter, and what is left free beside a text.
local LETTER = 7;
local FREE = 18;
local SORTED = 16;

function(width, height, about)
  local names = { ml_service: 'service', ml_endpoint: 'endpoint', alertname: 'alert', slo: 'objective' } + std.get(about, 'names', {});
  local column(index) = if std.length(about.columns) == 1 then 'Value' else 'Value #' + std.char(65 + index);
  local numbers = std.range(0, std.length(about.columns) - 1);
  local hidden(index) = std.get(about.columns[index], 'hidden', false);
  local property(from, key, id, convert) = if std.objectHas(from, key) then [{ id: id, value: convert(from[key]) }] else [];
  local same(value) = value;
  local texts(column) = [option.text for mapping in std.get(column, 'mappings', []) for option in std.objectValues(mapping.options)];
  local isSorted(name) = std.objectHas(about, 'sort') && about.sort[0] == name;
  local least(column) = std.max(
    std.get(FIGURES, std.get(column, 'unit', 'short'), 60),
    FREE + LETTER * std.foldl(function(most, text) std.max(most, std.length(text)), [column.name] + texts(column), 0)
  ) + (if isSorted(column.name) then SORTED else 0);
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
      defaults+: { custom: { align: 'auto' } },
      overrides+: [
        // What an empty table says is not what an empty cell of it means.
        { matcher: { id: 'byRegexp', options: '.*' }, properties: [{ id: 'noValue', value: '–' }] },
      ] + [
        {
          local it = about.columns[index],
          matcher: { id: 'byName', options: it.name },
          properties: [{ id: 'unit', value: std.get(it, 'unit', 'short') }, { id: 'custom.minWidth', value: least(it) }]
                      + property(it, 'mappings', 'mappings', same)
                      + property(it, 'steps', 'thresholds', b.steps)
                      + property(it, 'links', 'links', same)
                      + (
                        if std.objectHas(it, 'mappings') || std.objectHas(it, 'steps')
                        then [{ id: 'custom.cellOptions', value: { type: 'color-text' } }] else []
                      ),
        }
        for index in numbers
        if !hidden(index)
      ] + [
        {
          matcher: { id: 'byName', options: label },
          properties: [
            { id: 'custom.minWidth', value: LABELS[label] },
            { id: 'custom.filterable', value: true },
            { id: 'links', value: std.get(linked, label, std.get(about, 'links', [])) },
          ] + property(mapped, label, 'mappings', same),
        }
        for label in about.keys
      ],
    },
    transformations: [
      { id: 'merge', options: {} },
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true } + { [label]: true for label in std.objectFields(LABELS) if !std.member(about.keys, label) } + { [column(index)]: true for index in numbers if hidden(index) },
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
