"""Reading numbers aloud: digits in, English words out, by two recurrent networks and attention, eight at a time.

`70305` is "seventy thousand three hundred five": which word comes next hangs on a digit that stands elsewhere, and on
how many follow it, so that the decoder has to find its place (Luong, Pham & Manning 2015, arXiv 1508.04025: global
attention, score "general", without input feeding). All numbers below a million have an answer, so the data are exact;
4,000 of them are learnt from and 500 others are held out. They are drawn evenly by their logarithm, so that short ones
are there, too.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, minibatches, split

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
WORDS = {word: i for i, word in enumerate(["", "<start>", "<end>", *ONES, *TENS, "hundred", "thousand"])}
NOTHING, START, END = range(3)
DIGITS, LONGEST = 6, 10  # of a number; words of one, with its end: 777,777 has nine and the end
LEARNT, HELD = 4000, 500


def spoken(number: int) -> list[str]:
    """The words of a number below a million, without "and" and hyphens."""
    if number >= 1000:
        rest = number % 1000
        return [*spoken(number // 1000), "thousand", *(spoken(rest) if rest else [])]
    if number >= 100:
        rest = number % 100
        return [ONES[number // 100], "hundred", *(spoken(rest) if rest else [])]
    if number >= 20:
        return [TENS[number // 10 - 2], *([ONES[number % 10]] if number % 10 else [])]
    return [ONES[number]]


@lru_cache(maxsize=1)
def numbers() -> tuple[Batch, Batch]:
    """(digits + 1, words after a start, words before an end), filled up with NOTHING on the right."""
    random = torch.Generator().manual_seed(2024)
    tries = torch.rand(4 * (LEARNT + HELD), generator=random, dtype=torch.float64).mul(DIGITS)
    chosen = list(dict.fromkeys((10**tries).long().tolist()))[: LEARNT + HELD]
    digits = torch.zeros(len(chosen), DIGITS, dtype=torch.long)
    words = torch.zeros(len(chosen), LONGEST + 1, dtype=torch.long)
    for i, number in enumerate(chosen):
        read = [WORDS[word] for word in ["<start>", *spoken(number), "<end>"]]
        digits[i, : len(str(number))] = torch.tensor([int(c) + 1 for c in str(number)])
        words[i, : len(read)] = torch.tensor(read)
    return split((digits, words[:, :-1], words[:, 1:]), held_out=HELD)


class Reader(nn.Module):
    """An encoder of digits that reads both ways, a decoder of words, and attention between them."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.digits, self.words = nn.Embedding(11, 16), nn.Embedding(len(WORDS), 32)
        self.encoder = nn.GRU(16, width // 2, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(32, width, batch_first=True)
        self.score = nn.Linear(width, width, bias=False)
        self.mix, self.head = nn.Linear(2 * width, width), nn.Linear(width, len(WORDS))

    def forward(self, digits: Tensor, words: Tensor) -> Tensor:
        """Maps digits (batch, DIGITS) and words so far (batch, time) to logits of the next (batch, time, words)."""
        seen, last = self.encoder(self.digits(digits))
        state, _ = self.decoder(self.words(words), last.transpose(0, 1).flatten(1).unsqueeze(0))
        scores = (self.score(state) @ seen.transpose(1, 2)).masked_fill((digits == NOTHING).unsqueeze(1), -torch.inf)
        context = scores.softmax(-1) @ seen
        logits: Tensor = self.head(torch.tanh(self.mix(torch.cat([context, state], dim=-1))))
        return logits


def word_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy a word, what only fills up left out."""
    digits, before, after = batch
    return nn.functional.cross_entropy(model(digits, before).flatten(0, 1), after.flatten(), ignore_index=NOTHING)


def spoken_numbers(seed: int) -> Problem:
    """Numbers in digits to numbers in words, by recurrent networks with attention."""
    train, held = numbers()

    def evaluate(model: nn.Module) -> dict[str, float]:
        right = (model(*held[:2]).argmax(-1) == held[2]) | (held[2] == NOTHING)
        return {"loss": word_loss(model, held).item(), "whole numbers": right.all(-1).float().mean().item()}

    return Problem(Reader(), word_loss, minibatches(train, 8, seed), evaluate)


SEQUENCE = (
    Workload("spoken-numbers", "digits to English words: two recurrent networks with attention, batches of 8",
             spoken_numbers, 500 * STEP),
)  # fmt: skip
