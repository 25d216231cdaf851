"""What a type checker says of a wrong use, the run says as well.

mypy reads this file with the rest, and an ignore that is not needed is an error there: so each line below that has one is
known to be wrong before anything runs, and those without are known to be right.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import steepest
from steepest import chart, direction, geometry, oracle, point, stepsize

PARAMS = [torch.nn.Parameter(torch.ones(2))]


def loss() -> Tensor:
    return PARAMS[0].square().sum()


def test_right_uses_of_parts() -> None:
    assert point.SAM(0.1).rho == point.SAM(rho=0.1).rho == 0.1
    assert point.SAM().values == {"rho": 0.05}
    assert direction.Cautious(direction.Adam(0.8), scale="mean").around.inner == ()
    assert direction.Cautious(direction.Adam(), "mean", 3).cap == 3
    assert point.Average(point.SAM(), gamma=2).gamma == 2
    assert stepsize.DoG(1e-4, per="tensor").per == "tensor"
    assert stepsize.DAdaptDual(1e-4, 2.0, bound="norms").G0 == 2.0
    assert chart.Split(direction.Sign(), rank=3).rank == 3
    assert oracle.SkipSpikes(factor=3).factor == 3
    assert geometry.Box(0, 1).upper == 1


def test_right_uses_of_methods() -> None:
    opts: list[steepest.Optimizer] = [
        steepest.SGD(PARAMS, foreach=False, codec="int8", nonfinite="skip"),
        steepest.AdamW(PARAMS, point=point.SAM(), oracle=oracle.SkipSpikes(), lift="eager"),
        steepest.GaLore(PARAMS, projection="random", maximize=True),
        steepest.Optimizer(PARAMS, direction=direction.Lion(), codec="bfloat16"),
    ]
    for opt in opts:
        found: Tensor = opt.step(loss)
        assert found.shape == ()
        opt.zero_grad()


def test_misspelt_arguments() -> None:
    with pytest.raises(TypeError, match=r"SAM has no parameter 'rhoo', did you mean 'rho'\? \(it has: rho\)"):
        point.SAM(rhoo=0.1)  # type: ignore[call-arg]
    with pytest.raises(
        TypeError, match=r"Cautious has no parameter 'scael', did you mean 'scale'\? \(it has: scale, cap\)"
    ):
        direction.Cautious(direction.Adam(), scael="mean")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="gamma"):
        point.Average(gama=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="rank"):
        chart.Split(direction.Sign(), rnak=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="codec"):
        steepest.SGD(PARAMS, codce="int8")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="codec"):
        steepest.Optimizer(PARAMS, codce="int8")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="betas"):
        steepest.AdamW(PARAMS, bteas=(0.9, 0.99))  # type: ignore[call-arg]


def test_arguments_of_a_wrong_type() -> None:
    with pytest.raises(TypeError, match="rho must be a number"):
        point.SAM(rho="small")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="clip must be a bool"):
        direction.Adopt(clip="no")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rank must be an integer"):
        chart.LowRank(rank=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="per must be one of"):
        stepsize.DoG(per="layer")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="goes around a direction"):
        direction.Cautious(point.SAM())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="inner"):
        direction.Cautious()  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="codec must be one of"):
        steepest.SGD(PARAMS, codec="int9")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="stored must be one of"):
        steepest.PoNoS(PARAMS, stored="median")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="give it as direction"):
        steepest.Optimizer(PARAMS, point=direction.Adam())  # type: ignore[arg-type]


def test_what_a_method_chooses_itself_is_no_option() -> None:
    with pytest.raises(TypeError, match="has a point of its own"):
        steepest.SAM(PARAMS, point=point.SAM())  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="has a geometry of its own"):
        steepest.AdamW(PARAMS, geometry=geometry.Box())  # type: ignore[call-arg]
