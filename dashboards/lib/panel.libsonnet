// Panels, in the words of Grafana's schema. What is not known reads "no data" in a neutral colour: silence is never shown as fine.
//   about: what a panel says. title, description, unit, and query or queries: required; steps: [[colour, from], …], what a number
//   means; mappings: from `meaning`; links: where a click on a value leads; more: where the panel's title leads; feed: what to
//   configure so that there is data
local b = import 'base.libsonnet';

// Pixels, as Grafana has them: of a unit of a panel's height with the space below it, of what a timeline has beside its rows
// (title, axis, legend), and of a row that can be read.
local UNIT = 38;
local BESIDE = 90;
local ROW = 18;
// In a bar gauge of few bars the letters would be as large as these.
local LETTERS = { titleSize: 12, valueSize: 14 };
local lastOf = { calcs: ['lastNotNull'], fields: '', values: false };

{
  // { text: colour } → texts that have a colour.
  words(colours):: [{
    type: 'value',
    local names = std.objectFields(colours),
    options: { [names[index]]: { text: names[index], color: colours[names[index]], index: index } for index in std.range(0, std.length(names) - 1) },
  }],

  // What a page of many shows: of each query the largest, or the least; a large installation has thousands.
  // Over time that is ranked by the most or the least that each was; by: 'sum' of what is 1 or absent ranks by how long it was.
  top(about, count=30, least=false, by=if least then 'min' else 'max'):: about {
    ranked:: { count: count, least: least, by: by },
    description: super.description + ' At most ' + count + ', the ' + (if least then 'lowest' else 'highest') + '.',
  },

  // So many rows of a timeline of this height can be read.
  rows(height):: std.floor((UNIT * height - BESIDE) / ROW),

  // [[value, text, colour], …] → what a number means, in words.
  meaning(list):: [{
    type: 'value',
    options: {
      ['%d' % list[index][0]]: { text: list[index][1], color: list[index][2], index: index }
      for index in std.range(0, std.length(list) - 1)
    },
  }],

  // One figure, or one of each series. shows: 'name' for the legend instead of the figure; shown: the label that is shown instead
  stat(width, about):: b.base('stat', width, std.get(about, 'height', 4), about) + b.now(about, [about.query], if std.objectHas(about, 'shown') then { format: 'table' } else {}) {
    options: {
      reduceOptions: lastOf { fields: std.get(about, 'shown', '') },
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      textMode: std.get(about, 'shows', 'auto'),
    },
  },

  // Lines over time. style: line (default) or bars; fill: opacity in %; stacked; coloured: { end of a legend: colour }, where what a
  // line is says whether it is good
  lines(width, about)::
    local coloured = std.get(about, 'coloured', {});
    local all = std.get(about, 'steps', []);
    // The lowest of all is no limit, but where a colour begins.
    local limits = if all != [] && all[0][1] <= 0 then all[1:] else all;
    local exemplars = if std.get(about, 'exemplars', false) then { exemplar: true } else {};
    b.base('timeseries', width, 8, about { steps: limits }) + b.overTime(about, exemplars) {
      fieldConfig+: {
        defaults+: {
          color: { mode: 'palette-classic' },
          custom: {
            drawStyle: std.get(about, 'style', 'line'),
            lineWidth: 1,
            fillOpacity: std.get(about, 'fill', 0),
            showPoints: 'auto',
            spanNulls: false,
            // Where all is 0, else, Grafana draws an axis up to 10,000 %.
            [if about.unit == 'percentunit' then 'axisSoftMax']: 0.01,
            stacking: { mode: if std.get(about, 'stacked', false) then 'normal' else 'none', group: 'A' },
            // A limit is a line, too, not only a colour.
            thresholdsStyle: { mode: if limits != [] then 'dashed' else 'off' },
          },
        },
        overrides+: [
          { matcher: { id: 'byRegexp', options: '/(^| )' + name + '$/' }, properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: coloured[name] } }] }
          for name in std.objectFields(coloured)
        ],
      },
      options: {
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
        tooltip: { mode: 'multi', sort: 'desc' },
      },
    },

  // What each of several things was, and when that changed. about.mappings: its words
  timeline(width, height, about):: b.base('state-timeline', width, height, about) + b.overTime(about) {
    fieldConfig+: { defaults+: { custom: { fillOpacity: 70, lineWidth: 0 } } },
    options: {
      mergeValues: true,
      showValue: 'auto',
      alignValue: 'left',
      rowHeight: 0.9,
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
      tooltip: { mode: 'single', sort: 'none' },
    },
  },

  // How many in each bucket of a histogram, over the time that is shown.
  buckets(width, about):: b.base('bargauge', width, 8, about) + b.now(about, [about.query], { format: 'heatmap' }) {
    fieldConfig+: { defaults+: { decimals: 0 } },
    options: { displayMode: 'basic', text: LETTERS, orientation: 'horizontal', showUnfilled: true, reduceOptions: lastOf },
  },

  table:: import 'table.libsonnet',
}
