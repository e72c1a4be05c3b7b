"""A model server: MLflow's scoring server, with whatever version of a model is behind an alias of the registry."""
