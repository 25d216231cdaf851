"""The page of verdicts: one HTML file that needs nothing else, neither files nor a network, to be read, kept and sent on."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import torch

from steepest.claims.lab.base import HELD, NOT_HELD, NOT_TESTED, TOO_SMALL, Claim, Verdict, short
from steepest.claims.lab.index import CLAIMS
from steepest.claims.lab.record import processor, recorded

WORDS = (HELD, NOT_HELD, NOT_TESTED, TOO_SMALL)


@dataclass(frozen=True)
class Row:
    """One bound with what was measured: the claim's number, whether it passes, the control's number, whether it passes."""

    words: str
    limit: str
    measured: str
    passes: bool
    control: str
    control_passes: bool


@dataclass(frozen=True)
class Card:
    """A claim and its verdict, ready to be printed; ``full`` is the verdict on record where this was the fast profile."""

    claim: Claim
    verdict: Verdict
    rows: list[Row]
    paper: str
    link: str
    full: str


@cache
def papers() -> dict[str, tuple[str, str]]:
    """For each key of references.bib: the citation in a line, and a link or nothing."""
    found = {}
    text = files("steepest").joinpath("references.bib").read_text(encoding="utf-8")
    for key, body in re.findall(r"^@\w+\{([^,\s]+),(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        fields = dict(re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", body, re.MULTILINE))
        names = [name.split(",")[0].strip("{} ") for name in fields["author"].split(" and ")]
        who = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
        title = re.sub(r"[{}$]", "", fields["title"]).replace("\\beta_2", "β₂").replace("--", "–")
        link = f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else fields.get("url", "")
        found[key] = (f"{who} ({fields['year']}). {title}.", link)
    return found


def rows(claim: Claim, verdict: Verdict) -> list[Row]:
    """The bounds, as far as they were measured."""
    out = []
    for b in claim.bounds:
        measured, control = verdict.numbers.get(b.number), verdict.control.get(b.number)
        out.append(Row(
            b.words, f"{b.relation} {short(b.limit)}",
            "–" if measured is None else short(measured), measured is not None and b.passes(verdict.numbers),
            "–" if control is None else short(control), control is not None and b.passes(verdict.control),
        ))  # fmt: skip
    return out


def headline(verdicts: Sequence[Verdict]) -> str:
    """What came out, in a sentence.

    >>> headline([])
    'No claim was run'
    """
    count = {word: sum(v.verdict == word for v in verdicts) for word in WORDS}
    if not verdicts:
        return "No claim was run"
    one = "claim" if len(verdicts) == 1 else "claims"
    if count[TOO_SMALL] + count[NOT_TESTED] == len(verdicts) and count[TOO_SMALL]:
        return f"{count[TOO_SMALL]} of {len(verdicts)} {one} ran, too small to judge"
    parts = [f"{count[HELD]} of {len(verdicts)} {one} held"]
    if count[NOT_HELD]:
        parts.append(f"{count[NOT_HELD]} did not")
    if count[NOT_TESTED]:
        parts.append(f"{count[NOT_TESTED]} could not be tested")
    if count[TOO_SMALL]:
        parts.append(f"{count[TOO_SMALL]} ran too small to judge")
    return ", ".join(parts)


def report(verdicts: Sequence[Verdict], out: Path, claims: Mapping[str, Claim] | None = None) -> Path:
    """Write the page.

    Args:
        verdicts: what came out.
        out: a folder.
        claims: the index; default: all that come with the library.

    Returns:
        The path of ``claims.html`` in that folder.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    index = CLAIMS if claims is None else claims
    cards, on_record = [], recorded()["verdicts"]
    for v in verdicts:
        claim = index[v.claim]
        paper, link = papers().get(claim.source.key, (claim.source.key, ""))
        full = on_record.get(v.claim, {}).get("verdict", "") if v.fast else ""
        cards.append(Card(claim, v, rows(claim, v), paper, link, full))
    environment = Environment(loader=PackageLoader("steepest.claims.lab", "."), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    environment.filters |= {"short": short, "svg": Markup, "slug": lambda text: text.replace(" ", "-")}
    page = environment.get_template("report.html").render(
        cards=cards,
        any_full=any(card.full for card in cards),
        title=headline(verdicts),
        profile=" and ".join(sorted({"fast profile" if v.fast else "full profile" for v in verdicts})),
        minutes=sum(v.seconds for v in verdicts) / 60,
        date=datetime.now().astimezone().strftime("%Y-%m-%d"),
        versions=f"steepest {version('steepest')}, torch {torch.__version__}, Python {platform.python_version()}; "
        f"processor: {processor()}",
    )
    out.mkdir(parents=True, exist_ok=True)
    path, draft = out / "claims.html", out / "claims.part"
    draft.write_text(page, encoding="utf-8")
    draft.replace(path)
    return path
