"""What every experiment on MNIST reports of a trained mixture."""

from sklearn.metrics import normalized_mutual_info_score

from moe_lib import Digits, MixtureOfExperts, clustering_accuracy, evaluate, gate_health


def score(model: MixtureOfExperts, digits: Digits) -> dict[str, float]:
    """Losses in nats per image, agreement with the labels in [0, 1], and the health of the gate."""
    result = evaluate(model, digits.images, digits.images)
    return {
        "expected": result.expected,
        "best_expert": result.losses.min(dim=1).values.mean().item(),
        "accuracy": clustering_accuracy(result.assignments, digits.labels),
        "nmi": float(normalized_mutual_info_score(digits.labels, result.assignments)),
        **gate_health(result.gate)._asdict(),
    }
