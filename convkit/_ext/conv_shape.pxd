"""The sizes of one convolution, as every convolution kernel takes them."""

cdef extern from *:
    """
    #ifndef CONVKIT_CONV_SHAPE
    #define CONVKIT_CONV_SHAPE
    struct conv_shape {
        Py_ssize_t N, IC, IH, IW;      /* x (N, IC, IH, IW)                          */
        Py_ssize_t OC, KH, KW;         /* w (OC, IC/G, KH, KW), b (OC,)              */
        Py_ssize_t OH, OW;             /* y (N, OC, OH, OW)                          */
        Py_ssize_t G, SH, SW, DH, DW;  /* groups; strides; dilations, where 1 is none */
    };
    #endif
    """
    struct conv_shape:
        Py_ssize_t N, IC, IH, IW, OC, KH, KW, OH, OW, G, SH, SW, DH, DW
