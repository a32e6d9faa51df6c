"""Measures, chapter 7: how likely a mixture finds an image, what its drawings show, how experiments score a run."""

from moe_lib.measures.examination import Examination, examine
from moe_lib.measures.likelihood import NegativeELBO, iwae, negative_elbo

__all__ = ["Examination", "NegativeELBO", "examine", "iwae", "negative_elbo"]
