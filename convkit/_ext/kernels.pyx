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
CHANNELS = ", ".join(3*["Py_ssize_t"])
GRADIENTS = "void (" + 3*"{T} *, " + 3*"{T} const *, " + "double const *, double const *, "

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
    "im2col": ("unfold", "void ({T} *, {T} const *, " + TABLES + ", struct conv_shape const *)"),
    "col2im": ("fold", "void ({T} *, {T} const *, " + TABLES + ", struct conv_shape const *)"),
    "avg_pool2d": ("avg_pooling", "void ({T} *, {T} const *, " + TABLES + ", " + PLANES + ")"),
    "avg_pool2d_backward": ("avg_backward", "void ({T} *, {T} const *, " + TABLES + ", " + PLANES + ")"),
    "max_pool2d": ("max_pooling", "void ({T} *, {T} const *, " + TABLES + ", " + PLANES + ")"),
    "max_pool2d_indices": (
        "max_indices", "void ({T} *, int64_t *, {T} const *, " + TABLES + ", " + PLANES + ")"
    ),
    "max_pool2d_backward": ("max_backward", "void ({T} *, {T} const *, int64_t const *, " + PLANES + ")"),
    "channel_mean": ("channels", "void ({T} *, {T} const *, " + CHANNELS + ")"),
    "channel_mean_backward": ("channels", "void ({T} *, {T} const *, " + CHANNELS + ")"),
    "normalize": (
        "normalization",
        "void ({T} *, double *, double *, {T} const *, {T} const *, {T} const *, double, " + PLANES + ")",
    ),
    "normalize_given": (
        "normalization",
        "void ({T} *, {T} const *, double const *, double const *, {T} const *, {T} const *, " + PLANES + ")",
    ),
    "normalize_backward": (
        "normalization_backward",
        GRADIENTS + PLANES + ")",
    ),
    "normalize_given_backward": (
        "normalization_backward",
        GRADIENTS + PLANES + ")",
    ),
    "dropout": (
        "dropout",
        "void ({T} *, {T} const *, uint64_t, uint64_t, double, Py_ssize_t, Py_ssize_t)",
    ),
    "dropout_mask": (
        "dropout",
        "void ({T} *, uint8_t *, {T} const *, uint64_t, uint64_t, double, Py_ssize_t, Py_ssize_t)",
    ),
    "dropout_given": (
        "dropout",
        "void ({T} *, {T} const *, uint8_t const *, double, Py_ssize_t, Py_ssize_t)",
    ),
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
im2col_f32 = <im2col_f32_t> address("im2col", "_f32", "float")
im2col_f64 = <im2col_f64_t> address("im2col", "_f64", "double")
col2im_f32 = <col2im_f32_t> address("col2im", "_f32", "float")
col2im_f64 = <col2im_f64_t> address("col2im", "_f64", "double")
avg_pool2d_f32 = <avg_pool2d_f32_t> address("avg_pool2d", "_f32", "float")
avg_pool2d_f64 = <avg_pool2d_f64_t> address("avg_pool2d", "_f64", "double")
avg_pool2d_backward_f32 = <avg_pool2d_backward_f32_t> address("avg_pool2d_backward", "_f32", "float")
avg_pool2d_backward_f64 = <avg_pool2d_backward_f64_t> address("avg_pool2d_backward", "_f64", "double")
max_pool2d_f32 = <max_pool2d_f32_t> address("max_pool2d", "_f32", "float")
max_pool2d_f64 = <max_pool2d_f64_t> address("max_pool2d", "_f64", "double")
max_pool2d_indices_f32 = <max_pool2d_indices_f32_t> address("max_pool2d_indices", "_f32", "float")
max_pool2d_indices_f64 = <max_pool2d_indices_f64_t> address("max_pool2d_indices", "_f64", "double")
max_pool2d_backward_f32 = <max_pool2d_backward_f32_t> address("max_pool2d_backward", "_f32", "float")
max_pool2d_backward_f64 = <max_pool2d_backward_f64_t> address("max_pool2d_backward", "_f64", "double")
channel_mean_f32 = <channel_mean_f32_t> address("channel_mean", "_f32", "float")
channel_mean_f64 = <channel_mean_f64_t> address("channel_mean", "_f64", "double")
channel_mean_backward_f32 = <channel_mean_backward_f32_t> address("channel_mean_backward", "_f32", "float")
channel_mean_backward_f64 = <channel_mean_backward_f64_t> address("channel_mean_backward", "_f64", "double")
normalize_f32 = <normalize_f32_t> address("normalize", "_f32", "float")
normalize_f64 = <normalize_f64_t> address("normalize", "_f64", "double")
normalize_given_f32 = <normalize_given_f32_t> address("normalize_given", "_f32", "float")
normalize_given_f64 = <normalize_given_f64_t> address("normalize_given", "_f64", "double")
normalize_backward_f32 = <normalize_backward_f32_t> address("normalize_backward", "_f32", "float")
normalize_backward_f64 = <normalize_backward_f64_t> address("normalize_backward", "_f64", "double")
normalize_given_backward_f32 = <normalize_given_backward_f32_t> address(
    "normalize_given_backward", "_f32", "float"
)
normalize_given_backward_f64 = <normalize_given_backward_f64_t> address(
    "normalize_given_backward", "_f64", "double"
)
dropout_f32 = <dropout_f32_t> address("dropout", "_f32", "float")
dropout_f64 = <dropout_f64_t> address("dropout", "_f64", "double")
dropout_mask_f32 = <dropout_mask_f32_t> address("dropout_mask", "_f32", "float")
dropout_mask_f64 = <dropout_mask_f64_t> address("dropout_mask", "_f64", "double")
dropout_given_f32 = <dropout_given_f32_t> address("dropout_given", "_f32", "float")
dropout_given_f64 = <dropout_given_f64_t> address("dropout_given", "_f64", "double")
