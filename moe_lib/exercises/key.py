"""What each exercise takes for right, why it matters, and hints for answers that miss. No hint holds its answer.

The questions themselves are at the end of the chapters.
"""

import math

import torch
from torch import Tensor

from moe_lib.balance import entropy
from moe_lib.exercises import solutions
from moe_lib.exercises.answers import Choice, Exercise, Function, Numbers
from moe_lib.measures import purity
from moe_lib.metrics import clustering_accuracy


def _off(p: Tensor, outputs: Tensor, y: Tensor) -> Tensor:
    return y - (p * outputs).sum()


_WEIGHTS = 784 * 128 + 128 + 128 * 10 + 10  # of the manager, and of ten encoders and decoders
_WEIGHTS += 10 * (784 * 128 + 128 + 128 * 20 + 20 + 10 * 128 + 128 + 128 * 784 + 784)

EXERCISES = {
    # Chapter 1: Cheating
    "01.1": Exercise(
        Choice("drawings", ("drawings", "reconstructions", "both")),
        why="The KL part keeps the codes of real images where a random z will fall. That is what lets a VAE draw.",
        hint="For both pictures of the single VAE: where did its z come from?",
        traps={
            "reconstructions": "With one term left out, the other is minimised alone. Does it suffer from that?",
            "both": "One of the two is measured by the term that stays in the loss. Can it get worse?",
        },
    ),
    "01.2": Exercise(
        Numbers(math.log(2), "a difference in nats, one number", relative=0.02),
        why="Each 0.69 nats double the density, for every single image.",
        hint="Here a loss is -ln p(x). If one density is twice another, by how much do their logarithms differ?",
        traps={
            1.0: "That would hold for bits, the logarithm of base 2. These are nats.",
            2.0: "That is the ratio of the two densities. What is the difference of their logarithms?",
            math.log10(2): "That would hold for the logarithm of base 10. Nats belong to the natural one.",
            math.exp(2): "You went from nats to a factor. The question goes the other way.",
            -math.log(2): "The right size. The question says lower, so give the difference as a positive number.",
        },
    ),
    "01.3": Exercise(
        Choice("three", ("eight", "three", "grey")),
        why="An expert draws everything as its own digit, and its high loss shows that the image is another one.",
        hint="Which pictures has its decoder practised?",
        traps={
            "eight": "The encoder sees the image, but the encoder does not draw. What has its decoder learnt to draw?",
            "grey": "That is what an expert draws before it has learnt much. This one has seen thousands of images.",
        },
    ),
    "01.4": Exercise(
        Numbers(1 / math.sqrt(2 * math.pi), "σ, one number", relative=0.005),
        why="Below this σ a perfect reconstruction has a negative loss. So compare losses only at the same σ.",
        hint="Two terms in the bracket of the reconstruction do not depend on the image. When do they cancel?",
        traps={
            1.0: "Then ln σ is zero, but it is not the only constant in the bracket.",
            math.sqrt(2 * math.pi): "The right size, upside down: which sign must ln σ have?",
            1 / (2 * math.pi): "Nearly: look at the factor in front of ln 2π once more.",
            0.5: "That is the σ of the book, and its constant is 177.0 nats, far from zero.",
        },
    ),
    "01.5": Exercise(
        Function(solutions.kl, "kl(m, v)", "the KL of each image in nats, (B,), for m and v (B, Z)", solutions.codes),
        why="This is the second part of the loss. It is exact: no code has to be drawn for it.",
        hint="Try a single latent number: m = 0 with v = 1 must cost nothing. Then move one of the two, and add up.",
        traps={
            lambda m, v: solutions.kl(m, v) / m.shape[1]: "You take a mean over the latent numbers. Nats add up.",
            lambda m, v: 2 * solutions.kl(m, v): "Twice too much: a factor is missing in front.",
            lambda m, v: -solutions.kl(m, v): "Right size, wrong sign: a KL is never negative.",
            lambda m, v: solutions.kl(m, v.square()): "You use v as a standard deviation; it is the variance.",
            lambda m, v: solutions.kl(m, v.exp()): "You use v as the logarithm of the variance; it is the variance.",
        },
    ),
    # Chapter 2: Two parabolas
    "02.1": Exercise(
        Numbers((-0.08, 0.08), "two numbers, the gradients of L with respect to the two logits"),
        why="They add up to zero, as they must: to raise all logits alike changes no probability.",
        hint="First L, the average of the losses with the weights p. Then compare each loss with it.",
        traps={
            (0.08, -0.08): "Right size. But a gradient points to where L grows, and learning goes against it.",
            (-0.16, 0.16): "You compare each loss with L, and that's right. Which factor comes before the difference?",
            (0.02, 0.18): "You weigh each loss with its probability. But with what is a loss compared?",
            (0.04, 0.36): "Those are the losses themselves. What the manager is told is how they compare.",
        },
    ),
    "02.2": Exercise(
        Choice("collapse", ("gap", "collapse", "neither")),
        why="Its cause has nothing to do with where the points lie: an expert falls behind. Chapter 4 is about it.",
        hint="Go back to the figure of the twenty runs: which of the wrong endings needs a place without points?",
        traps={
            "gap": "Without a gap every step of a border takes points from one side to the other.",
            "neither": "Look at the uppermost dots in the figure of the twenty runs. Where are their borders?",
        },
    ),
    "02.3": Exercise(
        Choice("stays", ("falls", "rises", "stays")),
        why="The loss doesn't change between two experts and three, so it can't count the laws for you.",
        hint="Write down the two terms of the sum that change, with the same loss in both.",
        traps={
            "falls": "For that the second expert would have to be better at something. How do the two losses compare?",
            "rises": "The sum contains nothing but errors. Which of its terms would grow?",
        },
    ),
    "02.4": Exercise(
        Function(
            solutions.average_gradient, "average_gradient(p, outputs, y)",
            "the gradient of the average's squared error with respect to each logit, (E,), for p and outputs (E,)",
            solutions.average,
        ),
        why="It favours the expert that pulls the average the right way, however wrong that expert is alone.",
        hint="Two steps of the chain rule: from the loss to the p through the average, then from the p to the logits.",
        traps={
            lambda p, outputs, y: p * ((y - outputs) ** 2 - (p * (y - outputs) ** 2).sum()): (
                "That is the gradient when every expert's own loss is weighted. Here one common error is squared."
            ),
            lambda p, outputs, y: -2 * p * _off(p, outputs, y): (
                "That is the experts' gradient. A logit moves the average in another way: through p."
            ),
            lambda p, outputs, y: -2 * outputs * _off(p, outputs, y): (
                "That is the gradient with respect to p. But no p can move alone: the softmax ties them together."
            ),
            lambda p, outputs, y: -solutions.average_gradient(p, outputs, y): "Right size, wrong sign.",
            lambda p, outputs, y: solutions.average_gradient(p, outputs, y) / 2: "Half of it: mind the square.",
        },
    ),
    "02.5": Exercise(
        Numbers(math.ceil(math.log(0.01) / math.log(0.8)), "a number of starts", absolute=0.1, relative=0),
        why="The chance that all fail shrinks with every start by the same factor: restarts are a cheap cure.",
        hint="What is the chance that one start fails? That two fail? That n fail?",
        traps={
            5: "With so many, one success is to be expected on average. But all of them fail in a third of the cases.",
            20: "Close. Put it into the chance that all fail: is it below one per cent already?",
            20.64: "The formula is right. Can one start be run in part?",
        },
    ),
    # Chapter 3: Why not K-means?
    "03.1": Exercise(
        Numbers(solutions.kmeans_border((-1, 0.3), (0.4, 1)), "where the border lies, one number", absolute=0.01),
        why="The border came closer to c, for a reason that has nothing to do with the law.",
        hint="Let K-means find it, on many points: with a thousand, the second digit is left to chance.",
        traps={
            solutions.kmeans_border((-1, 0.3), (0.7, 1)): "That was the border before. Which centre has moved since?",
            0.0: "That's where the law changes. K-means doesn't know about the law.",
            0.35: "That's the middle of the gap. The border lies half-way between two other places.",
        },
    ),
    "03.2": Exercise(
        Numbers(0.0, "how far the border moves, one number", absolute=0.001),
        why="No x has moved, and x is all that K-means sees.",
        hint="Write down what K-means is given, before and after.",
        traps={
            0.2: "That's how far the law has moved. How would K-means know about it?",
            0.1: "Half-way is right for centres. But which points have moved?",
        },
    ),
    "03.3": Exercise(
        Choice("straight", ("straight", "bent", "broken")),
        why="Two centres cut the plane along a straight line, whatever the law does.",
        hint="A point goes to the nearer centre. Which points are equally far from both?",
        traps={
            "bent": "Then it would follow the parabola. But all that counts is the distance to two centres.",
            "broken": "With three centres it could be. How many are there?",
        },
    ),
    "03.4": Exercise(
        Numbers(7 / 30, "the edge e, one number", absolute=0.004),
        why="From there on the border cuts the left cloud, and further points land on the side of their law.",
        hint="As long as no cloud is cut, the centres are the middles of the clouds. Write them down in terms of e.",
        traps={
            0.0: "There K-means puts every point on the right side. The question is when it begins to cut a cloud.",
            solutions.kmeans_border((-1, 0.3), (0.7, 1)): "That's the border for e = 0.3. The border moves with e.",
            0.175: "That's the border for e = 0. For which e do border and edge meet?",
            0.7: "There the gap is gone. Does the border really lie at the right end of the gap until then?",
        },
    ),
    # Chapter 4: The degenerate manager
    "04.1": Exercise(
        Numbers(0.025, "a weight, one number"),
        why="The term grows with the square of the batch size. If you change the batch, change the weight too.",
        hint="Write down the importance of the busy expert for both batch sizes, and then the variance.",
        traps={
            0.1: "Then nothing would depend on the batch. Is importance a sum or a mean over it?",
            0.05: "That would be right if the term grew in proportion to the batch. But it contains a square.",
            0.2: "Will the term of a collapse be larger or smaller in the larger batch?",
            0.4: "The factor is right, the direction isn't. Will the term be larger or smaller in the larger batch?",
        },
    ),
    "04.2": Exercise(
        Numbers(10 - 100 * 0.1 / 9.1, "a number of images, to two decimals", absolute=0.02, relative=0),
        why="Equal use is an assumption about the data. Where it's wrong, an expert is filled up with other digits.",
        hint="You need two numbers: an equal share of a batch of 100, and how many 1s such a batch holds.",
        traps={
            9.0: "Close. But with most of the 1s gone there are fewer images in all. What fraction of them are 1s now?",
            100 * 0.1 / 9.1: "That's how many 1s it gets. How many more images does the term ask for?",
            0.0: "The term asks for equal use. Are there enough 1s for that?",
            10.0: "That's an equal share. Some of these images are 1s.",
        },
    ),
    "04.3": Exercise(
        Numbers(5 * math.log(10), "nats, one number"),
        why="Experts soon are further apart than that. The variance makes a collapse cost 90 nats.",
        hint="The best gate decides every image and uses all experts alike. What are its two entropies?",
        traps={
            math.log(10): "That's the most information there can be. What does the weight do?",
            5.0: "That's what a single nat of information earns. How many nats can there be?",
            5 * math.log2(10): "That's in bits. Entropies are in nats here.",
            50.0: "That uses the number of experts. The entropy is its logarithm.",
        },
    ),
    "04.4": Exercise(
        Function(solutions.luck, "luck(B, E)", "the mean cost, one number, for whole numbers B and E", solutions.batch),
        why="Luck grows like B and a collapse like B², so in large batches luck weighs less and less.",
        hint="An expert gets each image with probability 1/E. What is the variance of such a count?",
        traps={
            lambda images, experts: images / experts: (
                "Close, but a little too much. In a batch of fixed size a count varies less than a Poisson count."
            ),
            lambda images, experts: solutions.luck(images, experts) ** 0.5: "That is a standard deviation.",
            lambda images, experts: experts * solutions.luck(images, experts): "A sum over experts. Var_i is a mean.",
            lambda images, experts: solutions.luck(100, 10): "That's right for the chapter's batch only. Keep B and E.",
            lambda images, experts: 0.0: "On average every expert gets B/E images. But what about a single batch?",
        },
    ),
    # Chapter 5: Experts without labels
    "05.1": Exercise(
        Numbers(9.0, "nats, one number"),
        why="Random starting weights alone put the experts about that far apart, so a collapse can pay.",
        hint="One expert gets 100 images, the others get none. What is the variance, and what is w times that?",
        traps={
            90.0: "That is the cost at the weight of the post. What is it at a tenth of that weight?",
            900.0: "That is the variance. Multiply it by the weight.",
            0.9: "That is what a *perfect* manager pays at the weight of the post. A collapse costs more.",
            0.0: "That is the cost when all experts get equally many images.",
        },
    ),
    "05.2": Exercise(
        Choice("lower", ("higher", "equal", "lower")),
        why="The best of all maps is at least as good as ours, so names that were fitted on the test images flatter.",
        hint="The map from the training images is one of those that the test images can choose.",
        traps={
            "higher": "That can happen: the test images choose the map that suits them best.",
            "equal": "That can happen, and often does: both sets of images may choose the same map.",
        },
    ),
    "05.3": Exercise(
        Choice("near", ("below", "near", "above")),
        why="The balancing term counts images. How well they are drawn makes no difference to it.",
        hint="Which term of the loss depends on how many images an expert gets? Does it look at drawings?",
        traps={
            "below": "Then it would get fewer images than the others. What does the balancing term make of that?",
            "above": "Then it would get more images than the others. What does the balancing term make of that?",
        },
    ),
    "05.4": Exercise(
        Function(
            clustering_accuracy, "acc(assignments, labels)",
            "the ACC, one number from 0 to 1, for assignments and labels (B,) that count from 0 to 3",
            solutions.sorting,
        ),
        why="For ten experts this way has to try 3,628,800 maps. The Hungarian method finds the best one quickly.",
        hint="A map is an order of the four labels. Try every order, count the right images, and keep the best order.",
        traps={
            lambda assignments, labels: (assignments == labels).float().mean(): (
                "You take expert 3 for digit 3. But the experts have no names yet."
            ),
            purity: "Two of your experts may get the same name. That is purity; here each name is given once.",
            lambda assignments, labels: len(labels) * clustering_accuracy(assignments, labels): (
                "You count images. What is their share?"
            ),
            lambda assignments, labels: 100 * clustering_accuracy(assignments, labels): "In per cent. Give a share.",
        },
    ),
    # Chapter 6: Fast
    "06.1": Exercise(
        Numbers(60_000 / 1000 * 28 * _WEIGHTS / 1e9, "billions of bytes, one number", relative=0.02),
        why="Adam costs the same for every step, however large the batch: larger batches, fewer steps, fewer bytes.",
        hint="Bytes a step times steps an epoch. Which of the two knows of the batch?",
        traps={
            60_000 / 100 * 28 * _WEIGHTS / 1e9: "So many it moves with batches of 100. What changes?",
            60_000 / 1000 * 28 * _WEIGHTS: "Right, in bytes. In billions of them?",
            60_000 / 1000 * 4 * _WEIGHTS / 1e9: "Only the weights, read once. What else is read and written for each?",
            28 * _WEIGHTS / 1e9: "So many in one step. And in an epoch?",
        },
    ),
    "06.2": Exercise(
        Numbers(44.0, "nats, one number"),
        why="Four fifths of the loss have vanished and no image is explained better: that is the loophole.",
        hint="How much probability have the two chosen experts together?",
        traps={
            220.0: "So it is with scaled probabilities. The question is about p as it comes.",
            22.0: "That is one expert's part. How many compute the image?",
            0.91 * 220 + 0.01 * 220: "So it was while the manager was decided.",
        },
    ),
    "06.3": Exercise(
        Numbers((0.9, 9.0), "two numbers in nats, whole batch first"),
        why="The smaller the part, the more a balanced manager pays for nothing: gather first, then balance.",
        hint="The count of one digit is binomial. Its variance, for 100 images and for 10; then the weight of each.",
        traps={
            (0.0, 0.0): "The manager is perfect. The batch is random: how many sevens has it?",
            (0.9, 0.9): "The variance falls with the size of the part, the weight grows. Do they grow and fall alike?",
            (0.9, 0.09): "For the part you kept the weight of the whole batch. A collapse must cost the same.",
            (9.0, 0.9): "Those are the two variances. What do the weights make of them?",
        },
    ),
    "06.4": Exercise(
        Function(
            solutions.top_k, "top_k(p, k)", "the scaled probabilities, (B, E), most of them zero", solutions.routed
        ),
        why="Nothing is gained any more by giving probability to experts that do not compute.",
        hint="Row by row: find the k largest, set all others to zero, and look at what the rest adds up to.",
        traps={
            lambda p, k: torch.where(p >= p.topk(k).values[:, -1:], p, 0): (
                "The right experts. But each row must add up to something."
            ),
            lambda p, k: torch.where(p >= p.topk(k).values[:, -1:], p, -math.inf).softmax(dim=1): (
                "The right experts. But p went through a softmax before; how are probabilities scaled?"
            ),
            lambda p, k: p: "Nothing has been left out: all experts still compute.",
        },
    ),
    "06.5": Exercise(
        Numbers(1.0, "one number", relative=1e-4),
        why="Each step is less than half-way to the next number and is rounded away; so the weights stay float32.",
        hint="Which is the next bfloat16 after the start? Is a step of 0.001 more than half of the way to it?",
        traps={
            2.0: "In real numbers, yes. What does a bfloat16 make of the first step?",
            1 + 2**-7: "That is the next number after the start. Does a step get there?",
        },
    ),
    # Chapter 7: How good is it?
    "07.1": Exercise(
        Choice("first", ("first", "second", "neither")),
        why="An accuracy counts errors. NMI asks what can still be told after one: 'three or five' tells a lot.",
        hint="The manager names an expert. In how many of its answers does any doubt remain, and between what?",
        traps={
            "second": "After an answer of the second model every digit is possible, for all ten experts.",
            "neither": "The share of errors is the same. But is every error equally hard to undo?",
        },
    ),
    "07.2": Exercise(
        Choice("shrinking", ("equal", "growing", "shrinking")),
        why="The bound cannot pass -ln p(x) on average: a cheap look at few samples tells how far away it may be.",
        hint="Is there a number below which the bound cannot fall?",
        traps={
            "equal": "Then with enough samples it would pass any number, and so the truth.",
            "growing": "Then with enough samples it would pass any number, and so the truth, and soon.",
        },
    ),
    "07.3": Exercise(
        Numbers((0.1135, 0, 0, 0.1135), "four numbers: ACC, NMI, ARI and purity", absolute=2e-4, relative=0),
        why="The two scores without names see at once that nothing is told; the others call it better than a tenth.",
        hint="Only one row of the contingency table is not empty. Who names its expert, and what does it tell?",
        traps={
            (0.1, 0, 0, 0.1): "Nearly: digits are not quite equally frequent, and the name is chosen in the best way.",
            (0.1135, 0, 0, 1): "Pure is an expert whose images all have one label. Do they?",
            (0, 0, 0, 0): "NMI and ARI, yes. But whatever name the one expert gets, some images are right.",
            (0.1135, 0, 0, 0.1): "Purity names its expert after the commonest label, as ACC may.",
        },
    ),
    "07.4": Exercise(
        Numbers(0.82, "a share, one number from 0 to 1", relative=0.005),
        why="A die that looks as good as that: hence the A for adjusted, which subtracts it and makes zero of it.",
        hint="A pair counts if both say 'same' or both say 'different'. How likely is each, for two independent dice?",
        traps={
            0.0: "That is the *adjusted* index. Here nothing is subtracted yet.",
            0.01: "So often both say 'same'. There is a second way to agree.",
            0.81: "So often both say 'different'. There is a second way to agree.",
            0.1: "So often a die is right about one image. Here pairs are counted.",
            82.0: "In per cent. Give a share.",
        },
    ),
    "07.5": Exercise(
        Function(
            solutions.posterior, "posterior(p, losses)",
            "the posterior of each expert, (B, E), for p and losses (B, E) in float32", solutions.opinions,
        ),
        why="A few nats outweigh nearly any opinion of the manager, and no exponential of -220 was ever computed.",
        hint="Each row is p times e to the minus loss, divided by its sum. Check that a smaller loss gives more.",
        traps={
            solutions.naive_posterior: (
                "It gives nan. What is e to the -220 in float32? Only differences of losses count."
            ),
            lambda p, losses: (-losses).softmax(dim=1): "So the experts say alone. The prior is the manager's.",
            lambda p, losses: (p.log() + losses).softmax(dim=1): "Now the expert that explains an image worst gets it.",
            lambda p, losses: (p.log() - losses).softmax(dim=0): "Your columns add up to one. Rows should.",
            lambda p, losses: p.log() - losses - (p.log() - losses).logsumexp(dim=1, keepdim=True): (
                "Those are logarithms of what is asked for."
            ),
        },
    ),
    # Chapter 8: The ladder
    "08.1": Exercise(
        Function(
            solutions.majority, "majority(error)", "the share of images on which at least two of three are right",
            lambda generator: (0.5 * torch.rand((), generator=generator).item(),),
        ),
        why="One error in a hundred would become three in ten thousand, if only errors were independent.",
        hint="The majority is wrong if exactly two are, or all three. In how many ways can exactly two be?",
        traps={
            lambda error: 1 - solutions.majority(error): "That is how often the majority is *wrong*.",
            lambda error: (1 - error) ** 3: "That is how often all three are right. Two are enough.",
            lambda error: 1 - error**3: "That is how often at least one is right. Can one alone win a vote?",
            lambda error: 1 - error**2: "Nearly. But in how many ways can two of three be wrong, and one right?",
        },
    ),
    "08.2": Exercise(
        Function(
            solutions.missing, "missing(share, spread)",
            "nats, one number, for the shares of the classes (K,) and λ = spread", solutions.classes,
        ),
        why="So much the term would pay for wrong equality: very unequal classes are a danger for any balancing.",
        hint="The P of a perfect sorting is diagonal. Put it into the formula: each sum becomes an entropy.",
        traps={
            lambda share, spread: math.log(len(share)) - entropy(share): "So it is at λ = 1. And at another λ?",
            lambda share, spread: 2 * spread * (math.log(len(share)) - entropy(share)): (
                "You count the spread over experts. The other sum changes, too."
            ),
            lambda share, spread: spread * (math.log(len(share)) - entropy(share)): (
                "λ is in front of one of the two sums only."
            ),
            lambda share, spread: -solutions.missing(share, spread): (
                "Right size, wrong sign: which of the two has more?"
            ),
            lambda share, spread: (2 * spread - 1) * entropy(share): (
                "So much the perfect sorting has. How much would it have with ten equal classes?"
            ),
        },
    ),
    "08.3": Exercise(
        Choice("grows", ("grows", "stays", "falls")),
        why="In a crowd the nearest one is nearer: pairs get better with more data, and no label is needed for them.",
        hint="With more images to choose from, what happens to the distance to the nearest one?",
        traps={
            "stays": "Then it would not matter from how many images the nearest is taken.",
            "falls": "More images are more strangers, but also more of the same kind. Which come nearer?",
        },
    ),
    "08.4": Exercise(
        Function(
            solutions.slant, "slant(images)", "the slant of each image (B,), from images (B, 784)", solutions.papers
        ),
        why="Undo it, and the post's own model makes far fewer errors than any other loss or balancing term let it.",
        hint="Weigh each pixel by its ink. With right and up counted from the centre: cov(right, up) / var(up).",
        traps={
            lambda images: -solutions.slant(images): "Right size, wrong sign. In which direction do the rows count?",
            lambda images: solutions.slant(images.unflatten(1, (28, 28)).transpose(1, 2).flatten(1)): (
                "You divide by the variance to the right. By how much does a stroke move for each pixel *up*?"
            ),
            lambda images: solutions.slant((images > 0.5).float()): "Grey ink counts, too: by as much as it is dark.",
        },
    ),
    # Chapter 9: Experts of experts
    "09.1": Exercise(
        Function(
            solutions.joint, "joint(p, below)", "the probabilities of all leaves (B, G K), those of branch 0 first",
            solutions.branches,
        ),
        why="Probabilities multiply down a tree of any depth, and still sum to one: a tree is a flat mixture.",
        hint="An image reaches leaf k of branch i if both managers choose so. How do two such p combine?",
        traps={
            lambda p, below: below.flatten(1): "These do not sum to one. What becomes of a branch that p leaves out?",
            lambda p, below: (p.unsqueeze(2) + below).flatten(1): "Two conditions at once: are p added or multiplied?",
            lambda p, below: (p.unsqueeze(2) * below).transpose(1, 2).flatten(1): (
                "The right numbers in another order: the leaves of branch 0 come first."
            ),
        },
    ),
    "09.2": Exercise(
        Numbers(27.0, "nats, one number"),
        why="What chance costs, a manager saves by not deciding: then the second level is there in name only.",
        hint="Chance costs a share 1/n of a full collapse. How many images of the batch reach one of thirty mixtures?",
        traps={
            0.9: "That is for all hundred images of the batch. How many of them reach one mixture of thirty?",
            9.0: "So it is with ten mixtures. Here there are thirty.",
            30.0: "So it would be with three images. A mixture of thirty gets a little more than three.",
            3.0: "That is nearly how many images reach a mixture. What share of 90 nats do so few cost?",
            90.0: "That is a full collapse, not what chance alone costs.",
        },
    ),
    "09.3": Exercise(
        Numbers(0.087, "one number, from 0 to 1", relative=0.12),
        why="Chance alone tells leaves apart a little, and more so the more leaves there are: always print it beside.",
        hint="Deal the bars a few hundred times: shuffle the 239 sevens, give each leaf its share, and average.",
        traps={
            0.0: "That is what perfectly even shares would give. Do 56 bars dealt at random ever fall so?",
            0.333: "A leaf gets a third of the bars and a third of the others. How far are these two shares apart?",
            0.122: "So it would be with five leaves. Here there are three.",
            0.0613: "So it would be with two leaves. Here there are three.",
            0.174: "That is the sum over leaves. The measure takes half of it.",
        },
    ),
    # Chapter 11: The router in a language model
    "11.1": Exercise(
        Numbers(80.0, "a number of tokens"),
        why="A dropped token isn't lost: the layer adds nothing to it, and it goes on as it came.",
        hint="How many of the choices are a fair share of one expert? The capacity is a quarter more than that.",
        traps={
            240.0: "Each token has two choices here. How many choices are shared among the eight experts?",
            144.0: "That's what exceeds a fair share. The capacity factor leaves more room than that.",
            0.0: "Compare 400 with the capacity of one expert.",
            320.0: "That's the capacity itself. How many of the 400 exceed it?",
        },
    ),
    "11.2": Exercise(
        Choice("rises", ("rises", "falls", "stays")),
        why="With top-1 the others gain because one failed, and no comparison is made.",
        hint="The chosen expert's probability should fall. What does a softmax do with what it loses?",
        traps={
            "stays": "Its output isn't part of the loss, but its logit is: it's in the sum of the softmax.",
            "falls": "That happens to the logit of the expert that was asked.",
        },
    ),
    "11.3": Exercise(
        Numbers(-math.log(8), "one number"),
        why="The z-loss fixes the height of the logits, which the gate doesn't depend on.",
        hint="The z-loss is the square of a logarithm. Where is a logarithm zero?",
        traps={
            0.0: "Then the exponentials sum to eight. What should they sum to?",
            math.log(8): "The right size. With which sign do eight equal exponentials sum to one?",
            1 / 8: "That's what each exponential must be. And the logit?",
        },
    ),
    "11.4": Exercise(
        Numbers((47 - 13) / 6, "billions of weights, to one decimal", absolute=0.05),
        why="Eight experts share attention and embeddings, so the model is smaller than eight models.",
        hint="Write both totals as the rest plus so many experts. What is left of their difference?",
        traps={
            47 / 8: "That counts what all experts share as if it were theirs.",
            13 / 2: "Of the 13 billion, not all are experts: attention and embeddings compute every token, too.",
            7.0: "That's in the model's name. What do the two totals say?",
            34.0: "That's six experts.",
        },
    ),
}  # fmt: skip
