"""ASAM does not care how a network is scaled, and with wrong labels it is better than SAM.

Scale: between two layers of rectifiers the first may be multiplied by a and the second divided by it; the function is
the same. How much worse the worst point nearby is, measured by SAM's step, then depends on a; measured by ASAM's step
it does not. The control is SAM's measure. Accuracy: 40 % of the digits' training labels are drawn at random; SAM and
ASAM have three radii each. The control is ASAM of radius 0.
"""

from __future__ import annotations

import statistics

import torch
from torch import Tensor, nn

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source
from steepest.claims.lab.tasks import digits, fit, sgd
from steepest.claims.lab.wronglabels import best_of

SCALES = (1.0, 2.0, 4.0, 8.0)


def rise(model: nn.Module, point: steepest.point.Point, loss: object) -> float:
    """How much higher the loss is where the point asks than here."""
    params = list(model.parameters())
    here, seen = [p.detach().clone() for p in params], []
    assert callable(loss)

    def closure() -> Tensor:
        seen.append(loss())
        value: Tensor = seen[-1]
        return value

    steepest.Optimizer(params, lr=0.0, point=point).step(closure)
    assert all(torch.equal(p, x) for p, x in zip(params, here, strict=True))
    return float(seen[1].detach() - seen[0].detach())


def rescaling(fast: bool, control: bool) -> Measured:
    """Sharpness of one function at several scales of its layers, relative to scale 1."""
    seeds, task = (1 if fast else 5), digits(32)
    point = steepest.point.SAM(rho=0.05) if control else steepest.point.ASAM(rho=0.5, offset=0.0)
    curves = []
    for seed in range(seeds):
        model = fit(task, sgd(0.1, momentum=0.9), seed, 5 * task.epoch).model.double()
        x, y = task.train[0].double(), task.train[1]
        first, _, second = list(model.children())
        kept = {k: v.clone() for k, v in model.state_dict().items()}
        found = []
        for a in SCALES:
            model.load_state_dict(kept)
            with torch.no_grad():
                for p in first.parameters():
                    p.mul_(a)
                second.weight.div_(a)  # type: ignore[operator]
            found.append(rise(model, point, lambda model=model, x=x, y=y: task.loss(model(x), y)))
        curves.append([r / found[0] for r in found])
    worst = max(abs(r - 1) for curve in curves for r in curve)
    panel = Lines("sharpness of one function at several scales", "scale of the first layer", "relative to scale 1",
                  {"SAM" if control else "ASAM": (SCALES, curves)}, {"the same": 1.0}, log="x")  # fmt: skip
    return Measured({"worst": worst}, [panel])


def label_noise(fast: bool, control: bool) -> Measured:
    """Accuracy gained over SAM, each at the best of three radii."""
    seeds, epochs = (1, 20) if fast else (5, 40)
    ours = [{"rho": 0.0}] if control else [{"rho": rho} for rho in ((1.0,) if fast else (0.5, 1.0, 2.0))]
    asam = best_of(0.4, "ASAM", seeds, epochs, ours)
    sam = best_of(0.4, "SAM", seeds, epochs, [{"rho": rho} for rho in ((0.1,) if fast else (0.05, 0.1, 0.2))])
    gain = statistics.mean(asam) - statistics.mean(sam)
    panel = Dots("accuracy on clean images, one line a seed", "per cent", {"ASAM": asam, "SAM": sam})
    return Measured({"gain": gain, "asam": statistics.mean(asam), "sam": statistics.mean(sam)}, [panel])


CLAIMS = (
    Claim(
        name="asam-scale-free",
        sentence="Sharpness in a ball of fixed radius depends on how weights are scaled though the loss does not; adaptive "
        "sharpness does not.",
        source=Source("kwon2021asam", "abstract"),
        methods=("ASAM",),
        bounds=(Bound("worst", "<", 0.01, "relative change of sharpness when layers are rescaled by up to 8, worst seed and "
                      "scale"),),
        experiment=rescaling,
        control="the sharpness of SAM",
        seeds=5,
        minutes=0.3,
        untested="The generalization bound. The offset that keeps small weights moving (0.01) is set to zero here: with it "
        "the sentence holds up to the offset only.",
    ),
    Claim(
        name="asam-label-noise",
        sentence="ASAM generalises better than SAM, with wrong labels too.",
        source=Source("kwon2021asam", "the experiments with label noise, as quoted by third parties"),
        methods=("ASAM",),
        bounds=(Bound("gain", ">", 0.25, "percentage points of accuracy above SAM, both at the best of three radii, mean of "
                      "the seeds"),),
        experiment=label_noise,
        control="ρ = 0",
        seeds=5,
        minutes=1.5,
        untested="CIFAR and ImageNet; other rates of noise.",
    ),
)  # fmt: skip
