"""A vision transformer that knows half of the letters and digits, fine-tuned whole to the other half with few images.

It has learnt to classify a, c, e and every second character from there, in all type faces. Its attention is kept, its
head is new, and 200 images of the 31 other characters must do; 400 more of these are held out. The weights that it
starts from are made here, in some seconds and always the same, when a process first needs them.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches, split
from steepest.bench.workloads.glyphs import CHARACTERS, SIDE, augmented, glyphs, middle, no_faces
from steepest.bench.workloads.patches import Attention

FEW, HELD = 200, 400  # images to be fine-tuned with, and of the others those held out
CLASSES = len(CHARACTERS) // 2


@lru_cache(maxsize=1)
def halves() -> tuple[Batch, Batch, Batch]:
    """(images, character): to know first; then, of the other characters, few to learn from and those held out."""
    images, shown = (torch.cat(both) for both in zip(*glyphs(), strict=True))
    first = shown % 2 == 0
    few, (x, y) = split((images[~first], shown[~first] // 2), held_out=int((~first).sum()) - FEW)
    return (images[first], shown[first] // 2), few, (middle(x[:HELD]), y[:HELD])


def vision() -> Attention:
    """A transformer, 48 wide, on squares of 4x4 pixels."""
    return Attention(side=SIDE, patch=4, width=48, hidden=96, classes=CLASSES)


@lru_cache(maxsize=1)
def pretrained() -> dict[str, Tensor]:
    """Weights that classify the first half: 600 steps of AdamW from a seed of their own; without the head."""
    with torch.random.fork_rng():
        torch.manual_seed(2024)
        model, batch = vision(), augmented(minibatches(halves()[0], 64, 2024), 2024)
        opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for k in range(600):
            opt.zero_grad()
            cross_entropy(model, batch(k)).backward()
            opt.step()
    return {name: value for name, value in model.state_dict().items() if not name.startswith("head.")}


def glyphs_finetune(seed: int) -> Problem:
    """A vision transformer that knows other characters learns 31 from 200 images; all its weights move."""
    model, (_, few, held) = vision(), halves()
    model.load_state_dict(pretrained(), strict=False)
    return Problem(model, cross_entropy, augmented(minibatches(few, 16, seed), seed), classification(held))


TRANSFER = (
    Workload("glyphs-finetune", "a vision transformer pretrained on 31 characters, fine-tuned to 31 others, 200 images",
             glyphs_finetune, 300 * STEP, reason_to_skip=no_faces),
)  # fmt: skip
