// How numbers and names are written inside PromQL, Prometheus durations and RE2.
local units = [['d', 86400000], ['h', 3600000], ['m', 60000], ['s', 1000], ['ms', 1]];

{
  // 0.05 → '0.05': Jsonnet itself writes 0.050000000000000003. Formatting takes milliseconds, so whole numbers go without.
  number(value):: if value == std.floor(value) && std.abs(value) < 1e10 then '' + value else '%.10g' % value,

  // Seconds → '1h30m'; the largest units first, nothing is lost down to a millisecond.
  duration(seconds)::
    local step(state, unit) = {
      rest: state.rest % unit[1],
      text: state.text + (if state.rest >= unit[1] then std.floor(state.rest / unit[1]) + unit[0] else ''),
    };
    local text = std.foldl(step, units, { rest: std.floor(seconds * 1000 + 0.5), text: '' }).text;
    if text == '' then '0s' else text,

  // A name as a regular expression that matches only itself.
  literal(name)::
    local escape(text, char) = std.strReplace(text, char, '\\' + char);
    std.foldl(escape, std.stringChars('\\.+*?()|[]{}^$'), name),

  // Labels and their values → a PromQL selector.
  selector(labels)::
    '{' + std.join(', ', [name + '=' + std.escapeStringJson(labels[name]) for name in std.objectFields(labels)]) + '}',

  // PromQL matchers for a set of names, and for everything else.
  anyOf(label, names):: '%s=~%s' % [label, self.oneOf(names)],
  noneOf(label, names):: '%s!~%s' % [label, self.oneOf(names)],
  // A matcher for a name with wildcards, * and ?, as the configuration has them.
  matching(label, pattern)::
    local wild = std.strReplace(std.strReplace(self.literal(pattern), '\\*', '.*'), '\\?', '.');
    if std.member(pattern, '*') || std.member(pattern, '?') then label + '=~' + std.escapeStringJson(wild)
    else label + '=' + std.escapeStringJson(pattern),
  // Whether a name matches such a pattern.
  like(pattern, name)::
    if pattern == '' then name == ''
    else if pattern[0] == '*' then $.like(pattern[1:], name) || name != '' && $.like(pattern, name[1:])
    else name != '' && (pattern[0] == '?' || pattern[0] == name[0]) && $.like(pattern[1:], name[1:]),
  // Escaped all at once: there may be thousands.
  oneOf(names):: std.escapeStringJson(std.strReplace(self.literal(std.join('\u0000', names)), '\u0000', '|')),
}
