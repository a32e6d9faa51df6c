"""One VAE whose latents come from a mixture of Gaussians (VaDE): how does it sort the same digits? Read by chapter 7.

    python experiments/vade.py      about half an hour on one CPU core; goes on where it was stopped

As Jiang and others proposed in 2017 (arXiv:1611.05148): an autoencoder first, then a Gaussian mixture on its latents as
the start, then both are trained together by the ELBO. Ten seeds. The network is smaller than theirs (784-500-10-500-784
with ReLU; theirs has 500, 500 and 2,000 units on each side), and it learns for 10 epochs as an autoencoder and for 40
as VaDE (theirs learns longer). Pixels are Bernoulli's, as theirs: nats do not compare with the rest of this book.
Settings were fixed before the first run; labels score and choose nothing.
"""

import math
import time

import torch
import torch.nn.functional as F
from protocol import FAST, digits
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from moe_lib import VAEExperts, fit
from moe_lib.measures import both_protocols
from moe_lib.records.experiment import Experiment, outcome

RUNS = [({"pretrain": 10, "epochs": 40}, seed) for seed in range(10)]


class VaDE(VAEExperts):
    r"""One VAE with the prior  p(z) = Σ_c π_c N(z; μ_c, diag v_c), or, before it has one, an autoencoder.

    -ELBO = -E ln p(x|z) + Σ_c γ_c KL( q(z|x) ‖ N(μ_c, v_c) ) + KL( γ ‖ π ), with γ_c = p(c | z) at the drawn z.
    """

    def __init__(self, classes: int, **size) -> None:
        super().__init__(num_experts=1, **size)
        self.mean = nn.Parameter(torch.zeros(classes, self.latent))
        self.log_variance = nn.Parameter(torch.zeros(classes, self.latent))
        self.logits = nn.Parameter(torch.zeros(classes))
        self.pretraining = True

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        drawn = super().noise(n, generator)
        return torch.zeros_like(drawn) if self.pretraining else drawn

    def responsibilities(self, z: Tensor) -> Tensor:
        """ln p(c | z) of latents (B, Z) → (B, C)."""
        distance = (z.unsqueeze(1) - self.mean).square() / self.log_variance.exp()
        joint = self.logits.log_softmax(dim=0) - 0.5 * (distance + self.log_variance).sum(dim=2)
        return joint.log_softmax(dim=1)

    def losses(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        noise = self.noise(len(x)) if noise is None else noise
        (mean,), (variance,) = self.encode(x)  # (B, Z) each
        z = mean + variance.sqrt() * noise[:, 0]
        logits = self.decoder(z)[0].float()
        reconstruction = F.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(dim=1)
        if self.pretraining:
            return reconstruction.unsqueeze(1)
        log_gamma, prior = self.responsibilities(z), self.log_variance.exp()
        ratio = (variance.unsqueeze(1) + (mean.unsqueeze(1) - self.mean).square()) / prior  # (B, C, Z)
        kl = 0.5 * (ratio + self.log_variance - variance.log().unsqueeze(1) - 1).sum(dim=2)  # (B, C)
        chosen = log_gamma.exp() * (kl + log_gamma - self.logits.log_softmax(dim=0))
        return (reconstruction + chosen.sum(dim=1)).unsqueeze(1)

    @torch.no_grad()
    def classes(self, x: Tensor) -> Tensor:
        """The most probable component at the mean of q(z | x), int64 (B,)."""
        return torch.cat([self.responsibilities(self.encode(part)[0][0]).argmax(dim=1) for part in x.split(1000)])


def one(config: dict, seed: int) -> dict:
    train, test = digits("raw")
    start = time.perf_counter()
    torch.manual_seed(seed)
    model = VaDE(10, hidden=(500,), latent=10, activation="relu")
    settings = {"batch_size": 100, "lr": 1e-3, "seed": seed, "progress": False, **FAST}
    fit(model, train.images, train.images, epochs=config["pretrain"], **settings)
    latents = model.encode(train.images)[0][0].detach()
    gmm = GaussianMixture(10, covariance_type="diag", random_state=seed).fit(latents.numpy())
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(gmm.means_))
        model.log_variance.copy_(torch.from_numpy(gmm.covariances_).log())
        model.logits.copy_(torch.from_numpy(gmm.weights_).log())
        model.encoder[-1].weight[0, :, model.latent :] = 0
        model.encoder[-1].bias[0, 0, model.latent :] = math.log(0.01)  # q starts narrow: the autoencoder had no noise
    model.pretraining = False

    def scored() -> dict[str, float]:
        return both_protocols(model.classes(train.images), train.labels, model.classes(test.images), test.labels)

    at_the_start = scored()
    history = fit(model, train.images, train.images, epochs=config["epochs"], **settings)
    metrics = {**scored(), "at_the_start": at_the_start, "train_expected": history.expected}
    return outcome(metrics, time.perf_counter() - start, "bf16")


EXPERIMENT = Experiment(
    name="vade",
    what="a VAE with a mixture of ten Gaussians for its prior; map fitted on training images, scored on test images",
    unit="nats per image; shares in [0, 1]; accuracy_all: all 70,000 images at once",
    runs=RUNS,
    one=one,
)

if __name__ == "__main__":
    EXPERIMENT.run()
