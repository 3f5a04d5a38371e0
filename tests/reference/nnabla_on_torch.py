"""As much of NNabla as the published D3Net uses, on torch, so that the published code itself runs here.

NNabla has no wheels for all the Pythons we test on. Parameters are kept by the names that NNabla gives them,
which are those of its files.
"""

from __future__ import annotations

import contextlib
from types import ModuleType, SimpleNamespace

import torch
from torch.nn import functional as F


class Variable:
    """An array with the operators and methods that the published code calls."""

    def __init__(self, tensor):
        self.tensor = tensor

    @classmethod
    def from_numpy_array(cls, array):
        return cls(torch.from_numpy(array.copy()))

    @property
    def shape(self):
        return tuple(self.tensor.shape)

    @property
    def data(self):
        return SimpleNamespace(data=self.tensor.numpy())

    def forward(self, *, clear_buffer):
        """Nothing is left to do: here all is computed at once."""

    def apply(self, *, recompute):  # noqa: ARG002 - what NNabla takes
        return self

    def __getitem__(self, key):
        return Variable(self.tensor[key])

    def __add__(self, other):
        return Variable(self.tensor + other.tensor)

    def __sub__(self, other):
        return Variable(self.tensor - other.tensor)

    def __mul__(self, other):
        return Variable(self.tensor * other.tensor)

    def __truediv__(self, other):
        return Variable(self.tensor / other.tensor)


class Parameters(dict):
    """Parameters by name; one that is asked for first is made by `draw(name, shape)`."""

    def __init__(self, draw):
        super().__init__()
        self.draw, self.scopes = draw, []

    @contextlib.contextmanager
    def scope(self, name):
        self.scopes.append(name)
        try:
            yield
        finally:
            self.scopes.pop()

    def get(self, name, shape, initializer=None):  # noqa: ARG002 - `draw` is what initialises
        path = "/".join([*self.scopes, name])
        if path not in self:
            self[path] = self.draw(path, tuple(shape))
        assert tuple(self[path].shape) == tuple(shape), path
        return Variable(self[path])


def modules(parameters):
    """The modules that `import nnabla` and its relatives give, over these parameters."""
    names = ("nnabla", "functions", "parametric_functions", "parameter", "initializer")
    nnabla, functions, parametric, parameter, initializer = made = [ModuleType(name) for name in names]
    nnabla.Variable, nnabla.parameter_scope = Variable, parameters.scope
    parameter.get_parameter_or_create = parameters.get
    initializer.ConstantInitializer = lambda value: value

    functions.relu = lambda x, **_: Variable(F.relu(x.tensor))
    functions.sigmoid = lambda x: Variable(torch.sigmoid(x.tensor))
    functions.transpose = lambda x, axes: Variable(x.tensor.permute(axes))
    functions.concatenate = lambda *xs, axis: Variable(torch.cat([x.tensor for x in xs], axis))
    functions.average_pooling = lambda x, kernel, stride: Variable(F.avg_pool2d(x.tensor, kernel, stride))

    def convolution(x, outmaps, kernel, *, stride, dilation, pad, name, **_):
        with parameters.scope(name), parameters.scope("conv"):
            weight = parameters.get("W", (outmaps, x.shape[1], *kernel)).tensor
            bias = parameters.get("b", (outmaps,)).tensor
        return Variable(F.conv2d(x.tensor, weight, bias, stride=stride, padding=pad, dilation=dilation))

    def deconvolution(x, outmaps, *, kernel, stride, name):
        with parameters.scope(name), parameters.scope("deconv"):
            weight = parameters.get("W", (x.shape[1], outmaps, *kernel)).tensor
            bias = parameters.get("b", (outmaps,)).tensor
        return Variable(F.conv_transpose2d(x.tensor, weight, bias, stride=stride))

    def batch_normalization(x, *, batch_stat, name):
        assert not batch_stat
        shape = (1, x.shape[1], 1, 1)
        with parameters.scope(name), parameters.scope("bn"):
            beta, gamma, mean, var = (
                parameters.get(kind, shape).tensor for kind in ("beta", "gamma", "mean", "var")
            )
        return Variable((x.tensor - mean) / (var + 1e-5).sqrt() * gamma + beta)

    parametric.convolution, parametric.deconvolution = convolution, deconvolution
    parametric.batch_normalization = batch_normalization
    nnabla.functions, nnabla.parametric_functions = functions, parametric
    nnabla.parameter, nnabla.initializer = parameter, initializer
    return {"nnabla": nnabla, **{f"nnabla.{name}": made[at] for at, name in enumerate(names) if at}}
