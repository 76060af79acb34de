from __future__ import annotations

import gc
import importlib
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.media import conftest as made
from tests.media.conftest import NTSC, Clip

from facewright.core.errors import FileRefused, NothingFound, SettingRefused
from facewright.media.frame import AudioTrack
from facewright.media.reader import count_frames, frame_times, frames, open_video

FILM = Fraction(24000, 1001)
SHARP = {"crf": "4", "bf": "2", "g": "6"}
MPEG = {"qmin": "1", "qmax": "1", "bf": "2", "g": "6", "b": "9M"}
VP8 = {"crf": "4", "b": "9M", "g": "9", "auto-alt-ref": "1", "lag-in-frames": "9"}
X265 = {"crf": "4", "x265-params": "log-level=error:keyint=6:bframes=3"}
CLIPS = [
    Clip("h264.mp4", "libx264", "yuv420p", options=SHARP),
    Clip("h264.mov", "libx264", "yuv444p", FILM, SHARP),
    Clip("h264.mkv", "libx264", "yuv422p", options=SHARP),
    Clip("h264.ts", "libx264", "yuv420p", Fraction(25), SHARP),
    Clip("h264.avi", "libx264", "yuv420p", options=SHARP),
    Clip("opengop.mp4", "libx264", "yuv420p", options=SHARP | {"x264-params": "open-gop=1"}),
    Clip("h265.mp4", "libx265", "yuv420p10le", FILM, X265),
    Clip("mpeg4.avi", "mpeg4", "yuv420p", Fraction(25), MPEG, 4, matrix=6),
    Clip("mpeg2.mpg", "mpeg2video", "yuv420p", NTSC, MPEG, 4),
    Clip("mpeg2.mxf", "mpeg2video", "yuv422p", Fraction(25), MPEG | {"bf": "0"}, 4),
    Clip("vp9.webm", "libvpx-vp9", "yuv420p", options={"crf": "4", "b": "0", "g": "6", "lag-in-frames": "8"}),
    Clip("vp8.webm", "libvpx", "yuv420p", NTSC, VP8, matrix=6),
    Clip("mjpeg.avi", "mjpeg", "yuvj444p", options={"qmin": "1", "qmax": "1"}, tolerance=4, matrix=5, full_range=True),
    Clip("prores.mov", "prores_ks", "yuv422p10le"),
    Clip("dnxhr.mov", "dnxhd", "yuv422p", Fraction(25), {"profile": "dnxhr_hq"}, 3, (256, 128)),
    Clip("ffv1.mkv", "ffv1", "bgr0", tolerance=0),
    Clip("ffv1deep.mkv", "ffv1", "gbrp16le", tolerance=1.1),
    Clip("png.mov", "png", "rgb24", tolerance=0),
    Clip("rgb.gif", "gif", "rgb8", Fraction(25), tolerance=40),
    Clip("odd.mkv", "ffv1", "yuv444p", NTSC, {}, 3, (131, 97)),
]  # fmt: skip


def sequential(path: Path) -> list[np.ndarray]:
    return [f.image for f in frames(open_video(path))]


@pytest.mark.parametrize("clip", CLIPS, ids=str)
class TestEveryKindOfFilm:
    """The contract: what the reader promises holds for every container and codec."""

    def test_counts_times_size_and_rate(self, clip, make_clip):
        video = open_video(make_clip(clip))
        times = frame_times(video)
        assert (video.frame_count, count_frames(video), len(times)) == (18, 18, 18)
        assert video.size_px == clip.size
        assert video.rate == clip.rate
        assert not video.variable_rate
        assert np.all(np.diff(times) > 0)
        seconds = (times - times[0]) * float(video.time_base)
        coarse = 0.0105 if "gif" in clip.name else 6e-4
        np.testing.assert_allclose(seconds, np.arange(18) / float(clip.rate), atol=coarse)
        assert video.duration_s == pytest.approx(18 / float(clip.rate), abs=0.012)

    def test_every_frame_once_in_order_with_its_own_picture(self, clip, make_clip):
        video = open_video(make_clip(clip))
        found = list(frames(video))
        assert [f.index for f in found] == list(range(18))
        assert [f.pts for f in found] == frame_times(video).tolist()
        assert {f.time_base for f in found} == {video.time_base}
        assert [made.named_index(f.image) for f in found] == [i * 5 % 6 for i in range(18)]

    def test_colours(self, clip, make_clip):
        for frame in frames(open_video(make_clip(clip)), 5, 8):
            assert made.patch_error(frame.image) <= clip.tolerance

    def test_depth(self, clip, make_clip):
        frame = next(frames(open_video(make_clip(clip))))
        assert frame.image.dtype == (np.uint16 if "10" in clip.pixels or "16" in clip.pixels else np.uint8)
        assert frame.image.flags.c_contiguous

    def test_any_index_equals_reading_from_the_start(self, clip, make_clip):
        path = make_clip(clip)
        whole, video = sequential(path), open_video(path)
        for index in (0, 1, 5, 6, 7, 11, 12, 13, 17):
            (frame,) = frames(video, index, index + 1)
            assert frame.index == index
            np.testing.assert_array_equal(frame.image, whole[index])

    def test_step(self, clip, make_clip):
        path = make_clip(clip)
        whole = sequential(path)
        found = list(frames(open_video(path), 4, 16, step=5))
        assert [f.index for f in found] == [4, 9, 14]
        for frame in found:
            np.testing.assert_array_equal(frame.image, whole[frame.index])


class TestTime:
    def test_variable_rate_keeps_its_times(self, make_clip):
        pts = [0, 3000, 9000, 9500, 21000, 22500, 40000, 41000, 41500, 60000]
        clip = Clip("vfr.mp4", "libx264", "yuv420p", options=SHARP)
        video = open_video(make_clip(clip, count=10, pts=pts, time_base=Fraction(1, 90000)))
        seconds = [f.pts * f.time_base for f in frames(video)]
        assert seconds == [Fraction(p, 90000) for p in pts]
        assert video.variable_rate
        assert video.rate == pytest.approx(9 / (60000 / 90000))
        assert [made.named_index(f.image) for f in frames(video, 3, 7)] == [i * 5 % 6 for i in range(3, 7)]

    def test_a_dropped_frame_makes_the_rate_variable(self, make_clip):
        clip = Clip("gap.mp4", "libx264", "yuv420p", Fraction(25), SHARP)
        video = open_video(make_clip(clip, count=8, pts=[0, 1, 2, 4, 5, 6, 7, 8]))
        assert video.variable_rate

    def test_milliseconds_in_a_finer_container_are_still_2997(self, make_clip):
        pts = [round(i * 1001 / 30) for i in range(18)]
        clip = Clip("ms.mp4", "libx264", "yuv420p", options=SHARP)
        video = open_video(make_clip(clip, pts=pts, time_base=Fraction(1, 1000)))
        assert (video.rate, video.variable_rate) == (NTSC, False)
        assert [f.pts * f.time_base for f in frames(video)] == [Fraction(p, 1000) for p in pts]

    def test_edit_list_is_honoured(self, plain, tmp_path):
        # 3 frames in from the start, 300 ms (9 frames less a bit) off the end; movie units are milliseconds
        path = made.patch_edit_list(plain, tmp_path / "edit.mp4", skip=3 * 1001, cut_ms=300)
        video = open_video(path)
        found = list(frames(video))
        assert [f.index for f in found] == list(range(video.frame_count))
        assert 9 <= video.frame_count <= 10
        assert [made.named_index(f.image) for f in found] == [(i + 3) * 5 % 6 for i in range(len(found))]
        assert found[0].pts == 0
        (late,) = frames(video, 6, 7)
        np.testing.assert_array_equal(late.image, found[6].image)

    def test_timecode_and_pixel_aspect(self, make_clip):
        clip = Clip("code.mov", "prores_ks", "yuv422p10le", Fraction(25))
        video = open_video(make_clip(clip, metadata={"timecode": "01:02:03:04"}, aspect=Fraction(16, 15)))
        assert (video.timecode.text, video.timecode.rate) == ("01:02:03:04", 25)
        assert video.pixel_aspect == Fraction(16, 15)


class TestUpright:
    @pytest.mark.parametrize("degrees", [90, 180, 270])
    @pytest.mark.parametrize("mirrored", [False, True])
    def test_turned(self, make_clip, degrees, mirrored):
        clip = Clip(f"turn{degrees}{mirrored}.mp4", "libx264", "yuv444p", options=SHARP)
        path = make_clip(clip, count=2, rotation=(degrees, mirrored))
        video = open_video(path)
        frame = next(frames(video))
        image = made.picture(0, clip.size)
        # the display matrix turns counter-clockwise, then mirrors
        expected = np.rot90(image, k=degrees // 90)
        expected = expected[:, ::-1] if mirrored else expected
        assert frame.image.shape == expected.shape
        assert video.size_px == expected.shape[1::-1]
        middle = np.abs(frame.image.astype(int) - expected)[8::16, 8::16]
        assert np.median(middle) <= 3
        if not mirrored:
            assert video.rotation_deg == degrees


class TestColour:
    @pytest.mark.parametrize("matrix", [1, 5, 6, 9])
    @pytest.mark.parametrize("full_range", [False, True])
    @pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
    def test_tags_are_honoured(self, make_clip, matrix, full_range, pixels):
        clip = Clip(
            f"tag{matrix}{full_range}{pixels}.mp4", "libx264", pixels, options={"crf": "2"}, matrix=matrix,
            full_range=full_range,
        )
        video = open_video(make_clip(clip, count=1))
        assert (video.colour.matrix, video.colour.full_range) == (matrix, full_range)
        assert made.patch_error(next(frames(video)).image) <= 3

    @pytest.mark.parametrize(("size", "matrix"), [((128, 720), 1), ((128, 718), 6)])
    def test_untagged_hd_is_bt709_and_sd_bt601(self, make_clip, size, matrix):
        clip = Clip(f"untagged{size[1]}.mp4", "libx264", "yuv420p", options={"crf": "2"}, size=size, matrix=matrix)
        video = open_video(make_clip(clip, count=1, tagged=False))
        assert video.colour.matrix == 2
        assert made.patch_error(next(frames(video)).image) <= 3

    def test_sixteen_bit_white_is_65535(self, make_clip):
        for pixels in ("yuv420p10le", "yuv444p10le"):
            for full_range in (False, True):
                clip = Clip(f"white{pixels}{full_range}.mkv", "ffv1", pixels, full_range=full_range)
                image = next(frames(open_video(make_clip(clip, count=1)))).image
                assert image[20, 7 * 128 // 14].tolist() == pytest.approx([65535] * 3, abs=130)
                assert image[20, 9 * 128 // 14].tolist() == pytest.approx([0] * 3, abs=130)

    def test_no_bias(self, make_clip):
        """The converter's default path darkens by 1/255 on average: a film would lose light in every pass."""
        rng = np.random.default_rng(0)
        clip = Clip("bias.mkv", "ffv1", "yuv420p", size=(640, 360))
        path = make_clip(clip, count=1).with_name("bias2.mkv")
        small = rng.integers(0, 256, (36, 64, 3), dtype=np.uint8)
        image = np.kron(small, np.ones((10, 10, 1), np.uint8))
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            raw = av.VideoFrame.from_ndarray(image).reformat(
                format="yuv420p", dst_colorspace=5, src_color_range=2, dst_color_range=1, interpolation="AREA"
            )
            container.mux(stream.encode(raw))
            container.mux(stream.encode(None))
        found = next(frames(open_video(path))).image
        assert abs((found[5::10, 5::10].astype(float) - small).mean()) < 0.1


class TestHostileAndBroken:
    @pytest.mark.parametrize(
        "text", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n", "v=0\no=- 0 0 IN IP4 127.0.0.1\n"]
    )
    def test_a_text_that_names_other_files_is_refused(self, plain, tmp_path, text):
        path = tmp_path / "x.mp4"
        path.write_text(text.format(plain))
        with pytest.raises(FileRefused) as caught:
            open_video(path)
        assert caught.value.remedy

    @pytest.mark.parametrize("name", ["missing.mp4", "concat:a.mp4|b.mp4", "http:x.mp4"])
    def test_missing(self, tmp_path, name):
        with pytest.raises(FileRefused, match="There is no"):
            open_video(tmp_path / name)

    def test_a_name_that_looks_like_a_protocol_is_a_file(self, plain, tmp_path):
        path = tmp_path / "concat:a|b.mp4"
        path.write_bytes(plain.read_bytes())
        assert open_video(path).frame_count == 18

    def test_unicode_and_percent_in_the_path(self, plain, tmp_path):
        path = tmp_path / "Ünï 雪 100%d" / "🎬 a'b.mp4"
        path.parent.mkdir()
        path.write_bytes(plain.read_bytes())
        assert len(list(frames(open_video(path)))) == 18

    def test_not_a_video(self, tmp_path):
        for name, data in (("a.mp4", b""), ("b.mp4", b"hello" * 100), ("c.mkv", bytes(range(256)) * 40)):
            path = tmp_path / name
            path.write_bytes(data)
            with pytest.raises(FileRefused) as caught:
                open_video(path)
            assert caught.value.remedy

    def test_sound_only(self, tmp_path):
        path = made.sound_clip(tmp_path / "sound.mp4", "aac", video=False)
        with pytest.raises(FileRefused, match="no picture"):
            open_video(path)

    def test_missing_index(self, plain, tmp_path):
        path = tmp_path / "cut.mp4"
        path.write_bytes(plain.read_bytes()[:1500])
        with pytest.raises(FileRefused, match="moov"):
            open_video(path)

    def test_zero_frames(self, tmp_path):
        path = tmp_path / "none.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
            container.start_encoding()
        with pytest.raises(NothingFound):
            open_video(path)

    def test_cut_short_file_gives_what_is_there_and_says_so(self, make_clip, tmp_path):
        clip = Clip("front.mp4", "libx264", "yuv420p", options=SHARP)
        whole = make_clip(clip, muxer={"movflags": "faststart"})
        position, size = made.packet_places(whole)[11]
        path = tmp_path / "cut.mp4"
        path.write_bytes(whole.read_bytes()[: position + size // 2])
        video = open_video(path)
        told: list[int] = []
        found = list(frames(video, on_damage=lambda index, text: told.append(index)))
        assert 10 <= video.frame_count <= 12
        assert [f.index for f in found] == list(range(video.frame_count))
        assert "cut short" in video.notes[0]
        assert "18" in video.notes[0]

    @pytest.mark.parametrize("name", ["hurt.mp4", "hurt.mkv", "hurt.mov", "hurt.avi"])
    def test_a_damaged_packet_repeats_the_picture_before_and_is_told(self, make_clip, tmp_path, name):
        codec, pixels = {"hurt.mov": ("prores_ks", "yuv422p10le"), "hurt.avi": ("mjpeg", "yuvj444p")}.get(
            name, ("libx264", "yuv420p")
        )
        whole = make_clip(Clip(name, codec, pixels, options={"bf": "0", "g": "1"}))
        position, size = made.packet_places(whole)[9]
        data = bytearray(whole.read_bytes())
        data[position + 8 : position + size - 8] = bytes(size - 16)
        path = tmp_path / name
        path.write_bytes(data)
        video, told = open_video(path), []
        found = list(frames(video, on_damage=lambda index, text: told.append((index, text))))
        assert [f.index for f in found] == list(range(18))
        assert [t[0] for t in told] == [9]
        assert told[0][1]
        if "cannot" in told[0][1]:
            np.testing.assert_array_equal(found[9].image, found[8].image)
            assert found[9].image is not found[8].image
        # the same frame asked for alone: the same answer
        (alone,) = frames(video, 9, 10)
        np.testing.assert_array_equal(alone.image, found[9].image)

    def test_limits(self, make_clip, tmp_path):
        wide = Clip("wide.mkv", "ffv1", "gray", size=(8194, 16))
        with pytest.raises(FileRefused, match="safely"):
            open_video(make_clip(wide, count=1))
        fast = Clip("fast.mp4", "libx264", "yuv420p", Fraction(300))
        with pytest.raises(FileRefused, match="safely"):
            open_video(make_clip(fast, count=6))
        long = Clip("long.mp4", "libx264", "yuv420p", Fraction(1))
        with pytest.raises(FileRefused, match="safely"):
            open_video(make_clip(long, count=2, pts=[0, 90_000]))
        path = tmp_path / "many.mkv"
        with av.open(str(path), "w") as container:
            for _ in range(17):
                stream = container.add_stream("ffv1", rate=25)
                stream.width, stream.height, stream.pix_fmt = 16, 16, "bgr0"
            for stream in container.streams:
                container.mux(stream.encode(av.VideoFrame(16, 16, "bgr0")))
        with pytest.raises(FileRefused, match="safely"):
            open_video(path)

    def test_bad_ranges(self, plain):
        video = open_video(plain)
        for start, stop, step in ((-1, 3, 1), (0, 3, 0), (0, -2, 1)):
            with pytest.raises(SettingRefused):
                list(frames(video, start, stop, step=step))
        assert list(frames(video, 18)) == []
        assert list(frames(video, 4, 4)) == []
        assert len(list(frames(video, 16, 99))) == 2


class TestThread:
    def decoders(self) -> list[str]:
        return [t.name for t in threading.enumerate() if t.name.startswith("decode ")]

    def test_closing_ends_it(self, plain):
        reading = frames(open_video(plain))
        next(reading)
        assert len(self.decoders()) == 1
        reading.close()
        assert self.decoders() == []

    def test_finishing_ends_it(self, plain):
        assert len(list(frames(open_video(plain)))) == 18
        assert self.decoders() == []

    def test_forgetting_ends_it(self, plain):
        next(frames(open_video(plain)))
        gc.collect()
        assert self.decoders() == []

    def test_an_error_in_the_loop_ends_it(self, plain):
        def work() -> None:
            for frame in frames(open_video(plain)):
                raise ZeroDivisionError(frame.index)

        with pytest.raises(ZeroDivisionError):
            work()
        gc.collect()
        assert self.decoders() == []

    def test_an_error_in_on_damage_reaches_the_caller(self, make_clip, tmp_path):
        whole = make_clip(Clip("hurt.mov", "prores_ks", "yuv422p10le", options={"bf": "0", "g": "1"}))
        position, size = made.packet_places(whole)[2]
        data = bytearray(whole.read_bytes())
        data[position + 8 : position + size - 8] = bytes(size - 16)
        (tmp_path / "x.mov").write_bytes(data)

        def stop(index: int, text: str) -> None:
            raise KeyError(index)

        with pytest.raises(KeyError):
            list(frames(open_video(tmp_path / "x.mov"), on_damage=stop))
        assert self.decoders() == []

    def test_the_queue_is_bounded(self, make_clip):
        """Reading one frame of a long film does not decode the film."""
        decode = importlib.import_module("facewright.media.decode")
        video = open_video(make_clip(Clip("long.mkv", "ffv1", "bgr0", size=(16, 16)), count=200))
        taken: list[int] = []
        lane_put = decode.Lane.put

        class Counting(decode.Lane):
            def put(self, item: object) -> None:
                lane_put(self, item)
                taken.append(1)

        decode.Lane, original = Counting, decode.Lane
        try:
            reading = frames(video)
            next(reading)
            threading.Event().wait(0.2)
            assert len(taken) <= decode.DEPTH + 1
            reading.close()
        finally:
            decode.Lane = original

    def test_two_readers_at_once(self, plain):
        video = open_video(plain)
        for a, b in zip(frames(video), frames(video)):
            np.testing.assert_array_equal(a.image, b.image)


def test_facts_of_a_film_with_sound(tmp_path):
    video = open_video(made.sound_clip(tmp_path / "a.mp4", "aac", sample_rate=44_100))
    assert video.audio == (AudioTrack(1, "aac", 44_100, 2, "und"),)
    assert video.codec == "h264"
    assert video.bit_depth == 8
    assert len(video.sha256) == 64


@pytest.mark.shared
def test_real_footage(shared):
    counts = {"webcam_man_take1.mp4": 780, "franck_conversation.mp4": 1200, "glasses_man_expressions.mp4": 587}
    for name, count in counts.items():
        video = open_video(shared / "footage" / name)
        assert video.frame_count == count
        (late,) = frames(video, count - 3, count - 2)
        *_, same = (f for f in frames(video, count - 40) if f.index <= count - 3)
        np.testing.assert_array_equal(late.image, same.image)
