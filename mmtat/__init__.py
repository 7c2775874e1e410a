"""Target-aware Transformer distillation for the OpenMMLab ecosystem.

Importing the package makes the OpenMMLab stack run on the installed PyTorch
(see :mod:`mmtat.compat`); it loads no model code and touches no network.
"""

from . import compat
from .version import __version__

compat.apply()

__all__ = ['__version__']
