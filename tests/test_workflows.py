"""The workflows of .github/: pinned actions, least permissions, time-outs, and commands that exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<hash>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)$")

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def test_there_is_one_workflow_a_concern():
    assert {path.stem for path in WORKFLOWS} == {"test", "book", "gpu", "links"}


@every_workflow
def test_every_action_is_pinned_by_hash_and_names_its_version(path):
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pinned = [match["action"] + "@" + match["hash"] for line in lines if (match := PINNED.search(line))]
    assert pinned, "this test would pass on a file without actions"
    assert pinned == [step["uses"] for step in steps(path) if "uses" in step]


def test_one_action_has_one_hash_and_one_hash_one_version():
    lines = [line for path in WORKFLOWS for line in path.read_text(encoding="utf-8").splitlines()]
    pins = {match.groups() for line in lines if (match := PINNED.search(line))}
    assert len(pins) == len({action for action, _, _ in pins})


@every_workflow
def test_permissions_are_empty_at_the_top_and_given_per_job(path):
    workflow = load(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        writes = {scope for scope, access in job["permissions"].items() if access != "read"}
        assert writes <= ({"pages", "id-token"} if (path.stem, name) == ("book", "deploy") else set()), name


@every_workflow
def test_every_job_has_a_time_out(path):
    for name, job in load(path)["jobs"].items():
        assert isinstance(job.get("timeout-minutes"), int), f"{name} could hang for GitHub's six hours"


@every_workflow
def test_checkout_leaves_no_credentials_behind(path):
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_workflow
def test_no_expression_is_pasted_into_a_script(path):
    for step in steps(path):
        assert "${{" not in step.get("run", ""), "hand it over in env: a pasted value is run as code"


def test_the_tests_run_on_every_supported_python():
    matrix = load(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]  # strings: YAML reads a bare 3.10 as 3.1


def test_the_library_is_tested_where_readers_have_their_laptops():
    jobs = load(ROOT / ".github" / "workflows" / "test.yml")["jobs"]
    assert {job["runs-on"] for job in jobs.values()} == {"ubuntu-latest", "${{ matrix.system }}"}
    elsewhere = jobs["elsewhere"]
    assert elsewhere["strategy"]["matrix"]["system"] == ["macos-latest", "windows-latest"]
    commands = [step["run"] for step in elsewhere["steps"] if "run" in step]
    assert not [command for command in commands if "make" in command.split()], "Windows has no make"
    assert not [command for command in commands if "PYTHONUTF8" in command]
    named = [word for command in commands for word in command.split() if word.startswith("tests/")]
    assert named and not [path for path in named if not (ROOT / path).exists()]


@every_workflow
def test_every_make_command_is_a_target_of_the_makefile(path):
    scripts = "\n".join(step.get("run", "") for step in steps(path))
    if ".ci/run" in scripts:
        scripts += (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    calls = re.findall(r"^(?:exec )?make ([\w-]+)(?: ([A-Z]+)=)?", scripts, re.MULTILINE)
    assert calls, "this test would pass on a file without commands"

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([\w-][\w -]*):(?!=)", makefile, re.MULTILINE)
    assert {target for target, _ in calls} <= {target for rule in rules for target in rule.split()}
    for target, variable in calls:
        assert f"$({variable})" in makefile or not variable, f"make {target} ignores {variable}"
