"""Mixtures of experts without labels: the library of the book. Each module is one concept; start with `mixture`."""

import moe_lib.exercises as exercises
from moe_lib.augmentation import Augmentation, Deformation
from moe_lib.balance import (
    Balance,
    Floor,
    GateKL,
    ImportanceCV2,
    ImportanceVariance,
    Information,
    SwitchBalance,
    Together,
    entropy,
)
from moe_lib.chapter import Chapter, from_to, mean_sd, say, table
from moe_lib.checkpoint import CheckpointError
from moe_lib.claims import Claims
from moe_lib.convolutional import ConvVAEExperts
from moe_lib.data import Digits, Points, Sevens, arcs, mnist, parabolas, sevens, two_levels, two_parabolas
from moe_lib.teaching.diagrams import Diagram, diagram
from moe_lib.examination import Examination, examine
from moe_lib.experts import ELBO, Experts, Objective, RegressionExperts, VAEExperts
from moe_lib.gates import AnnealedManager, BiasedManager, SinkhornManager
from moe_lib.grouping import group_experts
from moe_lib.invariance import InvariantMixture, joint_information, joint_use, pair_information
from moe_lib.layers import ExpertLinear
from moe_lib.likelihood import NegativeELBO, iwae, negative_elbo
from moe_lib.manager import ConvManager, FixedManager, Manager
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
from moe_lib.mixture import CooperatingExperts, LikelihoodMixture, MixtureOfExperts
from moe_lib.neighbours import neighbours, relatives
from moe_lib.pretrained import load_examiner, load_pretrained
from moe_lib.prototypes import PrototypeExperts
from moe_lib.recipes import fit_invariant, fit_own, fit_parabolas, invariant_vae, moe_vae
from moe_lib.results import load_results
from moe_lib.strokes import Strokes, explained_variance, strokes, upright
from moe_lib.training import History, best_of, fit, resolve_device
from moe_lib.tree import Managers, Mixtures, flattened

__version__ = "0.1.0"

__all__ = [
    "ELBO",
    "AnnealedManager",
    "Augmentation",
    "Balance",
    "BiasedManager",
    "Chapter",
    "CheckpointError",
    "Claims",
    "ConvManager",
    "ConvVAEExperts",
    "CooperatingExperts",
    "Deformation",
    "Diagram",
    "Digits",
    "Evaluation",
    "Examination",
    "ExpertLinear",
    "Experts",
    "FixedManager",
    "Floor",
    "GateHealth",
    "GateKL",
    "History",
    "ImportanceCV2",
    "ImportanceVariance",
    "Information",
    "InvariantMixture",
    "LikelihoodMixture",
    "Manager",
    "Managers",
    "MixtureOfExperts",
    "Mixtures",
    "NegativeELBO",
    "Objective",
    "Points",
    "PrototypeExperts",
    "RegressionExperts",
    "Sevens",
    "SinkhornManager",
    "Strokes",
    "SwitchBalance",
    "Together",
    "VAEExperts",
    "arcs",
    "best_of",
    "borders",
    "clustering_accuracy",
    "contingency",
    "diagram",
    "entropy",
    "evaluate",
    "examine",
    "exercises",
    "explained_variance",
    "fit",
    "fit_invariant",
    "fit_own",
    "fit_parabolas",
    "flattened",
    "from_to",
    "gate_health",
    "group_experts",
    "invariant_vae",
    "iwae",
    "joint_information",
    "joint_use",
    "load_examiner",
    "load_pretrained",
    "load_results",
    "match_experts",
    "mean_sd",
    "mnist",
    "moe_vae",
    "negative_elbo",
    "neighbours",
    "pair_information",
    "parabolas",
    "purity",
    "relatives",
    "resolve_device",
    "say",
    "sevens",
    "strokes",
    "table",
    "two_levels",
    "two_parabolas",
    "upright",
]
