"""Rows of the oracle for line searches, Polyak's step and models."""

from __future__ import annotations

from typing import Any

from tests.oracle import papers_search


def rows(row: Any) -> list[Any]:
    """The lines of the table, made with its ``Row``."""
    return [
        row("AdaGradSQR", papers_search.sania, {"eps": 1e-6}, {"kind": "sum", "floor": 1e-6}, lr=0.1),
        row("AdaGradSQR", papers_search.sania, {"root": True, "f_star": 0.05, "eps": 1e-3},
            {"kind": "sum", "root": True, "f_star": 0.05, "floor": 1e-3}, lr=1.0),
        row("AdamSQR", papers_search.sania, {"decay": 0.9}, {"kind": "mean", "b": 0.9}, lr=1.0),
        row("AdamSQR", papers_search.sania, {"decay": 0.8, "root": True, "eps": 1e-4},
            {"kind": "mean", "b": 0.8, "root": True, "floor": 1e-4}, lr=0.5),
        row("PoNoSPrec", papers_search.ponos_prec, {"eta_max": 0.5}, {"most": 0.5}, lr=None),
        row("PoNoSPrec", papers_search.ponos_prec, {"betas": (0.5, 0.9), "eps": 1e-3, "c": 0.4, "eta_max": 0.2},
            {"b1": 0.5, "b2": 0.9, "eps": 1e-3, "c": 0.4, "most": 0.2}, lr=None),
        row("SMB", papers_search.smb, {"weight_decay": 0.01}, {"lam": 0.01}, lr=8.0),
        row("SMB", papers_search.smb, {"c": 0.6, "kappa": 0.5}, {"c": 0.6, "kappa": 0.5}, lr=3.0),
        row("SMBi", papers_search.smb, {"weight_decay": 0.01}, {"lam": 0.01, "independent": True}, lr=8.0),
        row("SMBi", papers_search.smb, {"c": 0.6, "kappa": 0.5}, {"c": 0.6, "kappa": 0.5, "independent": True}, lr=3.0),
    ]  # fmt: skip
