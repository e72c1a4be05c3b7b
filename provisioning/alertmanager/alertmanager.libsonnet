// alertmanager.yml
local t = import '../../alerts/lib/text.libsonnet';
local routing = import '../../alerts/routing.libsonnet';
local receiver = import 'receivers.libsonnet';

local route(alerting, severity, matcher) =
  local given = alerting[severity];
  { receiver: severity, matchers: [matcher] } + {
    [name]: t.duration(if given[name] != null then given[name] else routing.times[severity][name])
    for name in std.objectFields(routing.times[severity])
  };

function(config)
  local alerting = config.alerting;
  assert std.parseInt(std.split(alerting.alertmanager, '.')[1]) >= routing.oldest :
         'alerting.alertmanager: found %s; routes and inhibitions need 0.%d or newer' % [
    alerting.alertmanager,
    routing.oldest,
  ];
  {
    route: {
      // An alert without a severity of ours still reaches somebody.
      receiver: 'ticket',
      group_by: ['ml_service'],
      routes: [
        route(alerting, 'watchdog', 'alertname="Watchdog"') { group_by: ['alertname'] },
        route(alerting, 'page', 'severity="page"'),
        route(alerting, 'ticket', 'severity="ticket"'),
        route(alerting, 'info', 'severity="info"'),
      ],
    },
    inhibit_rules: [
      { source_matchers: rule.source, target_matchers: rule.target, equal: rule.equal }
      for rule in routing.inhibitions
    ],
    receivers: [receiver(alerting, severity) for severity in ['page', 'ticket', 'info', 'watchdog']],
  }
