"""Plot: pictures of a run. Each function draws on one Axes and returns a display of what it drew.

matplotlib is imported when a picture is drawn, nothing is shown, and its settings stay as they are.
"""

from fastgd.plot._lines import FitLine, LossCurve, ParameterPath, fit_line, loss_curve, parameter_path
from fastgd.plot._surfaces import Descent, LossSurface, descent, loss_surface

__all__ = [
    "Descent",
    "FitLine",
    "LossCurve",
    "LossSurface",
    "ParameterPath",
    "descent",
    "fit_line",
    "loss_curve",
    "loss_surface",
    "parameter_path",
]
