"""Random graphs of all layers and operations that have a rule, and some not.

`plans` is the Hypothesis strategy, `build` makes a Keras model of a plan. A
plan is plain data: what a failing test prints can be passed to `build`.
"""

import random

import keras
from hypothesis import strategies

from tests import random_paths as paths
from tests import random_steps as single
from tests.random_blocks import CodeModel, Parts, run

PICTURES = ([6, 5, 3], [8, 6, 3], [7, 5, 2], [5, 9, 4])
CLASSES = 4
EXTRAS = ("regrown",) * 10 + ("step",) * 7 + ("saved", "saved", "compiled")
_STEPS = {
    single.convolution: 6,
    single.grouped: 2,
    single.depthwise: 2,
    single.separable: 1,
    single.transposed: 1,
    single.dense: 1,
    single.einsum: 2,
    single.along_rows: 2,
    single.sequence: 1,
    single.windows: 1,
    single.recurrent: 2,
    single.attention: 2,
    single.normalization: 2,
    single.activation: 2,
    single.scaled: 1,
    single.barrier: 1,
    single.space: 3,
    single.spread: 1,
    single.padded: 1,
    single.turned: 1,
    single.channels_first: 2,
    paths.residual: 4,
    paths.met: 3,
    paths.concatenated: 4,
    paths.stacked: 1,
    paths.gate: 3,
    paths.sliced: 2,
    paths.divided: 3,
    paths.halves: 1,
    paths.shuffled: 2,
    paths.pixels: 2,
    paths.reused: 2,
    paths.modulated: 1,
    paths.merged_rows: 1,
}
_CHAINS = {
    paths.reused_model: 1,
    paths.nested: 2,
    paths.backbone: 1,
    paths.sequential: 1,
    paths.block: 4,
}


def _weighted(table):
    return tuple(step for step, times in table.items() for _ in range(times))


_INNER, _OUTER = _weighted(_STEPS), _weighted(_STEPS | _CHAINS)


class Planner:
    """Writes steps, and knows the shape of every tensor.

    Attributes:
        pick: function from a sequence to one of its members.
        safe: bool, whether channels of zeros must stay zeros.
        depth: int, how many steps the steps are part of.
        code: bool, whether they run in the code of a layer.
        steps: list of steps so far.
        maps: list of the numbers of the maps so far.
        drawn: list of the names of the building blocks drawn.
    """

    def __init__(self, pick, shapes, safe, code=False, depth=0, drawn=None):
        self.pick, self.safe, self.code = pick, safe, code
        self.depth, self.drawn = depth, [] if drawn is None else drawn
        self.steps, self.maps = [], [0]
        self.tensors = [keras.KerasTensor((None, *s)) for s in shapes]
        self._parts = Parts()

    def shape(self, number):
        """Shape of a tensor without the batch axis."""
        return tuple(self.tensors[number].shape[1:])

    def add(self, kind, *sources, **options):
        """Adds a step.

        Returns:
            The number of its result, or a list of them.
        """
        sources = list(sources)
        self.steps.append([kind, sources, options])
        given = [self.tensors[number] for number in sources]
        step = [kind, list(range(len(given))), options]
        made = run([step], self._parts, given)[len(given) :]
        first = len(self.tensors)
        self.tensors += made
        return list(range(first, first + len(made))) if len(made) > 1 else first

    def step(self, x):
        """Draws a building block."""
        block = self.pick(_OUTER if self.depth < 2 else _INNER)
        self.drawn.append(block.__name__)
        x = block(self, x)
        self.maps.append(x)
        return x

    def inner(self, x, code=False):
        """A planner for steps inside of another one, on a map like `x`."""
        shapes = [self.shape(x)]
        depth = self.depth + 1
        return Planner(self.pick, shapes, self.safe, code, depth, self.drawn)

    def earlier(self):
        return self.pick(self.maps[::-1])

    def rarely(self):
        return self.pick((False, False, True))

    def is_small(self, x, positions=30):
        height, width, count = self.shape(x)
        return height * width <= positions and height * width * count <= 300

    def size(self, count, raw, parts=1):
        """How code may write a number of channels, or a part of it."""
        if self.code and self.pick((True, False)):
            return [1, parts]
        if not raw and self.pick((False, True)):
            return -1
        return count


def _vector(p, x):
    """Brings a map to a vector."""
    forms = "pool mean max flatten kept first turned reshape averages".split()
    form = p.pick(forms)
    height, width, count = p.shape(x)
    wide = ("flatten", "first", "turned", "reshape")
    if form in wide and height * width * count > 200:
        form = "pool"
    if form == "mean":
        return p.add("reduce", x, how="mean", axes=[1, 2], keepdims=False)
    if form == "flatten":
        return p.add("Flatten", x)
    if form == "reshape":
        sizes = p.pick(([-1], [height * width * count]))
        return p.add("reshape", x, sizes=sizes, raw=sizes != [-1])
    first = {"data_format": "channels_first"}
    if form in ("first", "turned", "averages"):
        x = p.add("transpose", x, order=[0, 3, 1, 2], how="transpose")
    if form == "averages":
        return p.add("GlobalAveragePooling2D", x, **first)
    if form == "turned":
        return p.add("Flatten", x)
    if form == "first":
        return p.add("Flatten", x, **first)
    if form == "kept":
        x = p.add("GlobalMaxPooling2D", x, keepdims=True)
        return p.add("reshape", x, sizes=[count], raw=p.pick((False, True)))
    kinds = {"pool": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D"}
    return p.add(kinds[form], x)


def _classifier(p, x):
    """Brings a map, and what else there is, to classes."""
    if p.rarely():
        x = p.add("Conv2D", x, filters=CLASSES, kernel_size=1)
        return p.add("GlobalAveragePooling2D", x)
    x = _vector(p, x)
    parts = [x]
    if p.rarely():
        parts.append(_vector(p, p.earlier()))
    if len(p.shape(1)) == 1:
        parts.append(p.add("Dense", 1, units=5, activation="relu"))
    if len(parts) > 1:
        x = p.add("concat", *parts, raw=p.pick((False, True)))
    if p.rarely():
        name = single.activation_name(p)
        x = p.add("Dense", x, units=p.pick((8, 6, 11)), activation=name)
    return p.add("Dense", x, units=CLASSES)


def draw_plan(pick):
    """Draws a graph.

    Args:
        pick: function from a sequence to one of its members.

    Returns:
        dict: `inputs`, shapes; `steps`; `outputs`, numbers of tensors; `extra`,
        what is checked besides; `code`, whether a model's own `call` hides it
        all; `safe`; `seed`; `drawn`, names of building blocks.
    """
    picture = pick(PICTURES)
    shapes = [picture, *pick(([], [], [], [[5]], [picture]))]
    p = Planner(pick, shapes, pick((True, False)))
    x = single.convolution(p, 0)
    if len(shapes) > 1 and len(shapes[1]) > 1:
        p.maps.append(1)
        x = paths.joined(p, x, paths.matched(p, 1, p.shape(x)))
    for _ in range(pick(range(1, 6))):
        x = p.step(x)
    outputs = [_classifier(p, x)]
    if p.rarely():
        outputs.append(_classifier(p, p.earlier()))
    elif p.rarely():
        outputs.append(x)
    return {
        "inputs": shapes,
        "steps": p.steps,
        "outputs": outputs,
        "extra": pick(EXTRAS),
        "code": pick((False, False, False, True)),
        "safe": p.safe,
        "seed": pick(range(5)),
        "drawn": p.drawn,
    }


@strategies.composite
def plans(draw):
    """Strategy of plans, which shrinks to few steps with simple options."""
    # Keras draws seeds for layers, which Hypothesis must not notice.
    state = random.getstate()
    plan = draw_plan(lambda options: draw(strategies.sampled_from(options)))
    random.setstate(state)
    return plan


def build(plan):
    """Makes the Keras model of a plan."""
    shapes, steps, outputs = plan["inputs"], plan["steps"], plan["outputs"]
    if plan["code"]:
        model = CodeModel(shapes, steps, outputs, name="code")
        batch = [(None, *shape) for shape in shapes]
        model.build(batch if len(batch) > 1 else batch[0])
        return model
    inputs = [keras.Input(s, name=f"input{i}") for i, s in enumerate(shapes)]
    tensors = run(steps, Parts(), inputs)
    results = [tensors[number] for number in outputs]
    return keras.Model(
        inputs if len(inputs) > 1 else inputs[0],
        results if len(results) > 1 else results[0],
        name="graph",
    )
