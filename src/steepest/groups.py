"""Parameter groups that people write by hand: no decay on norms, biases and embeddings, and a smaller rate for early layers.

What another library calls ``param_groups_weight_decay`` and ``param_groups_layer_decay``.  Every parameter of the model is
in exactly one group, one that two modules share too, so the groups go to any optimizer, torch's own as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from steepest.core.part import check_number

__all__ = ["layer_decay", "no_decay", "players"]

Groups = list[dict[str, Any]]


def named(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter once, under the first of its names.

    Raises:
        TypeError: no model.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"groups are made of a model, got {type(model).__name__}: give the nn.Module, not its parameters"
        )
    return dict(model.named_parameters())


def spared(model: nn.Module, without: Iterable[str]) -> set[int]:
    """The ids of the parameters that get no decay."""
    given = [without] if isinstance(without, str) else [*without]
    every = dict(model.named_parameters(remove_duplicate=False))
    for pattern in given:
        if not any(fnmatchcase(name, pattern) for name in every):
            raise ValueError(f"without={pattern!r} is the name of no parameter; there are {', '.join([*every][:5])}, …")
    own = getattr(model, "no_weight_decay", None)  # as models of timm say it
    patterns = [*given, *(own() if callable(own) else ())]
    found = {
        id(p) for name, p in every.items() if p.ndim < 2 or any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    norms = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase, nn.RMSNorm)
    return found | {id(p) for m in model.modules() if isinstance(m, norms) for p in m.parameters(recurse=False)}


def no_decay(model: nn.Module, weight_decay: float = 0.01, without: Iterable[str] = ()) -> Groups:
    """Two groups: matrices and filters, which decay, and all else, which does not.

    Without decay are vectors and numbers (biases, the scales of norms), the parameters of norm and embedding layers whatever
    their shape, those that match a name in ``without``, and those that the model's own ``no_weight_decay()`` names.  A weight
    that an embedding shares with a head is an embedding.

    Args:
        model: the module whose parameters are grouped.
        weight_decay: of the first group, default 0.01; give it to a method that has ``weight_decay``.
        without: names of further parameters without decay, or patterns such as ``"*.position"``.

    Returns:
        Groups ``{"params": ..., "weight_decay": ...}``; one that would be empty is left out.

    Raises:
        TypeError: no model.
        ValueError: a negative decay, a name that is no parameter's.

    Example:
        >>> import steepest
        >>> model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4), nn.LayerNorm(4))
        >>> [(len(group["params"]), group["weight_decay"]) for group in no_decay(model, 0.1)]
        [(1, 0.1), (4, 0.0)]
        >>> opt = steepest.AdamW(no_decay(model, 0.1), lr=1e-3)
    """
    check_number("no_decay", "weight_decay", weight_decay, "[0, inf)")
    params, off = named(model).values(), spared(model, without)
    both = (([p for p in params if id(p) not in off], weight_decay), ([p for p in params if id(p) in off], 0.0))
    return [{"params": found, "weight_decay": decay} for found, decay in both if found]


def layer_decay(
    model: nn.Module, lr: float, decay: float = 0.75, weight_decay: float = 0.01, without: Iterable[str] = (),
    blocks: Sequence[nn.Module] | nn.ModuleList | None = None,
) -> Groups:  # fmt: skip
    r"""Groups whose rates fall from the head to the embeddings, as for fine-tuning, with and without decay as above.

    .. math:: \eta_k = \eta\,\gamma^{\,n + 1 - k},\qquad k = 0, \ldots, n + 1

    for what stands before the blocks (k = 0), the n blocks (k = 1, …, n) and what stands after them, the head (k = n + 1).

    Args:
        model: the module whose parameters are grouped.
        lr: η of the head; 1 for methods that find their own step.
        decay: γ, default 0.75; 1 is one rate for all.
        weight_decay: of matrices and filters, default 0.01.
        without: as for :func:`no_decay`.
        blocks: the layers in order; default: the ``ModuleList`` with most parameters in it, or, if there is none, the
            ``Sequential``.

    Returns:
        Groups ``{"params": ..., "lr": ..., "weight_decay": ..., "layer": k}``, from the embeddings to the head.

    Raises:
        TypeError: no model.
        ValueError: a number out of range, no blocks found, or blocks that are no part of the model.

    Source: Clark et al. 2020, arXiv:2003.10555 (ELECTRA, layer-wise learning-rate decay); Bao et al. 2022, arXiv:2106.08254
    (BEiT).

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        >>> [(group["layer"], group["lr"]) for group in layer_decay(model, 1.0, 0.5)]
        [(1, 0.25), (2, 0.5)]
    """
    check_number("layer_decay", "lr", lr, "[0, inf)")
    check_number("layer_decay", "decay", decay, "(0, 1]")
    check_number("layer_decay", "weight_decay", weight_decay, "[0, inf)")
    params, off = named(model), spared(model, without)
    layers = [*blocks] if blocks is not None else _blocks(model)
    depth = {id(p): k for k, layer in reversed([*enumerate(layers, 1)]) for p in layer.parameters()}
    inside = [i for i, p in enumerate(params.values()) if id(p) in depth]
    if not inside:
        raise ValueError("layer_decay found no blocks in the model: give blocks=model.layers, the layers in order")
    groups: dict[tuple[int, bool], list[Tensor]] = {}
    for i, p in enumerate(params.values()):
        k = depth.get(id(p), 0 if i < inside[0] else len(layers) + 1)
        groups.setdefault((k, id(p) in off), []).append(p)
    return [{"params": found, "lr": lr * decay ** (len(layers) + 1 - k), "weight_decay": 0.0 if bare else weight_decay,
             "layer": k} for (k, bare), found in sorted(groups.items(), key=lambda item: item[0])]  # fmt: skip


def players(minimize: Mapping[str, nn.Module | Iterable[Tensor]],
            maximize: Mapping[str, nn.Module | Iterable[Tensor]]) -> Groups:  # fmt: skip
    """A group for each player of a game, by name; those who maximize the common payoff have ``maximize=True``.

    For the points of games (``point.ExtraGradient`` and others), whose closure returns the payoff; what the same players are
    to a solver, :class:`steepest.solve.Saddle` says.

    Args:
        minimize: name -> the player's module, or its parameters.
        maximize: name -> the same.

    Returns:
        Groups ``{"params": ..., "player": name, "maximize": ...}``, in the order given; add ``lr`` and other numbers to them.

    Raises:
        TypeError: a player is no module and no parameters.
        ValueError: one name, or one parameter, for two players; a player without parameters.

    Example:
        >>> import steepest
        >>> generator, critic = nn.Linear(2, 2), nn.Linear(2, 1)
        >>> opt = steepest.ExtraAdam(players({"generator": generator}, {"critic": critic}), lr=1e-3)
        >>> [(group["player"], group["maximize"]) for group in opt.param_groups]
        [('generator', False), ('critic', True)]
    """
    if both := sorted(set(minimize) & set(maximize)):
        raise ValueError(f"{both[0]!r} both minimizes and maximizes: give each player one side")
    groups: Groups = []
    owner: dict[int, str] = {}
    for name, part, up in [*((*one, False) for one in minimize.items()), *((*one, True) for one in maximize.items())]:
        found = [*(part.parameters() if isinstance(part, nn.Module) else part)]
        if not all(isinstance(p, Tensor) for p in found):
            raise TypeError(f"player {name!r} must be a module or its parameters, got {type(found[0]).__name__} in it")
        if not found:
            raise ValueError(f"player {name!r} has no parameters")
        for p in found:
            if owner.setdefault(id(p), name) != name:
                raise ValueError(f"{owner[id(p)]!r} and {name!r} share a parameter of shape {tuple(p.shape)}")
        groups.append({"params": found, "player": name, "maximize": up})
    return groups


def _blocks(model: nn.Module) -> list[nn.Module]:
    for kind in (nn.ModuleList, nn.Sequential):
        found = [m for m in model.modules() if isinstance(m, kind) and len(m) > 1]
        if found:
            return [*max(found, key=lambda m: sum(p.numel() for p in m.parameters())).children()]
    return []
