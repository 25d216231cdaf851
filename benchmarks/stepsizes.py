"""Step sizes that need no tuning against tuned learning rates: loss, accuracy, passes and seconds.

Line searches and Polyak's step (part A), and steps that estimate a distance (part B), on the problems of
stepsize_problems.py; settings are the papers', one for convex problems and one for nets.  Rivals are SGD and Adam at
constant learning rates and SGD with momentum 0.9 and linear decay.  Their learning rate is chosen on a seed of its own over
half decades, and the grid is widened (three times at most) while the best lies at its edge; by the training loss, and for
nets also by the accuracy on images that serve for nothing else.  Every finished run is a line of a file, so a run that was
killed goes on where it stopped.  Seconds are those of the processor, in training steps alone, one thread; `--cost`
measures a step with all methods taking turns in one process.

The questions, written before the first run; "loss" is that on the training rows at the end, median over seeds:

1. `loss`: PoNoS ends at or below SLS, and at or below 1.1 times the best of tuned SGD and tuned Adam, on every problem.
2. `accuracy`: PoNoS is at most half a point below the best of tuned SGD and Adam, mean over seeds, on every net.
3. `seconds`: PoNoS reaches the last loss of tuned SGD in at most the processor time that SGD took, on every problem.
4. `backtracks`: after the first epoch PoNoS makes at most 0.2 a step in the mean, and none in the median, on every problem.
5. `forget`: with forget=0.2 they are at most 0.2 after the first epoch, and the loss is at most 1.1 times that of PoNoS.
6. `distance`: DoG and LDoG (averaged), U-DoG, A-DoG, AdaGrad-Norm, D-Adaptation are within noise of the rival they adapt
   (tuned Adam for D-Adapt Adam, else tuned SGD): at most half a point less accurate in the mean.  Within training noise:
   at most 1.1 times its loss.

"SPS, at most 1" was added after the first runs on LeNet: the authors' code begins with a step of 1, ours with the bound.
Question 4 was not held on the nets, where an epoch is 46 or 31 steps.  Before anything larger was run these were added:

7. `sizes`: question 4 with the same numbers where an epoch is nearer to the paper's: LeNet on all images (468 steps an
   epoch, 5 epochs), the ResNet on 20,000 (156, 5), and the authors' own perceptron on all images for their 200 epochs.
8. `authors`: there, the mean backtracks after the first epoch of the authors' file and of ours differ by at most 0.1.

On nets with batch normalisation DoG and LDoG begin with 1e-4, as their authors say, and an average gets statistics of its own;
rows called "own statistics", added after the first run of these, are the same for points that are not averaged.
Last came "SLS, from 1": our SLS begins with its bound, so it has one on convex problems; the authors begin with 1.  Then
SMBi, D-Adapt AdaGrad and D-Adapt dual averaging, which were built later; these three have the guard of `optim/guarded.py`.

    python benchmarks/stepsizes.py [--jobs 2] [--only PROBLEM] [--runs FILE] [--out docs/results/stepsizes.json]
    python benchmarks/stepsizes.py --cost
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from stepsize_authors import Authors, at_hand, begun
from stepsize_problems import PROBLEMS, Missing, Problem, Rows
from study import done_before, interval, key, wave
from torch import nn
from torch.nn import functional as F

import steepest

TUNING_SEED, HUGE = 100, 1e9
SHORT = 0.1
AUTHORS = "PoNoS, authors' file"
#: where only backtracks are asked for, and of whom
COUNTED = {
    "LeNet, 200 epochs": ["PoNoS", "PoNoS, forget 0.2", "PoNoS, no memory"],
    "LeNet, all images": ["PoNoS", "PoNoS, forget 0.2", "PoNoS, no memory", AUTHORS],
    "ResNet, 20,000 images": ["PoNoS", "PoNoS, forget 0.2", "PoNoS, no memory", AUTHORS],
    "perceptron, all images": ["PoNoS", AUTHORS, "PoNoS, forget 0.2"],
}
SEEDS = dict.fromkeys(PROBLEMS, 3) | {"LeNet, 200 epochs": 1, "perceptron, all images": 1}
Make = Callable[[Any, Problem, float], torch.optim.Optimizer]


def bound(p: Problem) -> float:
    """The papers' bound of a step."""
    return 1e10 if p.convex else 10.0


#: tuned rivals: how they are made from (parameters, problem, lr), and the half decades where the grid starts
RIVALS: dict[str, tuple[Make, tuple[int, int]]] = {
    "SGD": (lambda w, p, lr: steepest.SGD(w, lr=lr), (-4, 0)),
    "SGD, momentum, decay": (lambda w, p, lr: steepest.SGD(w, lr=lr, momentum=0.9), (-5, -1)),
    "Adam": (lambda w, p, lr: steepest.Adam(w, lr=lr), (-8, -4)),
}
average = steepest.point.Average
SEARCHES: dict[str, Make] = {
    "PoNoS": lambda w, p, _: steepest.PoNoS(w, eta_max=bound(p)),
    "PoNoS, forget 0.2": lambda w, p, _: steepest.PoNoS(w, eta_max=bound(p), forget=0.2),
    "PoNoS, no memory": lambda w, p, _: steepest.PoNoS(w, eta_max=bound(p), forget=math.inf),
    "SLS": lambda w, p, _: steepest.SLS(w, eta_max=1e3 if p.convex else 10.0, batches_per_epoch=p.steps),
    "SLS, from 1": lambda w, p, _: begun(steepest.SLS(w, eta_max=bound(p), batches_per_epoch=p.steps), 1.0),
    "SPS": lambda w, p, _: steepest.SPS(w, 0.5 if p.convex else 0.2, eta_max=bound(p), growth=2 ** (1 / p.steps)),
    "SPS, at most 1": lambda w, p, _: steepest.SPS(w, 0.5 if p.convex else 0.2, eta_max=1.0, growth=2 ** (1 / p.steps)),
    "PoNoSPrec": lambda w, p, _: steepest.PoNoSPrec(w, eta_max=bound(p)),
    "SMB": lambda w, p, _: steepest.SMB(w),
    "SMBi": lambda w, p, _: steepest.SMBi(w),
}
DISTANCES: dict[str, Make] = {
    "DoG": lambda w, p, _: steepest.DoG(w, reps_rel=1e-4 if p.normalised else 1e-6, point=average()),
    "LDoG": lambda w, p, _: steepest.LDoG(w, reps_rel=1e-4 if p.normalised else 1e-6, point=average()),
    "U-DoG": lambda w, p, _: steepest.UDoG(w),
    "A-DoG": lambda w, p, _: steepest.ADoG(w),
    "AdaGrad-Norm": lambda w, p, _: steepest.AdaGradNorm(w),
    "D-Adapt SGD, decay": lambda w, p, _: steepest.DAdaptSGD(w),
    "D-Adapt Adam": lambda w, p, _: steepest.DAdaptAdam(w),
    "D-Adapt AdaGrad": lambda w, p, _: steepest.DAdaptAdaGrad(w),
    "D-Adapt dual averaging": lambda w, p, _: steepest.DAdaptDual(w),
}
MAKES: dict[str, Make] = {**{name: make for name, (make, _) in RIVALS.items()}, **SEARCHES, **DISTANCES}
THEIRS: dict[str, Callable[..., Any]] = {AUTHORS: lambda w, p, _: Authors(w, bound(p))}


def methods(problem: str) -> list[str]:
    """Whose runs are reported on a problem."""
    return COUNTED.get(problem, list(MAKES))


def look(model: nn.Module, rows: Rows, most: int = 10_000) -> tuple[float, float]:
    """Loss and accuracy on at most so many rows, the model as it is used."""
    model.eval()
    with torch.no_grad():
        parts = [(model(x), y) for x, y in zip(rows[0][:most].split(2000), rows[1][:most].split(2000), strict=True)]
        loss = sum(float(F.cross_entropy(z, y, reduction="sum")) for z, y in parts)
        right = sum(int((z.argmax(1) == y).sum()) for z, y in parts)
    model.train()
    count = min(len(rows[1]), most)
    return (loss / count if math.isfinite(loss) else HUGE), right / count


def epoch_of(model: nn.Module, opt: Any, p: Problem, order: torch.Tensor, decay: Callable[[], None]) -> list[float]:
    """One pass over the rows; the backtracks of each step, nothing from methods without."""
    x, y = p.train
    tries = []
    for rows in order[: p.steps * p.batch].split(p.batch):
        loss = opt.step(lambda rows=rows: F.cross_entropy(model(x[rows]), y[rows]))
        decay()
        if not math.isfinite(float(loss)):
            raise FloatingPointError("the loss is no longer a number")
        tries.append(opt.param_groups[0].get("shortened", math.nan))
    return [t for t in tries if t == t]


def train(problem: str, name: str, lr: float, seed: int, tuning: bool) -> dict[str, Any]:
    """One run."""
    torch.set_num_threads(1)
    p = PROBLEMS[problem]()
    torch.manual_seed(seed)
    model = p.model()
    opt: Any = (MAKES | THEIRS)[name](model.parameters(), p, lr)
    schedule = steepest.schedule.LinearDecay(opt, p.steps * p.epochs) if "decay" in name else None
    shuffle = torch.Generator().manual_seed(seed + 1)
    held = p.valid if tuning and p.valid else p.test
    few = 10_000 if p.convex else 2000  # for the curves
    averaged = name in ("DoG", "LDoG")
    every = 10 if p.epochs > 100 else 1
    loss, right = look(model, p.train, few)[0], look(model, held, few)[1]
    curve: dict[str, list[Any]] = {"epoch": [0], "loss": [loss], "test": [right], "seconds": [0.0]}
    curve |= {"mean": [], "median": [], "without": []}
    spent, diverged = 0.0, False
    for e in range(1, p.epochs + 1):
        start = time.process_time()
        try:
            tries = epoch_of(model, opt, p, torch.randperm(len(p.train[0]), generator=shuffle),
                             schedule.step if schedule else lambda: None)  # fmt: skip
        except FloatingPointError:
            diverged = True
            break
        spent += time.process_time() - start
        if tries:
            curve["mean"].append(statistics.mean(tries))
            curve["median"].append(statistics.median(tries))
            curve["without"].append(sum(t == 0 for t in tries) / len(tries))
        if not tuning and e % every == 0:
            curve["loss"].append(look(model, p.train, few)[0])
            curve["test"].append(look(model, held, few)[1])
            curve["epoch"].append(e)
            curve["seconds"].append(spent)
    bought = opt.counters
    end: dict[str, Any] = {"loss": HUGE, "test": 0.0, "diverged": diverged, "seconds": spent, "curve": curve,
                           "steps": bought.steps, "forwards": bought.forwards, "backwards": bought.backwards}  # fmt: skip
    if not diverged:
        end["loss"], end["test"] = look(model, p.train)[0], look(model, held)[1]
        if p.normalised:
            torch.optim.swa_utils.update_bn(p.train[0].split(p.batch), model)
            end["fresh_loss"], end["fresh_test"] = look(model, p.train)[0], look(model, held)[1]
        if averaged:
            with opt.averaged():
                torch.optim.swa_utils.update_bn(p.train[0].split(p.batch), model)
                end["averaged_loss"], end["averaged_test"] = look(model, p.train)[0], look(model, held)[1]
    return end


def rate(half_decades: int) -> float:
    """10^(k/2), in two digits."""
    return float(f"{10 ** (half_decades / 2):.1e}")


def tune(problem: str, done: dict[str, Any], file: Path, jobs: int) -> dict[str, dict[str, float]]:
    """The learning rate of each rival that is best by the training loss, and by accuracy where images are kept for it."""
    judge: dict[str, Callable[[dict[str, Any]], float]] = {"loss": lambda f: -f["loss"]}
    if PROBLEMS[problem]().valid:
        judge["accuracy"] = lambda f: f["test"]
    spans = {name: list(span) for name, (_, span) in RIVALS.items()}
    chosen: dict[str, dict[str, float]] = {}
    for _ in range(4):
        wave(train, [(problem, n, rate(k), TUNING_SEED, True) for n, (a, b) in spans.items() for k in range(a, b + 1)],
             done, file, jobs)  # fmt: skip
        for name, (low, high) in list(spans.items()):
            tried = {k: done.get(key(problem, name, rate(k), TUNING_SEED, True)) for k in range(low, high + 1)}
            found = {k: f for k, f in tried.items() if f}
            if not found:
                raise Missing("no run has ended")
            best = {by: max(found, key=lambda k, f=found, s=score: s(f[k])) for by, score in judge.items()}  # type: ignore[misc]
            chosen[name] = {by: rate(k) for by, k in best.items()}
            spans[name] = [low - 2 * (low in best.values()), high + 2 * (high in best.values())]
    return chosen


def short(value: float) -> float:
    """Four digits: as many as a picture shows."""
    return float(f"{value:.4g}")


def written(result: dict[str, Any]) -> str:
    """JSON with every list of numbers on a line of its own."""
    text = json.dumps(result, indent=1)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


def row_of(ends: list[dict[str, Any]], where: str = "") -> dict[str, Any]:
    """What is reported of a method's runs."""
    steps = max(sum(e["steps"] for e in ends), 1)
    row: dict[str, Any] = {
        "loss": statistics.median(e[where + "loss"] for e in ends), "losses": [e[where + "loss"] for e in ends],
        "test": statistics.mean(e[where + "test"] for e in ends), "tests": [e[where + "test"] for e in ends],
        **{f"{w} a step": sum(e[w] for e in ends) / steps for w in ("forwards", "backwards")},
        "ms a step": 1e3 * sum(e["seconds"] for e in ends) / steps,
        "seconds": statistics.median(e["seconds"] for e in ends),
        "diverged": sum(e["diverged"] for e in ends),
    }  # fmt: skip
    curves = [e["curve"] for e in ends if not e["diverged"]]
    if curves:
        middle = {
            w: [short(statistics.median(v)) for v in zip(*(c[w] for c in curves), strict=True)] for w in curves[0]
        }
        row["curve"] = {w: values for w, values in middle.items() if values}
        if later := [v for c in curves for v in c["mean"][1:]]:
            row["backtracks"] = statistics.mean(later)
            row["median backtracks"] = statistics.median(v for c in curves for v in c["median"][1:])
            row["without"] = statistics.mean(v for c in curves for v in c["without"][1:])
    if len(ends) > 1:
        row["test half"] = interval(row["tests"])[1]
    return row


def report(problem: str, chosen: dict[str, dict[str, float]], done: dict[str, Any]) -> dict[str, Any]:
    """All methods on a problem, each over the seeds it has finished; those without are left out."""
    rows: dict[str, Any] = {}
    for name in methods(problem):
        for by, lr in chosen.get(name, {"": 0.0}).items():
            ends = [done[k] for s in range(SEEDS[problem]) if (k := key(problem, name, lr, s, False)) in done]
            if not ends:
                continue
            label = f"{name}, by accuracy" if by == "accuracy" else name
            rows[label] = row_of(ends) | {"seeds": len(ends)} | ({"lr": lr} if by else {})
            for where, what in (("averaged_", "averaged"), ("fresh_", "own statistics")):
                if all(where + "loss" in e for e in ends):
                    rows[f"{label}, {what}"] = row_of(ends, where) | {"seeds": len(ends)}
    if not ({"PoNoS"} if problem in COUNTED else {"PoNoS", "PoNoS, forget 0.2", "SLS", "SGD", "Adam"}) <= set(rows):
        raise Missing("too few runs have ended")
    for name, row in rows.items():
        if name.startswith(tuple(DISTANCES)) or name.endswith("own statistics"):  # nobody draws these
            row.pop("curve", None)
    return rows


def reached(row: dict[str, Any], loss: float) -> float:
    """Processor seconds until the median curve is at or below a loss; infinite if never."""
    return next((s for s, v in zip(row["curve"]["seconds"], row["curve"]["loss"], strict=True) if v <= loss), math.inf)


def answers(problems: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, float, float]]:
    """(question, problem, number, bound): the inequality holds where the number is at most the bound."""
    for problem, r in problems.items():
        ours = r["PoNoS"]
        yield "backtracks, mean", problem, ours["backtracks"], 0.2
        yield "backtracks, median", problem, ours["median backtracks"], 0.0
        if less := r.get("PoNoS, forget 0.2"):
            yield "forget, backtracks", problem, less["backtracks"], 0.2
            yield "forget, loss", problem, less["loss"] / max(ours["loss"], 1e-12), 1.1
        if theirs := r.get(AUTHORS):
            yield "backtracks, to the authors'", problem, abs(theirs["backtracks"] - ours["backtracks"]), 0.1
        if problem in COUNTED:
            continue
        tuned = min(r[n]["loss"] for n in ("SGD", "Adam"))
        yield "loss, to SLS", problem, ours["loss"] / max(r["SLS"]["loss"], 1e-12), 1.0
        if "SLS, from 1" in r:
            yield "loss, to SLS from 1", problem, ours["loss"] / max(r["SLS, from 1"]["loss"], 1e-12), 1.0
        yield "loss, to tuned", problem, ours["loss"] / max(tuned, 1e-12), 1.1
        last = r["SGD"]["curve"]
        yield "seconds, to SGD's loss", problem, reached(ours, last["loss"][-1]) / last["seconds"][-1], 1.0
        exact = ", by accuracy" if f"SGD{', by accuracy'}" in r else ""
        if exact:
            best = max(r[n + exact]["test"] for n in ("SGD", "Adam"))
            yield "accuracy, points below", problem, 100 * (best - ours["test"]), 0.5
        for name in DISTANCES:
            label = f"{name}, averaged" if name in ("DoG", "LDoG") else name
            if label in r:
                rival = "Adam" if name == "D-Adapt Adam" else "SGD"
                yield f"{name}, points below", problem, 100 * (r[rival + exact]["test"] - r[label]["test"]), 0.5
                yield f"{name}, loss", problem, r[label]["loss"] / max(r[rival]["loss"], 1e-12), 1.1


def cost(steps: int = 40) -> dict[str, Any]:
    """A step of every method relative to one of SGD, processor time; they take turns, each on its own weights."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for problem in ("LeNet", "ResNet"):
        p, (x, y) = PROBLEMS[problem](), PROBLEMS[problem]().train
        runs = {}
        for name in (*RIVALS, *SEARCHES, *DISTANCES):
            torch.manual_seed(0)
            model = p.model()
            runs[name] = (model, MAKES[name](model.parameters(), p, SHORT if "SGD" in name else 1e-3), [])
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
        for k in range(steps):
            rows = order[(k * p.batch) % (p.steps * p.batch) :][: p.batch]
            for model, opt, times in runs.values():
                start = time.process_time()
                opt.step(lambda m=model, a=x[rows], b=y[rows]: F.cross_entropy(m(a), b))  # type: ignore[misc]
                times.append(time.process_time() - start)
        fixed = statistics.mean(sorted(runs["SGD"][2][10:])[: steps - 15])
        found[problem] = {"SGD, ms": 1e3 * fixed} | {
            name: {"ratio": statistics.mean(sorted(times[10:])[: steps - 15]) / fixed,
                   "forwards": opt.counters.forwards / steps, "backwards": opt.counters.backwards / steps}
            for name, (_, opt, times) in runs.items()
        }  # fmt: skip
    return found


def main() -> None:
    """Choose, run, sum up."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", type=int, default=2, help="0: run nothing, sum up what is there")
    options.add_argument("--only", action="append", choices=list(PROBLEMS))
    options.add_argument("--runs", type=Path, default=Path("stepsizes.jsonl"))
    options.add_argument("--out", type=Path, default=Path("docs/results/stepsizes.json"))
    options.add_argument("--cost", action="store_true", help="measure a step, and nothing else")
    given = options.parse_args()
    result: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    if given.cost:
        result["cost"] = cost()
        print(json.dumps(result["cost"], indent=1))
    else:
        done = done_before(given.runs)
        result["left_out"] = {}
        for problem in given.only or PROBLEMS:
            try:
                chosen = {} if problem in COUNTED else tune(problem, done, given.runs, given.jobs)
                names = [n for n in methods(problem) if n != AUTHORS or at_hand()]
                wave(train, [(problem, n, lr, s, False) for s in range(SEEDS[problem]) for n in names
                             for lr in chosen.get(n, {"": 0.0}).values()], done, given.runs, given.jobs)  # fmt: skip
                result.setdefault("problems", {})[problem] = report(problem, chosen, done)
            except Missing as reason:
                result["left_out"][problem] = str(reason)
        asked = [{"question": q, "problem": n, "number": v, "bound": b, "holds": v <= b}
                 for q, n, v, b in answers(result["problems"])]  # fmt: skip
        result |= {"answers": asked, "torch": torch.__version__, "command": "python benchmarks/stepsizes.py"}
        for a in asked:
            print(
                f"{'holds    ' if a['holds'] else 'does not '} {a['question']:28s} {a['problem']:20s} {a['number']:.3g}"
            )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(written(result))


if __name__ == "__main__":
    main()
