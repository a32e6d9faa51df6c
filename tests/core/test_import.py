"""What `import moe_lib` costs, seen by a Python of its own; tools/import_time.py measures it in seconds."""

import subprocess
import sys

PARTS = {"balance", "checkpoint", "data", "experts", "layers", "manager", "metrics", "mixture", "training"}


def test_import_loads_torch_safetensors_and_nothing_that_draws_sorts_or_downloads():
    """IPython, matplotlib, pandas, scipy, seaborn, sklearn, torchvision, tqdm: when they are used. And no room."""
    code = "import sys, torch; before = {*sys.modules}; import moe_lib; print(*({*sys.modules} - before))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    ).stdout.split()
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"moe_lib", "safetensors"}
    ours = {name for name in loaded if name.startswith("moe_lib")}
    assert ours == {"moe_lib", *(f"moe_lib.{part}" for part in PARTS)}
