"""What ``optimizer.state`` holds for one parameter, where torch.optim has the method under other names.

``torch.distributed.checkpoint`` looks a flattened checkpoint up by the names it meets in ``optimizer.state[p]``, and the
checkpoint has torch's.  So a name met by going through an entry equals ours and prints as torch's; everything else is
as in any dict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Name(str):
    """A name that prints as another one.

    >>> name = Name("m", "exp_avg")
    >>> name == "m", f"{name}"
    (True, 'exp_avg')
    """

    printed: str

    def __new__(cls, own: str, printed: str) -> Name:
        """The name ``own``."""
        name = super().__new__(cls, own)
        name.printed = printed
        return name

    def __format__(self, spec: str) -> str:
        return format(self.printed, spec)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is a plain word."""
        return str, (str(self),)


class Entry(dict[str, Any]):
    """The state of one parameter.

    Args:
        names: what torch calls the states, by our names.
        given: the state.
    """

    def __init__(self, names: Mapping[str, str], given: Mapping[str, Any] | None = None) -> None:
        super().__init__(given or {})
        self.names = names

    def __iter__(self) -> Iterator[str]:
        return (Name(k, self.names[k]) if k in self.names else k for k in super().__iter__())
