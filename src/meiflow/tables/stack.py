"""Summary of a session's image stack that can be read without the images."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.response_type import COUNTS, ResponseType

_GEOMETRY = ("height", "width", "width_deg", "height_deg")


@dataclass(frozen=True)
class BinnedMovie:
    """A natural movie whose bins are images of a stack.

    Parameters
    ----------
    name : str
    bins : int
        Number of bins, which are consecutive images of the stack.
    bin_s : float
        Duration of a bin in seconds.
    """

    name: str
    bins: int
    bin_s: float


@dataclass(frozen=True)
class StackInfo:
    """Image ids, geometry, mean luminance and contrast of an image stack.

    Parameters
    ----------
    image_ids : ndarray of int, shape (images,)
        Image ids in the order of the stack.
    geometry : Geometry
    mean_luminance : float
        Mean over all pixels, in [0, 1].
    mean_contrast : float
        RMS contrast (standard deviation over pixels), averaged over images.
    movies : tuple of BinnedMovie
        Movies whose bins are the images, one movie after the other, of a session without natural
        scenes; otherwise empty.
    response : ResponseType
        What the responses to the images are.
    tests : tuple of int
        Ids of images for testing only, to which models are not fitted.
    """

    image_ids: NDArray[np.int64]
    geometry: Geometry
    mean_luminance: float
    mean_contrast: float
    movies: tuple[BinnedMovie, ...] = ()
    response: ResponseType = COUNTS
    tests: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        images: NDArray,
        image_ids: NDArray,
        geometry: Geometry,
        movies: tuple[BinnedMovie, ...] = (),
        response: ResponseType = COUNTS,
        tests: tuple[int, ...] = (),
    ) -> StackInfo:
        """Describe a stack (images, height, width) with luminance in [0, 1].

        Examples
        --------
        >>> stack = np.zeros((2, 6, 8), np.float32)
        >>> stack[:, :3] = 1
        >>> info = StackInfo.of(stack, np.array([4, 7]), Geometry(6, 8))
        >>> round(info.mean_luminance, 3), round(info.mean_contrast, 3)
        (0.5, 0.5)
        """
        contrast = float(images.std(axis=(1, 2)).mean())
        mean = float(images.mean())
        return cls(np.asarray(image_ids), geometry, mean, contrast, movies, response, tests)

    @property
    def bin_s(self) -> float | None:
        """Mean duration of a movie bin in seconds; None if the images are not movie bins."""
        bins = sum(movie.bins for movie in self.movies)
        return sum(m.bins * m.bin_s for m in self.movies) / bins if bins else None

    def to_json(self) -> str:
        """Text of images.json."""
        document = {key: getattr(self.geometry, key) for key in _GEOMETRY} | {
            "deg_per_pixel_x": self.geometry.dx,
            "deg_per_pixel_y": self.geometry.dy,
            "mean_luminance": self.mean_luminance,
            "mean_contrast": self.mean_contrast,
            "image_ids": [int(i) for i in self.image_ids],
        }
        if self.movies:
            document["movies"] = [asdict(movie) for movie in self.movies]
        if self.tests:
            document["test_images"] = list(self.tests)
        return json.dumps(document | self.response.as_document(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> StackInfo:
        """Read the text of images.json.

        Raises
        ------
        ValueError
            If the text was not written by `to_json`.
        """
        try:
            document = json.loads(text)
            height, width, width_deg, height_deg = (document[key] for key in _GEOMETRY)
            movies = tuple(
                BinnedMovie(str(m["name"]), int(m["bins"]), float(m["bin_s"]))
                for m in document.get("movies", ())
            )
            ids = np.array(list(document["image_ids"]), dtype=np.int64)
            if movies and sum(movie.bins for movie in movies) != len(ids):
                raise ValueError("the bins of the movies are not the images")
            return cls(
                ids,
                Geometry(int(height), int(width), float(width_deg), float(height_deg)),
                float(document["mean_luminance"]),
                float(document["mean_contrast"]),
                movies,
                ResponseType.from_document(document),
                tuple(int(i) for i in document.get("test_images", ())),
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(str(error)) from None

    def require(self, geometry: Geometry, where: object) -> None:
        """Check that the images were made with a given geometry.

        Parameters
        ----------
        geometry : Geometry
            Geometry in the configuration.
        where : object
            File or folder of the images, used in messages.

        Raises
        ------
        MeiflowError
            If one of its values differs.
        """
        for key in _GEOMETRY:
            made, wanted = getattr(self.geometry, key), getattr(geometry, key)
            if made != wanted:
                raise MeiflowError(
                    f"image.{key}: the images in {where} were made with {made:g}, but the "
                    f"configuration has {wanted:g}; rebuild the tables or use their configuration"
                )
