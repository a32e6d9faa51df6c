"""The mixture with another objective, which chapter 8 compares with that of chapter 5."""

from typing import Any

from torch import Tensor

from moe_lib.experts import Objective
from moe_lib.mixture import MixtureOfExperts


class LikelihoodMixture(MixtureOfExperts):
    r"""The same parts with the likelihood of the mixture:  mean_b -ln Σ_i p_i(x_b) exp( -loss_i(x_b, y_b) ).

    For regressions, whose loss is a negative log-likelihood of y up to a constant, so is this. With y = x it is none of
    the image, since the gate has seen it. Its gradient weighs expert i by the responsibility
    r_i = p_i exp(-loss_i) / Σ_j p_j exp(-loss_j),  not by p_i: an image belongs at once to the expert that explains it
    best. Jacobs et al. 1991, eq. 1.3. Explained in chapter 8.
    """

    def objective(self, x: Tensor, y: Tensor, noise: Any = None) -> Objective:
        """The two parts of the loss of a batch x (B, D), y (B, D_out); the noise is drawn unless given."""
        log_p = self.manager(x).float().log_softmax(dim=1)  # (B, E); ln of a p of zero would have no gradient
        losses = self.experts.losses(x, y, self.noise(len(x)) if noise is None else noise)  # (B, E)
        return Objective(-(log_p - losses).logsumexp(dim=1).mean(), self.balancing(x, log_p.exp()))
