"""SAM ends where the loss is flat, and keeps noisy labels from being learnt by heart.

Two claims on the digits. Flatness: the largest eigenvalue of the Hessian of the whole training loss, by power iteration
on exact Hessian-vector products, of nets trained by SGD and by SAM from the same weights on the same batches. Label
noise: 40 % of the training labels are drawn at random; SAM must beat SGD on clean held-out images even when SGD, which
asks for one gradient a step instead of two, gets twice the epochs. The control is ρ = 0.
"""

from __future__ import annotations

import statistics

import torch
from torch import nn

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.tasks import Fit, Task, digits, fit, sgd
from steepest.claims.lab.wronglabels import accuracy, best_of, wrong_labels
from steepest.landscape import Loss, sam_sharpness

RHOS = (0.05, 0.1, 0.2)


def top_eigenvalue(run: Fit, task: Task, rounds: int = 40) -> float:
    """Largest eigenvalue of the Hessian of the training loss, by power iteration with exact products."""
    params = list(run.model.parameters())
    loss = task.loss(run.model(task.train[0]), task.train[1])
    grads = torch.autograd.grad(loss, params, create_graph=True)
    generator = torch.Generator().manual_seed(0)
    v = [torch.randn(p.shape, generator=generator) for p in params]
    value = 0.0
    for _ in range(rounds):
        norm = float(torch.stack([(a * a).sum() for a in v]).sum().sqrt())
        v = [a / norm for a in v]
        product = torch.autograd.grad(grads, params, v, retain_graph=True)
        value = float(torch.stack([(a * b).sum() for a, b in zip(v, product, strict=True)]).sum())
        v = [a.detach() for a in product]
    return value


def flatness(fast: bool, control: bool) -> Measured:
    """Top eigenvalues at the end, SAM over SGD."""
    seeds, epochs = (1, 30) if fast else (5, 60)
    task = digits(32, batch=50, hidden=nn.Tanh)
    rho, steps = (0.0 if control else 0.05), epochs * task.epoch
    sam = [top_eigenvalue(fit(task, lambda p: steepest.SAM(p, lr=0.1, rho=rho), s, steps), task) for s in range(seeds)]
    plain = [top_eigenvalue(fit(task, sgd(0.1, momentum=0.9), s, steps), task) for s in range(seeds)]
    ratios = [a / b for a, b in zip(sam, plain, strict=True)]
    numbers = {"ratio_worst": max(ratios), "ratio": statistics.median(ratios), "sam": statistics.median(sam),
               "sgd": statistics.median(plain)}  # fmt: skip
    panel = Dots("top eigenvalue of the Hessian, one line a seed", "eigenvalue", {"SAM": sam, "SGD": plain}, log="y")
    return Measured(numbers, [panel])


def label_noise(fast: bool, control: bool) -> Measured:
    """Accuracy gained over SGD with the same and with twice the epochs, mean over seeds, best radius."""
    seeds, epochs = (1, 30) if fast else (5, 60)
    rhos: tuple[float, ...] = (0.0,) if control else RHOS[-1:] if fast else RHOS
    best = best_of(0.4, "SAM", seeds, epochs, [{"rho": rho} for rho in rhos])
    same = [accuracy(0.4, "SGD", s, epochs) for s in range(seeds)]
    twice = [accuracy(0.4, "SGD", s, 2 * epochs) for s in range(seeds)]
    gains = [a - max(b, c) for a, b, c in zip(best, same, twice, strict=True)]
    numbers = {"gain_worst": min(gains), "gain": statistics.mean(gains), "sam": statistics.mean(best),
               "sgd": statistics.mean(same), "sgd_twice": statistics.mean(twice)}  # fmt: skip
    columns = {"SAM": best, "SGD": same, "SGD, 2 × epochs": twice}
    return Measured(numbers, [Dots("accuracy on clean images, one line a seed", "per cent", columns)])


def sharpness(fast: bool, control: bool) -> Measured:
    """How much the loss of all training images rises at the worst point nearby, SAM over SGD."""
    seeds, epochs, task = (1, 20, wrong_labels(0.4)) if fast else (5, 40, wrong_labels(0.4))
    rho, (x, y) = 0.1, task.train

    def rise(radius: float, seed: int) -> float:
        run = fit(task, lambda p: steepest.SAM(p, lr=0.05, rho=radius), seed, epochs * task.epoch)
        return sam_sharpness(Loss(run.model, lambda: task.loss(run.model(x), y)), rho).value

    sam = [rise(0.0 if control else rho, seed) for seed in range(seeds)]
    plain = [rise(0.0, seed) for seed in range(seeds)]
    ratios = [a / b for a, b in zip(sam, plain, strict=True)]
    numbers = {"ratio_worst": max(ratios), "ratio": statistics.median(ratios), "sam": statistics.median(sam),
               "sgd": statistics.median(plain)}  # fmt: skip
    panel = Dots("rise of the loss at the worst point nearby, one line a seed", "L(x + e) - L(x)",
                 {"SAM": sam, "SGD": plain}, log="y")  # fmt: skip
    return Measured(numbers, [panel])


CLAIMS = (
    Claim(
        name="sam-flatter",
        sentence="SAM ends in flatter minima than SGD: the largest eigenvalue of the Hessian is lower.",
        source=Source("foret2021sam", "the figure of Hessian spectra"),
        methods=("SAM",),
        rows=("001-079",),
        bounds=(Bound("ratio_worst", "<", 0.9, "largest Hessian eigenvalue relative to SGD's, worst seed"),),
        experiment=flatness,
        control="ρ = 0",
        seeds=5,
        minutes=1.0,
        untested="Residual networks and ImageNet; whether flatness is why SAM generalises.",
    ),
    Claim(
        name="sam-label-noise",
        sentence="SAM is robust to wrong labels: it generalises better than SGD, also than SGD with twice the epochs.",
        source=Source("foret2021sam", "the section on label noise"),
        methods=("SAM",),
        rows=("001-079",),
        bounds=(Bound("gain_worst", ">", 0.0, "percentage points of accuracy above SGD with the same or twice the epochs, "
                      "whichever is better, best of three radii, worst seed"),),
        experiment=label_noise,
        control="ρ = 0",
        seeds=5,
        minutes=1.5,
        untested="CIFAR; comparison with methods made for label noise.",
    ),
    Claim(
        name="sam-less-sharp",
        sentence="SAM minimises sharpness: where it ends the loss rises less at the worst point nearby than where SGD ends.",
        source=Source("foret2021sam", "abstract"),
        methods=("SAM",),
        rows=("001-079",),
        bounds=(Bound("ratio_worst", "<", 1.0, "L(x + e) - L(x) at radius 0.1 relative to SGD's, 40 % random labels, worst "
                      "seed"),),
        experiment=sharpness,
        control="ρ = 0",
        seeds=5,
        minutes=0.5,
        untested="Other radii; the worst point by more than one step of ascent.",
    ),
)  # fmt: skip
