// A dashboard from rows of panels: places them, numbers them, and says that it is generated.
local m = import '../../alerts/lib/metrics.libsonnet';
local overview = import '../../alerts/lib/recorded_overview.libsonnet';
local colour = import 'colours.libsonnet';

// For so many seconds an instant is told: none is missed, however long the time shown, and none is told at every step.
local TOLD = 86400;

// What Grafana writes before a variable.
local titled(variable) =
  local name = std.get({ slo: 'objective' }, variable, variable);
  std.asciiUpper(name[0]) + std.substr(name, 1, std.length(name) - 1);

local place(panels) =
  std.foldl(
    function(state, panel)
      local wraps = state.x + panel.gridPos.w > 24;
      local x = if wraps then 0 else state.x;
      local y = if wraps then state.y + state.height else state.y;
      {
        x: x + panel.gridPos.w,
        y: y,
        height: if wraps then panel.gridPos.h else std.max(state.height, panel.gridPos.h),
        placed: state.placed + [panel { id: std.length(state.placed) + 1, gridPos+: { x: x, y: y } }],
      },
    panels,
    { x: 0, y: 0, height: 0, placed: [] }
  ).placed;

{
  // A heading; the panels after it start on a new line.
  heading(title):: { type: 'row', title: title, collapsed: false, panels: [], gridPos: { w: 24, h: 1 } },

  datasource:: {
    name: 'datasource',
    label: 'Data source',
    type: 'datasource',
    query: 'prometheus',
    // The provisioned one (9.5 finds it by its name, later ones by its uid); where there is none, Grafana takes its first.
    current: { selected: false, text: 'ML Prometheus', value: 'ml-prometheus' },
    hide: 0,
    refresh: 1,
    regex: '',
  },

  // Values of a label. several: choose many or all; else exactly one.
  variable(name, label, metric, several):: {
    local query = 'label_values(%s, %s)' % [metric, label],
    name: name,
    label: titled(name),
    type: 'query',
    datasource: { type: 'prometheus', uid: '${datasource}' },
    query: { query: query, refId: name },
    definition: query,
    refresh: 2,
    sort: 1,
    hide: 0,
    regex: '',
    multi: several,
    includeAll: several,
    [if several then 'allValue']: '.*',
    current: if several then { selected: true, text: ['All'], value: ['$__all'] } else {},
  },

  // The pages that others link to at their top. chosen: takes the services along that are chosen; ml-service shows one, and so
  // can only be given one.
  local pages = [
    { uid: 'ml-overview', title: 'Overview', chosen: true },
    { uid: 'ml-service', title: 'Service', chosen: false },
    { uid: 'ml-pipelines', title: 'Training pipelines', chosen: true },
    { uid: 'ml-models', title: 'Models', chosen: true },
    { uid: 'ml-endpoints', title: 'Endpoints', chosen: true },
    { uid: 'ml-objectives', title: 'Objectives', chosen: true },
    { uid: 'ml-schedulers', title: 'Schedulers', chosen: false },
    { uid: 'ml-cost', title: 'Cost', chosen: true },
    { uid: 'ml-alerts', title: 'Alerts', chosen: true },
    { uid: 'ml-exporter', title: 'Exporter', chosen: false },
  ],
  // along: variables of the page whose values are taken along
  siblings(uid, along=[]):: [
    $.link(page.title, page.uid, along=if page.chosen then along else [])
    for page in pages
    if page.uid != uid
  ],

  // From a row of a table to the page of what it names: the labels that the row must have are those of the link.
  local of(variables) = { [name]: '${__data.fields.%s:percentencode}' % variables[name] for name in std.objectFields(variables) },
  to:: {
    service: $.link('Open this service', 'ml-service', of({ service: 'ml_service' })),
    pipeline: $.link('Open this pipeline', 'ml-pipeline', of({ source: 'source', pipeline: 'pipeline' })),
    endpoint: $.link('Open this endpoint', 'ml-endpoints', of({ endpoint: 'ml_endpoint' })),
    model: $.link('Open this model', 'ml-models', of({ model: 'model' })),
    objective: $.link('Open this objective', 'ml-objectives', of({ service: 'ml_service', slo: 'slo' })),
    objectives: $.link('Objectives', 'ml-objectives', of({ service: 'ml_service' })),
    source: $.link('Open this source', 'ml-exporter', of({ source: 'source' })),
  },

  // Out to the backend's own pages, which the exporter knows: of the pipeline of a row, of its last failed run.
  out(config):: {
    local to(title, path) = { title: title, url: config.stack.exporter_browser_url + '/go/' + path, targetBlank: true },
    local row = '${__data.fields.source:percentencode}/${__data.fields.pipeline:percentencode}',
    local chosen = '${source:percentencode}/${pipeline:percentencode}',
    pipeline: [to('Its runs, in their backend', row), to('Its last failed run, in its backend', row + '/last-failed')],
    chosenPipeline: [to('Its runs, in their backend', chosen), to('Its last failed run, in its backend', chosen + '/last-failed')],
    source: to('The backend itself', '${__data.fields.source:percentencode}'),
  },

  // The page that says what to do about an alert.
  runbook(config):: {
    title: 'Runbook',
    url: std.rstripChars(config.alerting.runbook_url, '/') + '/${__data.fields.alertname}.md',
    targetBlank: true,
  },

  // Of a table of alerts: each column leads to the page of what it names.
  linkedAlert(config):: {
    alertname: [$.runbook(config)],
    ml_service: [$.to.service],
    source: [$.to.source],
    pipeline: [$.to.pipeline],
    ml_endpoint: [$.to.endpoint],
    model: [$.to.model],
    slo: [$.to.objective],
  },

  // Whose each service is, and how much depends on it. One: while a change of it is rolled out there may be two, which would be two
  // lines of a table, and an error in a match.
  owners(chosen=''):: 'topk by (ml_service) (1, max by (ml_service, owner, tier) (%s{%s}))' % [m.ml_service_info, chosen],

  // With the owner of its service, where the configuration names one.
  owned(expr):: |||
    (%(expr)s)
    * on (ml_service) group_left (owner)
    %(owners)s
    or
    ((%(expr)s) unless on (ml_service) %(services)s)
  ||| % { expr: std.rstripChars(expr, '\n'), owners: $.owners(), services: m.ml_service_info },

  // Annotations: the newest hundred, for a large installation has thousands
  moved(chosen):: {
    name: 'Alias moved',
    iconColor: colour.note,
    expr: 'topk(100, max by (source, model, alias) (%s{%s})) * 1000' % [overview.moved, chosen],
    useValueForTime: 'on',
    titleFormat: '{{alias}} of {{model}} moved',
    tagKeys: 'model,alias',
  },

  // every: minutes between two looks at least; each look reads every alert twice
  firing(chosen, every=1):: {
    name: 'Alerts',
    iconColor: colour.hurt,
    // When they began: all the time that they fire would colour every panel. Grafana looks as often as the time shown lets it, `step`
    // is but the least: what has ended before it looks again has no mark.
    // With another version, owner or tier an alert has other labels, and has not begun.
    local one(more) = 'max without (version, owner, tier) (ALERTS{alertname=~"ML.+", alertstate="firing", %s}%s)' % [chosen, more],
    expr: 'count by (alertname, severity) (%s unless %s)' % [one(''), one(' offset $__interval')],
    titleFormat: '{{alertname}} began',
    tagKeys: 'severity',
    step: '%ds' % (60 * every),
  },

  // The time that a figure tells, not the times at which it is told.
  failed(chosen):: {
    name: 'Runs failed',
    iconColor: colour.look,
    expr: '1000 * topk(100, max by (source, pipeline, state) (%s{%s, state=~"failed|timed_out"} > time() - %d))' % [
      m.ml_run_last_finished_timestamp_seconds,
      chosen,
      TOLD,
    ],
    useValueForTime: 'on',
    titleFormat: '{{pipeline}} {{state}}',
    tagKeys: 'state',
  },

  // A variable whose values are known: all of them, or some.
  values(name, list):: {
    name: name,
    label: titled(name),
    type: 'custom',
    query: std.join(',', list),
    options: [],
    hide: 0,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { selected: true, text: ['All'], value: ['$__all'] },
  },

  // A link that takes the data source and the time range along. variables: name → value; along: variables of this page which
  // the other has, too, with all the values that are chosen
  link(title, uid, variables={}, along=[]):: {
    title: title,
    url: '/d/%s?%s' % [
      uid,
      std.join(
        '&',
        ['${%s:queryparam}' % name for name in ['datasource'] + along]
        + ['var-%s=%s' % [name, variables[name]] for name in std.objectFields(variables)]
        + ['${__url_time_range}']
      ),
    ],
    targetBlank: false,
  },

  new(uid, title, description, variables, panels, annotations=[], links=[], from='now-24h'):: {
    uid: uid,
    title: title,
    description: description + ' Generated by ml-exporter render: change the Jsonnet, not this.',
    tags: ['ml-exporter', 'generated'],
    schemaVersion: 38,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: '1m',
    time: { from: from, to: 'now' },
    timezone: 'browser',
    templating: { list: [$.datasource] + variables },
    annotations: {
      list: [
        annotation { datasource: { type: 'prometheus', uid: '${datasource}' }, enable: true, hide: false }
        for annotation in annotations
      ],
    },
    links: [
      {
        type: 'link',
        icon: 'dashboard',
        tooltip: link.title,
        asDropdown: false,
        includeVars: false,
        keepTime: false,
        tags: [],
      } + link
      for link in links
    ],
    panels: place(panels),
  },
}
