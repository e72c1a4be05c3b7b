"""Three trainings: one healthy, one that sometimes fails, one that gets slowly worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error, r2_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

INCIDENT = 3
"""Fraud's extract is broken for so many runs in a row, or is not."""
BROKEN_IN = 4
"""About one time in so many it is."""
RELABELLED_EVERY = 60
"""Demand's labels rot run after run, until someone cleans them."""
ROT = 1.04
"""Growth of the label noise from one run to the next."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training leaves behind."""

    model: BaseEstimator
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Training:
    """A pipeline. `fit(features, labels, number)` is called with a number that grows from run to run."""

    pipeline: str
    dataset: str
    load: Callable[[int], tuple[Any, Any]]
    fit: Callable[[Any, Any, int], Trained]
    model: str | None = None
    """The registered model that gets a version now and then."""


def _churn_data(_number: int) -> tuple[Any, Any]:
    features, labels = load_breast_cancer(return_X_y=True)
    return features, labels


def _fraud_data(number: int) -> tuple[Any, Any]:
    """The eights among the digits: a rare class. Some extracts have holes, and scikit-learn refuses them."""
    features, digits = load_digits(return_X_y=True)
    random = np.random.default_rng([5, number // INCIDENT])
    if random.integers(BROKEN_IN) == 0:
        features[random.random(features.shape) < 0.01] = np.nan
    return features, digits == 8


def _demand_data(number: int) -> tuple[Any, Any]:
    """Labels with the same noise every time, only louder."""
    features, labels = load_diabetes(return_X_y=True)
    loudness = 0.2 * ROT ** (number % RELABELLED_EVERY) * labels.std()
    return features, labels + loudness * np.random.default_rng(0).standard_normal(labels.shape)


def _classify(features: Any, labels: Any, number: int) -> Trained:
    params = {"C": 0.1, "max_iter": 200, "seed": number % 5}
    train, held_out, train_labels, held_out_labels = train_test_split(
        features, labels, stratify=labels, random_state=params["seed"]
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=params["C"], max_iter=params["max_iter"]))
    model.fit(train, train_labels)
    scores = model.predict_proba(held_out)[:, 1]
    metrics = {"val_auc": roc_auc_score(held_out_labels, scores), "val_loss": log_loss(held_out_labels, scores)}
    return Trained(model, params, metrics)


def _regress(features: Any, labels: Any, number: int) -> Trained:
    params = {"alpha": 0.1, "seed": 0}
    train, held_out, train_labels, held_out_labels = train_test_split(features, labels, random_state=params["seed"])
    model = Ridge(alpha=params["alpha"]).fit(train, train_labels)
    predicted = model.predict(held_out)
    metrics = {
        "val_loss": mean_squared_error(held_out_labels, predicted),
        "val_r2": r2_score(held_out_labels, predicted),
    }
    return Trained(model, params, metrics)


TRAININGS = (
    Training("churn-healthy", "breast-cancer", _churn_data, _classify, model="churn"),
    Training("fraud-flaky", "digits", _fraud_data, _classify),
    Training("demand-degrading", "diabetes", _demand_data, _regress, model="demand"),
)
