"""Ablation: FW-bench leg T on one pair at 64 px, one option per arm, N minutes of processor time each on one thread.

    python -m benchmarks.ablation --arms all                     every arm (list: --list)
    python -m benchmarks.ablation --arms aa-* float32 liae-ud    some; `name*` = all that begin so
    python -m benchmarks.ablation --report                       OUT/report.md and OUT/report.png

Start it again after an interruption: finished arms are passed over, a killed one is done again. Several processes may
work in one OUT, each takes arms that no other has. A line for each finished arm is appended to OUT/results.jsonl.
Needs the shared footage and weights beside the checkout (or FACEWRIGHT_SHARED); its clips are test inputs only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.ablation import report, results
from benchmarks.ablation.arms import ARMS, Arm, chosen
from benchmarks.fw_bench import PAIRS

from facewright.core.files import FolderLock


def main() -> int:
    """Do the arms, or report them."""
    words = _words()
    if words.list:
        for arm in ARMS.values():
            print(f"{arm.name:24} {arm.why}")
        return 0
    if words.report:
        return _report(words.out, words.pair, words.minutes)
    try:
        arms = chosen(words.arms)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    from benchmarks.ablation import work

    work.environment(words.out)
    if words.train:
        work.train(arms[0], PAIRS[words.pair], words.out, words.minutes)
        return 0
    return _do(arms, words)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", choices=list(PAIRS), default="R1")
    parser.add_argument("--minutes", type=float, default=10.0, help="processor time of training, each arm")
    parser.add_argument("--arms", nargs="+", default=["all"])
    parser.add_argument("--out", type=Path, default=Path("out") / "ablation")
    parser.add_argument("--keep", action="store_true", help="keep each arm's weights and merged frames")
    parser.add_argument("--list", action="store_true", help="name the arms")
    parser.add_argument("--report", action="store_true", help="write tables and picture of what is finished")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)  # one arm's training, in this process
    return parser.parse_args()


def _do(arms: list[Arm], words: argparse.Namespace) -> int:
    """Every arm that is neither finished nor in another process's hands; 1 when one failed."""
    from benchmarks.ablation import work

    pair, path, failed = PAIRS[words.pair], words.out / "results.jsonl", []
    (words.out / "arms").mkdir(parents=True, exist_ok=True)
    scorer = work.Scorer(pair, words.out)
    for arm in arms:
        lock = FolderLock(words.out / "arms" / f"{arm.name}.lock")
        if not lock.acquire():
            print(f"{arm.name}: another process is at it", flush=True)
            continue
        try:
            done = {results.key(r) for r in results.read(path)}  # read late: another process may have finished it
            if (pair.name, words.minutes, arm.name) in done:
                print(f"{arm.name}: done already", flush=True)
                continue
            record = work.do(arm, scorer, words.minutes, keep=words.keep)
            results.append(path, record)
            figures = {f.name: round(f.of(record), 3) for f in report.FIGURES}
            print(f"{arm.name}: {record['iterations']} iterations, {figures}", flush=True)
        except Exception as error:  # noqa: BLE001  the other arms are worth having
            failed.append(arm.name)
            print(f"{arm.name}: failed: {error!r}", file=sys.stderr, flush=True)
        finally:
            lock.release()
    if failed:
        print(f"failed, start again to repeat: {' '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _report(out: Path, pair: str, minutes: float) -> int:
    records = [r for r in results.read(out / "results.jsonl") if (r["pair"], float(r["minutes"])) == (pair, minutes)]
    order = {name: i for i, name in enumerate(ARMS)}
    records.sort(key=lambda r: order.get(r["arm"], len(order)))
    text = report.markdown(records)
    (out / "report.md").write_text(text, encoding="utf-8")
    report.draw(records, out / "report.png")
    print(text)
    print(out / "report.md", out / "report.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
