"""Sound beside the picture: packets carried over unchanged where the container takes them, else encoded anew."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from facewright.media.container import fraction, open_film
from facewright.media.frame import Video

# Container suffix -> (codec, bit rate per channel) used when a track cannot be copied.
_ANEW = {".webm": ("libopus", 64_000), ".mkv": ("flac", 0)}
_OTHERWISE = ("aac", 96_000)
_NAMES = {"libopus": "Opus", "flac": "FLAC", "aac": "AAC"}
_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
SEEK_FROM_S = Fraction(5)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class Sound:
    """All sound tracks of one film on their way into another, fed in step with the picture.

    span_s: only packets that begin in these seconds of the film, which become zero and the end.
    """

    def __init__(
        self, output: OutputContainer, suffix: str, source: Video, span_s: tuple[Fraction, Fraction] | None = None
    ) -> None:
        self.notes: list[str] = []
        self._output, self._suffix = output, suffix
        self._container: InputContainer | None = None
        self._tracks: dict[int, _Copied | _Anew] = {}
        self._packets: Iterator[Packet] = iter(())
        self._waiting: Packet | None = None
        self._moves, self._shift_told, self._span_s = False, False, span_s
        if not source.audio:
            return
        self._container = open_film(source.path)
        self._moves = suffix in (".mkv", ".webm") and "matroska" not in self._container.format.name
        for track in source.audio:
            stream = self._container.streams[track.stream_index]
            if isinstance(stream, AudioStream):
                self._tracks[track.stream_index] = self._track(source, stream)
        if span_s is not None and span_s[0] > SEEK_FROM_S:
            with contextlib.suppress(av.error.FFmpegError):  # no index: read from the start
                self._container.seek(int((span_s[0] - SEEK_FROM_S) * 1_000_000))
        packets = self._container.demux([self._container.streams[i] for i in self._tracks])
        self._packets = packets if span_s is None else _within(packets, *span_s)

    def _track(self, source: Video, stream: AudioStream) -> _Copied | _Anew:
        if not takes(self._output.format.name, source, stream.index):
            codec, rate = _ANEW.get(self._suffix, _OTHERWISE)
            was = stream.codec_context.codec.canonical_name
            self.notes.append(
                f"Sound track {stream.index} ({was}) is encoded anew as {_NAMES[codec]}: "
                f"{self._suffix[1:]} files do not take it as it is."
            )
            return _Anew(self._output, stream, codec, rate)
        made = self._output.add_stream_from_template(stream)
        made.metadata.update(stream.metadata)
        return _Copied(self._output, stream, made)

    def feed(self, until_s: Fraction | None) -> None:
        """Write the sound that starts at or before `until_s` (None: all that is left)."""
        while self._tracks:
            packet = self._waiting or self._next()
            self._waiting = packet
            if packet is None:
                break
            if until_s is not None and packet.dts is not None and packet.dts * fraction(packet.time_base) > until_s:
                return
            self._waiting = None
            self._note_shift(packet)
            self._tracks[packet.stream.index].write(packet)
        if until_s is None:
            for track in self._tracks.values():
                track.finish()

    def _note_shift(self, packet: Packet) -> None:
        # Matroska has no times below zero; only tracks that bring their encoder's delay along may start there.
        copied = isinstance(self._tracks[packet.stream.index], _Copied)
        if copied and packet.pts is not None and packet.pts < 0 and self._moves and not self._shift_told:
            self._shift_told = True
            late_ms = float(-packet.pts * fraction(packet.time_base) * 1000)
            self.notes.append(
                f"The sound starts {late_ms:.0f} ms before zero, which {self._suffix[1:]} cannot say: "
                "picture and sound both start that much later."
            )

    def _next(self) -> Packet | None:
        try:
            for packet in self._packets:
                if packet.dts is not None and packet.size:
                    return packet
        except av.error.FFmpegError as error:
            self.notes.append(f"The sound ends early: the source cannot be read further ({error.strerror}).")
            self._packets = iter(())
        return None

    def close(self) -> None:
        """Let go of the source."""
        if self._container is not None:
            self._container.close()


def _within(packets: Iterator[Packet], start_s: Fraction, stop_s: Fraction) -> Iterator[Packet]:
    """Packets that begin in the span, moved so that it begins at zero."""
    for packet in packets:
        if packet.dts is None or not packet.size:
            continue
        base = fraction(packet.time_base)
        begins_s = (packet.dts if packet.pts is None else packet.pts) * base
        if begins_s > stop_s + SEEK_FROM_S:
            return  # tracks lie beside each other: none is that far behind
        if start_s <= begins_s < stop_s:
            move = round(start_s / base)
            packet.dts -= move
            if packet.pts is not None:
                packet.pts -= move
            yield packet


def takes(container: str, source: Video, index: int) -> bool:
    """Whether the container takes a stream's packets as they are: asked by writing the first one to memory.

    Its own list of codecs promises too much: FLAC in mov fails at the header, some PCM in mp4 at the end.
    """
    with open_film(source.path) as film:
        stream = film.streams[index]
        try:
            packet = next((p for p in film.demux(stream) if p.size and p.dts is not None), None)
            with av.open(io.BytesIO(), "w", format=container) as trial:
                made = trial.add_stream_from_template(stream)
                if packet is not None:
                    packet.stream = made
                    trial.mux(packet)
        except (ValueError, OSError, av.error.FFmpegError):
            return False
    return True


def _layout(stream: AudioStream) -> str:
    """Where the speakers stand; files that only count channels get the usual arrangement of that many."""
    context = stream.codec_context
    name = context.layout.name
    return _USUAL_LAYOUTS.get(context.channels, "stereo") if "channel" in name else name


class _Copied:
    """A track whose packets are carried over."""

    def __init__(self, output: OutputContainer, source: AudioStream, made: AudioStream) -> None:
        self._output, self._made = output, made

    def write(self, packet: Packet) -> None:
        packet.stream = self._made
        self._output.mux(packet)

    def finish(self) -> None:
        return


class _Anew:
    """A track that is decoded and encoded, its times kept."""

    def __init__(self, output: OutputContainer, source: AudioStream, codec: str, channel_rate: int) -> None:
        rate = source.codec_context.sample_rate
        if codec == "libopus" and rate not in _OPUS_RATES:
            rate = 48_000
        self._output, self._source = output, source
        self._made = cast(AudioStream, output.add_stream(codec, rate=rate, layout=_layout(source)))
        self._made.time_base = Fraction(1, rate)
        if channel_rate:
            self._made.codec_context.bit_rate = channel_rate * source.codec_context.channels
        self._made.metadata.update(source.metadata)

    def write(self, packet: Packet) -> None:
        try:
            sounds = cast(list[AudioFrame], packet.decode())
        except av.error.FFmpegError:
            return  # a damaged piece of sound stays silent; times of the rest are unaffected
        self._encode(sounds)

    def _encode(self, sounds: list[AudioFrame]) -> None:
        for sound in sounds:
            self._output.mux(self._made.encode(sound))

    def finish(self) -> None:
        self._encode(self._source.decode(None))
        self._output.mux(self._made.encode(None))
