"""Which letter or digit, in a type face that did not show it before? A residual network on images that are never the same.

The 62 characters come from 21 type faces that are inside matplotlib, plain, bold, slanted and of a typewriter, 20x20
pixels each; a quarter of these images is held out. O, 0 and o differ in little, so a part of the loss stays. For
training 16x16 pixels are cut out at a random place and printed in a random grey; what is held out is cut from the middle
and left black. Step k of a seed has the same cuts and greys for every method.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches, split

FACES = (
    "DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSans-BoldOblique DejaVuSansMono DejaVuSansMono-Bold "
    "DejaVuSansMono-Oblique DejaVuSansMono-BoldOblique DejaVuSerif DejaVuSerif-Bold DejaVuSerif-Italic "
    "DejaVuSerif-BoldItalic STIXGeneral STIXGeneralBol STIXGeneralItalic STIXGeneralBolIta cmb10 cmr10 cmss10 cmti10 "
    "cmtt10"
).split()
PACKAGES = {"matplotlib": "matplotlib", "PIL": "pillow"}
CHARACTERS = string.ascii_letters + string.digits
OUTER, SIDE, HEIGHT = 20, 16, 14  # pixels of an image, of what is cut out of it, and of a line of text
PALEST = 0.6  # grey of training; black is 1


def _home() -> Path:
    spec = find_spec("matplotlib")
    assert spec is not None and spec.origin is not None, no_faces()
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def no_faces() -> str | None:
    """None, or which packages or type faces are missing."""
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        return f"it needs more packages: pip install {' '.join(missing)}"
    absent = [face for face in FACES if not (_home() / f"{face}.ttf").is_file()]
    return f"matplotlib has no type faces {', '.join(absent)} on this machine" if absent else None


@lru_cache(maxsize=1)
def glyphs() -> tuple[Batch, Batch]:
    """Images (rows, 1, OUTER, OUTER) of characters, ink from 0 to 1, and which character."""
    from PIL import Image, ImageDraw, ImageFont

    images = []
    for face in FACES:
        font = ImageFont.truetype(str(_home() / f"{face}.ttf"), HEIGHT)
        for character in CHARACTERS:
            paper = Image.new("L", (OUTER, OUTER))
            left, _, right, _ = font.getbbox(character)
            middle = (OUTER - (right - left)) / 2 - left  # the line of writing is the same for all: p hangs below it
            ImageDraw.Draw(paper).text((middle, OUTER - 6), character, fill=255, font=font, anchor="ls")
            images.append(torch.tensor(list(paper.tobytes()), dtype=torch.float32).view(1, OUTER, OUTER) / 255)
    return split((torch.stack(images), torch.arange(len(CHARACTERS)).repeat(len(FACES))), held_out=len(images) // 4)


def middle(images: Tensor) -> Tensor:
    """SIDE pixels from the middle of each."""
    edge = (OUTER - SIDE) // 2
    return images[:, :, edge : edge + SIDE, edge : edge + SIDE].contiguous()


def augmented(rows: Callable[[int], Batch], seed: int) -> Callable[[int], Batch]:
    """Images cut at a random place and paled, and what they show."""

    def batch(k: int) -> Batch:
        images, shown = rows(k)
        random, n = torch.Generator().manual_seed(seed * 1_000_003 + k), len(images)
        places = torch.randint(OUTER - SIDE + 1, (2, n, 1), generator=random) + torch.arange(SIDE)
        cut = images[torch.arange(n).view(n, 1, 1), 0, places[0].unsqueeze(2), places[1].unsqueeze(1)].unsqueeze(1)
        return cut * (PALEST + (1 - PALEST) * torch.rand(n, 1, 1, 1, generator=random)), shown

    return batch


class Block(nn.Module):
    """relu(short(x) + bn(conv(relu(bn(conv x))))): the basic block of He et al. 2016, arXiv 1512.03385."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.long = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.short = nn.Identity() if stride == 1 else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Half as high and wide where there are more channels."""
        return torch.relu(self.short(x) + self.long(x))


def glyphs_resnet(seed: int) -> Problem:
    """Letters and digits of many type faces by a residual network of eight layers."""
    train, (held, shown) = glyphs()
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
        Block(12, 24), Block(24, 48), Block(48, 48), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(48, len(CHARACTERS)),
    )  # fmt: skip
    test = classification((middle(held), shown), chunk=128)
    return Problem(model, cross_entropy, augmented(minibatches(train, 64, seed), seed), test)


GLYPHS = (
    Workload("glyphs-resnet", "residual network with batch norm and augmentation: 62 characters in 21 type faces",
             glyphs_resnet, 250 * STEP, reason_to_skip=no_faces),
)  # fmt: skip
