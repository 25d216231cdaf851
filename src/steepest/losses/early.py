"""Early-learning regularization: what a network believed of an example before it learnt wrong labels by heart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from steepest.losses.checks import indices, matrix, mean, number

NAME = "early_learning"
LEAST = 1e-4  # of a probability, in the authors' code


def early_learning_state(examples: int, classes: int, like: Tensor | None = None) -> dict[str, Tensor]:
    """The state that a run begins with: t = 0 for every example.

    Args:
        examples: in the whole training set.
        classes: outputs of the network.
        like: a tensor of the type and on the device that the state is to have.
    """
    return {"targets": torch.zeros(examples, classes) if like is None else like.new_zeros(examples, classes)}


def early_learning(outputs: Tensor, targets: Tensor, state: dict[str, Tensor], *, index: Tensor, weight: float = 3.0,
                   decay: float = 0.7) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    r"""Cross-entropy and a pull towards the network's own earlier predictions, of every example its own.

    .. math:: t_i \leftarrow \beta t_i + (1 - \beta)\, p_i,\qquad
              L = \frac1n \sum_i \big( -\log p_i[y_i] + \lambda \log(1 - \langle p_i, t_i\rangle) \big)

    with p the softmax of the outputs and no gradient through t.  The second term is small where a prediction agrees with what
    was predicted before; its gradient grows as it does, and outweighs that of a wrong label.

    Args:
        outputs: logits, shape ``(n, classes)``.
        targets: labels y, integers of shape ``(n,)``.
        state: from :func:`early_learning_state`, or from the step before.
        index: which examples these are, integers of shape ``(n,)``, each at most once.
        weight: λ, default 3 (CIFAR-10 in the paper; 7 for CIFAR-100).
        decay: β, default 0.7 (CIFAR-10; 0.9 for CIFAR-100).

    Returns:
        The loss, and the new state, a copy: under a method that evaluates more than once keep the first.

    Raises:
        ValueError, TypeError: a wrong shape or type, a number out of its range.

    Source: Liu et al. 2020, arXiv:2007.00151, Section 4, with targets by temporal ensembling (ELR, not ELR+).

    Note: p is kept within [1e-4, 1 - 1e-4] in the second term and renormalised in t, as in the authors' code; the paper's
        equations have no such bounds, and 1 - ⟨p, t⟩ may then be 0.
    """
    number(NAME, "weight", weight, "[0, inf)")
    number(NAME, "decay", decay, "[0, 1)")
    p = matrix(NAME, "outputs", outputs).softmax(1).clamp(LEAST, 1 - LEAST)
    old = matrix(NAME, "state['targets']", state.get("targets"), outputs.shape[1])
    y = indices(NAME, "targets", targets, len(outputs), outputs.shape[1])
    i = indices(NAME, "index", index, len(outputs), len(old))
    now = p.detach()
    t = decay * old[i] + (1 - decay) * (now / now.sum(1, keepdim=True)).to(old.dtype)
    pull = torch.log(1 - (p * t.to(p.dtype)).sum(1))
    loss = mean(F.cross_entropy(outputs, y, reduction="none") + weight * pull)
    return loss, {"targets": old.index_copy(0, i, t)}


__all__ = ["early_learning", "early_learning_state"]
