// Passes tables through Grafana's own transformations: reads [{transformations, frames}] and writes the fields of each result.
// What is asked of a browser's window on loading comes from jsdom.
const { JSDOM } = require('jsdom');
const { window } = new JSDOM('', { url: 'http://localhost/' });
window.matchMedia = () => ({ matches: false, addListener() {}, addEventListener() {} });
globalThis.window = window;
for (const name of Object.getOwnPropertyNames(window)) if (!(name in globalThis)) globalThis[name] = window[name];

const { getFieldDisplayName, standardTransformers, toDataFrame } = require('@grafana/data');
const { lastValueFrom, of } = require('rxjs');
const { mergeTransformer, organizeFieldsTransformer } = standardTransformers;
const known = Object.fromEntries([mergeTransformer, organizeFieldsTransformer].map((each) => [each.id, each]));
const context = { interpolate: (text) => text };

const made = async ({ transformations, frames }) => {
  const steps = transformations.map(({ id, options }) => known[id].operator(options, context));
  const [table] = await lastValueFrom(of(frames.map((frame) => toDataFrame(frame))).pipe(...steps));
  return table.fields.map((field) => ({
    name: field.name,
    shown: getFieldDisplayName(field, table, [table]),
    values: Array.from(field.values.toArray ? field.values.toArray() : field.values),
  }));
};

const text = require('fs').readFileSync(0, 'utf-8');
Promise.all(JSON.parse(text).map(made)).then((tables) => console.log(JSON.stringify(tables)));
