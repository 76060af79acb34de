"""Several processes that learn one net together: each takes its parts of every batch, gradients are summed.

The first process (rank 0) decides and writes; at every border between two iterations the others hear what it decided.
Why this and not torch's wrapper: docs/decisions/012-gradients-are-summed-by-hand.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from facewright.core.errors import TrainingRefused
from facewright.training.guard import no_memory

WAIT = timedelta(minutes=30)
"""How long others may do something else: make ready, save, draw. A process that is gone is noticed at once all the
same, since the system closes its connections; one whose machine is gone, after this time."""
SUM = timedelta(minutes=5)
"""The same within an iteration on GPUs, where nobody sees a connection close; and of the first process, for which the
others have nothing to do but learn."""
_GLANCE = timedelta(seconds=1)
"""Waiting so long for others, a process looks whether they live: gloo at times misses that a connection was closed."""
_WORDS_S = 5.0
_LEAVE_S = 5.0
_BUCKET = 16 << 20
_SHORT = 512


class Parted(TrainingRefused):
    """One of the processes is gone; weights are those of the iteration before."""


@dataclass
class Team:
    """Process `rank` of `size`. As made by default: one process alone, where all of this costs nothing."""

    rank: int = 0
    size: int = 1
    store: Any = None
    sums: Any = None
    """Group over which gradients are summed: NCCL's on GPUs."""
    lives: Callable[[], bool] = lambda: True
    """Whether those whom this process can see are there: those it started, or the one that started it."""
    _deeds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether there is nobody to talk to."""
        return self.size == 1

    def parts(self, each: int) -> list[tuple[int, int]]:
        """(part, parts) of this process's passes of an iteration, `each` of them."""
        return [(self.rank * each + k, self.size * each) for k in range(each)]

    # ---- learning

    def add_up(self, parameters: Iterable[nn.Parameter], more: Tensor) -> Tensor:
        """Sum the gradients of those `parameters` that learn over all processes, in place, in few large pieces.

        One without a gradient counts as 0 and stays without. more (n,): summed along with them, returned. Raises
        Parted.
        """
        if self.alone:
            return more
        learning = [p for p in parameters if p.requires_grad]
        tensors = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        whole = more
        for bucket in _buckets([*tensors, more]):
            flat = torch.cat([t.reshape(-1) for t in bucket])
            with self._talking():
                self._wait(dist.all_reduce(flat, group=self.sums, async_op=True), sums=True)
            for tensor, piece in zip(bucket, flat.split([t.numel() for t in bucket]), strict=True):
                if tensor is more:
                    whole = piece
                else:
                    tensor.copy_(piece.view_as(tensor))
        return whole

    # ---- what the first process decides

    def also(self, do: str, **words: Any) -> None:
        """The first process: have the others do at this border what it has just done itself; see follower.DEEDS."""
        if not self.alone and not self.rank:
            self._deeds.append({"do": do, **words})

    def border(self, end: str, used_s: float) -> bool:
        """The first process: tell what was decided before an iteration; whether it must `level` now, as the others do.

        end: "over", "stop" or "" = it goes on.
        """
        if self.alone or self.rank:
            return False
        deeds, self._deeds = self._deeds, []
        self.say({"end": end, "used_s": used_s, "deeds": deeds} if deeds or end else {"used_s": used_s})
        return any(deed["do"] == "level" for deed in deeds)

    def say(self, message: Mapping[str, Any]) -> None:
        """The first process: tell all others. Raises Parted."""
        self._broadcast(json.dumps(message).encode())

    def hear(self) -> dict[str, Any]:
        """The others: wait for what it says. Raises Parted."""
        return json.loads(self._broadcast(b""))

    def _broadcast(self, body: bytes) -> bytes:
        """One short message: the usual one fits whole behind its length."""
        short = torch.zeros(_SHORT, dtype=torch.uint8)
        if not self.rank:
            head = len(body).to_bytes(8, "little") + body[: _SHORT - 8]
            short[: len(head)] = _bytes(head)
        with self._talking():
            self._wait(dist.broadcast(short, 0, async_op=True))
            size = int.from_bytes(short[:8].numpy().tobytes(), "little")
            if size <= _SHORT - 8:
                return short[8 : 8 + size].numpy().tobytes()
            whole = torch.zeros(size, dtype=torch.uint8) if self.rank else _bytes(body).clone()
            self._wait(dist.broadcast(whole, 0, async_op=True))
        return whole.numpy().tobytes()

    def gather(self, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What every process says of itself, by rank, told to all. Raises Parted."""
        if self.alone:
            return [dict(facts)]
        body = json.dumps(facts).encode()
        with self._talking():
            sizes = [int(n) for n in self._all_of(torch.tensor([len(body)]))]
            bodies = self._all_of(_bytes(body.ljust(max(sizes))))
        return [json.loads(b.numpy().tobytes()) for b in bodies]

    def _all_of(self, mine: Tensor) -> list[Tensor]:
        found = [torch.empty_like(mine) for _ in range(self.size)]
        self._wait(dist.all_gather(found, mine, async_op=True))
        return found

    def level(self, modules: Iterable[nn.Module]) -> bool:
        """Give all processes the first one's weights where they differ; whether they did. Raises Parted."""
        modules = list(modules)
        if len({f["weights"] for f in self.gather({"weights": fingerprint(modules)})}) == 1:
            return False
        with torch.no_grad(), self._talking():
            for tensor in (t for m in modules for t in m.state_dict().values()):
                plain = tensor.contiguous()
                self._wait(dist.broadcast(plain, 0, group=self.sums, async_op=True), sums=True)
                tensor.copy_(plain)
        return True

    # ---- coming and going

    def _wait(self, work: Any, *, sums: bool = False) -> None:
        """Until it is done. Raises RuntimeError: it failed, or somebody is gone."""
        if sums and self.sums is not None:  # NCCL's wait is that of the GPU's own queue; SUM ends it
            work.wait()
            return
        while not work.is_completed():
            try:
                work.wait(_GLANCE)
            except RuntimeError:
                if not work.is_completed() and not self.lives():
                    raise
        work.wait()  # raises what went wrong

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # what all of torch.distributed's errors are
            if no_memory(error):
                raise
            raise self._parted(error) from error

    def _parted(self, error: RuntimeError) -> Parted:
        """Who is gone, as far as can be known: whoever lives, and whoever could speak before it ended, has left words.
        """
        self.last_words("")
        until = time.monotonic() + _WORDS_S
        words = {rank: self._words_of(rank, until) for rank in range(self.size) if rank != self.rank}
        gone = [rank for rank, text in words.items() if text is None or text]
        named = " and ".join(f"{rank + 1}" for rank in gone) or "?"
        said = "; ".join(text for text in words.values() if text)
        short = " ".join(str(error).split())[:160]
        return Parted(
            f"Process {named} of {self.size} has ended while the net was learning.",
            why=said or f"It was killed, or its machine or the way to it is gone ({short}).",
            remedy="Run the same command again: it goes on from the last save, with `--gpus 1` by itself too.",
        )

    def last_words(self, text: str) -> None:
        """Leave word for those who will miss this process: why it ends, "" = it lives but cannot go on either."""
        try:
            self.store.set(f"words/{self.rank}", text or " ")
        except RuntimeError:
            return  # the store went with the first process

    def _words_of(self, rank: int, until: float) -> str | None:
        try:
            self.store.wait([f"words/{rank}"], timedelta(seconds=max(until - time.monotonic(), 0.05)))
            return self.store.get(f"words/{rank}").decode().strip()
        except RuntimeError:
            return None

    def leave(self) -> None:
        """Close the connections; what still waits for an answer of one that is gone ends by itself, SUM later."""
        if not self.alone and dist.is_initialized():
            self.sums = None
            # Gloo at times misses that a killed one's connection closed, and its end then waits for that answer.
            ending = threading.Thread(target=dist.destroy_process_group, name="leave", daemon=True)
            ending.start()
            ending.join(_LEAVE_S)


def join(store: Any, rank: int, size: int, device: torch.device) -> Team:
    """Meet the others, who come to the same store. Raises TrainingRefused: they do not come."""
    try:
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=WAIT if rank else SUM)
        sums = None
        if device.type == "cuda" and dist.is_nccl_available():
            torch.cuda.set_device(device)
            # Errors arise where they happened, not in a thread that ends the program.
            os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
            sums = dist.new_group(backend="nccl", timeout=SUM)
    except RuntimeError as error:
        raise TrainingRefused(
            f"The {size} processes did not find each other.", why=" ".join(str(error).split())[:200],
            remedy="Start all of them; between machines, MASTER_ADDR and MASTER_PORT must be reachable, and where a "
            "machine has several networks GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name the right one.",
        ) from error
    return Team(rank, size, store, sums)


def store_of(env: Mapping[str, str]) -> Any:
    """The meeting place that torchrun's variables name."""
    hosts = env["RANK"] == "0" and env.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = dist.TCPStore(
        env["MASTER_ADDR"], int(env["MASTER_PORT"]), int(env["WORLD_SIZE"]), is_master=hosts, timeout=WAIT,
        wait_for_workers=False,
    )
    return dist.PrefixStore(f"facewright/{env.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def fingerprint(modules: Iterable[nn.Module]) -> str:
    """Digest of all weights, bit for bit."""
    digest = hashlib.sha256()
    for module in modules:
        for tensor in module.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _bytes(body: bytes) -> Tensor:
    return torch.frombuffer(bytearray(body), dtype=torch.uint8)


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    """In order, of about _BUCKET elements each; the last one is never alone with a few numbers of its own."""
    bucket: list[Tensor] = []
    for tensor in tensors[:-1]:
        if bucket and sum(t.numel() for t in bucket) + tensor.numel() > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(tensor)
    yield [*bucket, tensors[-1]]
