"""How far a cell lies from all cells that the model has learned."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from leukolens.errors import BundleError
from leukolens.reading.evidence import Evidence

DIMENSIONS = 48
SHRINKAGE = 0.5
FEW_SHRINKAGE = 0.8  # a laboratory adds some twenty cells of a class, fewer than there are axes
FEWEST_CELLS = 8
LARGEST_BYTES = 16 * 2**20
_MEMBERS = ("mean", "axes", "centres", "roots", "kinds")
_EVIDENCE = ("weight", "bias", "level")


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """What learned cells look like to the classifier's last layer: a Gaussian for each kind of cell.

    A kind is a class in a laboratory. Features are projected onto a few principal axes, scaled so that
    the covariance within kinds is the identity on the whole; what a kind's own covariance differs by is in its
    root. The distance is Mahalanobis' to the nearest kind (Lee et al., *A simple unified framework for
    detecting out-of-distribution samples and adversarial attacks*, NeurIPS 2018, with covariances of each
    kind shrunk to the common one as in Friedman, *Regularized discriminant analysis*, JASA 1989).

    Attributes:
        mean: (d,), of all learned cells.
        axes: (d, k), from features to scaled coordinates.
        centres: (m, k), each kind's mean.
        roots: (m, k, k), lower triangular; a kind's precision is its root times the root's transpose.
        kinds: What each is, ``laboratory/class``.
        evidence: For leukocytes, which the distance takes along; None where a bundle is from before it did.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    centres: NDArray[np.float32]
    roots: NDArray[np.float32]
    kinds: tuple[str, ...]
    evidence: Evidence | None = None

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mahalanobis distance (n, m) of features (n, d) to every kind.

        Raises:
            BundleError: Where the features are of another network.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise BundleError(
                f"the bundle is damaged: it knows cells by {len(self.mean)} features, and its graph gives "
                f"{features.shape[-1]}",
                "Export it or fetch it again",
            )
        # Each sum on its own, without blocked products: a cell's neighbours must change no bit of its distance.
        places = np.einsum("nd,dk->nk", features.astype(np.float64) - self.mean, self.axes.astype(np.float64))
        apart = places[:, None, :] - self.centres.astype(np.float64)
        turned = np.einsum("nmk,mkj->nmj", apart, self.roots.astype(np.float64))
        return np.asarray(np.sqrt((turned**2).sum(axis=2)))

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Distance (n,) of features (n, d) to what was learned; about the root of k for a learned cell.

        That to the nearest kind, or the evidence that is missing, whichever is more.
        """
        nearest = self.distances(features).min(axis=1, initial=np.inf)
        return np.asarray(
            nearest if self.evidence is None else np.maximum(nearest, self.evidence.missing(features))
        )

    def extended(
        self,
        features: NDArray[np.floating],
        labels: Sequence[str],
        lab: str,
        shrinkage: float = FEW_SHRINKAGE,
    ) -> Familiarity:
        """The same with a laboratory's own labelled cells added; its earlier kinds of these classes give way.

        Args:
            features: (n, d), of the same network.
            labels: (n,), class keys; those of fewer than eight cells are not added.
            lab: The laboratory.
            shrinkage: Share of the common covariance in each kind's.
        """
        places = (np.asarray(features, np.float64) - self.mean) @ self.axes.astype(np.float64)
        names = np.asarray([f"{lab}/{key}" for key in labels])
        found = _kinds(places, names, shrinkage)
        kept = [place for place, kind in enumerate(self.kinds) if kind not in found]
        centres = [self.centres[place] for place in kept] + [centre for centre, _ in found.values()]
        roots = [self.roots[place] for place in kept] + [root for _, root in found.values()]
        return replace(
            self,
            centres=np.array(centres, np.float32),
            roots=np.array(roots, np.float32),
            kinds=(*(self.kinds[place] for place in kept), *found),
        )

    def to_bytes(self) -> bytes:
        """An npz of float32 arrays, nothing pickled, of roots the lower triangles; equal ones give equal bytes."""
        rows, columns = np.tril_indices(self.axes.shape[1])
        buffer, said = BytesIO(), self.evidence
        np.savez(
            buffer,
            mean=self.mean.astype(np.float32),
            axes=self.axes.astype(np.float32),
            centres=self.centres.astype(np.float32),
            roots=self.roots[:, rows, columns].astype(np.float32),
            kinds=np.array(self.kinds, dtype=np.str_),
            **({} if said is None else {name: getattr(said, name) for name in _EVIDENCE}),
        )
        return buffer.getvalue()


def from_bytes(content: bytes) -> Familiarity:
    """What `Familiarity.to_bytes` packed.

    Raises:
        BundleError: Where it is damaged.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST_BYTES:
                raise ValueError("too large")
        with np.load(BytesIO(content), allow_pickle=False) as parts:
            mean, axes, centres, packed, kinds = (parts[name] for name in _MEMBERS)
            said = [parts[name] for name in _EVIDENCE] if set(_EVIDENCE) & set(parts) else []
        features, size = axes.shape
        _must_fit(mean, (features,))
        _must_fit(axes, (features, size))
        _must_fit(centres, (len(kinds), size))
        _must_fit(packed, (len(kinds), size * (size + 1) // 2))
        if said:
            _must_fit(said[0], (len(said[1]), features))
            _must_fit(said[1], (len(said[1]),))
            _must_fit(said[2], (2,))
        if kinds.dtype.kind != "U" or not len(kinds):
            raise ValueError("no kinds")
        roots = np.zeros((len(kinds), size, size), np.float32)
        rows, columns = np.tril_indices(size)
        roots[:, rows, columns] = packed
        return Familiarity(
            mean, axes, centres, roots, tuple(kinds.tolist()), Evidence(*said) if said else None
        )
    # A damaged archive raises whatever its decompressor or numpy's header parser does.
    except Exception as error:
        what = (str(error).strip() or type(error).__name__).splitlines()[0][:80]
        raise BundleError(
            f"the bundle is damaged: its familiarity.npz cannot be used ({what})",
            "Export it or fetch it again",
        ) from error


def _must_fit(part: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    if part.shape != shape or part.dtype != np.float32 or not np.isfinite(part).all():
        raise ValueError(f"{part.dtype} {part.shape} is not finite float32 {shape}")


def learned(
    features: NDArray[np.floating],
    labels: Sequence[str],
    labs: Sequence[str],
    dimensions: int = DIMENSIONS,
    shrinkage: float = SHRINKAGE,
) -> Familiarity:
    """What cells that a network has learned look like to it.

    A kind weighs as the root of its number of cells, so that a large set does not choose the axes alone.

    Args:
        features: (n, d).
        labels: (n,), class keys.
        labs: (n,), laboratories.
        dimensions: How many principal axes to keep, at most.
        shrinkage: Share of the common covariance in each kind's.

    Raises:
        ValueError: Where no kind has eight cells.
    """
    rows = np.asarray(features, np.float64)
    names = np.asarray([f"{lab}/{key}" for lab, key in zip(labs, labels, strict=True)])
    kinds, kind, sizes = np.unique(names, return_inverse=True, return_counts=True)
    if not (sizes >= FEWEST_CELLS).any():
        raise ValueError(f"no class of a laboratory has {FEWEST_CELLS} cells to learn from")
    weight = sizes[kind] ** -0.5
    weight /= weight.sum()
    mean = weight @ rows
    scaled = (rows - mean) * np.sqrt(weight)[:, None]
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    chosen = np.argsort(-values)[: min(dimensions, int((values > 1e-9 * values.max()).sum()))]
    places = (rows - mean) @ vectors[:, chosen]
    middles = np.stack([places[kind == number].mean(axis=0) for number in range(len(kinds))])
    within = (places - middles[kind]) * np.sqrt(weight)[:, None]
    common = within.T @ within
    common += 1e-6 * np.trace(common) / len(common) * np.eye(len(common))
    # With L L' the inverse of the common covariance, coordinates times L have the identity within kinds.
    axes = vectors[:, chosen] @ np.linalg.cholesky(np.linalg.inv(common))
    found = _kinds((rows - mean) @ axes, names, shrinkage)
    return Familiarity(
        mean.astype(np.float32),
        axes.astype(np.float32),
        np.array([centre for centre, _ in found.values()], np.float32),
        np.array([root for _, root in found.values()], np.float32),
        tuple(found),
    )


def _kinds(
    places: NDArray[np.float64], names: NDArray[np.str_], shrinkage: float
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Centre and root of each kind of eight cells or more, from places (n, k) in scaled coordinates."""
    found = {}
    for name in np.unique(names):
        own = places[names == name]
        if len(own) < FEWEST_CELLS:
            continue
        centre = own.mean(axis=0)
        covariance = (own - centre).T @ (own - centre) / len(own)
        covariance = (1 - shrinkage) * covariance + shrinkage * np.eye(len(centre))
        found[str(name)] = (centre, np.linalg.cholesky(np.linalg.inv(covariance)))
    return found
