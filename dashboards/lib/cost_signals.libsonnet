// The signals of what runs cost: see signals.libsonnet, which has them too.
local m = import '../../alerts/lib/metrics.libsonnet';

function(config, pipelines, by, each)
  local q = (import '../../alerts/lib/queries.libsonnet')(config);

  local legend(words) = std.stripChars(each + ' ' + words, ' ');
  // Replicas say the same: the largest of them is taken, before anything is added up.
  local priced(metric) = q.of('max', by + ', currency', metric, [pipelines]);
  local busy = 'max by (%s) (increase(%s[1d]))' % [by, q.select(m.ml_run_busy_seconds_total, [pipelines])];

  {
    busy: {
      title: 'Time taken by runs',
      description: 'Time that the runs which ended within the last day took together, however they ended.',
      unit: 's',
      queries: [{ legend: if each == '' then 'busy' else each, expr: busy }],
    },
    lastSteps: {
      title: 'Steps of the last run',
      description: 'How many steps (epochs, for most) the last success logged; "no data" where it logged by none.',
      unit: 'short',
      queries: [{ legend: if each == '' then 'steps' else each, expr: q.of('max', by, m.ml_run_last_steps, [pipelines]) }],
    },
    // A counter of money would count the whole past anew with every change of a price: time is counted, and priced here.
    costOfRuns: {
      title: 'Cost of runs',
      description: 'What the runs that ended within the last day cost, at the present price, failed and cancelled ones too.',
      unit: 'short',
      queries: [{
        legend: legend('{{currency}}'),
        expr: '%s / 3600\n* on (%s) group_left () %s' % [
          priced(m.ml_cost_run_per_hour),
          by,
          busy,
        ],
      }],
    },
    costOfLastRun: {
      title: 'Cost of the last run',
      description: 'What the last success cost at the present price.',
      unit: 'short',
      queries: [{ legend: legend('{{currency}}'), expr: priced(m.ml_cost_last_run) }],
    },
    costPerStep: {
      title: 'Cost of a step',
      description: 'What a step (an epoch, for most) of the last success cost at the present price.',
      unit: 'short',
      queries: [{ legend: legend('{{currency}}'), expr: priced(m.ml_cost_last_run_per_step) }],
    },
  }
