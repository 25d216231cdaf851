"""What users give, made plain: numbers of numpy become Python's, and a misspelt name is refused, but not one of others.

Parameter groups carry keys of other libraries (``lr_scale``, ``no_decay``), which are theirs and are kept, as torch.optim
keeps them.  So only what is one slip of the finger away from a name of ours counts as misspelt.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor


def slips(a: str, b: str) -> int:
    """How many letters were left out, added, replaced or swapped with their neighbour between two words.

    The distance of Damerau and Levenshtein, where no letter is edited twice.

    >>> slips("momentum", "momentun"), slips("betas", "beats"), slips("no_decay", "lr_decay")
    (1, 1, 2)
    """
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y)))
            if i > 1 and j > 1 and (x, y) == (b[j - 2], a[i - 2]):
                row[j] = min(row[j], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]


def close(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` is a misspelling of, if there is one.

    One slip in six letters; in names of three letters or fewer only a letter twice or two letters swapped.  Capitals,
    hyphens and underscores do not count.

    >>> close("weigth_decy", ["lr", "weight_decay"]), close("LR", ["lr"]), close("lr_scale", ["lr", "lr_decay"])
    ('weight_decay', 'lr', None)
    """

    def bare(word: str) -> str:
        return word.lower().replace("_", "").replace("-", "")

    found: list[tuple[int, str]] = []
    for word in known:
        a, b = bare(name), bare(word)
        if len(b) > 3:
            near = (slips(a, b), max(1, len(word) // 6))
        else:
            twice = {b[: i + 1] + b[i:] for i in range(len(b))}
            near = (0 if a == b else 1 if a in twice or (sorted(a) == sorted(b) and len(b) > 1) else 2, 1)
        if near[0] <= near[1]:
            found.append((near[0], word))
    return min(found)[1] if found else None


def plain(value: Any) -> Any:
    """Numbers of numpy, alone or in lists and tuples, as Python's own; everything else as it is.

    numpy's would not load with ``weights_only=True``.

    >>> plain((np.float64(0.5), np.int32(3), True)), plain(np.array([3])), plain("x")
    ((0.5, 3, True), 3, 'x')
    """
    if isinstance(value, Tensor) or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if isinstance(value, (np.generic, np.ndarray)):
        return value.item() if value.size == 1 else value.tolist()
    if isinstance(value, numbers.Real):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    return value


def several(value: Any) -> list[Any] | None:
    """The members of any sequence (a list, a tuple, an array, a list of a configuration), or None for anything else.

    >>> several(np.array([0.9, 0.99])), several("ab")
    ([0.9, 0.99], None)
    """
    if isinstance(value, (np.ndarray, Tensor)):
        return list(value.tolist()) if value.ndim == 1 else None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else None


def listed(params: Any) -> Any:
    """The parameters as torch takes them.

    Raises:
        TypeError: a model or a function instead of its parameters.
    """
    if isinstance(params, Tensor) or hasattr(params, "__iter__"):
        return params
    raise TypeError(
        f"params must be parameters or groups of them, got {type(params).__name__}: give model.parameters()"
    )


def pack(values: Mapping[str, float]) -> dict[str, Any]:
    """Hyper-parameters as they stand in a group: beta1, beta2, ... become ``betas``, where torch's schedulers look."""
    betas = sorted(n for n in values if n.startswith("beta") and n[4:].isdigit())
    packed: dict[str, Any] = {"betas": tuple(values[n] for n in betas)} if betas else {}
    return packed | {n: v for n, v in values.items() if n not in betas}


def unpack(group: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``pack``, for a group."""
    out = {n: v for n, v in group.items() if n not in ("betas", "params")}
    if "betas" in group:
        out.update({f"beta{i}": b for i, b in enumerate(group["betas"], 1)})
    return out
