"""A run of frames -> the faces in each: detection, orientation, points, pose; a second look where none was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facewright.faces.align import pose_deg
from facewright.faces.candidates import Candidate, Memory, choose, rivals, same_head, sure
from facewright.faces.detect import Detector
from facewright.faces.detectors import detector_net, make_detector, second_detector
from facewright.faces.face import Detection
from facewright.faces.five_points import landmarks_from_hint
from facewright.faces.landmark import Landmarker, Landmarks, make_landmarker
from facewright.faces.settings import DetectSettings
from facewright.faces.views import View, eight_bit, enlarged, look, shrunk, tiles, turned
from facewright.media.frame import Frame

PROFILE_YAW_DEG = 60.0
"""From here on the mesh's far side slides inward; a face that only five points hold is then a profile. The mesh's own
yaw stops at 50 to 64 however far a head is turned, the detector's five points go on: of 3 rendered heads turned by 65
to 85 degrees either way, one of the two says 60 or more for 28 of 30, and for none of 24 turned by up to 55."""
_ASK_YAW_DEG = 35.0

UNSTEADY = 0.10
"""Passes of the mesh that disagree by more (over the outer eye corners' distance): on the synthetic heads such points
are 2.6 times as far from the truth as the others; talking heads in the open stay under 0.06."""

_NEAR_FRAMES = 2


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """One face of one frame, all in frame px. pose_deg: yaw, pitch, roll.

    flags: "low_presence", "five_points", "profile_unaligned", "passes_disagree", "low_score", "second_look",
    "other_detector"; `Face` says what they mean.
    """

    detection: Detection
    landmarks: Landmarks
    pose_deg: tuple[float, float, float]
    flags: tuple[str, ...] = ()

    @property
    def presence_01(self) -> float:
        """How sure the mesh is that it sees a face, 0..1."""
        return self.landmarks.presence_01

    @property
    def eye_distance_px(self) -> float:
        """Between the middles of both eyes."""
        points = self.landmarks.points_px
        return float(np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0)))


@dataclass(frozen=True, slots=True, eq=False)
class Glimpse:
    """What the detector sees in one frame as it stands. `image`: the frame, (H, W, 3) uint8."""

    image: np.ndarray
    view: View
    detections: list[Detection]


class FaceFinder:
    """Holds the nets; one per process. `glimpse` may run on one thread while `find` runs on another. `detector_name`,
    `nets` are stored with every face."""

    def __init__(self, settings: DetectSettings | None = None) -> None:
        """Raises SettingRefused (unknown detector), WeightsMissing."""
        self.settings = settings or DetectSettings()
        self.detector_name, self._detector = make_detector(self.settings.detector, threads=self.settings.net_threads)
        self._landmarker: Landmarker = make_landmarker(threads=self.settings.net_threads)
        self._score = self.settings.score or self._detector.score
        other = second_detector(self.detector_name, self.settings.second_detector) if self.settings.second_look else ""
        self._second_name = other
        self._second: Detector | None = None
        if other:
            detector_net(other)  # a name that is none is told now, its net is loaded when it is needed

    @property
    def detector(self) -> Detector:
        """The detector in use."""
        return self._detector

    @property
    def nets(self) -> tuple[tuple[str, str], ...]:
        """(part, net id) of the nets that place a face: `("detector", "yunet:104ee26c")`, `("landmarks", ...)`."""
        return ("detector", detector_net(self.detector_name)), ("landmarks", self._landmarker.net)

    def glimpse(self, frame: Frame) -> Glimpse:
        """The first half of the work on a frame, which needs no other frame."""
        image = eight_bit(frame.image)
        view = shrunk(image, self.settings.detect_side)
        return Glimpse(image, view, self._look([view], [frame.index])[0])

    def find(self, frames: list[Frame], glimpses: list[Glimpse] | None = None) -> list[list[FoundFace]]:
        """The faces of each frame, from image left to right. One call = one chunk: memory starts afresh.

        glimpses: one for each frame, where they were taken before.
        """
        seen = [self.glimpse(frame) for frame in frames] if glimpses is None else glimpses
        images, views, indices = [g.image for g in seen], [g.view for g in seen], [f.index for f in frames]
        upright = self._candidates(images, views, [g.detections for g in seen])
        memory, found = Memory(), list[list[Candidate]]()
        for position, image in enumerate(images):
            found.append(self._settle(position, image, views[position], indices[position], upright[position], memory))
        settled = [[Settled(c, self._detector) for c in row] for row in found]
        if self.settings.second_look:
            for position in [p for p, row in enumerate(found) if not row]:
                near = [c for row in found[max(position - _NEAR_FRAMES, 0) : position + _NEAR_FRAMES + 1] for c in row]
                settled[position] = self._second_look(images[position], indices[position], near)
        faces = iter(faces_of([one for row in settled for one in row]))
        return [sorted((next(faces) for _ in row), key=_left_to_right) for row in settled]

    def _look(
        self, views: list[View], indices: list[int], detector: Detector | None = None, score: float = 0.0
    ) -> list[list[Detection]]:
        """What is seen in each view, in frame px. detector, score: others than usual."""
        long_side = max((max(v.image.shape[:2]) for v in views), default=1)
        return look(detector or self._detector, views, indices, score or self._score, long_side)

    def _candidates(
        self, images: list[np.ndarray], views: list[View], detections: list[list[Detection]]
    ) -> list[list[Candidate]]:
        """One list per view; `images` are the whole frames, one per view."""
        flat = [(image, d) for image, row in zip(images, detections) for d in row]
        points = iter(self._landmarker([f[0] for f in flat], [f[1] for f in flat]))
        return [[Candidate(d, next(points), v.quarter) for d in row] for v, row in zip(views, detections)]

    def _settle(
        self, position: int, image: np.ndarray, view: View, index: int, upright: list[Candidate], memory: Memory
    ) -> list[Candidate]:
        """The heads of one frame, each in its right orientation."""
        if self.settings.orientations == "upright":
            return choose(upright)
        done, doubtful = list[tuple[Candidate, int]](), list[Candidate]()
        tried, pending = {0}, list(upright)
        if self.settings.orientations == "auto":
            for quarter in sorted(memory.quarters()):
                tried.add(quarter)
                views = [turned(view, quarter)]
                pending += self._candidates([image], views, self._look(views, [index]))[0]
            for candidate in sorted(pending, key=lambda c: c.rank, reverse=True):
                decided = position if self._sure(candidate) else memory.believes(candidate, position)
                if any(rivals(candidate, c) for c, _ in done):
                    continue
                if decided is None:
                    doubtful.append(candidate)
                else:
                    done.append((candidate, decided))
            doubtful = [d for d in doubtful if not any(rivals(d, c) for c, _ in done)]
            # The first frame of a chunk looks everywhere: it may hold a turned head beside an upright one.
            if done and not doubtful and position > 0:
                memory.keep(done)
                return [c for c, _ in done]
        else:
            doubtful = pending
        rest = [turned(view, q) for q in range(1, 4) if q not in tried]
        for row in self._candidates([image] * len(rest), rest, self._look(rest, [index] * len(rest))):
            doubtful += [d for d in row if not any(rivals(d, c) for c, _ in done)]
        done += [(c, position) for c in choose(doubtful)]
        memory.keep(done)
        return [c for c, _ in done]

    def _sure(self, candidate: Candidate) -> bool:
        return candidate.quarter == 0 and sure(candidate, self._detector.sure_score)

    def _second_look(self, image: np.ndarray, index: int, near: list[Candidate]) -> list[Settled]:
        """Enlarged (or in tiles), turned, with a lower limit; then the same by another detector. The mesh or a
        neighbouring frame must agree."""
        found = self._looked_closer(self._detector, image, index, near)
        if found or not self._second_name:
            return [Settled(c, self._detector, ("second_look",)) for c in found]
        if self._second is None:
            self._second = make_detector(self._second_name, threads=self.settings.net_threads)[1]
        found = self._looked_closer(self._second, image, index, near)
        return [Settled(c, self._second, ("second_look", "other_detector")) for c in found]

    def _looked_closer(
        self, detector: Detector, image: np.ndarray, index: int, near: list[Candidate]
    ) -> list[Candidate]:
        views = self._second_views(detector, image)
        seen = self._look(views, [index] * len(views), detector, detector.low_score)
        rows = self._candidates([image] * len(views), views, seen)
        return choose([
            c for row in rows for c in row
            if c.good or (c.quarter == 0 and any(same_head(c.detection, n.detection) for n in near))
        ])

    def _second_views(self, detector: Detector, image: np.ndarray) -> list[View]:
        if detector.enlarges:
            large = enlarged(image, 2.0, 2 * self.settings.detect_side)
            return [turned(large, q) for q in range(4)]
        whole, short = View(image, np.eye(3)), min(image.shape[:2])
        if detector is not self._detector and self._detector.enlarges:
            return [turned(whole, q) for q in range(4)]  # small faces were looked for by a net that sees them
        large = [turned(v, q) for v in (whole, *tiles(image, short)) for q in range(4)]
        return large + tiles(image, max(short // 2, 32))


@dataclass(frozen=True, slots=True)
class Settled:
    """A candidate that is a face, the detector that found it, and what is known of it already."""

    candidate: Candidate
    judge: Detector
    flags: tuple[str, ...] = ()


def faces_of(settled: list[Settled]) -> list[FoundFace]:
    """Settled candidates as faces: points by the mesh, or by the detector's five where it sees nothing."""
    if not settled:
        return []
    placed = [None if s.candidate.seen else landmarks_from_hint(s.candidate.detection, s.candidate.landmarks)
              for s in settled]
    landmarks = [p or s.candidate.landmarks for s, p in zip(settled, placed)]
    poses = pose_deg(np.stack([one.mesh_px for one in landmarks])).tolist()
    return [
        FoundFace(s.candidate.detection, points, (yaw, pitch, roll), _marks(s, points, yaw, by_five=p is not None))
        for s, p, points, (yaw, pitch, roll) in zip(settled, placed, landmarks, poses)
    ]


def _marks(one: Settled, landmarks: Landmarks, yaw_deg: float, *, by_five: bool) -> tuple[str, ...]:
    candidate, detection, marks = one.candidate, one.candidate.detection, list(one.flags)
    if detection.score < (one.judge.score + one.judge.sure_score) / 2:
        marks.append("low_score")
    if not candidate.good:
        marks.append("low_presence")
    if candidate.seen and landmarks.unsteady > UNSTEADY:
        marks.append("passes_disagree")
    if by_five:
        marks.append("five_points")
    if max(abs(yaw_deg), _yaw_of_hint(detection, landmarks, yaw_deg)) >= PROFILE_YAW_DEG:
        marks += ["profile", "profile_unaligned"] if by_five else ["profile"]
    return tuple(marks)


def _yaw_of_hint(detection: Detection, landmarks: Landmarks, yaw: float) -> float:
    """How far the detector's five points are turned in the direction of `yaw`, degrees; 0 when that is not asked."""
    placed = landmarks_from_hint(detection, landmarks) if abs(yaw) >= _ASK_YAW_DEG else None
    return 0.0 if placed is None else float(np.sign(yaw) * pose_deg(placed.mesh_px)[0])


def _left_to_right(face: FoundFace) -> tuple[float, float]:
    x0, y0, x1, y1 = face.detection.box_px
    return (x0 + x1, y0 + y1)
