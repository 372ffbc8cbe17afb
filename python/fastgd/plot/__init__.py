"""Plot: pictures of a run. Each function draws on one Axes and returns a display of what it drew.

matplotlib is imported when a picture is drawn, nothing is shown, and its settings stay as they are.
"""

from fastgd.plot._animate import Animation, animate
from fastgd.plot._lines import FitLine, LossCurve, ParameterPath, fit_line, loss_curve, parameter_path
from fastgd.plot._residuals import Residuals, residuals
from fastgd.plot._surfaces import Descent, LossSurface, descent, loss_surface
from fastgd.plot._sweep import LearningRateSweep, lr_sweep

__all__ = [
    "Animation",
    "Descent",
    "FitLine",
    "LearningRateSweep",
    "LossCurve",
    "LossSurface",
    "ParameterPath",
    "Residuals",
    "animate",
    "descent",
    "fit_line",
    "loss_curve",
    "loss_surface",
    "lr_sweep",
    "parameter_path",
    "residuals",
]
