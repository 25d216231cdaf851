"""What a damaged checkpoint can do: mutate what was saved, load it, take some steps, count what happens.

Every method of ``steepest.methods`` and some assemblies with charts, channels and averages, under every codec, save a
run of three steps.  Copies of that are damaged as a bad disk, a script, another model, another method or an attacker
would: types, shapes, lengths, layouts, missing, extra and swapped entries, scales that are cut, other ranks and codecs,
words for numbers, NaN for numbers, torch's own checkpoints.  Each is loaded into a new optimizer, or into one that has
moved already, and three steps follow if it is taken.  All of it happens in forked processes, so a signal ends a batch and
is counted.

- *loaded*: taken, and the steps ran;
- *refused*: a ValueError or TypeError of one line, and weights, state, groups and counters are what they were;
- *half loaded*: refused, and something has changed;
- *no sentence*: refused by another exception, or in several lines;
- *broke later*: taken, and a step raised;
- *signal*: the process died, or hung for a minute.

    python benchmarks/fuzz_checkpoints.py [--mutations 2000] [--seed 0] [--methods '*'] [--sanitize]

``--sanitize`` builds the loops with gcc's or clang's AddressSanitizer, which looks at each access to memory.
"""

from __future__ import annotations

import argparse
import copy
import fnmatch
import io
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

import steepest
from steepest import channel, chart, direction, oracle, point

CODECS = ("float32", "bfloat16", "int8")
OUTCOMES = ("loaded", "refused", "half loaded", "no sentence", "broke later", "signal")
STEPS, PATIENCE = 3, 60
SHAPES = ((24, 40), (600,), (), (2, 3, 4, 5), (33,), (40, 24), (5000,))
TYPES = (torch.float16, torch.bfloat16, torch.float64, torch.float32, torch.uint8, torch.int8, torch.int64, torch.bool,
         torch.complex64, torch.float8_e5m2)  # fmt: skip
SMALL: dict[str, dict[str, Any]] = {"GaLore": {"rank": 4, "every": 2}, "FRUGAL": {"rank": 4, "every": 2},
                                    "BAR": {"pairs": ((0, 5),)}, "SGD": {"momentum": 0.9}}  # fmt: skip

Saved = dict[str, Any]
Mutation = Callable[[random.Random, Saved, "Case"], None]


def assembled(seed_parts: Callable[[], dict[str, Any]]) -> Callable[..., steepest.Optimizer]:
    """An assembly that no method's name stands for."""
    return lambda params, **options: steepest.Optimizer(params, lr=0.01, **seed_parts(), **options)


ASSEMBLED: dict[str, Callable[..., steepest.Optimizer]] = {
    "columns": assembled(lambda: {"direction": direction.Adam(),
                                  "chart": chart.LowRank(rank=3, every=2, projection="columns")}),
    "waiting in a chart": assembled(lambda: {"direction": direction.Adam(), "point": point.SMBi(),
                                             "oracle": oracle.TwoPoint(), "chart": chart.LowRank(rank=3)}),
    "average": assembled(lambda: {"direction": direction.Lion(), "point": point.Average()}),
    "spikes": assembled(lambda: {"direction": direction.Adam(), "oracle": oracle.SkipSpikes(listen=1)}),
    "channel": assembled(lambda: {"direction": direction.Momentum(), "channel": channel.TopK(0.2)}),
}  # fmt: skip


class Case:
    """A method under a codec: how to make it, and what others save."""

    def __init__(self, name: str, codec: str) -> None:
        self.name, self.codec = name, codec

    def make(self, params: list[nn.Parameter], **other: Any) -> steepest.Optimizer:
        """A new optimizer."""
        if self.name in ASSEMBLED:
            return ASSEMBLED[self.name](params, **{"codec": self.codec, **other})
        return steepest.methods[self.name].make(params, **{**SMALL.get(self.name, {}), "codec": self.codec, **other})

    def saved(self, shapes: tuple[tuple[int, ...], ...] = SHAPES, **other: Any) -> Saved:
        """What it has saved after three steps on parameters of these shapes."""
        params = parameters(shapes)
        opt = self.make(params, **other)
        walk(opt, params, 3)
        return through_file(opt.state_dict())


def parameters(shapes: tuple[tuple[int, ...], ...] = SHAPES, like: torch.dtype = torch.float32) -> list[nn.Parameter]:
    """Weights of several shapes, layouts and types."""
    made = []
    for i, shape in enumerate(shapes):
        x = torch.rand(shape, generator=torch.Generator().manual_seed(i)).to(like) + 0.1
        made.append(nn.Parameter(x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x))
    if len(shapes) > 4 and like is torch.float32:
        made[4] = nn.Parameter(made[4].detach().to(torch.bfloat16))
    return made


def walk(opt: Any, params: list[nn.Parameter], steps: int) -> None:
    """Some steps on a bowl."""

    def loss() -> Tensor:
        return torch.stack([(p.float() - 0.5).square().mean() for p in params]).sum()

    for _ in range(steps):
        opt.step(loss)


def through_file(state: Saved) -> Saved:
    """As ``torch.load(weights_only=True)`` gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: Saved = torch.load(file, weights_only=True)
    return loaded


# ---- mutations -------------------------------------------------------------------------------------------------------


def some(rng: random.Random, saved: Saved, wanted: Callable[[str, Any], bool] = lambda _, v: True) -> Any:
    """An entry and a name in it, or None where there is none."""
    found = [(e, n) for e in saved["state"].values() if isinstance(e, dict) for n, v in e.items() if wanted(n, v)]
    return rng.choice(found) if found else None


def on_tensor(change: Callable[[random.Random, Tensor], Any], only: str = "") -> Mutation:
    """Put something else where a tensor is (one whose name ends so)."""

    def mutate(rng: random.Random, saved: Saved, case: Case) -> None:
        found = some(rng, saved, lambda n, v: isinstance(v, Tensor) and n.endswith(only))
        if found is not None:
            entry, name = found
            entry[name] = change(rng, entry[name])

    return mutate


def cut(rng: random.Random, t: Tensor) -> Tensor:
    """Another number of elements."""
    v = t.reshape(-1)
    return rng.choice([v[:0], v[:1], v[: len(v) // 2], torch.cat([v, v]), v[:-1], t[None], v])


def reshaped(rng: random.Random, t: Tensor) -> Tensor:
    """The same elements in another shape."""
    return rng.choice([t.reshape(-1), t.mT if t.dim() > 1 else t[None], t.reshape(1, -1), t.unsqueeze(-1)])


def strided(rng: random.Random, t: Tensor) -> Tensor:
    """The same shape, otherwise in memory."""
    wide = torch.stack([t, t], -1)[..., 0]
    turned = t.mT.contiguous().mT if t.dim() > 1 else t.flip(0) if t.dim() else t
    return rng.choice([wide, turned, t.reshape(-1)[:1].reshape([1] * t.dim()).expand(t.shape) if t.numel() else t])


def odd(rng: random.Random, t: Tensor) -> Any:
    """No plain tensor at all."""
    return rng.choice([5, 0.5, None, "x", [1.0, 2.0], {}, {"a": t}, True, b"x", t.tolist(), t.to("meta"),
                       t.float().contiguous().to_sparse() if t.numel() else 0, nn.Parameter(t.float()),
                       torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8), t.float().requires_grad_()])  # fmt: skip


def values(rng: random.Random, t: Tensor) -> Tensor:
    """Other numbers."""
    if not t.is_floating_point():
        return rng.choice([torch.full_like(t, 127), torch.zeros_like(t), t + 100])
    return t * rng.choice([0.0, -1.0, 1e38, float("nan"), float("inf"), 1e-42])


NUMBERS = (float("nan"), -1, -1.0, float("inf"), 2.5, "x", None, [], {}, 1j, 10**400, True, torch.tensor(float("nan")),
           torch.zeros(3), (0.9,), (0.9, 0.99, 0.5), ("a", "b"), (float("nan"), 0.5), 1e300, 0)  # fmt: skip


def group_number(rng: random.Random, saved: Saved, case: Case) -> None:
    """Something else for a number of a group."""
    group = rng.choice(saved["param_groups"])
    group[rng.choice(list(group))] = rng.choice(NUMBERS)


def step_count(rng: random.Random, saved: Saved, case: Case) -> None:
    """Another count of steps."""
    entry = rng.choice([e for e in saved["state"].values() if isinstance(e, dict)] or [{}])
    entry["step"] = rng.choice([*NUMBERS, -3, 2**40, 2**70, torch.tensor(3.0), torch.tensor([1, 2]), torch.tensor(-1)])


def lost(rng: random.Random, saved: Saved, case: Case) -> None:
    """A key less, somewhere."""
    places = [saved, saved["state"], rng.choice(saved["param_groups"]), *saved["state"].values()]
    place = rng.choice([d for d in places if isinstance(d, dict) and d] or [saved])
    place.pop(rng.choice(list(place)))


def gained(rng: random.Random, saved: Saved, case: Case) -> None:
    """A key more, somewhere."""
    place = rng.choice([saved, saved["state"], *saved["param_groups"], *saved["state"].values()])
    if isinstance(place, dict):
        names = ["m", "v", "m.scale", "v.scale", "P", "e", "step", "exp_avg", "momentum_buffer", "z", 99, "x0", "averaged",
                 "counters", "waiting", "slow", 3]  # fmt: skip
        place[rng.choice(names)] = rng.choice([torch.zeros(7), torch.zeros(24, 40), 1, {}, {"m": torch.zeros(3)}, None])


def swapped(rng: random.Random, saved: Saved, case: Case) -> None:
    """Two parameters' entries, or two tensors of one, in each other's place."""
    state = saved["state"]
    if rng.random() < 0.5 and len(state) > 1:
        a, b = rng.sample(list(state), 2)
        state[a], state[b] = state[b], state[a]
    elif (found := some(rng, saved)) is not None:
        entry, name = found
        other = rng.choice(list(entry))
        entry[name], entry[other] = entry[other], entry[name]


def of_another(rng: random.Random, saved: Saved, case: Case) -> None:
    """What another codec, rank, model or method has saved."""
    if case.name in ("GaLore", "FRUGAL") and rng.random() < 0.5:
        made = case.saved(rank=rng.choice([1, 2, 8, 23]), projection=rng.choice(["svd", "random", "columns"]))
    elif rng.random() < 0.4:
        made = case.saved(codec=rng.choice(CODECS))
    elif rng.random() < 0.5:
        made = case.saved(shapes=tuple(rng.sample(SHAPES[:4], 4)) + tuple(rng.sample(SHAPES[4:], 3)))
    else:
        made = Case(rng.choice([*steepest.methods]), rng.choice(CODECS)).saved()
    saved.clear()
    saved.update(made)


def of_torch(rng: random.Random, saved: Saved, case: Case) -> None:
    """What a method of torch has saved, for a model in some precision."""
    makes: list[Callable[..., Any]] = [torch.optim.AdamW, torch.optim.Adam, torch.optim.NAdam, torch.optim.Adagrad,
                                       torch.optim.SGD, torch.optim.RMSprop, torch.optim.LBFGS, torch.optim.Adamax,
                                       lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
                                       lambda p: torch.optim.Adam(p, amsgrad=True)]  # fmt: skip
    same = getattr(torch.optim, case.name.replace("AdaGrad", "Adagrad"), None)
    make = same if same is not None and rng.random() < 0.5 else rng.choice(makes)
    params = parameters(like=rng.choice([torch.float32, torch.float16, torch.bfloat16, torch.float64]))
    opt = make(params)
    for p in params:
        p.grad = torch.ones(p.shape, dtype=p.dtype)  # LBFGS takes views of it
    opt.step(lambda: torch.tensor(1.0))
    saved.clear()
    saved.update(through_file(opt.state_dict()))


def misshapen(rng: random.Random, saved: Saved, case: Case) -> None:
    """Another thing where a dict or a list is."""
    thing = rng.choice([None, 3, [], {}, [1], "x", {"a": 1}, torch.zeros(3), [{}], [None]])
    place = rng.choice(["state", "param_groups", "counters", "entry", "params", "group", "norms", "counter"])
    if place in ("state", "param_groups", "counters"):
        saved[place] = thing
    elif place == "entry" and saved["state"]:
        saved["state"][rng.choice(list(saved["state"]))] = thing
    elif place == "params":
        count = len(saved["param_groups"][0]["params"])
        saved["param_groups"][0]["params"] = rng.choice([thing, [0] * count, [*"abcdefghij"][:count], [[1]] * count])
    elif place == "group":
        saved["param_groups"][0] = thing
    elif place == "counter" and isinstance(saved.get("counters"), dict):
        saved["counters"]["steps"] = rng.choice(NUMBERS)
    else:
        saved["param_groups"][0]["norms"] = thing


MUTATIONS: dict[str, Mutation] = {
    "type": on_tensor(lambda rng, t: t.to(rng.choice(TYPES))),
    "length": on_tensor(cut),
    "shape": on_tensor(reshaped),
    "strides": on_tensor(strided),
    "no tensor": on_tensor(odd),
    "values": on_tensor(values),
    "scale cut": on_tensor(cut, ".scale"),
    "scale type": on_tensor(lambda rng, t: t.to(rng.choice(TYPES)), ".scale"),
    "scale odd": on_tensor(odd, ".scale"),
    "group": group_number,
    "step": step_count,
    "lost": lost,
    "gained": gained,
    "swapped": swapped,
    "of another": of_another,
    "of torch": of_torch,
    "misshapen": misshapen,
}


def mutated(rng: random.Random, saved: Saved, case: Case) -> str:
    """Damage ``saved`` once, or twice; what was done."""
    names = rng.choices([*MUTATIONS], k=rng.choice([1, 1, 1, 2]))
    for name in names:
        try:
            MUTATIONS[name](rng, saved, case)
        except (KeyError, IndexError, AttributeError, TypeError, RuntimeError):
            continue  # the first has left nothing to damage
    return " + ".join(names)


# ---- outcomes --------------------------------------------------------------------------------------------------------


def frozen(value: Any) -> Any:
    """A copy that can be compared."""
    if isinstance(value, Tensor):
        if value.layout is not torch.strided or value.device.type == "meta":
            return str(value.layout), str(value.device)
        return (str(value.dtype), tuple(value.shape), value.detach().double().reshape(-1).tolist())
    if isinstance(value, dict):
        return {k: frozen(v) for k, v in value.items()}
    return [frozen(v) for v in value] if isinstance(value, (list, tuple)) else value


def try_one(rng: random.Random, case: Case, good: Saved) -> tuple[str, str]:
    """Damage, load, step: the outcome, and what was done and said."""
    saved = copy.deepcopy(good)
    what = mutated(rng, saved, case)
    params = parameters()
    opt = case.make(params)
    if rng.random() < 0.5:
        walk(opt, params, 2)
    before = repr(frozen([opt.state_dict(), params]))
    try:
        opt.load_state_dict(saved)
    except Exception as error:  # noqa: BLE001 - which kind is what is asked
        said = f"{what}: {type(error).__name__}: {error}"
        if repr(frozen([opt.state_dict(), params])) != before:
            return "half loaded", said
        plain = isinstance(error, (ValueError, TypeError)) and "\n" not in str(error)
        ours = error.__traceback__ is not None and "steepest" in _raised_in(error)
        return ("refused" if plain and ours else "no sentence"), said
    try:
        walk(opt, params, STEPS)
        through_file(opt.state_dict())
    except Exception as error:  # noqa: BLE001
        return "broke later", f"{what}: {type(error).__name__}: {error}"
    return "loaded", what


def _raised_in(error: BaseException) -> str:
    """The file in which an exception was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else trace.tb_frame.f_code.co_filename


def batch(case: Case, seeds: list[int], out: int) -> None:
    """Try these mutations one after another, and write what comes of each."""
    warnings.simplefilter("ignore")
    good = case.saved()
    for seed in seeds:
        signal.alarm(PATIENCE)
        outcome, said = try_one(random.Random(seed), case, good)
        os.write(out, f"{seed}\t{outcome}\t{said!r}\n".encode(errors="replace"))


def forked(case: Case, seeds: list[int]) -> Iterator[tuple[int, str, str]]:
    """The same in processes of their own; one that dies is followed by one for the rest."""
    while seeds:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            try:
                batch(case, seeds, write)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 - the child ends here, whatever it was
                os.write(2, f"{case.name}, {case.codec}: {type(error).__name__}: {error}\n".encode())
                os._exit(1)
        os.close(write)
        with os.fdopen(read, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                seed, outcome, said = line.rstrip("\n").split("\t", 2)
                seeds = [s for s in seeds if s != int(seed)]
                yield int(seed), outcome, said
        _, status = os.waitpid(pid, 0)
        if status and seeds:
            seed, *seeds = seeds
            how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
            yield seed, "signal", how


def sanitized() -> None:
    """Begin anew with the loops built under AddressSanitizer."""
    cc = os.environ.get("CC", "cc")
    libraries = [
        subprocess.run([*cc.split(), f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        for name in ("libasan.so", "libstdc++.so.6")
    ]  # the second for exceptions of torch's
    env = os.environ | {"CC": f"{cc} -fsanitize=address -fno-omit-frame-pointer",
                        "LD_PRELOAD": " ".join(found.stdout.strip() for found in libraries),
                        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:verify_asan_link_order=0"}  # fmt: skip
    rest = [a for a in sys.argv[1:] if a != "--sanitize"]
    os.execve(sys.executable, [sys.executable, __file__, *rest], env)


def main() -> int:
    """Run, print the table, and answer how many outcomes were bad."""
    read = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    read.add_argument("--mutations", type=int, default=2000)
    read.add_argument("--seed", type=int, default=0)
    read.add_argument("--methods", default="*", help="a pattern of names; default all")
    read.add_argument("--sanitize", action="store_true", help="build the loops under AddressSanitizer")
    read.add_argument("--show", default="half loaded,no sentence,broke later,signal", help="outcomes that are printed")
    asked = read.parse_args()
    if asked.sanitize:
        sanitized()
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    names = [n for n in (*steepest.methods, *ASSEMBLED) if fnmatch.fnmatch(n, asked.methods)]
    cases = [Case(name, codec) for name in names for codec in CODECS]
    seeds: list[list[int]] = [[] for _ in cases]
    for k in range(asked.mutations):
        seeds[k % len(cases)].append(1_000_003 * asked.seed + k)
    counts, began = Counter[str](), time.perf_counter()
    for case, mine in zip(cases, seeds, strict=True):
        for seed, outcome, said in forked(case, mine):
            counts[outcome] += 1
            if outcome in asked.show.split(","):
                print(f"{outcome}: {case.name}, {case.codec}, {seed}: {said[:300]}", flush=True)
    print(f"{sum(counts.values())} mutations, {len(names)} methods, {len(CODECS)} codecs, seed {asked.seed}, "
          f"{time.perf_counter() - began:.0f} s")  # fmt: skip
    print(", ".join(f"{outcome} {counts[outcome]}" for outcome in OUTCOMES))
    return sum(counts[o] for o in OUTCOMES[2:])


if __name__ == "__main__":
    sys.exit(min(main(), 100))
