"""What a random graph may do to a map next: functions of a planner and a map.

Each one draws its options, adds steps to the plan and returns the number of the
resulting map. `p.safe` says that a channel of zeros must stay zeros. The first
option of every choice is the simplest: Hypothesis shrinks towards it.
"""

WIDTHS = (4, 6, 2, 3, 5, 7, 8, 9)
_KEEP_ZERO = ("relu", "tanh", "silu", "gelu", "elu", "leaky_relu", "softsign")
_SHARED = ([1, 2], None, [1], [1, 2, 3])
_BARRIERS = "shift lambda softmax roll layer constant space".split()
_LIFT_ZERO = ("sigmoid", "softplus", "hard_sigmoid", "log_sigmoid")


def activation_name(p):
    return p.pick(_KEEP_ZERO + (() if p.safe else _LIFT_ZERO))


def window(p, x, largest=3):
    """Kernel size, strides and padding that fit a map."""
    smallest = min(p.shape(x)[:2])
    padding = p.pick(("same", "valid")) if smallest >= largest + 1 else "same"
    size = p.pick((largest, 1, 2, [largest, 2]))
    strides = p.pick((1, 1, 2)) if smallest >= 4 else 1
    return {"kernel_size": size, "strides": strides, "padding": padding}


def common(p):
    activation = activation_name(p) if p.rarely() else None
    return {"use_bias": p.pick((True, False)), "activation": activation}


def finish(p, x):
    """Often a normalisation, often an activation."""
    if p.pick((True, False)):
        x = normalization(p, x)
    return activation(p, x) if p.pick((True, True, False)) else x


def convolution(p, x):
    options = {**window(p, x), **common(p), "filters": p.pick(WIDTHS)}
    if options["strides"] == 1 and min(p.shape(x)[:2]) > 5:
        options["dilation_rate"] = p.pick((1, 1, 2))
    return finish(p, p.add("Conv2D", x, **options))


def grouped(p, x):
    count = p.shape(x)[-1]
    groups = p.pick([n for n in range(count, 0, -1) if count % n == 0])
    filters = groups * p.pick((1, 2, 3) if groups < 5 else (1, 2))
    options = {**window(p, x), **common(p)}
    return finish(
        p, p.add("Conv2D", x, filters=filters, groups=groups, **options)
    )


def depthwise(p, x):
    options = {**window(p, x), **common(p)}
    x = p.add("DepthwiseConv2D", x, depth_multiplier=p.pick((1, 2)), **options)
    return finish(p, x)


def separable(p, x):
    options = {**window(p, x), **common(p), "filters": p.pick(WIDTHS)}
    x = p.add("SeparableConv2D", x, depth_multiplier=p.pick((1, 2)), **options)
    return finish(p, x)


def transposed(p, x):
    options = {**window(p, x), **common(p), "filters": p.pick(WIDTHS)}
    if not p.is_small(x):
        options["strides"] = 1
    return finish(p, p.add("Conv2DTranspose", x, **options))


def dense(p, x):
    x = p.add("Dense", x, units=p.pick(WIDTHS), **common(p))
    return finish(p, x)


def einsum(p, x):
    if p.safe:
        return dense(p, x)
    units, (height, width, count) = p.pick(WIDTHS), p.shape(x)
    # With dots, Keras takes height for width in the shape of the result.
    dots = ("dots",) if height == width else ()
    form = p.pick(("full", *dots, "turned", "heads", "shared"))
    if form == "heads":
        shape = [height, width, 2, units]
        text = "abcd,def->abcef"
        x = p.add("EinsumDense", x, equation=text, output_shape=shape)
        text, shape = "abcef,efd->abcd", [height, width, count]
        return p.add("EinsumDense", x, equation=text, output_shape=shape)
    text = {
        "full": "abcd,de->abce",
        "dots": "...d,de->...e",
        "turned": "abcd,ed->abce",
        "shared": "abcd,bde->abce",
    }[form]
    shape = [units] if form == "dots" else [height, width, units]
    bias = p.pick(("e", None))
    x = p.add(
        "EinsumDense", x, equation=text, output_shape=shape, bias_axes=bias
    )
    return finish(p, x)


def along_rows(p, x):
    """Layers inside of `TimeDistributed`."""
    if p.safe:
        return dense(p, x)
    kinds = ("Conv1D", "Dense", "DepthwiseConv1D", "SeparableConv1D")
    kinds += ("BatchNormalization", "LayerNormalization", "Conv1DTranspose")
    kind = p.pick((*kinds, "GlobalAveragePooling1D"))
    if kind == "GlobalAveragePooling1D":
        y = p.add("expand", p.add("time", x, layer=kind), axis=2)
        return p.add("join", x, y, how="subtract", raw=True)
    options = {"padding": "same", "kernel_size": 3} if "Conv" in kind else {}
    if kind in ("Conv1D", "SeparableConv1D", "Conv1DTranspose"):
        options["filters"] = p.pick(WIDTHS)
    if kind == "Dense":
        options = {"units": p.pick(WIDTHS), "activation": activation_name(p)}
    return finish(p, p.add("time", x, layer=kind, **options))


def sequence(p, x):
    """Positions in one axis, a convolution over them, and back."""
    height, width, count = p.shape(x)
    raw = p.pick((True, False))
    sizes = [height * width, p.size(count, raw)]
    x = p.add("reshape", x, sizes=sizes, raw=raw)
    filters, padding = p.pick(WIDTHS), p.pick(("same", "causal"))
    x = p.add("Conv1D", x, filters=filters, kernel_size=3, padding=padding)
    sizes = [height, width, p.size(filters, raw)]
    return finish(p, p.add("reshape", x, sizes=sizes, raw=raw))


def recurrent(p, x):
    """Columns of a map are the steps of a sequence."""
    if p.safe or not p.is_small(x, 60):
        return dense(p, x)
    height, width, count = p.shape(x)
    options = {"return_sequences": True}
    if p.rarely():
        options |= {"filters": 3, "kernel_size": 3, "padding": "same"}
        y = p.add("ConvLSTM1D", x, **options)
        y = p.add("Conv2D", y, filters=count, kernel_size=1)
        return p.add("join", x, y, how="add", raw=p.pick((False, True)))
    raw = p.pick((True, False))
    sizes = [height, width * count if raw else -1]
    y = p.add("reshape", x, sizes=sizes, raw=raw)
    kind = p.pick(("LSTM", "GRU", "SimpleRNN"))
    options |= {"units": p.pick((3, 4)), "use_bias": p.pick((True, False))}
    if p.rarely():
        y = p.add("both", y, layer=kind, **options)
    else:
        y = p.add(kind, y, **options)
    y = p.add("expand", p.add("Dense", y, units=count), axis=2)
    return p.add("join", x, y, how="add", raw=True)


def windows(p, x):
    """Rows become examples: a reshape that touches the batch axis."""
    height, width, count = p.shape(x)
    x = p.add("reshape", x, sizes=[width, count], raw=True)
    x = p.add("Dense", x, units=p.pick(WIDTHS), activation="relu")
    sizes = [height, width, p.shape(x)[-1]]
    return p.add("reshape", x, sizes=sizes, raw=True)


def attention(p, x):
    if p.safe or not p.is_small(x, 60):
        return dense(p, x)
    height, width, count = p.shape(x)
    sizes = [height * width, count]
    tokens = p.add("reshape", x, sizes=sizes, raw=p.pick((False, True)))
    y = tokens
    if p.pick((True, False)):
        y = p.add("LayerNormalization", y)
    form = p.pick(("heads", "einsum", "matmul"))
    if form == "heads":
        sizes = {"num_heads": p.pick((2, 1)), "key_dim": p.pick((3, 2))}
        sizes |= {"value_dim": 4} if p.rarely() else {}
        y = p.add("heads", y, y, use_bias=p.pick((True, False)), **sizes)
    else:
        units = p.pick(WIDTHS)
        parts = [p.add("Dense", y, units=n) for n in (units, units, count)]
        y = p.add("attend", *parts, how=form)
    if p.pick((True, False)):
        y = p.add("join", tokens, y, how="add", raw=True)
    y = p.add("reshape", y, sizes=[height, width, count], raw=True)
    return finish(p, y)


def normalization(p, x):
    count = p.shape(x)[-1]
    kinds = ("LayerNormalization", "RMSNormalization", "GroupNormalization")
    kinds += ("UnitNormalization", "GroupNormalization", "space")
    plain = ("BatchNormalization",) * 3
    # Of one or two channels there is little left to normalise over.
    kind = p.pick(plain + (() if p.safe or count < 4 else kinds))
    if kind == "space":
        kind = p.pick(("LayerNormalization", "BatchNormalization"))
        axis = p.pick((2, [1, 2], [1, 2, 3]))
        return p.add(kind, x, axis=axis if kind[0] == "L" else 2)
    options = {}
    if kind[:5] in ("Batch", "Layer", "Group"):
        options["scale"] = p.pick((True, True, False))
        options["center"] = p.pick((True, True, False))
    if kind == "GroupNormalization":
        groups = [n for n in range(1, count + 1) if count % n == 0]
        options["groups"] = p.pick([*groups, -1])
    x = p.add(kind, x, **options)
    # Otherwise a mean over space would be a constant.
    return p.add("ReLU", x) if kind == "GroupNormalization" else x


def activation(p, x):
    form = p.pick(("relu", "raw", "layer", "prelu", "chain"))
    if form == "relu":
        return p.add("ReLU", x)
    if form == "raw":
        name = p.pick(
            ("relu", "silu", "gelu", "tanh", "relu6", "hard_silu")
            + (() if p.safe else ("sigmoid", "softplus", "log_sigmoid"))
        )
        return p.add("raw", x, name=name)
    if form == "layer":
        kind = p.pick(("Activation", "LeakyReLU", "ELU"))
        options = {
            "Activation": {"activation": activation_name(p)},
            # TensorFlow forgets any other slope where it fuses a convolution,
            # an addition and this.
            "LeakyReLU": {"negative_slope": 0.2},
        }.get(kind, {})
        return p.add(kind, x, **options)
    if form == "prelu":
        return p.add("PReLU", x, shared_axes=p.pick(_SHARED))
    return arithmetic(p, x)


def arithmetic(p, x):
    safe = ("half", "negative", "twice", "hard_swish")
    # Keras takes a product with a number for sparse, and cannot call layers
    # without a `compute_output_shape` on it.
    safe += ("product",) if p.code else ()
    rest = ("affine", "complement", "hard_sigmoid", "decay", "wave")
    return p.add("arithmetic", x, form=p.pick(safe + (() if p.safe else rest)))


def scaled(p, x):
    forms = "LayerScale ChannelGain Rescaling Dropout SpatialDropout2D"
    form = p.pick(forms.split())
    options = {
        "ChannelGain": {},
        "LayerScale": {"init_values": 1.0, "projection_dim": p.shape(x)[-1]},
        "Rescaling": {"scale": 0.5, "offset": 0.0 if p.safe else 0.2},
        "Dropout": {"rate": 0.2, "seed": 1},
        "SpatialDropout2D": {"rate": 0.2, "seed": 2},
    }[form]
    return p.add(form, x, **options)


def barrier(p, x):
    """What has no rule, or a rule that keeps all channels."""
    form = p.pick(_BARRIERS)
    if form == "lambda" and not p.code:
        return p.add("lambda", x)
    if form == "constant":
        return p.add("constant", x)
    if form == "space" and not p.safe:
        return p.add("softmax", x, axis=1)
    if form == "softmax":
        return p.add("softmax", x, axis=-1)
    if form == "roll":
        return p.add("roll", x, shift=1, axis=p.pick((3, 2)))
    if form == "layer":
        return p.add("Softmax", x)
    return p.add("ChannelShift", x)


def space(p, x):
    """Layers that change the size of a map."""
    smallest = min(p.shape(x)[:2])
    kinds = ["ZeroPadding2D"] if p.is_small(x, 60) else []
    kinds += ["MaxPooling2D", "AveragePooling2D"] if smallest > 3 else []
    kinds += ["Cropping2D"] if smallest > 3 else []
    kinds += ["UpSampling2D"] if p.is_small(x) else []
    # Keras on TensorFlow cannot compile adaptive pooling to a larger size.
    kinds += ["AdaptiveAveragePooling2D"] if smallest > 3 else []
    kind = p.pick(kinds + ["Resizing", "resize"])
    size = p.pick(([4, 5], [6, 6], [5, 3]))
    way = p.pick(("bilinear", "nearest"))
    if kind == "resize":
        return p.add("resize", x, size=size, interpolation=way)
    options = {
        "ZeroPadding2D": {"padding": [[1, 0], [0, 2]]},
        "Cropping2D": {"cropping": [[1, 0], [0, 1]]},
        "AdaptiveAveragePooling2D": {"output_size": [3, 4]},
        "UpSampling2D": {"size": p.pick((2, [1, 2]))},
        "Resizing": {"height": size[0], "width": size[1]},
        "MaxPooling2D": {"pool_size": p.pick((2, 3)), "strides": 1},
        "AveragePooling2D": {"pool_size": 2, "padding": "same"},
    }[kind]
    return p.add(kind, x, **options)


def spread(p, x):
    """A reduction over one axis of a map, shared along it."""
    how, axis = p.pick(("mean", "max", "sum", "min")), p.pick((1, 2))
    if p.pick((True, False)):
        y = p.add("reduce", x, how=how, axes=[axis], keepdims=True)
    else:
        y = p.add("reduce", x, how=how, axes=[axis], keepdims=False)
        y = p.add("expand", y, axis=axis)
    ways = ("subtract", "maximum", "add")
    return p.add("join", x, y, how=p.pick(ways), raw=True)


def padded(p, x):
    """Padding of space, or of channels as the old ResNets did."""
    channels = p.pick(([0, 0], [0, 0], [0, 2], [1, 0]))
    if p.safe or channels == [0, 0]:
        channels = [0, 0]
    small = p.is_small(x, 60) and min(p.shape(x)[:2]) > 2
    rows = p.pick(([1, 1], [0, 2])) if small else [0, 0]
    mode = p.pick(("constant", "reflect"))
    widths = [[0, 0], rows, [0, 0], channels]
    return p.add("pad", x, widths=widths, mode=mode)


def turned(p, x):
    """Another order of axes, something done there, and back."""
    how = p.pick(
        ("permute", "transpose", "swapaxes", "moveaxis", "flip", "mixed")
    )
    if how == "flip":
        return p.add("flip", x, axis=p.pick((1, 2)))
    if how == "swapaxes":
        y = activation(p, p.add("swapaxes", x, one=1, other=2))
        return p.add("swapaxes", y, one=2, other=-3)
    if how == "mixed":
        y = p.add("transpose", x, order=[0, 3, 2, 1], how="transpose")
        return p.add("Dense", y, units=p.pick(WIDTHS))
    if how == "moveaxis":
        y = p.add("moveaxis", x, source=-1, destination=1)
        y = p.add("raw", y, name="tanh")
        return p.add("moveaxis", y, source=1, destination=3)
    y = p.add("transpose", x, order=[0, 3, 1, 2], how=how)
    y = p.add("arithmetic", y, form="half")
    return p.add("transpose", y, order=[0, 2, 3, 1], how=how)


def channels_first(p, x):
    """A few layers of the other data format."""
    first = {"data_format": "channels_first"}
    x = p.add("transpose", x, order=[0, 3, 1, 2], how="permute")
    for _ in range(p.pick((1, 2))):
        width = p.shape(x)[-1]
        kind = p.pick(("Conv2D", "DepthwiseConv2D", "Conv2DTranspose"))
        options = {} if kind == "DepthwiseConv2D" else {"filters": 5}
        # Keras adds a bias along the wrong axis where that is as long.
        options["use_bias"] = width > 2 * p.shape(x)[0] and width > 5
        options |= {"kernel_size": 3, "padding": "same", **first}
        x = p.add(kind, x, **options)
        if p.pick((True, False)):
            x = p.add("BatchNormalization", x, axis=1)
        if p.pick((True, False)):
            x = p.add("raw", x, name="relu")
        if p.rarely() and min(p.shape(x)[1:]) > 3:
            x = p.add("MaxPooling2D", x, **first)
    return p.add("transpose", x, order=[0, 2, 3, 1], how="transpose")
