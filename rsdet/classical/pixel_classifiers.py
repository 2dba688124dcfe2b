"""Classifiers of single pixels, spectra without surroundings: what networks for land cover are measured against."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rsdet.errors import MissingDependencyError, install

NAMES = ("svm", "svm-pca", "forest", "forest-pca")
TREES = 200
PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # of the SVM; chosen by three folds of the training pixels
MOST_PIXELS = 20_000  # of a training; the time of an SVM grows with their square


def available() -> bool:
    """Whether scikit-learn is installed."""
    from importlib.util import find_spec

    return find_spec("sklearn") is not None


class PixelClassifier:
    """An SVM with Gaussian kernel, or a random forest, on standardised bands or on their principal components.

    Args:
        name: ``svm``, ``forest``, or either with ``-pca``.
        components: Principal components; as many as there can be, at most.
        seed: Of the forest, the folds and what is left out of more than :data:`MOST_PIXELS` pixels.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """

    def __init__(self, name: str, components: int = 20, seed: int = 0):
        if not available():
            raise MissingDependencyError(
                f"{name} needs the package scikit-learn, which is not installed; {install('hyper')}."
            )
        self.name, self.components, self.seed = name, components, seed

    def fit(self, pixels: np.ndarray, classes: np.ndarray) -> PixelClassifier:
        """Learn from pixels (n, C) without NaN and their classes (n,)."""
        from sklearn.decomposition import PCA
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import GridSearchCV, StratifiedKFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        if len(pixels) > MOST_PIXELS:
            chosen = np.random.default_rng(self.seed).permutation(len(pixels))[:MOST_PIXELS]
            pixels, classes = pixels[chosen], classes[chosen]
        steps: list[Any] = [StandardScaler()]
        if self.name.endswith("-pca"):
            steps.append(PCA(min(self.components, *pixels.shape), random_state=self.seed))
        if self.name.startswith("forest"):
            steps.append(RandomForestClassifier(TREES, random_state=self.seed))
        else:
            least = int(np.bincount(classes)[np.unique(classes)].min())
            steps.append(SVC(C=100.0))
            if least >= 3:
                folds = StratifiedKFold(3, shuffle=True, random_state=self.seed)
                steps[-1] = GridSearchCV(SVC(), {"C": list(PENALTIES)}, cv=folds)
        self.model = make_pipeline(*steps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a band that is constant
            self.model.fit(pixels, classes)
        return self

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """(n,) classes of pixels (n, C) without NaN."""
        return self.model.predict(pixels)
