"""Runs a training as an MLflow run, with its parameters, metrics, data set and, now and then, a model version."""

from __future__ import annotations

import mlflow
from mlflow import MlflowClient
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from ml_exporter.demo.pipelines.trainings import Trained, Training

_NUMBER = "number"


def last_number(client: MlflowClient, training: Training) -> int:
    """The number of the pipeline's last run, -1 if there is none: a restarted demo goes on where it stopped."""
    runs = _runs(client, training.pipeline, "", 1)
    return int(runs[0].data.params.get(_NUMBER, 0)) if runs else -1


def end_abandoned(client: MlflowClient, pipeline: str) -> int:
    """Mark as killed what an earlier demo left running; returns how many."""
    abandoned = _runs(client, pipeline, "attributes.status = 'RUNNING'", 100)
    for run in abandoned:
        client.set_terminated(run.info.run_id, status="KILLED")
    return len(abandoned)


def run(client: MlflowClient, training: Training, number: int) -> Trained:
    """Train once. What the training raises is raised, after the run has been marked as failed."""
    experiment = mlflow.set_experiment(training.pipeline)
    with mlflow.start_run(experiment_id=experiment.experiment_id, run_name=f"{training.pipeline}-{number}"):
        mlflow.log_param(_NUMBER, number)
        event = training.event(number)
        if event:
            mlflow.set_tag(MLFLOW_RUN_NOTE, event)  # the description of the run
        features, labels = training.load(number)
        data = from_numpy(features, targets=labels, name=training.dataset)
        mlflow.log_input(data, context="training")
        trained = training.fit(features, labels, number)
        mlflow.log_params(dict(trained.params))
        if training.model and training.registers(number):
            # Metrics logged after the model and naming it become the model's own, on that data set.
            logged = mlflow.sklearn.log_model(
                trained.model,
                name="model",
                registered_model_name=training.model,
                pip_requirements=["scikit-learn"],
                skops_trusted_types=[],
            )
            mlflow.log_metrics(dict(trained.metrics), model_id=logged.model_id, dataset=data)
            version = str(logged.registered_model_version)
            client.set_registered_model_alias(training.model, training.alias(number), version)
        else:
            mlflow.log_metrics(dict(trained.metrics))
    return trained


def _runs(client: MlflowClient, pipeline: str, condition: str, limit: int) -> list[Run]:
    experiment = client.get_experiment_by_name(pipeline)
    if experiment is None:
        return []
    return list(
        client.search_runs(
            [experiment.experiment_id], condition, max_results=limit, order_by=["attributes.start_time DESC"]
        )
    )
