"""Where methods stood in earlier versions: a pickle names the module of a class, so the place still leads to it."""

from __future__ import annotations

import pickle

import pytest

import steepest

#: module below steepest.optim -> methods that stood there in version 0.1
PLACES = {
    "adaptive": "ADOPT AMSGrad AdaBelief AdaGrad Adam AdamW CAdamW CLion Lion MARS NAdam",
    "auto": "Auto",
    "baseline": "ProjectedSGD ProxSGD SGD SignSGD SimplexSGD",
    "flatness": "ASAM FGR FSAM GAM InfoSAM LookaheadAdamW SAM VaSSO",
    "flatness_bar": "BAR",
    "games": "ExtraAdam ExtraSGD OptimisticAdam OptimisticSGD",
    "gradient_free": "MeZO",
    "memory": "CompressedSGD FRUGAL GaLore",
    "percoordinate": "BoxBacktracking EllipsoidBacktracking",
    "polyak": "AdaGradSQR AdamSQR PoNoSPrec SMB SMBi",
    "tuningfree": "ADoG AdaGradNorm DAdaptAdaGrad DAdaptAdam DAdaptDual DAdaptSGD DoG LDoG PoNoS SLS SPS TDoG UDoG",
}


@pytest.mark.parametrize(("place", "name"), [(place, name) for place, text in PLACES.items() for name in text.split()])
def test_a_pickle_finds_its_class(place: str, name: str) -> None:
    assert pickle.loads(f"csteepest.optim.{place}\n{name}\n.".encode()) is steepest.methods[name].make
