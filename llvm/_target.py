"""A Numba target whose functions stay unoptimised IR, and those with a rule stay calls."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

from numba.core import (
    codegen,
    compiler_lock,
    cpu,
    dispatcher,
    errors,
    fastmathpass,
    registry,
    types,
)
from numba.core.descriptors import TargetDescriptor
from numba.core.target_extension import (
    CPU,
    dispatcher_registry,
    jit_registry,
    target_override,
    target_registry,
)
from numba.core.typing import templates
from numba.core.typing.context import Context as BaseTypingContext
from numba.experimental.jitclass.base import JitClassType
from numba.extending import overload
from numba.np.arrayobj import raise_with_shape_context
from numba.parfors import parfor_lowering as lowering

from enzyme_rules import find_rule, generation

from ._array_expressions import write_arrays_ourselves
from ._constants import constant_array, has_address
from ._counterparts import KINDS, counterpart
from ._memory import MallocContext, data_models, with_any_pointer, with_outside_items
from ._parallel_lowering import call_region, lower_parfor
from ._refusals import refuse
from ._rule_calls import make_call_stub

TARGET_NAME = "enzyme"


class EnzymeTarget(CPU):
    """Numba's name for the target: everything the CPU target can lower, it can lower."""


class _RawLibrary(codegen.JITCodeLibrary):
    """A code library that is linked but neither optimised nor loaded.

    Enzyme needs the scalar form: after vectorisation and memcpy formation it loses the types of
    memory, and it optimises what it differentiates by itself.
    """

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _RawCodegen(codegen.JITCPUCodegen):
    _library_class = _RawLibrary

    def _add_module(self, module: Any) -> None:
        pass

    def set_env(self, env_name: str, env: Any) -> None:
        pass


class _TypingContext(BaseTypingContext):
    """Sees every ``@njit`` function as a function of this target, compiled before or not."""

    def resolve_value_type(self, val: Any) -> types.Type:
        val = getattr(val, "compiled_from", val)
        kind: Any = val  # with the attributes of Numba's classes
        if type(val) is registry.CPUDispatcher:
            val = dispatcher_for(val)
        elif isinstance(val, KINDS):
            val = counterpart(val, _make, EnzymeDispatcher.targetdescr)
        elif isinstance(val, JitClassType):
            return kind.class_type
        elif isinstance(val, dispatcher.ObjModeLiftedWith):
            place = val.func_ir.loc
            raise refuse(
                "Python, as in `with objmode`",
                "Compute in the surrounding function what depends on what varies, and pass the "
                "rest as arguments; or give the @njit function around it a rule",
            ).add_context(f"at {place.filename} ({place.line})")
        refuse_derivative(getattr(val, "derivative_of", None))
        return super().resolve_value_type(val)

    def resolve_getattr(self, typ: Any, attr: str) -> Any:
        # Numba would compile methods of jitclasses for the CPU.
        if isinstance(typ, types.ClassInstanceType):
            if attr in typ.jit_methods:
                return _bound_method(typ, attr)
            if attr in typ.jit_props:
                getter = dispatcher_for(typ.jit_props[attr]["get"])
                return types.Dispatcher(getter).get_call_type(self, (typ,), {}).return_type
        return super().resolve_getattr(typ, attr)


def _bound_method(instance: Any, name: str) -> types.Type:
    method = types.Dispatcher(dispatcher_for(instance.jit_methods[name]))

    class Method(templates.AbstractTemplate):
        key = (types.ClassInstanceType, name)

        def generic(self, args: Any, kws: Any) -> Any:
            return method.get_call_type(self.context, (instance, *args), kws).as_method()

    return _BoundMethod(Method, instance)


class _BoundMethod(types.BoundFunction):
    """Under a class of its own, or Numba takes it for the method that it knows on the CPU."""


def refuse_derivative(function: Any) -> None:
    """Numba's error for a derivative of a function in code that our target compiles."""
    if function is not None:
        raise errors.TypingError(
            f"a derivative of `{function.py_func.__name__}` inside of what is differentiated "
            f"has no derivative itself. For second derivatives there are `hvp` and `hessian`"
        )


class _NoEnvironment:
    """Where Numba would keep Python objects for compiled code, which ours outlives in the cache."""

    def __getattr__(self, name: str) -> Any:
        raise refuse(
            "the printing of an array, or of another object of Python's",
            "Print its numbers one by one",
        )


class _TargetContext(cpu.CPUContext):
    @compiler_lock.global_compiler_lock
    def init(self) -> None:
        super().init()
        self.data_model_manager = data_models()
        self._internal_codegen = _RawCodegen("enzyme")

    @cached_property
    def nrt(self) -> MallocContext:
        return MallocContext(self, self.enable_nrt)

    def _make_helper(
        self, builder: Any, typ: Any, value: Any = None, ref: Any = None, kind: str = "value"
    ) -> Any:
        helper = super()._make_helper(builder, typ, value, ref, kind)
        if isinstance(typ, types.ListPayload):
            return with_outside_items(helper)
        if isinstance(typ, (types.List, types.ListIter, types.Set, types.SetIter)):
            return with_any_pointer(helper)
        return helper

    def make_constant_array(self, builder: Any, typ: Any, ary: Any) -> Any:
        if has_address(typ, ary):
            return constant_array(self, builder, typ, ary)
        return super().make_constant_array(builder, typ, ary)

    def get_env_manager(self, builder: Any, return_pyobject: bool = False) -> Any:
        # What makes an exception is never run: the function is called again to raise it.
        return super().get_env_manager(builder, True) if return_pyobject else _NoEnvironment()

    def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
        # Methods of jitclasses come as functions of the CPU.
        if isinstance(fn, types.Dispatcher) and type(fn.dispatcher) is registry.CPUDispatcher:
            ours = dispatcher_for(fn.dispatcher)
            ours.compile(sig.args)
            fn = types.Dispatcher(ours)
        return super().get_function(fn, sig, _firstcall)

    def post_lowering(self, mod: Any, library: Any) -> None:
        # As on the CPU, without linking Numba's runtime.
        if self.fastmath:
            fastmathpass.rewrite_module(mod, self.fastmath)

    def get_executable(self, library: Any, fndesc: Any, env: Any) -> Any:
        def refuse(*args: Any) -> None:
            raise RuntimeError("a function lowered for Enzyme cannot be run before it is compiled")

        return refuse


class _Descriptor(TargetDescriptor):
    options = cpu.CPUTargetOptions

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._typing: _TypingContext | None = None
        self._target: _TargetContext | None = None

    @property
    def typing_context(self) -> _TypingContext:
        if self._typing is None:
            self._typing = _TypingContext()
        return self._typing

    @property
    def target_context(self) -> _TargetContext:
        if self._target is None:
            self._target = _TargetContext(self.typing_context, self._target_name)
        return self._target


class EnzymeDispatcher(dispatcher.Dispatcher):
    """An ``@njit`` function as this target compiles it. `overloads` holds the results."""

    targetdescr = _Descriptor(TARGET_NAME)

    def add_overload(self, cres: Any) -> None:
        self.overloads[tuple(cres.signature.args)] = cres
        libraries[cres.fndesc.mangled_name] = cres.library

    def compile(self, sig: Any) -> Any:
        with target_override(TARGET_NAME):
            return super().compile(sig)


libraries: dict[str, Any] = {}
"""Code library of every function lowered so far, by its symbol: recursive calls are linked late."""

# One table per state of the rule registry: a caller that was lowered before its callee got a rule
# holds the callee's body, so nothing lowered under another state can be reused.
_tables: dict[int, dict[Any, EnzymeDispatcher]] = {}
_table_lock = threading.RLock()

# What a user's decorator may carry over. `cache`, `nogil` and wrappers have no meaning for a
# function that is never run.
_KEPT_OPTIONS = ("fastmath", "error_model", "boundscheck", "inline", "no_rewrites", "parallel")


def dispatcher_for(function: Any, *, follow_rule: bool = True) -> EnzymeDispatcher:
    """This target's counterpart of an ``@njit`` function.

    Parameters
    ----------
    function : numba.core.registry.CPUDispatcher
        The user's function. It is not changed, nor are its compiled versions.
    follow_rule : bool
        Whether a function with a rule becomes an opaque call. False to lower its body.
    """
    rule = find_rule(function) if follow_rule else None
    with _table_lock:
        table = _tables.setdefault(generation(), {})
        key = (function, rule is not None)
        if key not in table:
            options = {k: v for k, v in function.targetoptions.items() if k in _KEPT_OPTIONS}
            if rule is None:
                pyfunc, local_types = function.py_func, function.locals
            else:
                pyfunc, local_types = make_call_stub(rule), {}
            table[key] = _make(pyfunc, options, local_types)
        return table[key]


def _make(pyfunc: Any, options: dict[str, Any], local_types: Any = None) -> EnzymeDispatcher:
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **options, "nopython": True}
    return EnzymeDispatcher(pyfunc, locals=local_types or {}, targetoptions=options)


def _jit(*args: Any, **options: Any) -> Any:
    """The decorator that Numba applies to overloads it compiles for this target."""

    def wrap(pyfunc: Any) -> EnzymeDispatcher:
        return _make(pyfunc, {k: v for k, v in options.items() if k in _KEPT_OPTIONS})

    return wrap(args[0]) if args and callable(args[0]) else wrap


def _lower_parallel_loops_ourselves() -> None:
    """Have Numba call us where it lowers a parallel loop for our target."""
    standard, call = lowering._lower_parfor_parallel_std, lowering.call_parallel_gufunc

    def lower(lowerer: Any, loop: Any) -> None:
        if isinstance(lowerer.context, _TargetContext):
            return lower_parfor(lowerer, loop, standard)
        return standard(lowerer, loop)

    def call_kernel(lowerer: Any, *arguments: Any) -> None:
        ours = isinstance(lowerer.context, _TargetContext)
        return (call_region if ours else call)(lowerer, *arguments)

    lowering._lower_parfor_parallel_std, lowering.call_parallel_gufunc = lower, call_kernel


_lower_parallel_loops_ourselves()
write_arrays_ourselves(lambda context: isinstance(context, _TargetContext))
target_registry[TARGET_NAME] = EnzymeTarget
dispatcher_registry[target_registry[TARGET_NAME]] = EnzymeDispatcher
jit_registry[target_registry[TARGET_NAME]] = _jit


@overload(raise_with_shape_context, target=TARGET_NAME)
def _raise_without_context(src_shapes: Any, index_shape: Any) -> Any:
    """What array expressions raise where shapes do not fit: without text, which needs lists.

    Nobody sees this exception: the function is called again to raise Numba's own.
    """

    def raise_(src_shapes: Any, index_shape: Any) -> None:
        raise ValueError("shapes do not fit")

    return raise_
