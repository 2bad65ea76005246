"""Memory of a device process in fusion mode, over a bare llama.cpp with the same model.

    python -m benchmarks.memory [--max-tokens 60]

Two fresh processes, each with the demo device model and the same window. The bare one has
nothing but xllamacpp: it reads the prompt's length in made-up tokens and writes as many tokens
as the other. The other writes a text in fusion mode with the demo cloud model, a third process:
other vocabulary, guard, shield, ledger, word lists and all. Reported is the most that each held
in memory at one time (Linux, VmHWM). Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cogenesis.assistant import Assistant, Task
from cogenesis.cli.connect import connect
from cogenesis.cloud_server import DemoCloud
from cogenesis.demo import DEMO_INSTRUCTION, demo_person
from cogenesis.models import LlamaCpp
from cogenesis.models.catalogue import get_model
from cogenesis.models.llama_cpp import DEFAULT_WINDOW

BARE = """
import json, sys, xllamacpp
path, window, prompt, length = json.loads(sys.stdin.read())
params = xllamacpp.CommonParams()
params.model.path = path
params.n_parallel, params.n_ctx, params.n_batch, params.n_ubatch = 1, window, 512, 128
params.flash_attn_type, params.cache_ram_mib, params.verbosity = 0, 0, -1
params.swa_full, params.ui = True, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
server.handle_completions(
    {"prompt": [100 + each % 1000 for each in range(prompt)], "n_predict": length,
     "ignore_eos": True, "cache_prompt": True}
)
status = open("/proc/self/status").read()
print(json.dumps(int(status.split("VmHWM:")[1].split()[0]) * 1024))
"""


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def fusion(path: Path, url: str, model: str, max_tokens: int) -> dict[str, Any]:
    """Run in a process of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cloud, egress = connect(stack, url, model, "auto", "", folder / "ledger.sqlite")
        device = stack.enter_context(LlamaCpp(path, threads=1))
        task = Task(DEMO_INSTRUCTION, demo_person(), mode="fusion", max_tokens=max_tokens, seed=3)
        result = Assistant(device, cloud=cloud, traffic=lambda: egress.traffic).write(task)
        used = device.last_usage
        return {
            "mode": result.mode,
            "tokens": len(result.tokens),
            "requests": 0 if result.traffic is None else result.traffic.requests,
            "prompt_tokens": 0 if used is None else used.read + used.cached - len(result.tokens),
            "bytes": peak_bytes(),
        }


def child(code: list[str], standard_input: str) -> Any:
    done = subprocess.run(
        [sys.executable, *code], input=standard_input, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--max-tokens", type=int, default=60)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        path, url, model = options.child
        print(json.dumps(fusion(Path(path), url, model, options.max_tokens)))
        return
    path = get_model("demo-device")
    with DemoCloud(get_model("demo-cloud"), threads=1) as cloud:
        own = ["-m", "benchmarks.memory", "--max-tokens", str(options.max_tokens)]
        full = child([*own, "--child", os.fspath(path), cloud.url, cloud.model], "")
    if full["mode"] != "fusion" or not full["requests"]:
        raise SystemExit(f"no valid run: {full}")
    asked = [os.fspath(path), DEFAULT_WINDOW, full["prompt_tokens"], full["tokens"]]
    bare = child(["-c", BARE], json.dumps(asked))
    print(
        json.dumps(
            {
                "date": datetime.now(UTC).date().isoformat(),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "command": "python -m benchmarks.memory",
                "prompt_tokens": full["prompt_tokens"],
                "tokens": full["tokens"],
                "bare_mb": round(bare / 1e6, 1),
                "fusion_mb": round(full["bytes"] / 1e6, 1),
                "over_bare_mb": round((full["bytes"] - bare) / 1e6, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
