"""The ladder, chapters 8 and 9: what sorts digits better than the post's model, and experts that are mixtures.

Read `invariance` first, then `recipes`, which trains it, and `tree`. Other managers and balancing terms than the core's
are in `managers` and `balancing`.
"""

from moe_lib.ladder.augmentation import Augmentation, Deformation
from moe_lib.ladder.balancing import Floor, GateKL, SumOf
from moe_lib.ladder.committee import NoExperts, TaughtManager, averaged
from moe_lib.ladder.convolutional import ConvManager, ConvVAEExperts
from moe_lib.ladder.deskewing import Strokes, deskew, explained_variance, strokes
from moe_lib.ladder.grouping import group_experts
from moe_lib.ladder.invariance import InvariantMixture, PairNoise, joint_information, joint_use, pair_information
from moe_lib.ladder.managers import AnnealedManager, BiasedManager, SinkhornManager
from moe_lib.ladder.neighbours import neighbours, relatives
from moe_lib.ladder.objectives import LikelihoodMixture
from moe_lib.ladder.pretrained import load_examiner, load_pretrained, load_weights, save_weights
from moe_lib.ladder.prototypes import PrototypeExperts
from moe_lib.ladder.recipes import best_start, finetune_experts, fit_invariant, invariant_vae, side_by_side
from moe_lib.ladder.schedules import one_cycle
from moe_lib.ladder.toy_data import Sevens, arcs, sevens, two_levels
from moe_lib.ladder.tree import JointManager, MixtureExperts, MixtureTree, StackedManagers, flattened

__all__ = [
    "AnnealedManager", "Augmentation", "BiasedManager", "ConvManager", "ConvVAEExperts", "Deformation", "Floor",
    "GateKL", "InvariantMixture", "JointManager", "LikelihoodMixture", "MixtureExperts", "MixtureTree", "NoExperts",
    "PairNoise", "PrototypeExperts", "Sevens", "SinkhornManager", "StackedManagers", "Strokes", "SumOf",
    "TaughtManager", "arcs", "averaged", "best_start", "deskew", "explained_variance", "finetune_experts",
    "fit_invariant", "flattened", "group_experts", "invariant_vae", "joint_information", "joint_use", "load_examiner",
    "load_pretrained", "load_weights", "neighbours", "one_cycle", "pair_information", "relatives", "save_weights",
    "sevens", "side_by_side", "strokes", "two_levels",
]  # fmt: skip
