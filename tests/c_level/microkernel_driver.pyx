"""Calls the microkernel on raw addresses; compiled once for each instruction set."""

from convkit._ext.microkernel cimport MR as TILE_ROWS, NV as TILE_VECTORS, dots, tile, tile_kept
from convkit._ext.vec cimport lanes, vd, vf

MR = TILE_ROWS
NV = TILE_VECTORS
LANES = {"f32": lanes(<vf *> NULL), "f64": lanes(<vd *> NULL)}


def tile_f32(int R, int V, size_t out, size_t x, size_t w, size_t start, size_t off,
             Py_ssize_t ldo, Py_ssize_t ldw, Py_ssize_t K):
    tile(R, V, <vf *> out, ldo, <const vf *> x, <const Py_ssize_t *> off,
         <const vf *> w, ldw, K, <const vf *> start)


def tile_f64(int R, int V, size_t out, size_t x, size_t w, size_t start, size_t off,
             Py_ssize_t ldo, Py_ssize_t ldw, Py_ssize_t K):
    tile(R, V, <vd *> out, ldo, <const vd *> x, <const Py_ssize_t *> off,
         <const vd *> w, ldw, K, <const vd *> start)


def tile_kept_f32(int V, size_t out, size_t x, size_t w, size_t start, size_t kept, size_t off,
                  Py_ssize_t ldo, Py_ssize_t ldw, Py_ssize_t K):
    tile_kept(V, <vf *> out, ldo, <const vf *> x, <const Py_ssize_t *> off,
              <const vf *> w, ldw, K, <const vf *> start, <vf *> kept)


def tile_kept_f64(int V, size_t out, size_t x, size_t w, size_t start, size_t kept, size_t off,
                  Py_ssize_t ldo, Py_ssize_t ldw, Py_ssize_t K):
    tile_kept(V, <vd *> out, ldo, <const vd *> x, <const Py_ssize_t *> off,
              <const vd *> w, ldw, K, <const vd *> start, <vd *> kept)


def dots_f32(int R, int V, size_t out, size_t x, size_t w, size_t start,
             Py_ssize_t ldo, Py_ssize_t ldx, Py_ssize_t ldw, Py_ssize_t K):
    dots(R, V, <vf *> out, ldo, <const vf *> x, ldx, <const vf *> w, ldw, K, <const vf *> start)


def dots_f64(int R, int V, size_t out, size_t x, size_t w, size_t start,
             Py_ssize_t ldo, Py_ssize_t ldx, Py_ssize_t ldw, Py_ssize_t K):
    dots(R, V, <vd *> out, ldo, <const vd *> x, ldx, <const vd *> w, ldw, K, <const vd *> start)
