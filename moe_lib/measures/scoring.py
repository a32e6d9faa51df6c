"""How good is a division of images into experts, or a mixture of VAEs? What all experiments are scored with. Chapter 7.

One rule throughout: experts get their names from the training images' labels, and the test images are scored by them.
"""

import base64
import io
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from moe_lib.data import Digits
from moe_lib.measures.examination import examine
from moe_lib.measures.likelihood import iwae, negative_elbo
from moe_lib.metrics import clustering_accuracy, contingency, evaluate, gate_health, match_experts
from moe_lib.mixture import MixtureOfExperts


def share_right(match: Tensor, found: Tensor, labels: Tensor) -> float:
    """Share of images whose expert has the name of their label: match (E,), found and labels int64 (B,)."""
    return (match[found] == labels).float().mean().item()


def accuracy(
    found_train: Tensor, train_labels: Tensor, found_test: Tensor, test_labels: Tensor, num_experts: int | None = None
) -> float:
    """ACC in [0, 1]: the one-to-one map of experts to labels is fitted on training images, and scored on test images.

    Args:
        found_train: int64 (B,), the expert or cluster of each training image.
        train_labels: int64 (B,).
        found_test: int64 (B',), the same of the test images.
        test_labels: int64 (B',).
        num_experts: E, where it is more than are in use.
    """
    most = max(num_experts or 0, int(torch.cat([found_train, found_test]).max()) + 1)
    return share_right(match_experts(found_train, train_labels, most), found_test, test_labels)


def purity(assignments: Tensor, labels: Tensor) -> float:
    """Share of examples with the commonest label of their expert, in [0, 1]. It grows with E: never call it ACC."""
    counts = contingency(assignments, labels)  # (E, K)
    return (counts.max(dim=1).values.sum() / counts.sum()).item()


def agreement(found_train: Tensor, train_labels: Tensor, found_test: Tensor, test_labels: Tensor) -> dict[str, float]:
    """How well a division of the test images agrees with their labels: `accuracy`, NMI, ARI and `purity`."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score  # here, since it takes a second

    return {
        "accuracy": accuracy(found_train, train_labels, found_test, test_labels),
        "nmi": float(normalized_mutual_info_score(test_labels, found_test)),
        "ari": float(adjusted_rand_score(test_labels, found_test)),
        "purity": purity(found_test, test_labels),
    }


def both_protocols(
    found_train: Tensor, train_labels: Tensor, found_test: Tensor, test_labels: Tensor
) -> dict[str, float]:
    """`agreement` as this book scores it, and ACC and NMI as many papers do: all images at once, names fitted on them.

    The second pair is called accuracy_all and nmi_all.
    """
    from sklearn.metrics import normalized_mutual_info_score

    found, labels = torch.cat([found_train, found_test]), torch.cat([train_labels, test_labels])
    return {
        **agreement(found_train, train_labels, found_test, test_labels),
        "accuracy_all": clustering_accuracy(found, labels),
        "nmi_all": float(normalized_mutual_info_score(labels, found)),
    }


def summary(model: MixtureOfExperts, train: Digits, test: Digits) -> dict[str, float]:
    """Losses in nats per test image, `agreement` in short, and the health of the gate."""
    result = evaluate(model, test.images, test.images)
    agreed = agreement(model.assign(train.images), train.labels, result.assignments, test.labels)
    return {
        "expected": result.expected,
        "best_expert": result.losses.min(dim=1).values.mean().item(),
        "accuracy": agreed["accuracy"],
        "nmi": agreed["nmi"],
        **gate_health(result.gate)._asdict(),
    }


def measure(
    model: MixtureOfExperts,
    train: Digits,
    test: Digits,
    examiner: nn.Module,
    groups: Tensor | None = None,
    iwae_images: int = 200,
    iwae_samples: int = 1000,
) -> dict[str, float]:
    """Everything that chapter 7 asks of a mixture of VAEs, on test images.

    Args:
        model: E VAEs and their manager.
        train: the images as the model has seen them, and their labels.
        test: others, prepared alike, and their labels.
        examiner: from images (B, D) to logits over digits (B, K); see `examine`.
        groups: int64 (E,), which experts count as one, where there are more than digits; each for itself unless given.
        iwae_images: how many of the test images, the first ones, the IWAE bound is taken over.
        iwae_samples: drawn for each of them and each expert.
    """
    groups = torch.arange(model.num_experts) if groups is None else groups
    found_train = groups[model.assign(train.images)]
    result = evaluate(model, test.images, test.images)
    match = match_experts(found_train, train.labels, int(groups.max()) + 1)[groups]  # the digit of each expert (E,)
    elbo = negative_elbo(model, test.images)
    drawn = examine(model.experts, examiner, match)
    return {
        **agreement(found_train, train.labels, groups[result.assignments], test.labels),
        "expert_purity": purity(result.assignments, test.labels),
        **gate_health(result.gate)._asdict(),
        "expected": result.expected,
        "accuracy_by_loss": share_right(match, result.losses.argmin(dim=1), test.labels),
        "accuracy_by_posterior": share_right(match, posterior(result.gate, result.losses).argmax(dim=1), test.labels),
        **elbo._asdict(),
        "negative_elbo": elbo.total,
        "iwae": iwae(model, test.images[:iwae_images], iwae_samples),
        "drawn_right": drawn.accuracy,
        "drawn_digits": drawn.covered,
    }


def posterior(gate: Tensor, losses: Tensor) -> Tensor:
    """r_i = p_i exp(-loss_i) / Σ_j p_j exp(-loss_j), once the losses are known: (B, E) each → (B, E)."""
    return (gate.log() - losses).softmax(dim=1)


def barred_sevens_by(found: Tensor, sevens: Mapping[str, Tensor], num_experts: int) -> dict[str, list[int]]:
    """How many of the test sevens sorted by eye each expert gets.

    Args:
        found: int64 (B,), the expert of each test image.
        sevens: kind, with a bar or without, → indices of test images.
        num_experts: E.
    """
    return {kind: found[i].bincount(minlength=num_experts).tolist() for kind, i in sevens.items()}


def portrait(model: MixtureOfExperts, test: Digits) -> dict[str, list[list[int]] | str]:
    """What a chapter shows of one run: how experts and digits meet on test images, and three drawings of each expert.

    The drawings are a PNG in base64, experts from left to right, ink 255.
    """
    from PIL import Image  # here, since a score needs no pictures

    drawn = torch.stack([model.generate(i, 3, seed=0) for i in range(model.num_experts)], dim=1)  # (3, E, 784)
    strip = drawn.unflatten(2, (28, 28)).permute(0, 2, 1, 3).reshape(3 * 28, -1)  # (84, 28 E)
    Image.fromarray((255 * strip).round().to(torch.uint8).numpy()).save(png := io.BytesIO(), "png", optimize=True)
    return {
        "counts": contingency(model.assign(test.images), test.labels, model.num_experts).tolist(),
        "drawings": base64.b64encode(png.getvalue()).decode(),
    }
