"""The post's model and its training, written the obvious way: the pace that everything else is compared with."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class VAE(nn.Module):
    """784-128-10-128-784 with sigmoids; forward gives -ELBO of each image (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 20))
        self.decoder = nn.Sequential(nn.Linear(10, 128), nn.Sigmoid(), nn.Linear(128, 784), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        variance = 1e-5 + log_variance.exp()
        image = self.decoder(mean + variance.sqrt() * torch.randn_like(mean))
        constant = 784 * (math.log(0.5) + 0.5 * math.log(2 * math.pi))
        reconstruction = 2 * (x - image).square().sum(dim=1) + constant
        return reconstruction + 0.5 * (variance + mean.square() - 1 - variance.log()).sum(dim=1)


class PlainMixture(nn.Module):
    """A manager and a list of ten VAEs."""

    def __init__(self) -> None:
        super().__init__()
        self.manager = nn.Sequential(nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 10))
        self.experts = nn.ModuleList(VAE() for _ in range(10))

    def forward(self, x: Tensor) -> Tensor:
        p = self.manager(x).softmax(dim=1)
        losses = torch.stack([expert(x) for expert in self.experts], dim=1)
        return (p * losses).sum(dim=1).mean() + 0.1 * p.sum(dim=0).var(correction=0)


def train(images: Tensor, epochs: int, fused: bool, on_epoch: Callable[[int], None]) -> None:
    """The obvious loop, with Adam as PyTorch gives it or with its fused kernel."""
    model = PlainMixture().to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused or None)
    on_epoch(0)
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(images)).to(images.device).split(100):
            loss = model(images[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        on_epoch(epoch)
