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
RELABELLED_EVERY = 120
"""Demand's labels rot run after run, until someone cleans them."""
NOISE = 0.5
"""The label noise of clean labels, as a share of the labels' standard deviation."""
ROT = 1.018
"""Growth of the label noise from one run to the next."""
REGISTERED_EVERY = 8
"""Every eighth run of a pipeline with a model registers a version; it becomes the champion, or its challenger."""
SAMPLES = 20
"""The samples that the classifiers are trained on come again after so many runs."""


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
    event: Callable[[int], str | None] = lambda _number: None
    """What somebody did to the data before the run of this number."""
    registers: Callable[[int], bool] = lambda number: number % REGISTERED_EVERY == 0
    """Whether the run of this number registers a version."""
    alias: Callable[[int], str] = lambda _number: "champion"
    """What the version that the run of this number registers becomes."""
    stopped: Callable[[], bool] = lambda: False
    """Whether nobody starts its runs now."""


def _churn_data(_number: int) -> tuple[Any, Any]:
    features, labels = load_breast_cancer(return_X_y=True)
    return features, labels


def _churn_alias(number: int) -> str:
    """Every other version only challenges."""
    return "challenger" if number // REGISTERED_EVERY % 2 else "champion"


def _fraud_data(number: int) -> tuple[Any, Any]:
    """The eights among the digits: a rare class. Some extracts have holes, and scikit-learn refuses them."""
    features, digits = load_digits(return_X_y=True)
    random = np.random.default_rng([5, number // INCIDENT])
    if random.integers(BROKEN_IN) == 0:
        features, digits = with_holes(features, digits, random)
    return features, digits == 8


def with_holes(features: Any, labels: Any, random: np.random.Generator | None = None) -> tuple[Any, Any]:
    """An extract that scikit-learn refuses: one value in a hundred is missing."""
    holes = (random or np.random.default_rng(0)).random(features.shape) < 0.01
    return np.where(holes, np.nan, features), labels


def _demand_data(number: int) -> tuple[Any, Any]:
    """Labels with the same noise every time, only louder."""
    features, labels = load_diabetes(return_X_y=True)
    loudness = NOISE * ROT ** (number % RELABELLED_EVERY) * labels.std()
    return features, labels + loudness * np.random.default_rng(0).standard_normal(labels.shape)


def _demand_event(number: int) -> str | None:
    cleaned = number > 0 and number % RELABELLED_EVERY == 0
    return "its labels were cleaned, so it starts over: much better than its baseline" if cleaned else None


def _classify(features: Any, labels: Any, number: int) -> Trained:
    """Validated on the same half every time, so that figures compare; trained on most of the other half."""
    params = {"C": 0.03, "max_iter": 200, "seed": number % SAMPLES}
    pool, held_out, pool_labels, held_out_labels = train_test_split(
        features, labels, test_size=0.5, stratify=labels, random_state=0
    )
    train, _, train_labels, _ = train_test_split(
        pool, pool_labels, train_size=0.95, stratify=pool_labels, random_state=params["seed"]
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=params["C"], max_iter=params["max_iter"]))
    model.fit(train, train_labels)
    scores = model.predict_proba(held_out)[:, 1]
    metrics = {"val_auc": roc_auc_score(held_out_labels, scores), "val_loss": log_loss(held_out_labels, scores)}
    return Trained(model, params, metrics)


def _regress(features: Any, labels: Any, _number: int) -> Trained:
    return regress(features, labels, 0.1)


def regress(features: Any, labels: Any, penalty: float) -> Trained:
    """The larger the penalty, the nearer are all predictions to the mean."""
    params = {"alpha": penalty, "seed": 0}
    train, held_out, train_labels, held_out_labels = train_test_split(features, labels, random_state=params["seed"])
    model = Ridge(alpha=params["alpha"]).fit(train, train_labels)
    predicted = model.predict(held_out)
    metrics = {
        "val_loss": mean_squared_error(held_out_labels, predicted),
        "val_r2": r2_score(held_out_labels, predicted),
    }
    return Trained(model, params, metrics)


TRAININGS = (
    Training("churn-healthy", "breast-cancer", _churn_data, _classify, model="churn", alias=_churn_alias),
    Training("fraud-flaky", "digits", _fraud_data, _classify),
    Training("demand-degrading", "diabetes", _demand_data, _regress, model="demand", event=_demand_event),
)
