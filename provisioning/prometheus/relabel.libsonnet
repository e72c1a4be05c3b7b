// owner and tier of every alert, from services: here and not by a join, so that no alert is lost for want of one.
local t = import '../../alerts/lib/text.libsonnet';

// In a replacement, $ would start a capture group.
local verbatim(value) = std.strReplace(value, '$', '$$');

local forService(service, label, value) = {
  source_labels: ['ml_service'],
  regex: t.literal(service.name),
  target_label: label,
  replacement: verbatim(value),
};

// Only where the label is still empty.
local otherwise(label, value) = { source_labels: [label], regex: '', target_label: label, replacement: value };

function(services)
  std.flattenArrays([
    [forService(service, 'owner', service.owner), forService(service, 'tier', '%d' % service.tier)]
    for service in services
  ])
  + [otherwise('owner', 'unassigned')]
