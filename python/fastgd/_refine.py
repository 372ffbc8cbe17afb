"""Refine: descent once more, on what the first left of y, for the digits that its steps were too short to change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastgd._auto import BY_RATE, Plan
from fastgd._request import Observe, Progress, Solution, Solve


def refines(plan: Plan, first: Solution) -> bool:
    """Whether a run on sufficient statistics, at a rate of our choice, ended where more digits are to be had.

    A single step that ends at the minimum leaves nothing.
    """
    config = plan.work_config
    return (
        plan.automatic_lr
        and config.certificate > 0
        and not (config.l1 or config.l2 or config.positive or config.validation)
        and config.optimizer[0] not in BY_RATE
        and config.schedule[0] == "constant"
        and first["status"] == "converged"
        and 1 < first["n_epochs"] < config.epochs
    )


def refine(solve: Solve, plan: Plan, first: Solution, observe: Observe | None, told: Progress | None) -> Solution:
    """The run `first`, which ended at w, and after it as many epochs on the targets y - X w, from zero.

    Steps shorter than the last bit of w are lost, which leaves errors of about eps times the condition number. What is
    left of y is small, so are its coefficients and their last bits: now the errors are those of a QR decomposition, eps
    times the root of the condition number (Bjorck, "Iterative Refinement of Linear Least Squares Solutions I", 1967).
    """
    config, w, epochs, steps = plan.work_config, first["coef"], first["n_epochs"], first["n_steps"]
    rest = solve(
        replace(plan.work, y=np.ascontiguousarray(plan.work.y - plan.work.rows() @ w.T)),
        replace(
            config,
            coef=np.zeros_like(w),
            epochs=min(epochs, config.epochs - epochs),
            steps_before=steps,
            tol=None,
            certificate=0.0,
            slack=1e6,  # where y is explained, the loss is rounding and hops
        ),
        _shown_after(first, observe),
        None if told is None else lambda epoch, loss: told(epochs + epoch, loss),
    )
    history = first["history"]
    start = {"epoch": epochs, "step": steps, "coef": w, "seconds": history["seconds"].max(initial=0.0)}
    asked = not isinstance(config.record, int) or steps % config.record == 0  # where the first ended
    joined = {
        name: np.concatenate([column if asked else column[:-1], rest["history"][name][1:] + start.get(name, 0)])
        for name, column in history.items()
    }
    records = len(joined["epoch"])
    if config.most_records is not None and records > config.most_records:
        kept = np.append(np.arange(0, records - 1, 2), records - 1)
        joined = {name: column[kept] if len(column) else column for name, column in joined.items()}
    return Solution(
        coef=w + rest["coef"],
        intercept=rest["intercept"],
        loss=rest["loss"],
        status="stopped" if rest["status"] == "stopped" else "converged",
        n_epochs=epochs + rest["n_epochs"],
        n_steps=steps + rest["n_steps"],
        best_epoch=epochs + rest["best_epoch"],
        grad_norm=rest["grad_norm"],
        halvings=0,
        idle=rest["idle"],
        history=joined,
    )


def _shown_after(first: Solution, observe: Observe | None) -> Observe | None:
    if observe is None:
        return None
    return lambda epoch, step, loss, coef, intercept, lr, grad_norm: observe(
        first["n_epochs"] + epoch, first["n_steps"] + step, loss, first["coef"] + coef, intercept, lr, grad_norm
    )
