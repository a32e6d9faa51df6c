"""Mixtures of experts without labels: the core of the book's library, all that chapters 1 to 5 train with.

Read `mixture` first, then `training`. Around this core are rooms: `moe_lib.scaling` (chapter 6), `moe_lib.measures`
(7), `moe_lib.ladder` (8, 9), `moe_lib.teaching` and `moe_lib.exercises` (all), `moe_lib.records` (models in files).
"""

from moe_lib.balance import ImportanceCV2, ImportanceVariance, Information, SwitchBalance, entropy
from moe_lib.checkpoint import CheckpointError
from moe_lib.data import Digits, Points, mnist, parabolas, two_parabolas
from moe_lib.experts import ELBO, Experts, Objective, RegressionExperts, VAEExperts
from moe_lib.layers import ExpertLinear
from moe_lib.manager import FixedManager, Manager
from moe_lib.metrics import borders, clustering_accuracy, contingency, evaluate, gate_health, match_experts
from moe_lib.mixture import CooperatingExperts, MixtureOfExperts, moe_vae
from moe_lib.training import History, best_of, fit, fit_parabolas

__version__ = "0.2.0.dev0"

__all__ = [
    "ELBO", "CheckpointError", "CooperatingExperts", "Digits", "ExpertLinear", "Experts", "FixedManager", "History",
    "ImportanceCV2", "ImportanceVariance", "Information", "Manager", "MixtureOfExperts", "Objective", "Points",
    "RegressionExperts", "SwitchBalance", "VAEExperts", "best_of", "borders", "clustering_accuracy", "contingency",
    "entropy", "evaluate", "fit", "fit_parabolas", "gate_health", "match_experts", "mnist", "moe_vae", "parabolas",
    "two_parabolas",
]  # fmt: skip
