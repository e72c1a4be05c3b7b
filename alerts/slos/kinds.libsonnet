// What kinds of service level indicators there are, and how each is judged unless its objective says otherwise.
//   events: good and bad ones are counted; else slices of time are judged
//   runs: events are too few for a short window: an alert ends with the next good run instead
//   tiers: of windows.libsonnet, and `deadline`; minimum_bad: instead of the tier's own
local all = ['page_fast', 'page_slow', 'ticket_fast', 'ticket_slow'];
local tickets = ['ticket_fast', 'ticket_slow'];

local kind = { events: false, runs: false, tiers: all, minimum_bad: null };
local runs = kind { events: true, runs: true, tiers: tickets, minimum_bad: 3 };

{
  endpoint_availability: kind { events: true },
  endpoint_latency: kind { events: true },
  endpoint_correctness: kind { events: true },
  pipeline_success: runs,
  pipeline_duration: runs,
  // Two missed cycles page; a budget of hours that leaks away is a ticket.
  pipeline_freshness: kind { tiers: ['deadline'] + tickets },
  model_quality: kind { tiers: tickets },
  ratio: kind { events: true },
  gauge: kind,
  // Its components page.
  composite: kind { tiers: tickets },
}
