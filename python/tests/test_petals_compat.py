"""What importing ``torbiz.petals_compat`` does to a process that has imported nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.prepare import PYTHON

PROGRAM = """
import gc, json, sys
from torbiz import petals_compat
import petals.server.server
import accelerate, scipy, torch
from petals.models.llama.config import DistributedLlamaConfig
from torbiz.seeder import weight_bytes

# A server's plan and a client's embedding before its weights are read.
weight_bytes(DistributedLlamaConfig(hidden_size=64, intermediate_size=64, num_attention_heads=4, num_hidden_layers=1))
torch.nn.Embedding(2, 3, device="meta")
compiles = "torch._dynamo" in sys.modules

late = ["scipy.linalg", "torch.distributed.checkpoint", "torch.distributed.tensor"]
before = [name for name in late if name in sys.modules]
# The point of least cost on a line from 0 to 3.
cost = scipy.optimize.linprog([-1], A_ub=[[1]], b_ub=[3]).fun
try:
    accelerate.utils.save_fsdp_model(None, None, None, sys.argv[1])
except Exception as error:
    said = repr(error)
print(json.dumps({
    "before": before,
    "after": [name for name in late if name in sys.modules],
    "cost": cost,
    "said": said,
    "package": hasattr(sys.modules["accelerate.utils.fsdp_utils"], "__path__"),
    "collects": gc.isenabled(),
    "compiles": compiles,
    "fills": torch.nn.Embedding(2, 3).weight.std().item() > 0,
}))
"""


def test_what_petals_never_calls_is_imported_when_it_is_called_and_pytorchs_compiler_not_at_all(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(PYTHON)}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path)]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert (found["before"], found["cost"]) == ([], -3)
    assert found["after"] == ["scipy.linalg", "torch.distributed.checkpoint", "torch.distributed.tensor"]
    # The real function's own failure: it was given nothing to save.
    assert "'NoneType' object has no attribute 'state_dict_type'" in found["said"]
    assert not found["package"]
    assert found["collects"]
    assert (found["compiles"], found["fills"]) == (False, True)
