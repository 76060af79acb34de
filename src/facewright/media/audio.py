"""Sound beside the picture: packets carried over unchanged where the container takes them, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from facewright.media.container import fraction, open_film
from facewright.media.frame import Video

# Container suffix -> (codec, bit rate per channel) used when a track cannot be copied.
_ANEW = {".webm": ("libopus", 64_000), ".mkv": ("flac", 0)}
_OTHERWISE = ("aac", 96_000)
_NAMES = {"libopus": "Opus", "flac": "FLAC", "aac": "AAC"}
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


class Sound:
    """All sound tracks of one film on their way into another, fed in step with the picture."""

    def __init__(self, output: OutputContainer, suffix: str, source: Video) -> None:
        self.notes: list[str] = []
        self._output, self._suffix = output, suffix
        self._container: InputContainer | None = None
        self._tracks: dict[int, _Copied | _Anew] = {}
        self._packets: Iterator[Packet] = iter(())
        self._waiting: Packet | None = None
        if not source.audio:
            return
        self._container = open_film(source.path)
        for track in source.audio:
            stream = self._container.streams[track.stream_index]
            if isinstance(stream, AudioStream):
                self._tracks[track.stream_index] = self._track(stream)
        self._packets = self._container.demux([self._container.streams[i] for i in self._tracks])

    def _track(self, stream: AudioStream) -> _Copied | _Anew:
        try:
            made = self._output.add_stream_from_template(stream)
        except (ValueError, av.error.FFmpegError):
            codec, rate = _ANEW.get(self._suffix, _OTHERWISE)
            self.notes.append(
                f"Sound track {stream.index} ({stream.codec_context.name}) is encoded anew as {_NAMES[codec]}: "
                f"{self._suffix[1:]} files do not take it as it is."
            )
            return _Anew(self._output, stream, codec, rate)
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
            self._tracks[packet.stream.index].write(packet)
        if until_s is None:
            for track in self._tracks.values():
                track.finish()

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
        self._made = output.add_stream(codec, rate=rate, layout=source.codec_context.layout.name)
        self._made.time_base = Fraction(1, rate)
        if channel_rate:
            self._made.codec_context.bit_rate = channel_rate * source.codec_context.channels
        self._made.metadata.update(source.metadata)

    def write(self, packet: Packet) -> None:
        try:
            sounds = packet.decode()
        except av.error.FFmpegError:
            return  # a damaged piece of sound stays silent; times of the rest are unaffected
        for sound in sounds:
            self._output.mux(self._made.encode(sound))

    def finish(self) -> None:
        for sound in self._source.decode(None):
            self._output.mux(self._made.encode(sound))
        self._output.mux(self._made.encode(None))
