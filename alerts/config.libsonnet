// The same shape that ml-exporter.yaml has: override it, or let `ml-exporter render` fill it in.
{
  _config+:: import 'lib/defaults.json',
}
