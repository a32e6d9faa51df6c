"""The exercises check themselves: right answers pass, blank and wrong ones fail with a hint that gives nothing away.

The right answers here are worked out by hand, or in another way than the library does it. The solutions in the chapters
are run by `test_chapters`.
"""

import ast
import io
import math
import re
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
import torch
from test_chapters import NUMBERED, exercises, prose, read

from moe_lib.exercises import check
from moe_lib.exercises.answers import Choice, Function, Numbers, blank
from moe_lib.exercises.check import judge, printable
from moe_lib.exercises.key import EXERCISES
from moe_lib.ladder import strokes
from moe_lib.records import provenance

EXERCISE = re.compile(r"(?ms)^\*\*(\d+\.\d)\b(.*?)(?=^\*\*\d+\.\d\b|\Z)")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def brute_force(assignments, labels):
    shares = [(torch.tensor(names)[assignments] == labels).double().mean() for names in permutations(range(4))]
    return max(shares).item()


def average_gradient(p, outputs, y):
    """By small steps of each logit."""

    def loss(logits):
        return (y.double() - (logits.softmax(dim=0) * outputs.double()).sum()).square()

    step = 1e-5 * torch.eye(len(p), dtype=torch.double)
    return torch.stack([(loss(p.double().log() + s) - loss(p.double().log() - s)) / 2e-5 for s in step])


def luck(images, experts):
    return np.float64(images * (experts - 1) / experts**2)


def bfloat16_walk():
    weight = torch.ones((), dtype=torch.bfloat16)
    for _ in range(1000):
        weight += 0.001
    return weight


RIGHT = {
    "01.1": "Drawings",
    "01.2": 0.6931,
    "01.3": " three.",
    "01.4": 0.3989,
    "01.5": lambda m, v: ((v + m * m - 1) / 2 - v.sqrt().log()).sum(dim=1).numpy(),
    "02.1": torch.tensor([-0.08, 0.08]),
    "02.2": "collapse",
    "02.3": "STAYS",
    "02.4": average_gradient,
    "02.5": "21",
    "03.1": np.float32(0.0854),
    "03.2": 0,
    "03.3": "straight",
    "03.4": 7 / 30,
    "04.1": 1 / 40,
    "04.2": 8.9,
    "04.3": 11.51,
    "04.4": luck,
    "05.1": [[9]],
    "05.2": "lower",
    "05.3": "near",
    "05.4": brute_force,
    "06.1": 3.63,
    "06.2": torch.tensor(44.0, requires_grad=True),
    "06.3": np.array([0.9, 9]),
    "06.4": lambda p, k: torch.nn.functional.normalize(p * (p >= p.topk(k).values[:, -1:]), p=1, dim=1),
    "06.5": bfloat16_walk(),
    "07.1": "first",
    "07.2": "shrinking",
    "07.3": (1135 / 10_000, 0.0, 1e-17, 1135 / 10_000),
    "07.4": 0.82,
    "07.5": lambda p, losses: p / ((losses[:, None] - losses[:, :, None]).neg().exp() @ p[:, :, None])[:, :, 0],
    "08.1": lambda error: (1 - error) ** 2 * (1 + 2 * error),
    "08.2": lambda share, spread: (2 * spread - 1) * (share * (share * len(share)).log()).sum().item(),
    "08.3": "grows",
    "08.4": lambda images: strokes(images).slant,
    "09.1": lambda p, below: torch.einsum("bi,bik->bik", p, below).reshape(len(p), -1),
    "09.2": 27,
    "09.3": 0.085,
    "11.1": 80,
    "11.2": "Rises.",
    "11.3": -2.0794,
    "11.4": 5.7,
}
BLANK = [None, ..., "", " ", "?", "...", (), [], (None, None), (..., ...), torch.tensor([]), np.array([])]
ODD = [
    True, "no word of these", 1j, math.nan, math.inf, 10**400, {"a": 1}, {1, 2}, object(), range(3), b"7", print, dict,
    torch.tensor([True]), torch.rand(3, 4), np.array("x"), ["a", None], (0.3, ...), lambda: 1 / 0, lambda *_: "text",
    lambda *_: torch.rand(2, 3, 4), lambda *_: [[1.0], [2.0, 3.0]], lambda *inputs: inputs, lambda *_: math.nan,
]  # fmt: skip


def said(name, answer):
    """The verdict without the name."""
    return judge(EXERCISES[name], answer)[1]


def test_chapters_and_registry_name_the_same_exercises():
    asked = {f"{number:0>4}" for path in NUMBERED for number, _ in EXERCISE.findall(prose(read(path)))}
    ahead = {name for name in EXERCISES if not list(provenance.BOOK.glob(f"{name[:2]}_*.ipynb"))}
    assert asked == set(EXERCISES) - ahead
    assert set(RIGHT) == set(EXERCISES)


def test_a_chapter_asks_for_a_prediction_says_how_to_check_and_folds_a_solution_that_does(subtests):
    for path in NUMBERED:
        with subtests.test(path.stem):
            notebook = read(path)
            _, _, section = prose(notebook).partition("\n## Exercises\n")
            section, _, _ = section.partition("\n## References")
            asked = EXERCISE.findall(section)
            assert [number for number, _ in asked] == [f"{int(path.stem[:2])}.{i + 1}" for i in range(len(asked))]
            assert 3 <= len(asked) <= 5
            assert exercises(notebook)[0] == "from moe_lib.exercises import check\n"
            for number, text in asked:
                question, _, solution = text.partition("<details>")
                assert "*Predict first:*" in question
                assert f'`check("{number:0>4}", ' in question
                (code,) = re.findall(r"^```python\n(.*?)^```", solution, re.DOTALL | re.MULTILINE)
                assert ast.unparse(ast.parse(code).body[-1]).startswith(f"assert check('{number:0>4}', "), "at the end"


def test_a_new_hint_makes_no_chapter_stale():
    for path in provenance.chapters():
        found = {module for module, _ in provenance.reached(path) if module.startswith("moe_lib.exercises")}
        assert not found, path.name


def test_the_right_answer_passes(subtests, capsys):
    for name, exercise in EXERCISES.items():
        with subtests.test(name):
            assert check(name, RIGHT[name]) is True
            assert check(name.removeprefix("0"), RIGHT[name]) is True
            assert capsys.readouterr().out.splitlines() == [f"✓ **Exercise {name}**: right. {exercise.why}"] * 2


def test_a_blank_answer_fails_and_says_what_is_asked_for(subtests, capsys):
    for name, exercise in EXERCISES.items():
        with subtests.test(name):
            for answer in BLANK:
                assert check(name, answer) is False
                out = capsys.readouterr().out
                assert out == f"✗ **Exercise {name}**: your answer, please: {exercise.answer.form}.\n"


def test_a_function_that_is_not_written_yet_fails(subtests):
    for name, exercise in EXERCISES.items():
        if isinstance(exercise.answer, Function):
            with subtests.test(name):
                assert "returns nothing yet" in said(name, lambda *_: None)


def test_a_known_mistake_gets_its_own_hint(subtests):
    for name, exercise in EXERCISES.items():
        assert len(exercise.traps) >= 2
        with subtests.test(name):
            for trap, hint in exercise.traps.items():
                assert judge(exercise, trap) == (False, f"not yet. {hint}")


def test_hints_are_different_from_one_another(subtests):
    for name, exercise in EXERCISES.items():
        with subtests.test(name):
            hints = [exercise.hint, *exercise.traps.values()]
            assert len(set(hints)) == len(hints)


def test_no_hint_gives_the_answer_away(subtests):
    for name, exercise in EXERCISES.items():
        kind = exercise.answer
        with subtests.test(name):
            for hint in [exercise.hint, *exercise.traps.values()]:
                if isinstance(kind, Choice):
                    assert not re.search(rf"\b{kind.truth}\b", hint, re.IGNORECASE)
                elif isinstance(kind, Numbers) and len(kind.read(kind.truth)) == 1:
                    there = [kind.read(number) for number in NUMBER.findall(hint)]
                    assert not [number for number in there if kind.same(number, kind.read(kind.truth))]
                else:
                    assert "=" not in hint.replace("m = 0", "").replace("v = 1", "").replace("λ = 1", ""), "a formula"


def test_what_is_asked_for_does_not_tell(subtests):
    for name, exercise in EXERCISES.items():
        kind = exercise.answer
        with subtests.test(name):
            if isinstance(kind, Choice):
                assert kind.truth in kind.options
                assert set(exercise.traps) == set(kind.options) - {kind.truth}
            elif isinstance(kind, Numbers):
                there = [kind.read([float(n)] * len(kind.read(kind.truth))) for n in NUMBER.findall(kind.form)]
                assert not [n for n in there if kind.same(n, kind.read(kind.truth))]


def test_nothing_crashes(subtests):
    for name, exercise in EXERCISES.items():
        with subtests.test(name):
            for answer in ODD:
                right, verdict = judge(exercise, answer)
                assert not right, answer
                assert verdict.startswith(("not yet. ", "you gave ", "called as ", "how many numbers ")), answer


@pytest.mark.parametrize("encoding", ["cp1252", "cp850", "ascii"])
def test_a_console_that_lacks_a_sign_gets_the_nearest_that_it_has(encoding, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", console)
    check("01.4", RIGHT["01.4"])
    check("01.4", 0.5)
    console.flush()
    right, wrong = console.buffer.getvalue().decode(encoding).splitlines()
    assert right.startswith("+ **Exercise 01.4**: right. ")
    assert wrong.startswith("x **Exercise 01.4**: not yet. That is the sigma of the book")


def test_on_a_western_windows_console_every_word_stays_readable(subtests):
    for name, exercise in EXERCISES.items():
        with subtests.test(name):
            for text in (exercise.why, exercise.hint, exercise.answer.form, *exercise.traps.values()):
                assert printable(f"✗ {text}", "cp1252").count("?") == text.count("?")


@pytest.mark.parametrize(
    ("name", "answer", "verdict"),
    [
        ("02.1", 0.08, r"how many numbers are asked for: 2; how many you gave: 1\. Expected is two numbers, the grad"),
        ("04.1", "a lot", r"you gave `'a lot'` \(str\), which cannot be read as a number\. Expected is a weight"),
        ("01.1", "red", r"you gave `'red'` \(str\), which is none of them\. Expected is one of \"drawings\", \"rec"),
        ("01.1", 7, r"you gave `7` \(int\), and a word in quotes is asked for"),
        ("01.5", 3.0, r"you gave `3\.0` \(float\); hand over the function itself, by its name without brackets"),
        ("01.5", lambda m: m, r"called as `kl\(m, v\)`, it ended with TypeError: .*2 were given"),
        (
            "01.5",
            lambda m, v: m,
            r"called as `kl\(m, v\)`, it returns numbers of shape \(5, 10\) where \(5,\) is asked",
        ),
    ],
)
def test_an_answer_of_the_wrong_kind_is_explained(name, answer, verdict):
    assert re.match(verdict, said(name, answer))


def test_a_function_may_spoil_what_it_is_given_and_is_called_with_many_inputs():
    seen = []

    def kl(m, v):
        seen.append(m.clone())
        value = RIGHT["01.5"](m, v)
        m.zero_(), v.zero_()
        return value

    assert check("01.5", kl)
    assert len({tuple(m.flatten().tolist()) for m in seen}) == len(seen) >= 5


def test_a_function_that_is_right_once_is_not_right():
    first = []

    def kl(m, v):
        first.append(RIGHT["01.5"](m, v))
        return first[0]

    assert not judge(EXERCISES["01.5"], kl)[0]


def test_checking_leaves_the_readers_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for name, answer in RIGHT.items():
        check(name, answer)
    assert torch.equal(torch.rand(3), expected)


def test_it_works_where_gradients_are_off():
    with torch.no_grad():
        assert check("02.4", average_gradient)


@pytest.mark.parametrize("name", ["02.1", "2.1", " 2.1 ", 2.1])
def test_an_exercise_may_be_named_in_short(name):
    assert check(name, (-0.08, 0.08))


@pytest.mark.parametrize("name", ["02.9", "2", "", "two", None, 21, "12.1", "02.1.1", ["02.1"]])
def test_an_unknown_exercise_is_an_error_that_lists_all(name):
    with pytest.raises(ValueError, match=r"there is no exercise .*; there are 01\.1, 01\.2, .*07\.5"):
        check(name, 1)


def test_in_a_notebook_it_shows_markdown(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append((data, raw)))
    assert check("01.3", "three")
    ((data, raw),) = shown
    assert raw
    assert data["text/markdown"] == data["text/plain"]
    assert data["text/markdown"].startswith("✓ **Exercise 01.3**: right. ")


def test_a_script_that_checks_loads_nothing_that_draws():
    code = "import sys; from moe_lib.exercises import check; check('01.3', 'three'); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, encoding="utf-8", cwd=provenance.ROOT)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "moe_lib.exercises" in loaded
    assert not loaded & {"IPython", "matplotlib.pyplot", "pandas", "seaborn", "sklearn", "torchvision", "scipy"}


def test_blank_is_not_zero():
    assert not any(map(blank, [0, 0.0, False, "0", [0], torch.zeros(1), torch.zeros(()), math.nan]))
