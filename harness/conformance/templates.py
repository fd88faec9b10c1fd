"""Hold what ``headwater new`` writes: for each kind, the smallest plugin that works."""

TEMPLATES = {
    "source": '''"""A source model: an architecture with weights."""

import headwater as hw


# What it was pre-trained on decides which scenario a target is in: pretrained_on=["chexpert"], domain="medical",
# images=224_316, task_type="multilabel", licence="mit". See headwater list domains.
@hw.source_model("NAME", architecture="resnet18", random=True)
def FUNCTION():
    """ResNet-18 at random initialisation, until it is given weights."""
    # With weights="my.safetensors" here, say weights="my.safetensors" above too, in place of random=True:
    # a changed file is then a changed source.
    return hw.timm_model("resnet18")
''',
    "task": '''"""A task: images, targets, a domain and a metric."""

import numpy as np

import headwater as hw


@hw.task("NAME", domain="synthetic", type="classification", metric="accuracy", classes=["dark", "light"])
def FUNCTION():
    """Dark and light noise, until it is given real images."""
    # A folder of images:  return datasets.load_dataset("imagefolder", data_dir="bones/")
    return {"train": noise(100, seed=0), "test": noise(40, seed=1)}


def noise(count, seed):
    generator = np.random.default_rng(seed)
    labels = [row % 2 for row in range(count)]
    images = [generator.integers(100 * label, 155 + 100 * label, (32, 32, 3)).astype(np.uint8) for label in labels]
    return hw.Split(images, labels)
''',
    "adaptation": '''"""An adaptation: it says what to optimise; the harness trains."""

import headwater as hw


@hw.adaptation("NAME", control="from_scratch", approach="network")
def FUNCTION(context, *, backbone_scale=0.1):
    """Every weight is trained, those of the source with a smaller learning rate than the head."""
    from torch import nn

    backbone, head = list(context.backbone.parameters()), list(context.head.parameters())
    return hw.Objective(
        nn.Sequential(context.backbone, context.head),
        [hw.ParameterGroup(backbone, scale=backbone_scale), hw.ParameterGroup(head)],
    )
''',
    "estimator": '''"""An estimator: a cheap score of how well features will transfer, without training."""

import numpy as np

import headwater as hw


@hw.estimator("NAME", low=0.0, high=1.0)
def FUNCTION(features, labels):
    """Share of the features' variance that lies between the classes; (N, D) and (N,) -> [0, 1]."""
    # It may ask, by these names, for features, labels, source_probabilities, moments or the whole evidence;
    # keyword-only parameters with defaults are its options: FUNCTION(features, labels, *, power=2.0).
    centred = features - features.mean(0, dtype=np.float64)
    total = (centred**2).sum()
    if total == 0:
        raise hw.NotApplicable("all images have the same features")
    between = sum((labels == c).sum() * (centred[labels == c].mean(0) ** 2).sum() for c in range(labels.max() + 1))
    return between / total
''',
    "selector": '''"""A selector: it ranks sources for a target."""

import headwater as hw


@hw.selector("NAME")
def FUNCTION(question):
    """Sources of the target's own domain first, the larger before the smaller."""
    return {
        source.name: (source.domain == question.task.domain) * 1e12 + float(source.images or 0)
        for source in question.sources
    }
''',
    "task-type": '''"""A task type: what targets look like, what learns them, how predictions are measured and shown."""

import numpy as np

import headwater as hw

METRICS = [hw.Metric("error", higher_is_better=False, low=0.0), hw.Metric("exact", low=0.0, high=1.0)]


# For targets with places in the image, say dense=True: the head is then given maps, a hw.Pyramid, and augmentation(),
# annotate() and annotated() move targets with their images. plugins/task_types/ has such types in full.
@hw.task_type("NAME", metrics=METRICS)
class FUNCTION(hw.TaskTypeMethods):
    """How many things an image shows. Targets are whole numbers; predictions (N, 1), how many are expected."""

    def encode(self, given):
        """(N, 1) float32; an image without a count is left out, and said so."""
        counts, rows, flaws = [], [], []
        for row, (name, target) in enumerate(zip(given.names, given.targets, strict=True)):
            if target is None:
                flaws.append(hw.Flaw(name, "has no count", "left out"))
            elif not isinstance(target, int) or target < 0:
                raise hw.DataError(f"{name} has {target!r}, which is no count", subject=name, hint="Give a whole number.")
            else:
                counts.append([float(target)])
                rows.append(row)
        return hw.Encoded(np.array(counts, np.float32).reshape(-1, 1), np.array(rows, int), tuple(flaws))

    def outputs(self, targets, classes):
        """One number: the logarithm of what is expected."""
        return 1

    def strata(self, targets):
        """Subsets keep the counts balanced."""
        return targets[:, 0].astype(int)

    def head(self, features, outputs):
        from torch import nn

        class Head(nn.Linear):
            def forward(self, features):
                found = super().forward(features).clamp(-9, 9)
                return found if self.training else found.exp()

        return Head(features, outputs)

    def loss(self, outputs, targets):
        """Poisson: exp(outputs) − targets · outputs, a mean over images."""
        return (outputs.exp() - targets * outputs).mean()

    def constant(self, targets, outputs):
        """The mean count, which is known without a look at an image: gains are scaled from what it reaches."""
        import torch

        return torch.from_numpy(targets).mean(0)

    def measure(self, predictions, targets):
        away = (predictions - targets).abs()
        return {"error": float(away.mean()), "exact": float((away < 0.5).float().mean())}

    def picture(self, image, target, prediction, classes):
        return [(f"{target[0]:.0f}, predicted {prediction[0]:.1f}", image)]


@hw.task("NAME-example", type="NAME", domain="synthetic", images=60)
def dots():
    """Light dots on dark noise: what the type is checked on."""
    return {"train": drawn(60, seed=0), "test": drawn(30, seed=1)}


def drawn(count, seed):
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 5, count)
    images = generator.integers(0, 60, (count, 32, 32, 3)).astype(np.uint8)
    for image, dots in zip(images, counts, strict=True):
        for place in generator.choice(16, dots, replace=False):  # on a grid of 4 x 4, so that none hides another
            image[place // 4 * 8 + 2 : place // 4 * 8 + 6, place % 4 * 8 + 2 : place % 4 * 8 + 6] = 255
    return hw.Split(list(images), counts.tolist())
''',
    "analysis": '''"""An analysis: something to measure on trained networks, and how people are shown it."""

import headwater as hw


class View(hw.AnalysisView):
    title = "Norm of the weights"
    how_to_read = "A long bar: training made the weights of this network large."
    formula = "sqrt(sum of w²)"
    tables = (hw.SummaryTable("norm", "norm of the weights", rows=""),)

    def draw(self, readings):
        figure, (axes,) = hw.plotting.panels()
        hw.plotting.bars(axes, readings.of("norm").set_index("subject"), readings.values("norm"))
        return figure


@hw.analysis("NAME", looks_at="one seed", view=View)
def FUNCTION(networks):
    """The norm of the weights of the transferred network (P-T) and of the one from scratch (RI-T)."""
    trained = {role: networks.trained(role).network for role in ("P-T", "RI-T")}
    norms = {role: sum(float(w.detach().square().sum()) for w in net.parameters()) ** 0.5 for role, net in trained.items()}
    return [hw.Reading(role, "norm", norm) for role, norm in norms.items()]
''',
}
