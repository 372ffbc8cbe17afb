"""Estimators: SGDRegressor and SGDClassifier of scikit-learn, dropped in for, and what they lack.

With the same parameters and `random_state` the coefficients are scikit-learn's, to rounding; docs/differences.md lists
where they are not, and why. Importing this module imports scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from fastgd._estimator import CLASSIFICATION, REGRESSION, ByGradient, Output, is_number, require
from fastgd._online import Epochs

__all__ = ["Epochs", "SGDClassifier", "SGDRegressor"]

#: random states draw seeds below
_SEEDS = 2**31 - 1
#: labels among which most are seen
_SOON = 1000
#: so few numbers that all are soon looked for, one after the other; and so few words
_FEW, _FEW_WORDS = 20, 4


class SGDRegressor(RegressorMixin, ByGradient):  # type: ignore[misc] # scikit-learn has no types
    """Linear regression by stochastic gradient descent: scikit-learn's SGDRegressor, dropped in for.

    Minimises the mean loss of X w + b, row by row, plus the penalty. The same parameters and `random_state` give
    scikit-learn's coefficients; batches, other rules, an automatic rate and validation rows are new.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"}, default "squared_error"
        "squared_error" is (raw - y)^2 / 2.
    penalty : {"l2", "l1", "elasticnet", None}, default "l2"
        ``alpha ((1 - r) |w|^2 / 2 + r |w|_1)``, r being 0, 1 or `l1_ratio`; the intercept is never penalised. l1 is
        the cumulative penalty of Tsuruoka et al. (2009): each row's features pay what they owe.
    alpha : float, default 0.0001
    l1_ratio : float or None, default 0.15
        In [0, 1], for "elasticnet".
    fit_intercept : bool, default True
    max_iter : int, default 1000
        Epochs, at most; `partial_fit` runs one.
    tol : float or None, default 1e-3
        Stop when for `n_iter_no_change` epochs the mean running objective has not fallen below best - tol, or with
        validation rows the score has not risen above best + tol: in the units of the loss, so that the unit of y
        decides. None runs all epochs. The engine of `fastgd.fit` has its own, relative rule.
    shuffle : bool, default True
        A fresh order each epoch, of scikit-learn's generator.
    verbose : int, default 0
        From 1 on a line is printed each epoch.
    epsilon : float, default 0.1
        Of huber, epsilon_insensitive and squared_epsilon_insensitive.
    random_state : int, RandomState or None, default None
    learning_rate : str, default "invscaling"
        At row t: "constant" eta0; "invscaling" eta0 / t^power_t; "optimal" 1 / (alpha (t0 + t - 1)), Bottou's t0;
        "adaptive" eta0, divided by 5 instead of stopping; "pa1", "pa2" passive-aggressive (Crammer et al., 2006), for
        loss "epsilon_insensitive". "auto" needs no eta0: the rate comes from the curvature of the standardised
        problem, and the rules of `fastgd.fit` hold, average and tolerance included.
    eta0 : float, default 0.01
    power_t : float, default 0.25
    early_stopping : bool, default False
        Keep `validation_fraction` of the rows back, stop by the score on them, and return the best epoch.
    validation_fraction : float, default 0.1
    n_iter_no_change : int, default 5
    warm_start : bool, default False
        Let `fit` begin where the last one ended.
    average : bool or int, default False
        Return the mean of the iterates from row 1, or from that row on.
    batch_size : int or None, default 1
        Rows a step; None all. The step is the mean over them.
    optimizer : str or (str, dict), default "sgd"
        A name of `fastgd.optimizers()`.
    standardize : bool, default False
        Iterate on centred and scaled features; the objective, and what is reported, stay in the units of X.
        learning_rate="auto" does so by itself.
    positive : bool, default False
        No coefficient may be negative (the intercept may): those that an update makes so become 0.

    Attributes
    ----------
    coef_ : ndarray, shape (d,)
        float32 where X is.
    intercept_ : ndarray, shape (1,)
    n_iter_ : int
        Epochs run.
    t_ : float
        1 + rows seen, those kept back included.
    history_ : Epochs or History
        What the epochs of the last call came to; of `fastgd.fit` where that did the work.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (d,)
        Where X was a table whose columns have names.

    See Also
    --------
    fastgd.fit : The function behind it, with everything that can be chosen.

    Notes
    -----
    With a `batch_size` other than 1, another `optimizer`, learning_rate="auto", `standardize` or `positive` the work is
    done by `fastgd.fit`, with l1 = alpha r and l2 = alpha (1 - r), r as above; weights count by
    their share of the mean weight, rates fall by updates, averages are of the later half of the epochs, and each
    `partial_fit` begins rules that remember anew and, with "invscaling", keeps the rate of its first update. Otherwise
    all is as in scikit-learn 1.9, coefficients to rounding, but for what docs/differences.md lists. Another thread must
    not write to X meanwhile.

    Examples
    --------
    >>> import fastgd
    >>> X, y = fastgd.datasets.make_linear(n=1000, coef=(2.0, -3.4), intercept=4.2, rng=0)
    >>> model = fastgd.SGDRegressor(random_state=0).fit(X, y)
    >>> model.coef_.round(1)
    array([ 2. , -3.4])
    >>> model.history_
    Epochs: ... epochs, loss ... to ...
      columns: epoch, step, loss, lr, seconds
    >>> model = fastgd.SGDRegressor(learning_rate="auto", batch_size=32, random_state=0)
    >>> bool(model.fit(1000 * X, y).score(1000 * X, y) > 0.99)
    True
    """

    _names = REGRESSION
    _aggressive = "epsilon_insensitive"
    _accuracy = False

    def __init__(
        self,
        loss: str = "squared_error",
        *,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        random_state: Any = None,
        learning_rate: str = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int | None = 1,
        optimizer: Any = "sgd",
        standardize: bool = False,
        positive: bool = False,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.standardize = standardize
        self.positive = positive

    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> SGDRegressor:
        """Fit from the beginning, or with `warm_start` from where the last fit ended.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
            float32 and float64 in C order and CSR are read where they lie; float32 gives float32 coefficients.
        y : array-like, shape (n,)
        coef_init : array-like, shape (d,), optional
            Where to begin.
        intercept_init : array-like, shape (1,), optional
        sample_weight : array-like, shape (n,), optional
            Factors of each row's step, not all 0.
        X_val, y_val : array-like, shapes (m, d) and (m,), optional
            Rows whose R^2 says when to stop, as with `early_stopping`, which then splits nothing off: the best epoch
            is returned.

        Returns
        -------
        SGDRegressor
            Itself.

        Raises
        ------
        ValueError
            If a parameter is out of range, X or y won't do, or the coefficients leave the range of floats; the
            estimator is then as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If all of `max_iter` epochs were run with a `tol`.
        fastgd.DivergenceWarning
            If the run ended at ten times the loss of its start and of zero coefficients; says why, and what to do.
        """
        self._check_parameters()
        with self._all_or_nothing():
            start = self._begin(coef_init, intercept_init)
            self.t_ = 1.0
            return self._fit(X, y, sample_weight, start, (X_val, y_val))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> SGDRegressor:
        """Go on for one epoch over these rows; `t_` goes on too.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
        y : array-like, shape (n,)
        sample_weight : array-like, shape (n,), optional

        Returns
        -------
        SGDRegressor
            Itself.

        Raises
        ------
        ValueError, TypeError
            As by `fit`; a batch that is refused changes nothing.
        """
        self._check_parameters()
        if self.early_stopping:
            raise ValueError("early_stopping must be False with partial_fit, which runs one epoch, got True")
        with self._all_or_nothing():
            self.t_ = getattr(self, "t_", 1.0)
            return self._fit(X, y, sample_weight, None, None)

    def _fit(self, X: Any, y: Any, sample_weight: Any, start: Any, validation: Any) -> SGDRegressor:
        partial = validation is None
        X, y = self._read(X, y, first=not hasattr(self, "coef_"), numeric=True)
        y = np.asarray(y, dtype=np.float64)
        weight = self._read_weights(sample_weight, X)
        rows, y_val = self._read_validation(X, *(validation or (None, None)))
        held = self._split(y, weight, ShuffleSplit) if rows is None else None
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(0, _SEEDS))
        rng.randint(1, _SEEDS)  # scikit-learn draws so often
        output = Output(y, seed, held=held, y_val=y_val)
        coef, intercept = self._descend(X, [output], weight, start=start, validation=rows, partial=partial)
        self.coef_, self.intercept_ = coef[0], intercept
        return self

    def predict(self, X: Any) -> Any:
        """X w + b, shape (n,).

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
        """
        return self._scores(X)[:, 0]


def _has_probabilities(estimator: Any) -> bool:
    if estimator.loss not in ("log_loss", "modified_huber", "softmax"):
        raise AttributeError(
            f"loss={estimator.loss!r} gives no probabilities; 'log_loss', 'softmax' and 'modified_huber' do"
        )
    return True


def _distinct(labels: Any) -> Any:
    """`np.unique`, but sooner where a few labels are soon seen: others are looked for one label after the other."""
    seen, rest = np.unique(labels[:_SOON]), labels[_SOON:]
    if len(seen) > (_FEW if labels.dtype.kind in "biuf" else _FEW_WORDS):
        return np.unique(labels)
    others = rest[~np.isin(rest, seen, kind="sort")]
    return np.unique(np.concatenate([seen, np.unique(others)])) if len(others) else seen


class SGDClassifier(ClassifierMixin, ByGradient):  # type: ignore[misc] # scikit-learn has no types
    """Linear classification by stochastic gradient descent: scikit-learn's SGDClassifier, dropped in for.

    Minimises the mean loss of X w + b, row by row, plus the penalty; with more than two classes each against all
    others. The same parameters and `random_state` give scikit-learn's coefficients; batches, other rules, an automatic
    rate and validation rows are new.

    Parameters
    ----------
    loss : str, default "hinge"
        "hinge" (a linear support vector machine), "squared_hinge", "perceptron", "log_loss" (logistic regression) or
        "modified_huber", or one of SGDRegressor's, on targets -1 and 1. "softmax" is multinomial logistic regression:
        all classes at once, instead of each against all others; with two classes it is log_loss.
    penalty : {"l2", "l1", "elasticnet", None}, default "l2"
        ``alpha ((1 - r) |w|^2 / 2 + r |w|_1)``, r being 0, 1 or `l1_ratio`; the intercept is never penalised. l1 is
        the cumulative penalty of Tsuruoka et al. (2009): each row's features pay what they owe.
    alpha : float, default 0.0001
    l1_ratio : float or None, default 0.15
        In [0, 1], for "elasticnet".
    fit_intercept : bool, default True
    max_iter : int, default 1000
        Epochs, at most; `partial_fit` runs one.
    tol : float or None, default 1e-3
        Stop when for `n_iter_no_change` epochs the mean running objective has not fallen below best - tol, or with
        validation rows the score has not risen above best + tol: in the units of the loss, so that the unit of y
        decides. None runs all epochs. The engine of `fastgd.fit` has its own, relative rule.
    shuffle : bool, default True
        A fresh order each epoch, of scikit-learn's generator.
    verbose : int, default 0
        From 1 on a line is printed each epoch.
    epsilon : float, default 0.1
        Of huber, epsilon_insensitive and squared_epsilon_insensitive.
    n_jobs : int or None, default None
        Threads, at most one a class, where there are more than two.
    random_state : int, RandomState or None, default None
    learning_rate : str, default "optimal"
        At row t: "constant" eta0; "invscaling" eta0 / t^power_t; "optimal" 1 / (alpha (t0 + t - 1)), Bottou's t0;
        "adaptive" eta0, divided by 5 instead of stopping; "pa1", "pa2" passive-aggressive (Crammer et al., 2006), for
        loss "hinge". "auto" needs no eta0: the rate comes from the curvature of the standardised
        problem, and the rules of `fastgd.fit` hold, average and tolerance included.
    eta0 : float, default 0.01
    power_t : float, default 0.5
    early_stopping : bool, default False
        Keep `validation_fraction` of the rows back, stop by the score on them, and return the best epoch.
    validation_fraction : float, default 0.1
    n_iter_no_change : int, default 5
    class_weight : "balanced", dict or None, default None
        Factors of each class's steps; "balanced" n / (classes x rows of the class).
    warm_start : bool, default False
        Let `fit` begin where the last one ended.
    average : bool or int, default False
        Return the mean of the iterates from row 1, or from that row on.
    batch_size : int or None, default 1
        Rows a step; None all. The step is the mean over them.
    optimizer : str or (str, dict), default "sgd"
        A name of `fastgd.optimizers()`.
    standardize : bool, default False
        Iterate on centred and scaled features; the objective, and what is reported, stay in the units of X.
        learning_rate="auto" does so by itself.
    positive : bool, default False
        No coefficient may be negative (the intercept may): those that an update makes so become 0.

    Attributes
    ----------
    coef_ : ndarray, shape (1, d), with more than two classes (classes, d)
        float32 where X is.
    intercept_ : ndarray, shape (1,) or (classes,)
    classes_ : ndarray, shape (classes,)
    n_iter_ : int
        Epochs run, of several classes the most.
    t_ : float
        1 + rows seen, those kept back included.
    history_ : Epochs or History, or with more than two classes a list of them (but of softmax one)
        What the epochs of the last call came to; of `fastgd.fit` where that did the work.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, shape (d,)
        Where X was a table whose columns have names.

    See Also
    --------
    fastgd.fit : The function behind it, with everything that can be chosen.

    Notes
    -----
    With loss="softmax", a `batch_size` other than 1, another `optimizer`, learning_rate="auto", `standardize` or
    `positive` the work is done by `fastgd.fit`, with l1 = alpha r and l2 = alpha (1 - r), r as above; weights
    count by their share of the mean weight, rates fall by updates, averages are of the later half of the
    epochs, and each `partial_fit` begins rules that remember anew and, with "invscaling", keeps the rate of its first
    update. Otherwise all is as in scikit-learn 1.9, coefficients to rounding, but for what docs/differences.md lists.
    Another thread must not write to X meanwhile.

    With more than two classes softmax has coefficients for each, all of them penalised; with two it has, as
    scikit-learn's LogisticRegression, those of `classes_[1]` against `classes_[0]`.

    Examples
    --------
    >>> import fastgd
    >>> X, _ = fastgd.datasets.make_linear(n=500, rng=0)
    >>> side = X @ [1.0, -2.0] > 0.3
    >>> model = fastgd.SGDClassifier(loss="log_loss", random_state=0).fit(X, side)
    >>> bool(model.score(X, side) > 0.95)
    True
    >>> model.predict_proba([[3.0, 0.0], [0.0, 3.0]]).round(2)
    array([[0., 1.],
           [1., 0.]])
    """

    _names = (*CLASSIFICATION, "softmax", *REGRESSION)
    _aggressive = "hinge"
    _accuracy = True

    def __init__(
        self,
        loss: str = "hinge",
        *,
        penalty: str | None = "l2",
        alpha: float = 1e-4,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        n_jobs: int | None = None,
        random_state: Any = None,
        learning_rate: str = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int | None = 1,
        optimizer: Any = "sgd",
        standardize: bool = False,
        positive: bool = False,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.standardize = standardize
        self.positive = positive

    def _check_parameters(self) -> None:
        super()._check_parameters()
        kind = self.class_weight
        held = kind is None or (isinstance(kind, str) and kind == "balanced")
        held = held or (isinstance(kind, dict) and all(is_number(one) and abs(one) < np.inf for one in kind.values()))
        require(held, "class_weight", kind, "'balanced', a dict of a finite number for each class, or None")
        jobs = self.n_jobs
        held = jobs is None or (isinstance(jobs, (int, np.integer)) and not isinstance(jobs, bool) and jobs != 0)
        require(held, "n_jobs", jobs, "an integer other than 0, or None")

    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: Any = None,
        intercept_init: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
    ) -> SGDClassifier:
        """Fit from the beginning, or with `warm_start` from where the last fit ended.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
            float32 and float64 in C order and CSR are read where they lie; float32 gives float32 coefficients.
        y : array-like, shape (n,)
            Labels of two classes or more.
        coef_init : array-like, shape (1, d) or (d,), with more than two classes (classes, d), optional
            Where to begin.
        intercept_init : array-like, shape (1,), with more than two classes (classes,), optional
        sample_weight : array-like, shape (n,), optional
            Factors of each row's step, not all 0; `class_weight` is multiplied with them.
        X_val, y_val : array-like, shapes (m, d) and (m,), optional
            Rows on which the share of right answers says when to stop, as with `early_stopping`, which then splits
            nothing off: the best epoch is returned. With more than two classes each one's own side is what counts.

        Returns
        -------
        SGDClassifier
            Itself.

        Raises
        ------
        ValueError
            If a parameter is out of range, X or y won't do, or the coefficients leave the range of floats; the
            estimator is then as it was.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If all of `max_iter` epochs were run with a `tol`.
        fastgd.DivergenceWarning
            If the run ended at ten times the loss of its start and of zero coefficients; says why, and what to do.
        """
        self._check_parameters()
        with self._all_or_nothing():
            start = self._begin(coef_init, intercept_init)
            self.__dict__.pop("classes_", None)
            self.t_ = 1.0
            return self._fit(X, y, sample_weight, start, (X_val, y_val), None)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> SGDClassifier:
        """Go on for one epoch over these rows; `t_` goes on too.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
        y : array-like, shape (n,)
            Labels among `classes`, not necessarily all of them.
        classes : array-like, optional
            All labels that there will be; asked for by the first call.
        sample_weight : array-like, shape (n,), optional

        Returns
        -------
        SGDClassifier
            Itself.

        Raises
        ------
        ValueError, TypeError
            As by `fit`; a batch that is refused changes nothing.
        """
        self._check_parameters()
        if self.early_stopping:
            raise ValueError("early_stopping must be False with partial_fit, which runs one epoch, got True")
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight must be a dict or None with partial_fit, which does not see how often each class comes, "
                "got 'balanced'; sklearn.utils.compute_class_weight makes a dict from a sample"
            )
        with self._all_or_nothing():
            self.t_ = getattr(self, "t_", 1.0)
            return self._fit(X, y, sample_weight, None, None, classes)

    def _fit(self, X: Any, y: Any, sample_weight: Any, start: Any, validation: Any, classes: Any) -> SGDClassifier:
        partial = validation is None
        X, y = self._read(X, y, first=not hasattr(self, "coef_"), numeric=False)
        try:
            labels = _distinct(y)
            check_classification_targets(y if 2 * len(labels) > len(y) else np.repeat(labels, 2))  # as good, and sooner
        except TypeError as error:  # of labels that can't be sorted
            kinds = ", ".join(sorted({type(label).__name__ for label in np.ravel(y)}))
            raise TypeError(f"y must hold labels of one kind, got {kinds}") from error
        self._take_classes(y, labels, classes, partial=partial)
        weight = self._read_weights(sample_weight, X)
        rows, y_val = self._read_validation(X, *(validation or (None, None)))
        if y_val is not None:
            self._refuse_strangers(y_val, "y_val")
        outputs = self._outputs(y, y_val, weight, own=rows is not None)
        coef, intercept = self._descend(X, outputs, weight, start=start, validation=rows, partial=partial)
        narrow = X.dtype == np.float32 and (len(self.classes_) > 2 or self.average)  # as scikit-learn stores them
        self.coef_, self.intercept_ = coef, intercept.astype(np.float32) if narrow else intercept
        return self

    def _take_classes(self, y: Any, labels: Any, classes: Any, *, partial: bool) -> None:
        if not partial:
            self.classes_ = unique_labels(labels)  # strings in an object array become strings
        elif not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be given on the first call to partial_fit, got None")
            self.classes_ = unique_labels(classes)
            if len(self.classes_) < 2:
                raise ValueError(f"classes must hold two labels or more, got {self.classes_.tolist()}")
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"classes must be those of the first call to partial_fit, {self.classes_}, got {classes!r}"
            )
        if len(self.classes_) < 2:
            raise ValueError(f"y must hold two classes or more, got one class, {self.classes_.tolist()[0]!r}")
        if partial:
            self._refuse_strangers(y, "y")

    def _refuse_strangers(self, y: Any, name: str) -> None:
        known = np.isin(y, self.classes_)
        if not known.all():
            at = int(np.argmin(known))
            raise ValueError(
                f"{name} must hold labels of classes_, {self.classes_}, got {y[at : at + 1].tolist()[0]!r} in row {at}"
            )

    def _loss(self) -> tuple[str, dict[str, float]]:
        if self.loss == "softmax" and len(self.classes_) == 2:
            return "log_loss", {}
        return super()._loss()

    def _outputs(self, y: Any, y_val: Any, weight: Any, *, own: bool) -> list[Output]:
        """One class against the other, each against all others, or all at once; seeds as scikit-learn draws them."""
        negative = 0.0 if self.loss in ("log_loss", "softmax") else -1.0
        counted = y if isinstance(self.class_weight, str) else self.classes_  # a million labels take 25 ms
        of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=counted)

        def side(labels: Any, k: int) -> Any:
            if labels is None:
                return None
            sides = np.multiply(labels == self.classes_[k], 1.0 - negative, dtype=np.float64)
            sides += negative  # two passes, but no branch that nobody could foresee
            return sides

        if len(self.classes_) == 2:
            target = side(y, 1)
            rng = check_random_state(self.random_state)
            rng.randint(1, _SEEDS)
            held = None if own else self._split(target, weight, StratifiedShuffleSplit)
            pair = float(of_class[1]), float(of_class[0])
            return [Output(target, int(rng.randint(_SEEDS)), pair, held, side(y_val, 1))]
        held = None if own else self._split(y, weight, StratifiedShuffleSplit)
        if self.loss == "softmax":
            seed = int(check_random_state(self.random_state).randint(_SEEDS))
            of_val = None if y_val is None else self._numbers(y_val)
            return [Output(self._numbers(y), seed, of_class=of_class, held=held, y_val=of_val)]
        outputs = []
        for k, drawn in enumerate(check_random_state(self.random_state).randint(_SEEDS, size=len(self.classes_))):
            rng = check_random_state(drawn)
            rng.randint(1, _SEEDS)
            pair = float(of_class[k]), 1.0
            outputs.append(Output(side(y, k), int(rng.randint(_SEEDS)), pair, held, side(y_val, k)))
        return outputs

    def _numbers(self, labels: Any) -> Any:
        """Which of `classes_` each label is."""
        return np.searchsorted(self.classes_, labels).astype(np.float64)

    def decision_function(self, X: Any) -> Any:
        """X w + b: (n,) for two classes, where > 0 is `classes_[1]`; else (n, classes), of which the largest counts.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
        """
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Any:
        """The label of each row, shape (n,).

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, shape (n, classes), in the order of `classes_`.

        Of scores s_k, softmax makes exp(s_k) over their sum. Of a score s, log_loss makes 1 / (1 + exp(-s)) and
        modified_huber (clip(s, -1, 1) + 1) / 2 (Zhang, "Statistical Behavior and Consistency of Classification Methods
        based on Convex Risk Minimization", 2004). With more than two classes, each against all others, these are
        divided by their sum (Zadrozny and Elkan, 2002), and are alike where that is 0.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
        """
        scores = self._scores(X)
        return self._probabilities(scores.astype(np.float64)).astype(scores.dtype)

    def _probabilities(self, scores: Any) -> Any:
        """(n, classes) of scores (n, outputs)."""
        if scores.shape[1] == 1:
            return self._chances(np.hstack([-scores, scores]))
        if self.loss == "softmax":
            return np.exp(_log_chances(scores))
        found = self._chances(scores)
        total = found.sum(axis=1, keepdims=True)
        return np.where(total > 0, found, 1.0) / np.where(total > 0, total, found.shape[1])

    def _chances(self, scores: Any) -> Any:
        """The probability that each score, taken alone, stands for."""
        if self.loss == "modified_huber":
            return (np.clip(scores, -1, 1) + 1) / 2
        e = np.exp(-np.abs(scores))
        return np.where(scores < 0, e, 1.0) / (1 + e)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of `predict_proba`, shape (n, classes); -inf where that is 0.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, d)
        """
        scores = self._scores(X)
        kind, scores = scores.dtype, scores.astype(np.float64)
        if self.loss == "softmax" and scores.shape[1] > 1:
            return _log_chances(scores).astype(kind)
        if self.loss in ("log_loss", "softmax") and scores.shape[1] == 1:
            signed = np.hstack([scores, -scores])  # -log(1 + exp(s)), without overflow
            return -(np.maximum(signed, 0) + np.log1p(np.exp(-np.abs(signed)))).astype(kind)
        with np.errstate(divide="ignore"):
            return np.log(self._probabilities(scores)).astype(kind)


def _log_chances(scores: Any) -> Any:
    """log(exp(s_k) / sum_l exp(s_l)) of each row, without overflow."""
    short = scores - scores.max(axis=1, keepdims=True)
    return short - np.log(np.exp(short).sum(axis=1, keepdims=True))
