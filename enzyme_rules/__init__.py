"""Derivatives of what Enzyme cannot see through: rule types, their registry, rules for FFTW."""

from ._c_function import c_function as c_function
from ._registry import find_rule as find_rule
from ._registry import generation as generation
from ._registry import register as register
from ._registry import symbol_rules as symbol_rules
from ._registry import unregister as unregister
from ._rules import AllocationRule as AllocationRule
from ._rules import CustomRule as CustomRule
from ._rules import Inactive as Inactive
from ._rules import LinearRule as LinearRule
from ._rules import RecomputedRule as RecomputedRule
from ._rules import Rule as Rule
