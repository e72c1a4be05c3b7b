// alertmanager.yml: who is told of what, as a table of routes; the first that matches is taken.
local t = import '../../alerts/lib/text.libsonnet';
local routing = import '../../alerts/routing.libsonnet';
local intervals = import 'intervals.libsonnet';
local receiver = import 'receivers.libsonnet';
local templates = import 'templates.libsonnet';

local SEVERITIES = ['page', 'ticket', 'info'];

// One row a receiver: its name, the key path of its section, what it gets, and how often (of the severity's times).
//   owner: whose alerts; waits: sent in business hours only; muted: quiet during maintenance; more: other settings
local rows(alerting) =
  local severity(name) = { severity: name, waits: name != 'page', muted: true };
  local given(name, row) =
    if alerting[name] == null then []
    else [{ name: name, path: 'alerting.' + name, section: alerting[name], times: routing.times[name] } + row];
  given('audit', { severity: 'info', matchers: [], more: { group_by: ['...'], continue: true } })
  + given('watchdog', { severity: 'info', matchers: ['alertname="Watchdog"'], more: { group_by: ['alertname'] } })
  + given('escalation', severity('page') { matchers: ['alertname="MLAlertUnresolved"'] })
  + [
    severity(name) {
      name: '%s:%s' % [name, owner],
      path: 'alerting.owners.%s.%s' % [owner, name],
      section: alerting.owners[owner][name],
      times: routing.times[name] + std.prune({ [key]: alerting[name][key] for key in std.objectFields(routing.times[name]) }),
      matchers: ['owner=' + std.escapeStringJson(owner), 'severity="%s"' % name],
      owner: owner,
    }
    for owner in std.objectFields(alerting.owners)
    for name in SEVERITIES
    if alerting.owners[owner][name] != null
  ]
  + std.flatMap(function(name) given(name, severity(name) { matchers: ['severity="%s"' % name] }), SEVERITIES);

local route(row, times) =
  local waits = std.get(row, 'waits', false);
  local muted = std.get(row, 'muted', false);
  local children = if muted then times.exceptions(std.get(row, 'owner')) else [];
  { receiver: row.name }
  + (if row.matchers == [] then {} else { matchers: row.matchers })
  + {
    [key]: t.duration(if row.section[key] != null then row.section[key] else row.times[key])
    for key in std.objectFields(row.times)
  }
  + times.asked(waits, if muted then times.always else [])
  + std.get(row, 'more', {})
  + (if children == [] then {} else {
       routes: [{ matchers: child.matchers } + times.asked(waits, child.windows) for child in children],
     });

// What of the version table the keys beside the receivers need.
local required(alerting) =
  [
    { path: 'alerting.' + name, name: 'intervals' }
    for name in ['business_hours', 'maintenance']
    if alerting[name] != null && alerting[name] != []
  ];

function(config)
  local alerting = config.alerting;
  local times = intervals(config);
  local table = rows(alerting);
  assert templates.minor(alerting) >= routing.oldest :
         'alerting.alertmanager: found %s; routes and inhibitions need 0.%d or newer' % [
    alerting.alertmanager,
    routing.oldest,
  ];
  assert receiver.known(alerting, required(alerting));
  {
    route: {
      // An alert without a severity of ours still reaches somebody, at any hour: a root can have no intervals.
      receiver: 'ticket',
      group_by: ['ml_service'],
      routes: [route(row, times) for row in table]
              // What audits has taken it, so that the root would not: it needs a child that takes the rest.
              + (if alerting.audit == null then [] else [{ receiver: 'ticket' }]),
    },
    inhibit_rules: [
      { source_matchers: rule.source, target_matchers: rule.target, equal: rule.equal + rule.alike }
      for rule in routing.inhibitions
    ],
    [if times.definitions != [] then 'time_intervals']: times.definitions,
    templates: ['templates/ml-exporter.tmpl'],
    receivers: [receiver.build(alerting, row) for row in table],
  }
