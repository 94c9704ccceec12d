"""What a random graph may do with several maps, parts of one, or a whole chain.

As in `random_steps.py`: functions of a planner and a map.
"""

from tests import random_steps as single

_SLICES = ("run", "first", "last", "step", "space", "both", "row")
_WAYS = ("add", "subtract", "multiply", "maximum", "minimum")


def matched(p, x, shape):
    """Brings a map to a shape, as a projection shortcut does."""
    if p.shape(x)[:2] != shape[:2]:
        size = list(shape[:2])
        x = p.add("resize", x, size=size, interpolation="nearest")
    if p.shape(x)[-1] != shape[-1]:
        x = p.add("Conv2D", x, filters=shape[-1], kernel_size=1)
    return x


def joined(p, x, y):
    """Two maps of one shape, by element."""
    ways = ("add", "multiply", "maximum") if x == y else _WAYS
    how, raw = p.pick(ways), p.pick((False, True))
    pair = (x, y) if p.pick((True, False)) else (y, x)
    return p.add("join", *pair, how=how, raw=raw)


def residual(p, x):
    y = single.convolution(p, x)
    if p.pick((True, False)):
        shape = p.shape(y)[:2] + p.shape(x)[-1:]
        same = p.add("Conv2D", y, filters=shape[-1], kernel_size=1)
        y = p.add("BatchNormalization", same) if p.rarely() else same
    x = matched(p, x, p.shape(y))
    y = p.add("join", x, y, how="add", raw=p.pick((False, True)))
    return single.activation(p, y)


def met(p, x):
    """The map meets an earlier one."""
    other = p.earlier()
    return joined(p, x, matched(p, other, p.shape(x)))


def concatenated(p, x):
    """Two or three maps side by side; one may come twice."""
    parts = [x, *(p.earlier() for _ in range(p.pick((1, 2))))]
    size = p.shape(x)[:2]
    parts = [matched(p, y, size + p.shape(y)[-1:]) for y in parts]
    if sum(p.shape(y)[-1] for y in parts) > 30:
        return x
    if p.pick((False, True)):
        parts.reverse()
    x = p.add("concat", *parts, raw=p.pick((False, True)))
    return single.finish(p, x)


def stacked(p, x):
    """Two maps of the same channels on top of each other."""
    if not p.is_small(x):
        return met(p, x)
    y = matched(p, p.earlier(), p.shape(x))
    return p.add("concat", x, y, raw=p.pick((False, True)), axis=p.pick((1, 2)))


def gate(p, x):
    """Squeeze and excite, in the ways it is written."""
    count, form = p.shape(x)[-1], p.pick(("keepdims", "baked", "raw", "space"))
    if form == "space":
        y = p.add("Conv2D", x, filters=1, kernel_size=3, padding="same")
        y = p.add("Activation", y, activation="sigmoid")
        pair = (x, y) if p.pick((True, False)) else (y, x)
        return p.add("join", *pair, how="multiply", raw=p.pick((False, True)))
    if form == "raw":
        y = p.add("reduce", x, how="mean", axes=[1, 2], keepdims=True)
    else:
        y = p.add("GlobalAveragePooling2D", x, keepdims=form == "keepdims")
    if form == "baked":
        raw = p.pick((False, True))
        y = p.add("reshape", y, sizes=[1, 1, p.size(count, raw)], raw=raw)
    hidden = p.pick((3, 2, 4))
    kind = p.pick(("Conv2D", "Dense"))
    y = _pointwise(p, kind, y, hidden, "relu")
    last = p.pick(("sigmoid", None))
    y = _pointwise(p, kind, y, count, last)
    if last is None:
        form = p.pick(("hard_sigmoid", "half"))
        y = p.add("arithmetic", y, form=form)
    return p.add("join", x, y, how="multiply", raw=p.pick((False, True)))


def _pointwise(p, kind, x, width, activation):
    sizes = {"units": width}
    if kind == "Conv2D":
        sizes = {"filters": width, "kernel_size": 1}
    return p.add(kind, x, activation=activation, **sizes)


def sliced(p, x):
    """A part of the channels, or of the space."""
    height, width, count = p.shape(x)
    form = p.pick(_SLICES)
    half = count // 2
    if form in ("run", "first", "last") and count > 3:
        start = p.pick(range(1, count - 1))
        part = {
            "run": [start, p.pick(range(start + 1, count + 1)), None],
            "first": [None, p.pick((half, start)), None],
            "last": [p.pick((-half, -start)), None, None],
        }[form]
        return single.finish(p, p.add("slice", x, key=["...", part]))
    if form == "step" and count > 3:
        start, stop = p.pick((None, 0, 1)), p.pick((None, None, count - 1))
        part = [start, stop, p.pick((2, 3))]
        key = [[None] * 3, "...", [None] * 3, part]
        return single.finish(p, p.add("slice", x, key=key))
    if min(height, width) < 4:
        return single.activation(p, x)
    if form == "row":
        y = p.add("slice", x, key=[[None] * 3, p.pick((1, 0, -1))])
        y = p.add("slice", y, key=[[None] * 3, None, "..."])
        return p.add("join", x, y, how="add", raw=True)
    part = [None, half, None] if form == "both" and half else [None] * 3
    key = ["...", [1, None, None], [None, None, 2], part]
    return p.add("slice", x, key=key)


def divided(p, x):
    """A split, something with the parts, and a join of them."""
    count = p.shape(x)[-1]
    if count < 4:
        x = p.add("Conv2D", x, filters=6, kernel_size=1)
        count = 6
    numbers = [n for n in (2, 3) if count % n == 0]
    places = p.pick([*numbers, [count // 2], [p.pick(range(1, count))]])
    parts = p.add("split", x, places=places)
    if p.rarely() and p.shape(x)[1] > 3:
        top, bottom = p.add("split", x, places=[2], axis=2)
        p.maps += [top, bottom]
    changed = p.pick(range(len(parts)))
    parts[changed] = p.pick((single.convolution, single.activation))(
        p, parts[changed]
    )
    equal = isinstance(places, int) and p.pick((True, False))
    if equal and p.shape(parts[0]) == p.shape(parts[1]):
        gated = p.add("raw", parts[1], name="sigmoid")
        return p.add("join", parts[0], gated, how="multiply", raw=True)
    size = p.shape(parts[changed])[:2]
    parts = [matched(p, y, size + p.shape(y)[-1:]) for y in parts]
    return p.add("concat", *parts, raw=p.pick((False, True)))


def halves(p, x):
    """Both sides of a cut, written as slices."""
    count = p.shape(x)[-1]
    cut = p.pick([n for n in range(1, count)] or [1])
    left = p.add("slice", x, key=["...", [None, cut, None]])
    if cut >= count:
        return left
    right = p.add("slice", x, key=["...", [cut, None, None]])
    right = single.activation(p, right)
    return p.add("concat", right, left, raw=p.pick((False, True)))


def shuffled(p, x):
    """The channel shuffle of ShuffleNet."""
    height, width, count = p.shape(x)
    groups = p.pick([n for n in (2, 3, 4) if count % n == 0] or [1])
    if groups == 1 or count == groups:
        x = p.add("Conv2D", x, filters=8, kernel_size=1)
        count, groups = 8, 2
    raw = p.pick((True, False))
    each = p.size(count // groups, raw, groups)
    sizes = [height, width, groups, each]
    if p.pick((False, True)):
        sizes = [height, width, each, groups]
    y = p.add("reshape", x, sizes=sizes, raw=raw)
    y = p.add("transpose", y, order=[0, 1, 2, 4, 3], how="transpose")
    return p.add("reshape", y, sizes=[height, width, count], raw=raw)


def pixels(p, x):
    """Channels to space, and space to channels."""
    height, width, count = p.shape(x)
    raw = p.pick((True, False))
    if p.is_small(x):
        if count % 4:
            count = 4 * p.pick((2, 3, 1))
            x = p.add("Conv2D", x, filters=count, kernel_size=1)
        rest = count // 4
        sizes, order = [2, 2, rest], [0, 1, 3, 2, 4, 5]
        if p.pick((False, True)):
            sizes, order = [rest, 2, 2], [0, 1, 4, 2, 5, 3]
        y = p.add("reshape", x, sizes=[height, width, *sizes], raw=raw)
        y = p.add("transpose", y, order=order, how="transpose")
        sizes = [2 * height, 2 * width, rest]
        return single.finish(p, p.add("reshape", y, sizes=sizes, raw=raw))
    if height % 2 or width % 2 or count > 8:
        return single.space(p, x)
    sizes = [height // 2, 2, width // 2, 2, count]
    y = p.add("reshape", x, sizes=sizes, raw=raw)
    y = p.add("transpose", y, order=[0, 1, 3, 2, 4, 5], how="transpose")
    sizes = [height // 2, width // 2, 4 * count]
    return single.finish(p, p.add("reshape", y, sizes=sizes, raw=raw))


def _same_shape(p, x, code=False):
    """Steps that can be called again on their own result."""
    inner = p.inner(x, code)
    count = p.shape(x)[-1]
    y = inner.add("Conv2D", 0, filters=count, kernel_size=3, padding="same")
    y = single.finish(inner, y)
    if p.pick((False, True)):
        inner.add("join", 0, y, how="add", raw=True)
    return inner.steps


def reused(p, x):
    """The same layers on two maps, or on their own result."""
    steps = _same_shape(p, x)
    if p.pick((True, False)):
        return p.add("reuse", x, steps=steps, times=2)
    other = p.earlier()
    # `PReLU` may have a weight for every position.
    fixed = any(kind == "PReLU" for kind, _, _ in steps)
    size = p.shape(x if fixed else p.pick((x, other)))[:2]
    other = matched(p, other, size + p.shape(x)[-1:])
    left, right = p.add("reuse", x, other, steps=steps)
    if p.pick((True, False)):
        return joined(p, left, matched(p, right, p.shape(left)))
    right = matched(p, right, p.shape(left))
    pair = left, right
    return p.add("concat", *pair, raw=p.pick((False, True)))


def reused_model(p, x):
    """A nested model or a block that is called twice."""
    kind = p.pick(("nested", "block"))
    inner = [[kind, [0], {"steps": _same_shape(p, x, kind == "block")}]]
    return p.add("reuse", x, steps=inner, times=2)


def _chain(p, x, code=False):
    inner = p.inner(x, code)
    y = 0
    for _ in range(p.pick((1, 2))):
        y = inner.step(y)
    return inner.steps


def nested(p, x):
    steps = _chain(p, x)
    return p.add("nested", x, steps=steps) if steps else x


def backbone(p, x):
    """A nested model with two outputs."""
    inner = p.inner(x)
    first = single.convolution(inner, 0)
    outputs = [first, inner.step(first)]
    if outputs[0] == outputs[1]:
        return p.add("nested", x, steps=inner.steps)
    pair = p.add("nested", x, steps=inner.steps, outputs=outputs)
    p.maps.append(pair[0])
    return joined(p, pair[1], matched(p, pair[0], p.shape(pair[1])))


def modulated(p, x):
    """A vector scales or shifts the channels of a map."""
    count = p.shape(x)[-1]
    source = 1 if len(p.tensors) > 1 and len(p.shape(1)) == 1 else None
    if source is None:
        source = p.add("GlobalAveragePooling2D", p.earlier())
    raw = p.pick((False, True))
    y = p.add("Dense", source, units=count)
    y = p.add("reshape", y, sizes=[1, 1, p.size(count, raw)], raw=raw)
    return p.add("join", x, y, how=p.pick(("multiply", "add")), raw=True)


def merged_rows(p, x):
    """Positions and channels in one axis, and out again."""
    height, width, count = p.shape(x)
    if width * count > 60:
        return single.space(p, x)
    raw = p.pick((True, False))
    y = p.add("reshape", x, sizes=[height, width * count], raw=raw)
    units = p.pick(single.WIDTHS)
    y = p.add("Dense", y, units=units)
    sizes = [height, 1, p.size(units, raw)]
    return single.finish(p, p.add("reshape", y, sizes=sizes, raw=raw))


def block(p, x):
    steps = _chain(p, x, code=True)
    return p.add("block", x, steps=steps) if steps else x


def sequential(p, x):
    inner = p.inner(x)
    y = 0
    for _ in range(p.pick((1, 2, 3))):
        y = inner.add("Conv2D", y, filters=p.pick(single.WIDTHS), kernel_size=1)
        y = inner.add("BatchNormalization", y)
        y = inner.add("Activation", y, activation=single.activation_name(p))
    return p.add("sequential", x, steps=inner.steps)
