"""Channel rule of `EinsumDense`: one axis in and one axis out can shrink.

Of several axes, such as heads and their size, it is the last: all heads lose
the same places.
"""

import math

import keras

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.rule import IN, OUT, Rule, register_rule
from keras_chex.graph.rules.activation import keep_if_mixed


class _Equation:
    """Which axes of input, kernel and output the letters name.

    Attributes:
        summed: str, letters of the input that the kernel is summed over with.
        made: str, letters of the output that come from the kernel.
        shared: str, letters of the output that the kernel does not have.
    """

    def __init__(self, equation):
        left, self.result = equation.replace(" ", "").split("->")
        self.source, self.kernel = left.split(",")
        own = set(self.kernel) - {"."}
        both = own & set(self.source) & set(self.result)
        self.summed = "".join(c for c in self.source if c in own)
        self.made = "".join(c for c in self.result if c in own)
        self.shared = "".join(
            c for c in self.result if c not in own and c != "."
        )
        self.is_plain = bool(not both and self.summed and self.made) and all(
            text.lstrip(".").isalpha() for text in (self.source, self.result)
        )

    def of_input(self, letter):
        """Axis of the input, counted from the right."""
        return self.source.index(letter) - len(self.source)

    def of_output(self, letter):
        """Axis of the output, counted from the right."""
        return self.result.index(letter) - len(self.result)


@register_rule(keras.layers.EinsumDense)
class EinsumDenseRule(Rule):
    completes_shapes = True

    def flow(self, call):
        layer, equation = call.layer, _Equation(call.layer.equation)
        if not equation.is_plain:
            return call.barrier(f"'{call.name}' weighs channels one by one")
        call.consume(equation.of_input(equation.summed[-1]))
        letter = equation.made[-1]
        size = layer.kernel.shape[equation.kernel.index(letter)]
        outputs = call.produce(size)
        keep_if_mixed(call, outputs)
        rank = len(call.output_shapes[0])
        return [Channels(outputs, rank + equation.of_output(letter))]

    def weights(self, layer):
        equation = _Equation(layer.equation)
        if not equation.is_plain:
            return {"kernel": {}, "bias": {}}
        letter = equation.made[-1]
        kernel = {
            equation.kernel.index(equation.summed[-1]): IN,
            equation.kernel.index(letter): OUT,
        }
        bias = {}
        if letter in (layer.bias_axes or ""):
            rank = len(layer.bias.shape)
            bias[rank + equation.of_output(letter)] = OUT
        return {"kernel": kernel, "bias": bias}

    def narrow_config(self, layer, config, widths):
        equation = _Equation(layer.equation)
        shape = config["output_shape"]
        shape = [shape] if isinstance(shape, int) else list(shape)
        shape[equation.of_output(equation.made[-1])] = widths["out"]
        return {**config, "output_shape": shape}

    def input_axis(self, layer, rank):
        equation = _Equation(layer.equation)
        return rank + equation.of_input(equation.summed[-1])

    def sized_config(self, layer, config, shapes):
        equation, sizes = _Equation(layer.equation), config["output_shape"]
        sizes = [sizes] if isinstance(sizes, int) else list(sizes)
        for letter in equation.shared if equation.is_plain else ():
            place = equation.of_output(letter)
            known = {x[equation.of_input(letter)] for x, _ in shapes}
            if -place <= len(sizes) and sizes[place] is None:
                sizes[place] = known.pop() if len(known) == 1 else None
        return {**config, "output_shape": sizes}

    def output_shapes(self, layer, input_shape, shapes):
        equation, shape = _Equation(layer.equation), list(shapes[0])
        for letter in equation.shared:
            place = equation.of_output(letter)
            if equation.result[0] == "." or place > -len(shape):
                shape[place] = input_shape[equation.of_input(letter)]
        return [tuple(shape)]

    def uses(self, layer, input_shape, output_shape):
        equation = _Equation(layer.equation)
        size = dict(
            zip(reversed(equation.source), reversed(input_shape), strict=False)
        )
        if "." not in equation.result:
            # The first letter is the batch.
            letters = [c for c in equation.shared if c != equation.result[0]]
            return {"kernel": math.prod(size[c] for c in letters)}
        rank = len(equation.result.lstrip("."))
        elided = output_shape[1 : len(output_shape) - rank]
        shared = math.prod(size[c] for c in equation.shared)
        return {"kernel": math.prod(elided) * shared}
