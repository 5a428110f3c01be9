"""The objectives of ADBench and GradBench, each in Numba, in JAX and in PyTorch."""

from ._objective import Objective as Objective
from .bundle import BUNDLE
from .gmm import GMM
from .hand import HAND
from .kmeans import KMEANS
from .lstm import LSTM
from .reaction import REACTION
from .robertson import ROBERTSON

OBJECTIVES = {o.name: o for o in (GMM, BUNDLE, LSTM, HAND, KMEANS, ROBERTSON, REACTION)}
