// A row for each set of labels, a column for each query.
// about.columns: [{ expr, name, unit?, mappings?, steps?, links?, hidden? }], hidden: asked for its labels only;
// about.keys: the labels shown, in order; about.names: label → what stands above it; about.linked: label → links of its own;
// about.mapped: label → what to show in the place of its values; about.sort: [column, descending];
// about.rows: { expr, on }: which rows there are, where a column alone would bring too many
local b = import 'base.libsonnet';

function(width, height, about)
  local names = { ml_service: 'service', ml_endpoint: 'endpoint', alertname: 'alert', slo: 'objective' } + std.get(about, 'names', {});
  local column(index) = if std.length(about.columns) == 1 then 'Value' else 'Value #' + std.char(65 + index);
  local numbers = std.range(0, std.length(about.columns) - 1);
  local hidden(index) = std.get(about.columns[index], 'hidden', false);
  local property(from, key, id, convert) = if std.objectHas(from, key) then [{ id: id, value: convert(from[key]) }] else [];
  local same(value) = value;
  local linked = std.get(about, 'linked', {});
  local mapped = std.get(about, 'mapped', {});
  local shown(column) = column + (
    if std.objectHas(about, 'rows')
    then { expr: '(\n' + std.rstripChars(column.expr, '\n') + '\n)\nand on (' + about.rows.on + ')\n' + about.rows.expr } else {}
  );

  b.base('table', width, height, about) + b.now(about, [shown(column) for column in about.columns], { format: 'table' }) {
    fieldConfig+: {
      defaults+: { custom: { align: 'auto', filterable: true } },
      overrides+: [
        // What an empty table says is not what an empty cell of it means.
        { matcher: { id: 'byRegexp', options: '.*' }, properties: [{ id: 'noValue', value: '–' }] },
      ] + [
        {
          local it = about.columns[index],
          matcher: { id: 'byName', options: it.name },
          properties: [{ id: 'unit', value: std.get(it, 'unit', 'short') }]
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
        { matcher: { id: 'byName', options: label }, properties: [{ id: 'links', value: linked[label] }] }
        for label in std.objectFields(linked)
      ] + [
        { matcher: { id: 'byName', options: label }, properties: [{ id: 'mappings', value: mapped[label] }] }
        for label in std.objectFields(mapped)
      ],
    },
    transformations: [
      { id: 'merge', options: {} },
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true } + { [column(index)]: true for index in numbers if hidden(index) },
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
