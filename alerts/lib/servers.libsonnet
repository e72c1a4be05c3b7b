// By the name that `server` has in the configuration.
local contract = import '../servers/contract.libsonnet';

local adapters = {
  bentoml: import '../servers/bentoml.libsonnet',
  kserve: import '../servers/kserve.libsonnet',
  llamacpp: import '../servers/llamacpp.libsonnet',
  mlserver: import '../servers/mlserver.libsonnet',
  ray_serve: import '../servers/ray_serve.libsonnet',
  seldon: import '../servers/seldon.libsonnet',
  sglang: import '../servers/sglang.libsonnet',
  tensorflow_serving: import '../servers/tensorflow_serving.libsonnet',
  tgi: import '../servers/tgi.libsonnet',
  torchserve: import '../servers/torchserve.libsonnet',
  triton: import '../servers/triton.libsonnet',
  vllm: import '../servers/vllm.libsonnet',
};

// The adapters, each held to the contract.
{ [server]: contract.check(server, adapters[server]) for server in std.objectFields(adapters) }
