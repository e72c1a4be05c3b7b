// Business hours and maintenance windows → Alertmanager's time intervals, and which of them a route asks for.
local t = import '../../alerts/lib/text.libsonnet';

local BUSINESS_HOURS = 'business-hours';
local WEEK = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
// What watches the services, and what no service claims: as far as routing goes, two services more.
local NOBODYS = [{ name: 'ml-exporter', owner: 'unassigned' }, { name: 'unassigned', owner: 'unassigned' }];

// Alertmanager's week begins on Sunday, and a range may not run beyond its end: each day is named.
local eachDay(range) =
  local ends = std.split(range, ':');
  local first = std.find(ends[0], WEEK)[0];
  local last = std.find(ends[std.length(ends) - 1], WEEK)[0];
  [WEEK[(first + step) % 7] for step in std.range(0, (last - first + 7) % 7)];

local interval(name, given, location) = {
  name: name,
  time_intervals: [std.prune({
    location: location,
    weekdays: std.flattenArrays([eachDay(range) for range in given.days]),
    days_of_month: std.get(given, 'days_of_month'),
    months: std.get(given, 'months'),
    years: std.get(given, 'years'),
    times: if given.from_ == null then null else [{ start_time: given.from_, end_time: given.to }],
  })],
};

local nameOf(window) = 'maintenance-' + window.name;
local ofAll(window) = window.services == [] && window.owners == [];
local covers(window, service) =
  ofAll(window) || std.member(window.services, service.name) || std.member(window.owners, service.owner);

function(config)
  local alerting = config.alerting;
  local hours = alerting.business_hours;
  local configured = [service.name for service in config.services];
  local services = config.services + [each for each in NOBODYS if !std.member(configured, each.name)];
  local muting(service) = [nameOf(window) for window in alerting.maintenance if covers(window, service)];
  local always = [nameOf(window) for window in alerting.maintenance if ofAll(window)];

  {
    definitions:
      (if hours == null then [] else [interval(BUSINESS_HOURS, hours, hours.location)])
      + [
        interval(nameOf(window), window, if window.location != null then window.location else hours.location)
        for window in alerting.maintenance
      ],

    // What a route asks for. A child inherits none of it: each of them says so itself.
    asked(active, mute):: {
      [if active && hours != null then 'active_time_intervals']: [BUSINESS_HOURS],
      [if mute != [] then 'mute_time_intervals']: mute,
    },

    // Windows that hold for all alerts.
    always: always,

    // Services, of one owner or of all, that have windows beyond those: a child route for those with the same ones.
    exceptions(owner=null)::
      local beyond = [
        service { windows: muting(service) }
        for service in services
        if (owner == null || service.owner == owner) && muting(service) != always
      ];
      [
        {
          matchers: [t.anyOf('ml_service', [service.name for service in beyond if service.windows == windows])],
          windows: windows,
        }
        for windows in std.set([service.windows for service in beyond], std.toString)
      ],
  }
