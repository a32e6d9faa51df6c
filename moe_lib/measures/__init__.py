"""Measures, chapter 7: how likely a mixture finds an image, what its drawings show, how experiments score a run."""

from moe_lib.measures.examination import Examination, examine
from moe_lib.measures.likelihood import NegativeELBO, iwae, negative_elbo
from moe_lib.measures.scoring import (
    accuracy,
    agreement,
    barred_sevens_by,
    both_protocols,
    measure,
    portrait,
    posterior,
    purity,
    share_right,
    summary,
)  # fmt: skip

__all__ = [
    "Examination", "NegativeELBO", "accuracy", "agreement", "barred_sevens_by", "both_protocols", "examine", "iwae",
    "measure", "negative_elbo", "portrait", "posterior", "purity", "share_right", "summary",
]  # fmt: skip
