"""Points the names of kernels.pxd at the kernels that were built for the chosen instruction set.

A kernel module exports each of its C functions as a capsule whose name is the C signature. It is
compared, so that a module left over from an older build is never called by mistake.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer, PyCapsule_IsValid

from convkit import _ext

if _ext.why_not():
    raise ImportError(f"convkit's compiled kernels: {_ext.why_not()}")

TABLES = "Py_ssize_t const *, Py_ssize_t const *"
PLANES = ", ".join(5*["Py_ssize_t"])

SIGNATURES = {
    "conv2d": (
        "ladder.conv_threads",
        "void ({T} *, {T} const *, {T} const *, {T} const *, " + TABLES + ", struct conv_shape const *)",
    ),
    "conv_transpose2d": (
        "conv_transpose",
        "void ({T} *, {T} const *, {T} const *, {T} const *, " + TABLES + ", struct conv_shape const *)",
    ),
    "conv2d_grad_w": (
        "conv_grad_w",
        "void ({T} *, {T} const *, {T} const *, " + TABLES + ", struct conv_shape const *)",
    ),
    "conv2d_grad_b": ("conv_grad_b", "void ({T} *, {T} const *, " + ", ".join(4*["Py_ssize_t"]) + ")"),
    "pad2d": ("padding", "void ({T} *, {T} const *, " + TABLES + ", {T}, " + PLANES + ")"),
    "pad2d_backward": ("padding", "void ({T} *, {T} const *, " + TABLES + ", " + PLANES + ")"),
}
"""Operation -> module of its production kernel, and its C signature, where T is float or double."""


cdef void *address(str op, str suffix, str T) except NULL:
    module, signature = SIGNATURES[op]
    capsule = _ext.load(module).__pyx_capi__[op + suffix]
    name = signature.format(T=T).encode()
    if not PyCapsule_IsValid(capsule, name):
        raise ImportError(
            f"{op + suffix} in {module} is {PyCapsule_GetName(capsule).decode()}, not {name.decode()}: "
            "compile convkit again"
        )
    return PyCapsule_GetPointer(capsule, name)


conv2d_f32 = <conv2d_f32_t> address("conv2d", "_f32", "float")
conv2d_f64 = <conv2d_f64_t> address("conv2d", "_f64", "double")
conv_transpose2d_f32 = <conv_transpose2d_f32_t> address("conv_transpose2d", "_f32", "float")
conv_transpose2d_f64 = <conv_transpose2d_f64_t> address("conv_transpose2d", "_f64", "double")
conv2d_grad_w_f32 = <conv2d_grad_w_f32_t> address("conv2d_grad_w", "_f32", "float")
conv2d_grad_w_f64 = <conv2d_grad_w_f64_t> address("conv2d_grad_w", "_f64", "double")
conv2d_grad_b_f32 = <conv2d_grad_b_f32_t> address("conv2d_grad_b", "_f32", "float")
conv2d_grad_b_f64 = <conv2d_grad_b_f64_t> address("conv2d_grad_b", "_f64", "double")
pad2d_f32 = <pad2d_f32_t> address("pad2d", "_f32", "float")
pad2d_f64 = <pad2d_f64_t> address("pad2d", "_f64", "double")
pad2d_backward_f32 = <pad2d_backward_f32_t> address("pad2d_backward", "_f32", "float")
pad2d_backward_f64 = <pad2d_backward_f64_t> address("pad2d_backward", "_f64", "double")
