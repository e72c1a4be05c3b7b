// Panels. What is not known reads "no data" in a neutral colour: silence is never shown as fine.
local noData = 'no data';
local neutral = 'text';

local steps(list) = {
  mode: 'absolute',
  steps: [{ color: neutral, value: null }] + [{ color: step[0], value: step[1] } for step in list],
};

local base(type, width, height, about) = {
  type: type,
  title: about.title,
  description: about.description,
  datasource: { type: 'prometheus', uid: '${datasource}' },
  gridPos: { w: width, h: height },
  fieldConfig: {
    defaults: {
      unit: about.unit,
      noValue: noData,
      color: { mode: 'thresholds' },
      thresholds: steps(std.get(about, 'steps', [])),
      mappings: std.get(about, 'mappings', []),
      links: std.get(about, 'links', []),
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

local targets(queries, more={}) = [target(index, queries[index]) + more for index in std.range(0, std.length(queries) - 1)];

{
  // [[value, text, colour], …] → what a number means, in words.
  meaning(list):: [{
    type: 'value',
    options: {
      ['%d' % list[index][0]]: { text: list[index][1], color: list[index][2], index: index }
      for index in std.range(0, std.length(list) - 1)
    },
  }],

  // One figure. about: title, description, unit, query; steps: [[colour, from], …]
  stat(width, about):: base('stat', width, 4, about) {
    targets: targets([about.query], { instant: true, range: false }),
    options: {
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      textMode: 'auto',
    },
  },

  // Lines over time. about.queries: [{ expr, legend }]
  lines(width, about):: base('timeseries', width, 8, about) {
    fieldConfig+: {
      defaults+: {
        color: { mode: 'palette-classic' },
        custom: {
          drawStyle: std.get(about, 'style', 'line'),
          lineWidth: 1,
          fillOpacity: std.get(about, 'fill', 0),
          showPoints: 'auto',
          spanNulls: false,
          stacking: { mode: if std.get(about, 'stacked', false) then 'normal' else 'none', group: 'A' },
        },
      },
    },
    targets: targets(about.queries),
    options: {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // How many in each bucket of a histogram, over the time that is shown.
  buckets(width, about):: base('bargauge', width, 8, about) {
    targets: targets([about.query], { instant: true, range: false, format: 'heatmap' }),
    options: {
      displayMode: 'basic',
      orientation: 'horizontal',
      showUnfilled: true,
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    },
  },

  // A row for each set of labels, a column for each query.
  // about.columns: [{ expr, name, unit?, mappings?, steps? }]; about.keys: the labels shown, in order
  table(width, height, about):: base('table', width, height, about) {
    local column(index) = if std.length(about.columns) == 1 then 'Value' else 'Value #' + std.char(65 + index),
    local numbers = std.range(0, std.length(about.columns) - 1),

    fieldConfig+: {
      defaults+: { custom: { align: 'auto', filterable: true } },
      overrides+: [
        {
          matcher: { id: 'byName', options: about.columns[index].name },
          properties: [{ id: 'unit', value: std.get(about.columns[index], 'unit', 'short') }]
                      + (
                        if std.objectHas(about.columns[index], 'mappings') then [
                          { id: 'mappings', value: about.columns[index].mappings },
                          { id: 'custom.cellOptions', value: { type: 'color-text' } },
                        ] else []
                      )
                      + (
                        if std.objectHas(about.columns[index], 'steps') then [
                          { id: 'thresholds', value: steps(about.columns[index].steps) },
                          { id: 'custom.cellOptions', value: { type: 'color-text' } },
                        ] else []
                      ),
        }
        for index in numbers
      ],
    },
    targets: targets(about.columns, { instant: true, range: false, format: 'table' }),
    transformations: [
      { id: 'merge', options: {} },
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true },
          indexByName: {
            [about.keys[index]]: index
            for index in std.range(0, std.length(about.keys) - 1)
          } + { [column(index)]: std.length(about.keys) + index for index in numbers },
          renameByName: { [column(index)]: about.columns[index].name for index in numbers },
        },
      },
    ],
    options: { showHeader: true, cellHeight: 'sm', footer: { show: false } },
  },
}
