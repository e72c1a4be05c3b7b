// What users notice when a service fails, as the configuration says it. A text is no label: dashboards put it in the place of
// the service's name.
local label = 'impact';

function(config)
  local services = config.services;
  {
    // Without any there is nothing to show.
    any:: std.length([service for service in services if service.impact != null]) > 0,
    // The name once more, under a label of its own.
    named(expr):: 'label_replace(' + expr + ', "' + label + '", "$1", "ml_service", "(.*)")',
    mappings:: [{
      type: 'value',
      options: {
        [services[index].name]: {
          text: if services[index].impact == null then 'not said' else services[index].impact,
          index: index,
        }
        for index in std.range(0, std.length(services) - 1)
      },
    }],
    label:: label,
  }
