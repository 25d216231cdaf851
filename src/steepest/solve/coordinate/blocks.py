"""Block coordinate descent: which block, and how it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.coordinate.problem import Quadratic
from steepest.solve.solver import Solver, generator, seeded

RULES = ("gs", "gsl", "gsd", "gsq", "cyclic", "random")
UPDATES = ("gradient", "diagonal", "matrix")


def block_maps(problem: Quadratic, size: int) -> dict[str, Tensor]:
    """By rule, a matrix for each block, (blocks, size, size), with zeros (at most ones, for "gs") where the last has fewer."""
    d, eps = len(problem.start), torch.finfo(problem.start.dtype).tiny
    size = min(size, d)
    blocks = [problem.columns(i)[i] for i in torch.arange(d, device=problem.start.device).split(size)]
    H = torch.stack([torch.nn.functional.pad(B, (0, size - len(B), 0, size - len(B))) for B in blocks])
    eye = torch.eye(size).to(H).expand_as(H).clone()
    return {"gs": eye, "gsl": eye / torch.linalg.eigvalsh(H)[:, -1:, None].clamp(min=eps),
            "gsd": torch.diag_embed(1 / H.abs().sum(2).clamp(min=eps)),
            "gsq": torch.linalg.pinv(H, hermitian=True)}  # fmt: skip


@dataclass
class BlockDescentState:
    """Point, gradient, per block the matrices of the score and of the move, steps, and the state of the random generator."""

    x: Tensor
    g: Tensor
    score: Tensor
    move: Tensor
    t: int
    random: Tensor


@dataclass(frozen=True)
class BlockDescent(Solver[Quadratic, BlockDescentState]):
    r"""Move the block b that promises most, :math:`x_b^+ = x_b - M_b g_b`, where :math:`g_b^\top S_b g_b` is largest.

    M and S are, with L_b the largest eigenvalue of the block :math:`H_b` and D_b the sums of absolute values of its rows:

    =========  =====================  ==================================
    M          update                 S, rule
    =========  =====================  ==================================
    1/L_b      "gradient" (default)   "gsl" (default); "gs" without L_b
    1/D_b      "diagonal"             "gsd"
    H_b⁻¹      "matrix"               "gsq"
    =========  =====================  ==================================

    or "cyclic" and "random" rules. A matrix update minimizes over the block.

    Args:
        size: coordinates of a block, default 1; the last one may have fewer.
        rule: which block.
        update: how it moves.
        seed: of random blocks, default 0.

    Measures ``objective`` f(x) and ``residual`` ‖Hx + c‖, both for nothing.

    Raises:
        TypeError: in a run, the problem has bounds or a fixed sum.

    Source: Nutini, Laradji & Schmidt 2022, arXiv:1712.08859, its rules GS, GSL, GSD and GSQ for fixed blocks, as the catalogue
    of papers has them.
    """

    size: int = 1
    rule: str = "gsl"
    update: str = "gradient"
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"size": "[1, inf)", "seed": "[0, inf)"}

    def __post_init__(self) -> None:
        for name, known in (("rule", RULES), ("update", UPDATES)):
            if getattr(self, name) not in known:
                raise ValueError(f"BlockDescent: {name} must be one of {', '.join(map(repr, known))}, got "
                                 f"{getattr(self, name)!r}")  # fmt: skip
        super().__post_init__()

    def init(self, problem: Quadratic) -> BlockDescentState:
        """The gradient, and all columns once for the blocks of H."""
        if problem.fixed_sum or bool(problem.lower.isfinite().any() | problem.upper.isfinite().any()):
            raise TypeError("BlockDescent is for problems without bounds and without a fixed sum; GreedyPairs has both")
        x = problem.start
        maps = block_maps(problem, self.size)
        move = maps[{"gradient": "gsl", "diagonal": "gsd", "matrix": "gsq"}[self.update]]
        return BlockDescentState(x, problem.gradient(x), maps.get(self.rule, maps["gs"]), move, 0, seeded(self.seed))

    def step(self, problem: Quadratic, state: BlockDescentState) -> BlockDescentState:
        """Move one block, and read its columns."""
        g, (m, k, _) = state.g, state.move.shape
        random, padded = generator(state.random), torch.nn.functional.pad(g, (0, m * k - len(g))).view(m, k)
        if self.rule == "cyclic":
            b = state.t % m
        elif self.rule == "random":
            b = int(torch.randint(m, (1,), generator=random))
        else:
            b = int(torch.einsum("mi,mij,mj->m", padded, state.score, padded).argmax())
        i = torch.arange(b * k, min((b + 1) * k, len(g)), device=g.device)
        d, x = -(state.move[b] @ padded[b])[: len(i)], state.x.clone()
        x[i] += d
        return BlockDescentState(
            x, g + problem.columns(i) @ d, state.score, state.move, state.t + 1, random.get_state()
        )

    def measure(self, problem: Quadratic, state: BlockDescentState) -> dict[str, float]:
        """From the gradient that is there."""
        return {"objective": problem.objective(state.x, state.g), "residual": float(state.g.norm())}
