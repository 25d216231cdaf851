"""Sets by name: the nearest point, the point that minimizes a linear function, and how far outside a point is.

``Constrained(f, x0, over=L1Ball(2.0))`` is what ``project=`` and ``lmo=`` are for the functions in :mod:`steepest.solve.inner`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from steepest.solve import inner


@dataclass(frozen=True)
class Set:
    """Base of all sets, of one tensor each."""

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of the set, in the Euclidean norm."""
        raise NotImplementedError

    def lmo(self, g: Tensor) -> Tensor:
        """The point s of the set that minimizes ⟨g, s⟩.

        Raises:
            TypeError: there is none, or none that is cheap.
        """
        raise TypeError(f"{type(self).__name__} has no linear oracle: take a solver that projects")

    def distance(self, x: Tensor) -> float:
        """The Euclidean distance of x from the set."""
        return float((x - self.project(x)).norm())


@dataclass(frozen=True)
class Box(Set):
    """lower ≤ x ≤ upper, element by element."""

    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise ValueError(f"Box is empty: lower={self.lower!r} is not at most upper={self.upper!r}")

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.box`."""
        return inner.box(x, self.lower, self.upper)

    def lmo(self, g: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.lmo_box`."""
        return inner.lmo_box(g, self.lower, self.upper)


@dataclass(frozen=True)
class _Sized(Set):
    """A set with a radius (a sum, a trace)."""

    radius: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.radius < float("inf"):
            raise ValueError(f"{type(self).__name__}: radius must be positive and finite, got {self.radius!r}")


@dataclass(frozen=True)
class Simplex(_Sized):
    """x ≥ 0 with Σ x = radius, over the whole tensor."""

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.simplex`."""
        return inner.simplex(x.reshape(-1), self.radius).view(x.shape)

    def lmo(self, g: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.lmo_simplex`."""
        return inner.lmo_simplex(g, self.radius)


@dataclass(frozen=True)
class L1Ball(_Sized):
    """Σ abs(x) ≤ radius."""

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.l1_ball`."""
        return inner.l1_ball(x, self.radius)

    def lmo(self, g: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.lmo_l1`."""
        return inner.lmo_l1(g, self.radius)


@dataclass(frozen=True)
class L2Ball(_Sized):
    """‖x‖₂ ≤ radius."""

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.l2_ball`."""
        return inner.l2_ball(x, self.radius)

    def lmo(self, g: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.lmo_l2`."""
        return inner.lmo_l2(g, self.radius)


@dataclass(frozen=True)
class NuclearBall(_Sized):
    """A matrix whose singular values sum to at most radius."""

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.nuclear_ball`."""
        return inner.nuclear_ball(x, self.radius)

    def lmo(self, g: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.lmo_nuclear`."""
        return inner.lmo_nuclear(g, self.radius)


@dataclass(frozen=True)
class Spectrahedron(_Sized):
    """A symmetric positive semidefinite matrix with trace radius."""

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.spectrahedron`."""
        return inner.spectrahedron(x, self.radius)

    def lmo(self, g: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.lmo_spectrahedron`."""
        return inner.lmo_spectrahedron(g, self.radius)


@dataclass(frozen=True)
class PSDCone(Set):
    """A symmetric positive semidefinite matrix; unbounded, so there is no linear oracle."""

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.psd`."""
        return inner.psd(x)


@dataclass(frozen=True)
class Stiefel(Set):
    """A matrix with orthonormal columns. Not convex: projected methods find stationary points only."""

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.stiefel`."""
        return inner.stiefel(x)

    def lmo(self, g: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.lmo_stiefel`."""
        return inner.lmo_stiefel(g)


@dataclass(frozen=True, eq=False)
class TransportPolytope(Set):
    """A matrix P ≥ 0 with P 1 = a and Pᵀ 1 = b; its linear oracle is a linear program, which is not here."""

    a: Tensor
    b: Tensor

    def project(self, x: Tensor) -> Tensor:
        """See :func:`steepest.solve.inner.transport`."""
        return inner.transport(x, self.a, self.b)
