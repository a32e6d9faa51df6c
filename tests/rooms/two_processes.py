"""What `test_processes` lets two processes do, all in one start of torchrun, and one process alone for comparison.

    torchrun --standalone --nproc-per-node 2 -m tests.rooms.two_processes FOLDER

leaves FOLDER/0.pt and FOLDER/1.pt. No process may warn of anything.
"""

import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist

from moe_lib import ImportanceCV2, Manager, MixtureOfExperts, VAEExperts
from moe_lib.ladder import (
    AnnealedManager,
    BiasedManager,
    ConvManager,
    InvariantMixture,
    LikelihoodMixture,
    MixtureExperts,
    MixtureTree,
    PrototypeExperts,
    SinkhornManager,
    StackedManagers,
)
from moe_lib.scaling import SparseMixture, compiled_step, gather, num_processes, processes, rank, shared_step

from .small import DIGITS, IMAGES, small_moe_vae, train, weights


def mixtures(seed):
    torch.manual_seed(seed)
    return MixtureExperts(StackedManagers(2, 16, 3, hidden=()), VAEExperts(6, 16, (4,), 2), ImportanceCV2(1.0))


def tree(seed):
    return MixtureTree(Manager(16, 2, hidden=()), mixtures(seed), ImportanceCV2(0.5))


def invariant(seed):
    torch.manual_seed(seed)
    return InvariantMixture(Manager(784, 3, hidden=(4,)), VAEExperts(3, 784, (4,), 2))


def prototypes(seed):
    """Its encoder gets no gradient."""
    torch.manual_seed(seed)
    return MixtureOfExperts(Manager(784, 2, hidden=()), PrototypeExperts(DIGITS[:2], hidden=4, free=0))


def frozen(seed):
    model = small_moe_vae(seed)
    model.manager.requires_grad_(False)
    return model


def annealed(seed):
    """In the second process as if it had learnt before: what was counted is the first one's, too."""
    model = small_moe_vae(seed, wrap=lambda manager: AnnealedManager(manager, 5.0, 10))
    model.manager.seen += seed
    return model


def convolutional(seed):
    torch.manual_seed(seed)
    return MixtureOfExperts(ConvManager(3, channels=(2, 2), hidden=4), VAEExperts(3, 784, (4,), 2))


# From the seed of the weights to a model, and its images: two processes do with it what one does.
ALIKE = {
    "mixture": (small_moe_vae, IMAGES),
    "experts alone": (lambda seed: small_moe_vae(seed).experts, IMAGES),
    "sparse": (lambda seed: small_moe_vae(seed, kind=SparseMixture), IMAGES),
    "likelihood": (lambda seed: small_moe_vae(seed, kind=LikelihoodMixture), IMAGES),
    "annealed": (annealed, IMAGES),
    "biased": (lambda seed: small_moe_vae(seed, wrap=lambda manager: BiasedManager(manager, 0.3)), IMAGES),
    "sinkhorn": (lambda seed: small_moe_vae(seed, wrap=SinkhornManager), IMAGES),
    "tree": (tree, IMAGES),
    "mixtures alone": (mixtures, IMAGES),
    "invariant": (invariant, DIGITS),
    "prototypes that rest": (prototypes, DIGITS),
    "a frozen manager": (frozen, IMAGES),
}


def trained(build, x, seed=0, **options):
    """What is left of a run: curves, and weights with buffers."""
    model = build(seed)
    history = train(model, x, batch_size=8, **options)
    return {"expected": history.expected, "balancing": history.balancing, "weights": weights(model)}


def gathered():
    """Two rows in each process; the loss weighs row i by the square of i, and each process by its rank + 1."""
    p = (torch.arange(4.0).view(2, 2) + 10 * rank()).requires_grad_()
    whole = gather(p)
    ((rank() + 1) * torch.arange(4.0).square().unsqueeze(1) * whole).sum().backward()
    return {"whole": whole.detach(), "gradient": p.grad}


def balanced_apart():
    """What a plain data-parallel run does: each process balances its own part."""
    gather, processes.gather = processes.gather, lambda p: p
    try:
        return trained(small_moe_vae, IMAGES, step=shared_step)
    finally:
        processes.gather = gather


def interrupted(checkpoint):
    """Two epochs; then another start with other weights, which the file replaces."""
    trained(small_moe_vae, IMAGES, step=shared_step, epochs=2, checkpoint=checkpoint)
    return trained(small_moe_vae, IMAGES, seed=7 + rank(), step=shared_step, checkpoint=checkpoint)


def uneven():
    try:
        train(small_moe_vae(), step=shared_step, batch_size=9)
    except ValueError as error:
        return str(error)


def compiled():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = trained(small_moe_vae, IMAGES, seed=rank(), step=compiled_step)
    return found | {"said": [str(one.message) for one in said]}


def main(folder):
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    dist.init_process_group("gloo")
    here = rank()
    # Other weights in the second process: those of the first count.
    found = {name: trained(build, x, seed=here, step=shared_step) for name, (build, x) in ALIKE.items()}
    found["convolutional"] = trained(convolutional, DIGITS, seed=here, step=shared_step)
    found["gathered"] = gathered()
    found["balanced apart"] = balanced_apart()
    found["interrupted"] = interrupted(folder / "run.safetensors")
    found["uneven"] = uneven()
    found["compiled"] = compiled()
    found["number"] = (num_processes(), here)
    model = small_moe_vae()
    train(model, epochs=1, step=shared_step)
    dist.destroy_process_group()
    found["afterwards"] = model.objective(IMAGES, IMAGES).total.item()  # alone again: nobody is waited for
    torch.save(found, folder / f"{here}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
