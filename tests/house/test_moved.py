"""Where methods stood in earlier versions: a pickle names the module of a class, so the place still leads to it."""

from __future__ import annotations

import pickle

import pytest
import torch

import steepest
from steepest.core.optimizer import RENAMED

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


@pytest.mark.parametrize("name", ["AdamW", "DoG", "SAM"])
def test_a_pickle_with_the_earlier_names_of_attributes_goes_on(name: str) -> None:
    opt = steepest.methods[name].make([torch.nn.Parameter(torch.arange(1.0, 5.0))])
    x = opt.param_groups[0]["params"][0]
    for _ in range(2):
        opt.step(lambda: (x * x).sum())
    earlier = {new: old for old, new in RENAMED.items()}
    saved = {earlier.get(n, n): v for n, v in pickle.loads(pickle.dumps(opt)).__getstate__().items()}
    assert {"_sides", "_families", "_asks"} <= {*saved}
    other = type(opt).__new__(type(opt))
    other.__setstate__(saved)
    y = other.param_groups[0]["params"][0]
    assert other.metrics()["steps"] == 2
    for one, at in ((opt, x), (other, y)):
        one.step(lambda at=at: (at * at).sum())  # type: ignore[misc]
    assert torch.equal(x, y)
    assert not {*RENAMED} & {*vars(other)}
