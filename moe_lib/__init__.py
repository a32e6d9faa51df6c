"""Mixtures of experts without labels: the library of the book. Each module is one concept; start with `mixture`."""

from moe_lib.balance import Balance, ImportanceCV2, ImportanceVariance, Information, SwitchBalance, entropy
from moe_lib.chapter import Chapter, say, table
from moe_lib.checkpoint import CheckpointError
from moe_lib.claims import Claims
from moe_lib.data import Digits, TwoParabolas, mnist, parabolas, two_parabolas
from moe_lib.experts import ELBO, Experts, Objective, RegressionExperts, VAEExperts
from moe_lib.layers import ExpertLinear
from moe_lib.manager import FixedManager, Manager
from moe_lib.metrics import (
    Evaluation,
    GateHealth,
    borders,
    clustering_accuracy,
    contingency,
    evaluate,
    gate_health,
    match_experts,
    purity,
)
from moe_lib.mixture import CooperatingExperts, MixtureOfExperts
from moe_lib.recipes import fit_parabolas, moe_vae
from moe_lib.results import load_results
from moe_lib.training import History, best_of, fit, resolve_device

__version__ = "0.1.0"

__all__ = [
    "ELBO",
    "Balance",
    "Chapter",
    "CheckpointError",
    "Claims",
    "CooperatingExperts",
    "Digits",
    "Evaluation",
    "ExpertLinear",
    "Experts",
    "FixedManager",
    "GateHealth",
    "History",
    "ImportanceCV2",
    "ImportanceVariance",
    "Information",
    "Manager",
    "MixtureOfExperts",
    "Objective",
    "RegressionExperts",
    "SwitchBalance",
    "TwoParabolas",
    "VAEExperts",
    "best_of",
    "borders",
    "clustering_accuracy",
    "contingency",
    "entropy",
    "evaluate",
    "fit",
    "fit_parabolas",
    "gate_health",
    "load_results",
    "match_experts",
    "mnist",
    "moe_vae",
    "parabolas",
    "purity",
    "resolve_device",
    "say",
    "table",
    "two_parabolas",
]
