"""Solver: the loop. Gradient of a batch, rate, step; a record, a look at the stop rules; again."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .loss import losses
from .objective import Objective, norm
from .optimizer import optimizers
from .penalty import Penalty
from .sampler import Sampler
from .schedule import schedules
from .stop import Bounds, Halving, Plateau
from .tail import Tail

Array = NDArray[np.float64]


def solve(problem: Any, config: Any, observe: Any = None, progress: Any = None) -> Any:
    """Minimise from (config.coef, config.intercept).

    After every epoch `observe` is called, which may ask to stop, and `progress`, which is told how far the run is.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges does so quietly, and says so at the end
        run = Run(problem, config, observe, progress)
        return run.end(run.full_batch() if config.batch_size is None else run.batches())


class Run:
    """A run under way: `theta` (K, d + 1), the `gradient` and `loss` of the latest batch, the records."""

    def __init__(self, problem: Any, config: Any, observe: Any, progress: Any) -> None:
        self.config, self.observe, self.progress = config, observe, progress
        weight = np.ones(len(problem.X)) if problem.sample_weight is None else problem.sample_weight
        self.objective = Objective(
            problem.rows(what="the reference"),  # full rows: those of a sparse matrix are filled in
            problem.y,
            weight,
            float(weight.mean()),
            losses[config.loss[0]](**config.loss[1]),
            Penalty(
                config.l1, config.l2, 1.0 if config.penalty_scale is None else config.penalty_scale, config.positive
            ),
            config.fit_intercept,
        )
        self.optimizer = optimizers[config.optimizer[0]](**config.optimizer[1])
        self.schedule = schedules[config.schedule[0]](**config.schedule[1])
        self.records: list[tuple[Any, ...]] = []
        self.due, self.stride = 0, 1  # records that were wanted so far; one in `stride` is kept
        self.began = time.perf_counter()

        self.theta: Array = np.column_stack([config.coef, config.intercept])
        self.loss = self.gradient_norm = 0.0
        self.epochs = self.steps = 0
        per_epoch = 1 if config.batch_size is None else -(-len(problem.X) // config.batch_size)
        self.last = config.epochs * per_epoch
        self.lr = config.lr
        self.rate = self.schedule.rate(self.lr, 1, 0, self.last)
        self.evaluate(slice(None))
        self.measure()
        self.bounds = Bounds(self.loss, self.objective.value(np.zeros_like(self.theta)), config.slack)
        self.first = (self.loss, self.theta)
        self.halving = None
        if config.halving is not None:
            share, wait = config.halving
            self.halving = Halving(share, wait, self.bounds.rounding(), self.loss)
        validation = config.validation
        self.validation = validation and replace(
            self.objective,
            X=validation.rows(what="the reference"),
            y=validation.y,
            weight=np.ones(len(validation.X)),
            mean_weight=1.0,
            penalty=Penalty(0.0, 0.0),
        )
        self.tail = Tail()
        val_loss = self.validate()
        self.best = (self.loss if val_loss is None else val_loss, self.theta)
        self.best_epoch, self.worst = 0, -np.inf
        if config.record is not None:
            self.record(self.loss, val_loss)

    def full_batch(self) -> str:
        """One epoch is one step."""
        plateau = (
            None if self.config.tol is None else Plateau(self.config.tol, self.config.patience, self.bounds.noise())
        )
        by_gradient = self.config.tol is not None and self.validation is None
        small = self.config.tol * self.gradient_norm_at_zero() if by_gradient else -np.inf
        if not self.bounds.hold(self.loss):
            return "diverged"
        if self.small_gradient(small):
            return "converged"
        while self.epochs < self.config.epochs:
            ahead = self.optimizer.look_ahead(self.theta)
            if ahead is not self.theta:
                self.gradient = self.objective.of_batch(slice(None), ahead)[1]
            self.step(0)
            self.epochs += 1
            self.evaluate(slice(None))
            self.measure()
            val_loss = self.validate()
            if self.config.record == "epoch" or self.wants_step(self.steps):
                self.record(self.loss, val_loss)
            stop = self.show(self.loss)
            if not self.bounds.hold(self.loss):
                return "diverged"
            self.keep_best(self.loss if val_loss is None else val_loss)
            settled = plateau is not None and val_loss is not None and plateau.reached(val_loss)
            if settled or self.small_gradient(small) or self.halve(self.loss):
                return "converged"
            if stop:
                return "stopped"
        return "max_epochs"

    def small_gradient(self, small: float) -> bool:
        """Whether the gradient is so short that the run has converged."""
        if self.config.certificate and self.validation is None:
            length = norm(self.theta[:, :-1] * (np.asarray(self.objective.penalty.scale) != 0))
            eps, largest = self.config.rounding
            rounding = eps * (length + (self.loss / largest) ** 0.5)
            small = max(small, self.config.certificate * length, rounding)
        return self.gradient_norm <= small < np.inf

    def halve(self, loss: float) -> bool:
        """Halve the rate where it is time to; whether halving it brings no more.

        Full batch the rule begins afresh there, and from the best state if the loss grew.
        """
        if self.halving is None:
            return False
        factor = self.halving.factor(loss)
        self.lr *= factor
        if factor < 1 and self.config.batch_size is None:
            if self.halving.grew:
                self.theta = self.best[1]
                self.evaluate(slice(None))
                self.measure()
            self.optimizer = optimizers[self.config.optimizer[0]](**self.config.optimizer[1])
        return self.config.tol is not None and self.validation is None and self.halving.idle >= self.config.patience

    def batches(self) -> str:
        """Many steps an epoch, each along the gradient of a few rows."""
        config, n = self.config, len(self.objective.X)
        sampler = Sampler(n, config.batch_size, config.shuffle, np.random.default_rng(config.rng))
        plateau = None if config.tol is None else Plateau(config.tol, config.patience, self.bounds.noise())
        if not self.bounds.hold(self.loss):
            return "diverged"
        while self.epochs < config.epochs:
            seen, loss = 0, 0.0
            for batch in sampler.epoch():
                penalty = self.evaluate(batch)
                if not np.isfinite(self.loss):
                    self.measure()
                    return "diverged"
                seen += len(batch)
                share = len(batch) / n
                of_rows = share if self.objective.loss.reduction == "mean" else 1.0
                loss += of_rows * (self.loss - penalty) + share * penalty
                wanted = self.wants_step(self.steps + 1)
                if wanted or seen == n:
                    self.measure()
                self.step(batch[0])
                self.epochs += seen == n
                if config.tail_average:
                    self.tail.add(self.theta)
                if wanted:
                    self.record(self.exact_or(self.loss), self.validate())
            self.tail.end_epoch()
            shown, val_loss = self.exact_or(loss), self.validate()
            if config.record == "epoch":
                self.record(shown, val_loss)
            stop = self.show(shown)
            if not self.bounds.hold(loss) or not np.isfinite(self.theta).all():
                return "diverged"
            deciding = loss if val_loss is None else val_loss
            self.keep_best(deciding)
            if plateau is not None and plateau.reached(deciding):
                return "converged"
            self.halve(loss)
            if stop:
                return "stopped"
        return "max_epochs"

    def end(self, status: str) -> dict[str, Any]:
        """The last record, unless it is made already, and the objective where the run ends."""
        if self.records and self.records[-1][1] != self.steps:
            self.stride = 1
            self.record(self.exact_or(self.loss), self.validate())
        full_batch = self.config.batch_size is None
        if self.halving is not None and full_batch:
            self.theta = self.best[1]
        loss = self.objective.value(self.theta)
        worse = self.bounds.far_above(loss)
        if full_batch:  # or has been far above, never below, and came back by chance
            back = self.best_epoch == 0 and self.bounds.far_above(self.worst)
            worse = self.bounds.above_start(loss) or back
        if worse or not self.bounds.hold(loss):
            status = "diverged"
        if status == "diverged":
            self.theta = self.best[1]
        elif self.config.tail_average and self.tail.epochs:
            self.theta = self.tail.mean()
        elif self.validation is not None:
            self.theta = self.best[1]
        loss = self.objective.value(self.theta)
        if status == "diverged" and not loss <= self.first[0]:
            loss, self.theta = self.first
        return {
            "coef": self.theta[:, :-1],
            "intercept": self.theta[:, -1],
            "loss": loss,
            "status": status,
            "n_epochs": self.epochs,
            "n_steps": self.steps,
            "best_epoch": self.best_epoch,
            "grad_norm": self.gradient_norm,
            "halvings": self.halving.times if self.halving else 0,
            "idle": self.halving.idle if self.halving else 0,
            "history": self.history(),
        }

    def evaluate(self, batch: Any) -> float:
        """Set `loss` and `gradient` to those of a batch, penalty included; return the penalty."""
        loss, self.gradient = self.objective.of_batch(batch, self.theta)
        penalty = self.objective.penalty.value(self.theta[:, :-1])
        self.loss = loss + penalty
        return penalty

    def step(self, row: int) -> None:
        """One update along `gradient`; `row` is the first of its batch."""
        self.steps += 1
        self.rate = rate = self.schedule.rate(self.lr, self.steps, self.epochs, self.last)
        if self.config.implicit is not None:
            rate = rate / (1 + rate * self.objective.row_curvature(row, self.config.implicit))
        theta = self.optimizer.step(self.theta, self.gradient, rate)
        gain = self.optimizer.gain(self.rate)
        length = gain[:, :-1] if isinstance(gain, np.ndarray) else gain
        theta[:, :-1] = self.objective.penalty.prox(theta[:, :-1], length)
        self.theta = theta
        self.optimizer.settle(theta)

    def measure(self) -> None:
        """Set `gradient_norm` to the length of `gradient`."""
        self.gradient_norm = self.objective.gradient_norm(self.theta, self.gradient, self.rate)

    def gradient_norm_at_zero(self) -> float:
        zero = np.zeros_like(self.theta)
        return self.objective.gradient_norm(zero, self.objective.of_batch(slice(None), zero)[1], self.rate)

    def exact_or(self, loss: float) -> float:
        """The exact objective where the user asked for it, else `loss`, which came for free."""
        batched = self.config.batch_size is not None
        return self.objective.value(self.theta) if self.config.exact_loss and batched else loss

    def keep_best(self, loss: float) -> None:
        """The end of an epoch with the lowest loss so far."""
        self.worst = max(self.worst, loss)
        if loss < self.best[0]:
            self.best, self.best_epoch = (loss, self.theta), self.epochs

    def wants_step(self, step: int) -> bool:
        step += self.config.steps_before
        return isinstance(self.config.record, int) and step % self.config.record == 0

    def validate(self) -> float | None:
        """The loss on the validation rows, if there are any."""
        return None if self.validation is None else self.validation.value(self.theta)

    def record(self, loss: float, val_loss: float | None) -> None:
        self.due += 1
        if (self.due - 1) % self.stride:
            return
        if self.config.most_records is not None and len(self.records) >= self.config.most_records:
            self.records, self.stride = self.records[::2], 2 * self.stride
        w, b = self.theta[:, :-1], self.theta[:, -1]
        seconds = time.perf_counter() - self.began
        self.records.append((self.epochs, self.steps, loss, w, b, self.rate, self.gradient_norm, seconds, val_loss))

    def show(self, loss: float) -> bool:
        if self.progress is not None:
            self.progress(self.epochs, loss)
        if self.observe is None:
            return False
        w, b = self.theta[:, :-1].copy(), self.theta[:, -1].copy()
        return bool(self.observe(self.epochs, self.steps, loss, w, b, self.rate, self.gradient_norm))

    def history(self) -> dict[str, NDArray[Any]]:
        """The records in columns."""
        names = ("epoch", "step", "loss", "coef", "intercept", "lr", "grad_norm", "seconds", "val_loss")
        outputs, d = self.theta.shape[0], self.theta.shape[1] - 1
        shapes = {"coef": (-1, outputs, d), "intercept": (-1, outputs)}
        return {
            name: np.array([record[i] for record in self.records], np.int64 if i < 2 else np.float64).reshape(
                shapes.get(name, (-1,))
            )
            for i, name in enumerate(names)
        }


def descend(gradient: Any, fun: Any, config: Any) -> tuple[Array, Array, str]:
    """The same update rules and schedules on any function whose derivative somebody supplies."""
    optimizer = optimizers[config.optimizer[0]](**config.optimizer[1])
    schedule = schedules[config.schedule[0]](**config.schedule[1])
    path = [config.x0]
    values = [] if fun is None else [fun(config.x0.copy())]
    status, steps = "max_epochs", 0
    if not np.isfinite(values).all():
        return np.array(path), np.array(values, dtype=np.float64), "diverged"
    while steps < config.steps or config.tol is not None:
        g = gradient(optimizer.look_ahead(path[-1]).copy())
        if config.tol is not None and norm(g) <= config.tol:
            status = "converged"
            break
        if steps == config.steps:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            x = optimizer.step(path[-1], g, schedule.rate(config.lr, steps + 1, steps, config.steps))
            optimizer.settle(x)
        value = 0.0 if fun is None or not np.isfinite(x).all() else fun(x.copy())
        if not np.isfinite(x).all() or not np.isfinite(value):
            status = "diverged"
            break
        path.append(x)
        if fun is not None:
            values.append(value)
        steps += 1
    return np.array(path), np.array(values, dtype=np.float64), status
