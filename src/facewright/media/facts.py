"""What is known of a film, in words and plain data."""

from __future__ import annotations

from typing import Any

from facewright.media.frame import ColourTags, Video

# Names of the numbers of ITU-T H.273; those that footage carries.
_PRIMARIES = {1: "BT.709", 4: "BT.470M", 5: "BT.601 625", 6: "BT.601 525", 7: "SMPTE 240M", 9: "BT.2020", 11: "DCI-P3",
              12: "Display P3"}
_TRANSFER = {1: "BT.709", 4: "gamma 2.2", 5: "gamma 2.8", 6: "BT.601", 7: "SMPTE 240M", 8: "linear", 13: "sRGB",
             14: "BT.2020 10 bit", 15: "BT.2020 12 bit", 16: "PQ (HDR10)", 18: "HLG"}
_MATRIX = {0: "RGB", 1: "BT.709", 4: "FCC", 5: "BT.601 625", 6: "BT.601 525", 7: "SMPTE 240M", 9: "BT.2020",
           10: "BT.2020 constant"}


def facts(video: Video) -> dict[str, Any]:
    """JSON-able. rate: exact, as `30000/1001`, and as a number; seconds; px; degrees counter-clockwise; H.273 names."""
    return {
        "file": str(video.path), "kind": "stills" if video.stills else "film", "codec": video.codec,
        "width_px": video.size_px[0], "height_px": video.size_px[1], "pixel_aspect": str(video.pixel_aspect),
        "rotation_deg": video.rotation_deg, "frames": video.frame_count, "duration_s": video.duration_s,
        "rate": str(video.rate), "rate_hz": round(float(video.rate), 6), "variable_rate": video.variable_rate,
        "time_base": str(video.time_base), "bit_depth": video.bit_depth, "colour": _colour(video.colour),
        "timecode": video.timecode.text if video.timecode else "",
        "audio": [
            {"track": at, "stream": track.stream_index, "codec": track.codec, "rate_hz": track.rate_hz,
             "channels": track.channels, "language": track.language}
            for at, track in enumerate(video.audio)
        ],
        "sha256": video.sha256, "notes": list(video.notes),
    }


def _colour(tags: ColourTags) -> dict[str, Any]:
    def name(number: int, names: dict[int, str]) -> str:
        return "not said" if number == 2 else names.get(number, f"H.273 number {number}")

    return {
        "primaries": name(tags.primaries, _PRIMARIES), "transfer": name(tags.transfer, _TRANSFER),
        "matrix": name(tags.matrix, _MATRIX), "range": "full" if tags.full_range else "limited",
    }
