"""What the CPU can run, and how this build was made. Compiled once, for the baseline CPU."""

cdef extern from *:
    r"""
    #if defined(__x86_64__) && defined(__GNUC__)
    /* The level of x86-64 (0 below v2), by the features that tell the levels apart. libgcc also asks
       whether the operating system saves the wide registers. */
    static int convkit_x86_level(void) {
        __builtin_cpu_init();
        if (!(__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"))) return 0;
        if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))) return 2;
        if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl"))) return 3;
        return 4;
    }
    #else
    static int convkit_x86_level(void) { return -1; }
    #endif

    #ifdef _OPENMP
    #define CONVKIT_OPENMP 1
    #else
    #define CONVKIT_OPENMP 0
    #endif

    #if defined(__clang__)
    #define CONVKIT_COMPILER "clang " __clang_version__
    #else
    #define CONVKIT_COMPILER "gcc " __VERSION__
    #endif
    """
    int convkit_x86_level() nogil
    const char *CONVKIT_COMPILER
    const bint CONVKIT_OPENMP
    const bint CONVKIT_DEBUG

OPENMP = bool(CONVKIT_OPENMP)
DEBUG = bool(CONVKIT_DEBUG)
COMPILER = CONVKIT_COMPILER.decode()


def instruction_sets():
    """Return the names of the instruction sets that this CPU runs, the best one first."""
    cdef int level = convkit_x86_level()
    if level < 0:
        return ("base",)
    return tuple(f"v{v}" for v in range(level, 1, -1))
