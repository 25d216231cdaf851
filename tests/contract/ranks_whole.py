"""Maps of whole tensors over shards of unequal sizes: gathered, run once on each process, and every process keeps its part.

Tasks for the pair that ``ranks.job`` starts, and the same in one process.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

import steepest
from steepest import chart, direction, geometry, stepsize
from tests.contract.ranks import STEPS, Uneven, sharded, whole
from tests.contract.ranks_interplay import SHARES, error, shared

ASSEMBLIES: dict[str, Callable[..., steepest.Optimizer]] = {
    "codec-float32": partial(steepest.Muon, lr=0.05, codec="float32"),
    "codec-bfloat16": partial(steepest.Muon, lr=0.05, codec="bfloat16"),
    "codec-int8": partial(steepest.Muon, lr=0.05, codec="int8"),
    "exact factor": partial(steepest.Optimizer, lr=0.05, direction=direction.Muon(orthogonal="svd")),
    "sums before the move": partial(steepest.Optimizer, step_size=stepsize.DoG(reps_rel=1e-2), geometry=geometry.Simplex()),
    "sums of a tensor": partial(steepest.Optimizer, lr=0.05, direction=direction.Mars(direction.Adam(), clip=True),
                                geometry=geometry.Simplex()),
    "trial moves": partial(steepest.Optimizer, direction=direction.Muon(), step_size=stepsize.SLS(batches_per_epoch=5)),
    "coordinates": partial(steepest.Optimizer, lr=0.05, direction=direction.Muon(), chart=chart.LowRank(rank=2, every=3)),
}  # fmt: skip
#: a block of 256 bytes is of a process's own part, so that it has another scale than the whole's
LOOSE = {"codec-int8": 0.05}


def run(name: str, rank: int | None) -> list[Tensor]:
    """Some steps on shards, or on the whole."""
    model: nn.Module = Uneven() if rank is None else sharded()
    opt: Any = ASSEMBLIES[name](model.parameters())
    for t in range(STEPS):
        opt.step(partial(shared, model, t) if rank is None else partial(error, model, t, SHARES[rank]))
    return whole(model)


TASKS = {f"whole-{name}": partial(run, name) for name in ASSEMBLIES}
