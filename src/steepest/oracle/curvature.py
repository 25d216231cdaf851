"""The diagonal of the curvature beside the gradient: estimated every k steps, kept in the state until a direction uses it.

An oracle says how it is estimated; a direction that ``needs`` the curvature finds the estimate as ``s.probe``, its
``scalars`` find in ``h.fresh`` whether it is new in this step (1 or 0), and it decides what to make of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from steepest.core.draws import seed_of, signs
from steepest.core.evaluate import Evidence, Hessian, Parts
from steepest.core.fields import argument, flag, whole
from steepest.core.part import Oracle, Scalars, State
from steepest.core.step import SPARSE, Run
from steepest.engine import shard

__all__ = ["Diagonal", "GaussNewtonBartlett", "Hutchinson"]


class Diagonal(Oracle):
    """What both estimates share: when they are made, and where they are kept.

    They are made at the first evaluation of every k-th step, for the point of that evaluation.  A tensor whose estimate
    has a NaN or an infinity in it keeps its last good one, and the step is counted in ``opt.counters.skipped``; with
    ``nonfinite="skip"`` or ``"raise"`` it is as for a gradient.
    """

    every: int = whole("[1, inf)", default=1)
    state = {"probe": State(exact=True)}  # in units of f/x²
    numbers = ("fresh",)  # 1.0 from an estimate to the step that uses it
    needs = frozenset({"closure"})
    gives = frozenset({"curvature", "probe of the Hessian"})
    scales = True

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """After the step the estimate is no longer new."""
        return {"fresh": 0.0}

    def resumed(self, t: int, h: Scalars) -> dict[str, float]:
        """Nothing new."""
        return {"fresh": 0.0}

    def evaluate(self, run: Run) -> Evidence:
        """Loss and gradient, and the curvature where it is due."""
        if self in run.once or (run.t - 1) % self.every:
            return run.backpropagate()
        run.once.add(self)
        here, found = self.estimate(run)
        if run.acceptable(here):
            self._take(run, found)
        return here

    def estimate(self, run: Run) -> tuple[Evidence, Parts]:
        """Loss and gradient, and the diagonal: this process's part of each parameter's, None where it has no gradient."""
        raise NotImplementedError

    @staticmethod
    def _take(run: Run, found: Parts) -> None:
        owners = [p for p, c in zip(run.params, found, strict=True) if c is not None]
        bad = torch.tensor([[float(not torch.isfinite(c).all())] for c in found if c is not None])
        if (reduce := shard.reducer(owners)) is not None:
            reduce(bad)
        fine = {id(p): not b for p, b in zip(owners, bad.flatten().tolist(), strict=True)}
        if not all(fine.values()):
            run.spoiled("an estimate of the curvature")
        held = run.prepared("probe", [i for i, p in enumerate(run.params) if fine.get(id(p))])
        for i, (entry, ascends) in held.items():
            c = found[i]
            assert c is not None
            entry.copy_(-c if ascends else c)
            run.state(run.params[i])["fresh"] = 1.0


class Hutchinson(Diagonal):
    r"""The diagonal of the Hessian by random signs, for ``direction.AdaHessian``, ``Sophia`` and ``DiagonalHessian``.

    .. math:: c = \frac1n \sum_{j=1}^n z_j \odot \nabla^2 f(x)\, z_j,\quad z_j \text{ random signs},\quad
              \operatorname{E} c = \operatorname{diag} \nabla^2 f(x)

    Every k-th step is one forward, one backward and n Hessian-vector products, on the same batch and with the same dropout;
    the others are plain.  Needs a closure that only computes and returns the loss (micro-batches: the sum of their losses,
    so all of their graphs are in memory).  Works under autocast, with a ``GradScaler``, under DDP and FSDP2 (whose weights
    are gathered for this one step); the products are averaged over all processes.  A group that maximizes has c negated.

    Args:
        every: k, default 1.
        samples: n, default 1.
        first: n in the first step, default 0, which is ``samples`` (OASIS begins with more).
        kernels: average c over the kernel of a convolution (all dimensions but the first two), default False.
        block: average c over pieces of so many neighbours in a row of a matrix, default 1; the last piece may be shorter.
        absolute: average ``|c|`` instead of c, default False.
        seed: of the signs, default 0; with the step number it fixes z, the same on every process.

    Raises:
        RuntimeError: at the first step, if the closure calls backward itself, or if its loss cannot be differentiated
            twice, with the operation that stops it.

    Source: Hutchinson 1989; Bekas, Kokiopoulou & Saad 2007; the averages: Yao et al. 2021, arXiv:2006.00719, Section 3.2.

    Note: the paper averages c; the authors' code averages ``|c|`` (``absolute=True``).
    """

    samples: int = whole("[1, inf)", default=1)
    first: int = whole("[0, inf)", default=0)
    kernels: bool = flag(default=False)
    block: int = whole("[1, inf)", default=1)
    absolute: bool = flag(default=False)
    seed: int = whole("[0, inf)", default=0)
    cite = ("bekas2007estimator",)

    def estimate(self, run: Run) -> tuple[Evidence, Parts]:
        """By products with the Hessian."""
        n = self.first or self.samples if run.t == 1 else self.samples

        def use(g: Parts, hessian: Hessian) -> Parts:
            mean: Parts = [None] * len(g)
            for j in range(n):
                random = torch.Generator().manual_seed(seed_of(self.seed, run.t, j))
                z = [None if gi is None else signs(gi, random) for gi in g]
                for i, (zi, hi) in enumerate(zip(z, hessian(z), strict=True)):
                    if zi is not None and hi is not None:
                        before = mean[i]
                        mean[i] = zi * hi / n if before is None else before.add_(zi * hi, alpha=1 / n)
            return mean

        here, found = run.twice(use)
        return here, [None if c is None else shard.part_of(self._averaged(c), p)
                      for c, p in zip(found, run.params, strict=True)]  # fmt: skip

    def _averaged(self, c: Tensor) -> Tensor:
        kernel, matrix = self.kernels and c.dim() > 2, self.block > 1 and c.dim() == 2 and c.numel() > 0
        c = c.abs() if self.absolute and (kernel or matrix) else c
        if kernel:
            return c.mean(tuple(range(2, c.dim())), keepdim=True).expand_as(c)
        if matrix:
            means = F.avg_pool1d(c[:, None], self.block, ceil_mode=True)[:, 0]
            return means.repeat_interleave(self.block, 1)[:, : c.shape[1]]
        return c


def drawn(logits: Tensor, generator: torch.Generator) -> Tensor:
    """A class for each row of logits (classes in the last dimension), from their softmax."""
    rows = logits.detach().float().softmax(-1).reshape(-1, logits.shape[-1])
    return torch.multinomial(rows, 1, generator=generator).view(logits.shape[:-1])


Sample = Callable[[Tensor, torch.Generator], Tensor]


class Labels:
    """Targets drawn from a model's outputs, and how many.

    Args:
        sample: draws them.
        seed: of all that are drawn.
    """

    def __init__(self, sample: Sample, seed: int) -> None:
        self.sample, self.seed, self.count = sample, seed, 0
        self.generators: dict[torch.device, torch.Generator] = {}

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Drawn ones, but where a target is below 0 and means none.

        Raises:
            RuntimeError: they have another shape than the targets.
        """
        device = outputs.device
        if device not in self.generators:
            self.generators[device] = torch.Generator(device).manual_seed(self.seed)
        with torch.no_grad():
            found = self.sample(outputs.detach(), self.generators[device]).to(targets)
        if found.shape != targets.shape:
            raise RuntimeError(f"labels drawn from outputs of shape {tuple(outputs.shape)} have the shape "
                               f"{tuple(found.shape)}, the targets {tuple(targets.shape)}: put the classes into the last "
                               "dimension, or give GaussNewtonBartlett a sample of your own")  # fmt: skip
        counts = torch.ones_like(targets, dtype=torch.bool) if targets.is_floating_point() else targets >= 0
        self.count += int(counts.sum())
        return torch.where(counts, found, targets)


class GaussNewtonBartlett(Diagonal):
    r"""The diagonal of the Gauss-Newton matrix from labels that the model draws itself, for ``direction.Sophia``.

    .. math:: c = B\, \hat g \odot \hat g,\quad \hat g = \nabla \frac1B \sum_{b=1}^B \ell(f(x, a_b), \hat y_b),\quad
              \hat y_b \sim \operatorname{softmax} f(x, a_b)

    A mean of negative log-likelihoods is what the closure must return, of labels that it takes from the optimizer::

        F.cross_entropy(logits, opt.oracle.labels(logits, y))

    which are y, but for the one question of every k-th step where they are drawn.  That step costs one forward and one
    backward more, on the same batch and with the same dropout; first derivatives only, so any closure will do: with its own
    ``backward``, with micro-batches, under autocast, with a ``GradScaler``, under DDP and FSDP2.

    Args:
        every: k, default 1.
        seed: of the labels, default 0; with the step number and the process it fixes them.
        sample: ``sample(outputs, generator)`` draws targets shaped as y from the model's distribution, default: classes from
            the softmax over the last dimension (torch.multinomial).  For half a squared error it is
            ``lambda z, generator: z + torch.randn(z.shape, generator=generator)``.

    Raises:
        RuntimeError: the closure took no labels from the optimizer, or drawn ones have another shape.

    Source: Liu, Li, Hall, Liang & Ma 2024, arXiv:2305.14342, Algorithm 2.

    Note: B counts labels, over all micro-batches and processes; those below 0 (as ``ignore_index=-100``) are kept and not
    counted.  The authors' code leaves B out here and has it beside γ.
    """

    seed: int = whole("[0, inf)", default=0)
    sample: Sample = argument(default=drawn)
    cite = ("liu2024sophia",)

    def __post_init__(self) -> None:
        self._draw: Labels | None = None

    def labels(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The targets; where the oracle estimates, targets drawn from the model's own outputs in their place."""
        return targets if self._draw is None else self._draw(outputs, targets)

    @contextlib.contextmanager
    def _drawing(self, run: Run) -> Iterator[Labels]:
        self._draw = Labels(self.sample, seed_of(self.seed, run.t, shard.rank()))
        try:
            yield self._draw
        finally:
            self._draw = None

    def estimate(self, run: Run) -> tuple[Evidence, Parts]:
        """By the gradient for drawn labels, after the one that is used."""
        here = run.backpropagate()
        if any(p.grad is not None and p.grad.is_sparse for p in run.params):
            raise RuntimeError(SPARSE)
        if not run.acceptable(here):
            return here, []
        kept = [None if p.grad is None else p.grad.clone() for p in run.params]  # DDP may use the memory again
        try:
            with self._drawing(run) as draw:
                run.backpropagate()
            count = round(shard.mean_over_ranks(draw.count) * shard.processes())
            if not count:
                raise RuntimeError("GaussNewtonBartlett draws labels itself, and the closure did not take them: compute "
                                   "the loss of opt.oracle.labels(outputs, y) instead of y")  # fmt: skip
            found = [None if p.grad is None or g is None else shard.local(p.grad).square() * count
                     for p, g in zip(run.params, kept, strict=True)]  # fmt: skip
        finally:
            for p, g in zip(run.params, kept, strict=True):
                p.grad = g
        return here, found
