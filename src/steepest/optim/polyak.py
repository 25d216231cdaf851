"""Where these methods stood until version 0.1, for the pickles that name the place."""

from __future__ import annotations

from steepest.optim.stepsize import SMB as SMB
from steepest.optim.stepsize import AdaGradSQR as AdaGradSQR
from steepest.optim.stepsize import AdamSQR as AdamSQR
from steepest.optim.stepsize import PoNoSPrec as PoNoSPrec
from steepest.optim.stepsize import SMBi as SMBi
