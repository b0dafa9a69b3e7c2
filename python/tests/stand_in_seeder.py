"""A seeder without Petals, for what happens around one.

It takes the seeder's arguments, writes its report and its log, and heeds its signals. MOOD gives it a fault: `deaf` to
signals, `hungry` for memory, or `broken` from the start.
"""

import json
import os
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
STATUS = Path(sys.argv[sys.argv.index("--status-file") + 1])
IDENTITY = Path("/cache/identity")
MOOD = os.environ.get("MOOD", "")
RENEW_S = 2.0


def say(text: str) -> None:
    sys.stderr.write(f"{datetime.now(timezone.utc).isoformat()} {text}\n")
    sys.stderr.flush()


def tell(stage: str, peer: str) -> None:
    report = {"time": datetime.now(timezone.utc).isoformat(), "stage": stage, "peerId": peer}
    draft = STATUS.with_suffix(".draft")
    draft.write_text(json.dumps(report))
    draft.replace(STATUS)


def change(stage: str, peer: str) -> None:
    say(f"INFO torbiz.seeder: Stage: {stage}")
    tell(stage, peer)


def eat() -> None:
    eaten = []
    while True:
        eaten.append(bytearray(b"x" * 10_000_000))


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if MOOD == "broken":
        say("ERROR torbiz.seeder: [share-failed] It is broken.")
        sys.exit(3)
    if not IDENTITY.exists():
        draft = IDENTITY.with_suffix(".draft")
        draft.write_text(os.urandom(8).hex())
        draft.replace(IDENTITY)
    peer = IDENTITY.read_text()
    STATUS.parent.mkdir(parents=True, exist_ok=True)
    change("starting", peer)
    time.sleep(0.3)
    if MOOD == "hungry":
        eat()
    say("INFO torbiz.seeder: Announced ONLINE: blocks 0:30")
    change("online", peer)
    while True:
        came = signal.sigtimedwait(SIGNALS, RENEW_S)
        # Python 3.11 returns nonsense instead of None where the process was stopped and goes on after the time.
        if came is not None and came.si_signo in SIGNALS and MOOD != "deaf":
            break
        tell("online", peer)
    if came.si_signo == signal.SIGUSR1:
        change("finishing", peer)
        say("INFO torbiz.finishing: No answer is on its way any more")
    else:
        change("stopping", peer)
    say("INFO torbiz.seeder: Announced OFFLINE: blocks 0:30")
    time.sleep(0.3)


if __name__ == "__main__":
    main()
