"""Which codecs films are written with: presets as data, behind the registry ENCODERS."""

from __future__ import annotations

import os
from dataclasses import dataclass

from facewright.core.registry import Plug, Registry

# SVT-AV1 prints its configuration to stderr otherwise; 1 = errors only. Read by the library when it starts.
os.environ.setdefault("SVT_LOG", "1")


@dataclass(frozen=True, slots=True)
class Preset:
    """One way to encode.

    pixels: the layout written. odd_pixels: the layout for odd widths or heights, "" when the codec has none.
    deep_pixels: the layout for sources of more than 8 bit where it differs. deep: keeps more than 8 bit.
    suffixes: containers that take it, the usual one first; () for a folder of stills. crf_scale, crf_shift: the
    codec's quality number for x264's crf (scale * crf + shift); scale 0 means that it has none. full_range: the
    codec's files can say that samples use 0..255. matrix: the only YUV matrix (H.273) that its files can name,
    0 when any. inter: pictures refer to others.
    """

    codec: str
    pixels: str
    suffixes: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    odd_pixels: str = ""
    crf_scale: float = 0.0
    crf_shift: float = 0.0
    deep: bool = False
    full_range: bool = True
    inter: bool = True
    min_size_px: tuple[int, int] = (2, 2)
    deep_pixels: str = ""
    matrix: int = 0

    def crf(self, x264_crf: int) -> dict[str, str]:
        """The codec's quality option for a quality given on x264's scale (0..51, lower is better)."""
        if not self.crf_scale:
            return {}
        return {"crf": str(max(0, min(63, round(self.crf_scale * x264_crf + self.crf_shift))))}


_MP4 = (".mp4", ".mov", ".mkv")
_X265_QUIET = (("x265-params", "log-level=error"), ("preset", "medium"))

H264 = Preset("libx264", "yuv420p", _MP4, (("preset", "medium"),), "yuv444p", crf_scale=1)
H264_444 = Preset("libx264", "yuv444p", _MP4, (("preset", "medium"),), "yuv444p", crf_scale=1)
H265 = Preset("libx265", "yuv420p", _MP4, _X265_QUIET, "yuv444p", crf_scale=1, crf_shift=2, min_size_px=(16, 16))
H265_10BIT = Preset(
    "libx265", "yuv420p10le", _MP4, _X265_QUIET, "yuv444p10le", crf_scale=1, crf_shift=2, deep=True,
    min_size_px=(16, 16),
)
AV1 = Preset(
    "libsvtav1", "yuv420p10le", (".mp4", ".mkv", ".webm"), (("preset", "6"),), crf_scale=1.2, crf_shift=4, deep=True,
    min_size_px=(16, 16), odd_pixels="yuv420p10le",
)
VP9 = Preset(
    "libvpx-vp9", "yuv420p", (".webm", ".mkv", ".mp4"),
    (("b", "0"), ("row-mt", "1"), ("deadline", "good"), ("cpu-used", "4")), "yuv444p", crf_scale=1.2, crf_shift=4,
)
PRORES_HQ = Preset(
    "prores_ks", "yuv422p10le", (".mov",), (("profile", "3"), ("vendor", "apl0")), "yuv422p10le", deep=True,
    full_range=False, inter=False,
)
PRORES_4444 = Preset(
    "prores_ks", "yuv444p10le", (".mov",), (("profile", "4"), ("vendor", "apl0")), "yuv444p10le", deep=True,
    full_range=False, inter=False,
)
DNXHR_HQX = Preset(
    "dnxhd", "yuv422p10le", (".mov", ".mxf"), (("profile", "dnxhr_hqx"),), "", deep=True, full_range=False, inter=False,
    min_size_px=(256, 120), matrix=1,
)
FFV1 = Preset(
    "ffv1", "bgr0", (".mkv",), (("level", "3"), ("slicecrc", "1"), ("slices", "4"), ("g", "1")), "bgr0", deep=True,
    inter=False, deep_pixels="gbrp16le",
)
PNG = Preset("png", "rgb24", (), deep=True, inter=False, odd_pixels="rgb24")
TIFF = Preset("tiff", "rgb24", (), deep=True, inter=False, odd_pixels="rgb24")

ENCODERS = Registry("encoders")
for _name, _target, _help in (
    ("h264", "H264", "H.264, plays everywhere"),
    ("h264-444", "H264_444", "H.264 with full colour resolution; few players, good for exchange"),
    ("h265", "H265", "H.265: half the size of H.264, slower"),
    ("h265-10bit", "H265_10BIT", "H.265 with 10 bit, for HDR and footage of more than 8 bit"),
    ("av1", "AV1", "AV1 with 10 bit: smallest files"),
    ("vp9", "VP9", "VP9 for webm"),
    ("prores-hq", "PRORES_HQ", "ProRes 422 HQ, 10 bit, for editing"),
    ("prores-4444", "PRORES_4444", "ProRes 4444, full colour resolution, for editing"),
    ("dnxhr-hqx", "DNXHR_HQX", "DNxHR HQX, 10 bit, for editing"),
    ("ffv1", "FFV1", "FFV1, lossless, for archives"),
    ("png", "PNG", "a folder of PNG pictures, lossless"),
    ("tiff", "TIFF", "a folder of TIFF pictures, lossless"),
):
    ENCODERS.add(
        Plug(_name, f"facewright.media.encoders:{_target}", _help, licence="of the codec library in the av package")
    )
