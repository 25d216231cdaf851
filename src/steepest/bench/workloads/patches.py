"""Small images by networks of today: a vision transformer, a variational autoencoder, a denoiser.

Digits are scikit-learn's; the denoiser learns on squares of its photograph of a flower. Where a loss needs noise, the
noise belongs to the batch: step k of a seed has the same for every method, however often the method evaluates. The noise of
the evaluation is fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches, split
from steepest.bench.workloads.images import digits

LATENT = 8  # numbers that the variational autoencoder keeps of a digit
PIXEL = 0.2  # its standard deviation of a pixel; blank and black are 1 apart
DRAWS = 4  # of the noise, when it is evaluated
SIDE = 16  # pixels of a square of the photograph
NOISE = 0.5  # added to it, in its standard deviations


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_noise(batch: Callable[[int], Batch], shape: tuple[int, ...], seed: int) -> Callable[[int], Batch]:
    """The batches with normal noise of that shape, for each row its own, as their last tensor."""
    return lambda k: (*(rows := batch(k)), _noise((len(rows[0]), *shape), seed * 1_000_003 + k))


class Attention(nn.Module):
    """Squares of pixels as words of a transformer: two pre-norm layers with 4 heads, and a linear head on their mean."""

    def __init__(
        self, side: int = 8, patch: int = 2, width: int = 32, hidden: int = 128, classes: int = 10, layers: int = 2
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, width, patch, stride=patch)
        self.place = nn.Parameter(0.1 * torch.randn((side // patch) ** 2, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, hidden, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (batch, 1, side, side) to logits (batch, classes)."""
        h = self.embed(x).flatten(2).transpose(1, 2) + self.place
        for layer in self.layers:
            h = layer(h)
        logits: Tensor = self.head(self.norm(h).mean(1))
        return logits


def digits_vit(seed: int) -> Problem:
    """Digits by a small vision transformer."""
    train, held = digits()
    return Problem(Attention(), cross_entropy, minibatches(train, 64, seed), classification(held))


class Variational(nn.Module):
    """A digit as a normal distribution of LATENT numbers, and a draw from it as a digit."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2 * LATENT)
        )
        self.decode = nn.Sequential(
            nn.Linear(LATENT, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 64)
        )

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Minus the evidence lower bound of each row, in nats, up to the constant of the pixels' normal density."""
        mean, log_variance = self.encode(x).chunk(2, -1)
        seen = self.decode(mean + (log_variance / 2).exp() * noise)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2
        out: Tensor = (x - seen).square().sum(-1) / (2 * PIXEL**2) + divergence
        return out


def digits_vae(seed: int) -> Problem:
    """Digits by a variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114, equation 10)."""
    (x, _), (x_held, _) = digits()
    held = x_held.flatten(1).repeat(DRAWS, 1)
    noise = _noise((len(held), LATENT), 2024)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        mean: Tensor = model(*batch).mean()
        return mean

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"loss": loss(model, (held, noise)).item()}

    batch = with_noise(minibatches((x.flatten(1),), 64, seed), (LATENT,), seed)
    return Problem(Variational(), loss, batch, evaluate)


@lru_cache(maxsize=1)
def squares() -> tuple[Batch, Batch]:
    """The photograph in grey, standardised, cut into squares that do not overlap."""
    from sklearn.datasets import load_sample_image

    image = torch.tensor(load_sample_image("flower.jpg"), dtype=torch.float32).mean(-1)
    image = (image - image.mean()) / image.std()
    cut = image.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE).reshape(-1, 1, SIDE, SIDE)
    return split((cut,), held_out=len(cut) // 4)


class Residual(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        out: Tensor = x + self.net(x)
        return out


class Denoiser(nn.Module):
    """Guesses the noise and takes it away."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.noise = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), Residual(channels), Residual(channels), nn.ReLU(),
            nn.Conv2d(channels, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x."""
        out: Tensor = x - self.noise(x)
        return out


def flower_denoise(seed: int) -> Problem:
    """Squares of a photograph under noise, by a residual convolutional network."""
    train, (clean,) = squares()
    noisy = clean + NOISE * _noise(tuple(clean.shape), 2024)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        x, noise = batch
        return nn.functional.mse_loss(model(x + NOISE * noise), x)

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"loss": nn.functional.mse_loss(model(noisy), clean).item()}

    return Problem(Denoiser(), loss, with_noise(minibatches(train, 16, seed), (1, SIDE, SIDE), seed), evaluate)


PATCHES = (
    Workload("digits-vit", "vision transformer (2 layers, 32 wide), scikit-learn digits", digits_vit, 400 * STEP),
    Workload("digits-vae", "variational autoencoder with 8 latent numbers, scikit-learn digits", digits_vae,
             600 * STEP),
    Workload("flower-denoise", "residual convolutional network takes noise off a photograph", flower_denoise,
             300 * STEP),
)  # fmt: skip
