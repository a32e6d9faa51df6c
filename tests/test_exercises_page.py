"""Exercises that are answered in the built page: with what `check` says, by mouse and keyboard, and without a trace."""

import pytest
from bs4 import BeautifulSoup
from visits import ALL, AXE, COLOURS, HTML, PHONE, Visit, audit

from moe_lib.exercises.answers import Choice, Function, Numbers
from moe_lib.exercises.check import judge
from moe_lib.exercises.key import EXERCISES

pytestmark = pytest.mark.built
CHAPTERS = {path.stem[:2]: path for path in sorted(HTML.glob("[0-9][0-9]_*.html"))}
ANSWERED = {name: exercise for name, exercise in EXERCISES.items() if not isinstance(exercise.answer, Function)}

ANSWER = """([name, answer]) => {
  const form = document.querySelector(`form[aria-label="Exercise ${name}"]`);
  const fields = form.querySelectorAll("input"), buttons = [...form.querySelectorAll("button")];
  fields.forEach((field, i) => { field.value = answer[i]; });
  (fields.length ? buttons[0] : buttons.find((button) => button.textContent === answer)).click();
  return form.querySelector("[role=status]").textContent;
}"""


def answers(exercise) -> list:
    """Every word; or the right numbers and those of the foreseen mistakes, just within and beyond what they allow."""
    kind = exercise.answer
    if isinstance(kind, Choice):
        return list(kind.options)
    given = [kind.read(known) for known in (kind.truth, *exercise.traps)]
    for numbers in list(given):
        room = [max(kind.absolute, kind.relative * abs(number)) for number in numbers]
        given += [[n + by * r for n, r in zip(numbers, room, strict=True)] for by in (0.98, -0.98, 1.03, -1.03)]
    return [*given, [-123.25] * len(given[0])]


def said(exercise, answer) -> str:
    """What `check` says of it, with the first letter of a sentence."""
    right, verdict = judge(exercise, answer)
    return f"{'✓' if right else '✗'} {verdict[0].upper()}{verdict[1:]}".replace("*", "")


def test_each_exercise_with_a_choice_or_with_numbers_is_answered_under_its_question():
    assert CHAPTERS, "there is no built book: run `make book` first"
    found = []
    for page in HTML.glob("*.html"):
        for form in BeautifulSoup(page.read_text("utf-8"), "html.parser").select("form.exercise"):
            number = form.find_previous_sibling("p").strong.get_text().split()[0]
            assert form["aria-label"] == f"Exercise {number}" and page == CHAPTERS[f"{number:0>4}"[:2]]
            assert form.find_next_sibling().name == "details"
            kind = EXERCISES[f"{number:0>4}"].answer
            if isinstance(kind, Choice):
                assert tuple(button.get_text() for button in form.select("button")) == kind.options
            elif isinstance(kind, Numbers):
                assert len(form.select("input")) == len(kind.read(kind.truth))
            found.append(f"{number:0>4}")
    assert sorted(found) == [name for name in ANSWERED if name[:2] in CHAPTERS]


def test_no_verdict_is_in_plain_sight_or_in_the_search():
    read = [
        path.read_text("utf-8") for path in (*HTML.glob("*.html"), *HTML.glob("search*.js"), *HTML.glob("search/*"))
    ]
    text = " ".join(" ".join(read).split())
    assert len(text) > 1_000_000
    assert not [name for name, exercise in ANSWERED.items() if exercise.why in text or exercise.hint in text]


@pytest.mark.browser
def test_every_answer_is_told_what_check_says(open_built, subtests):
    for chapter, path in CHAPTERS.items():
        page = open_built(path, viewport=PHONE)
        stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        for name, exercise in ANSWERED.items():
            if name.startswith(chapter):
                with subtests.test(name):
                    for answer in answers(exercise):
                        told = page.evaluate(ANSWER, [name.lstrip("0"), answer])
                        assert told == said(exercise, answer), answer
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])") == stored
        assert page.url == path.as_uri()


@pytest.mark.browser
def test_words_are_chosen_with_the_keyboard_and_nothing_is_locked(open_built):
    page = open_built(CHAPTERS["02"])
    form = page.get_by_role("form", name="Exercise 2.2")
    form.get_by_role("button").first.focus()
    for way, key, word in (
        ("", "Enter", "gap"),
        ("Tab", "Space", "collapse"),
        ("Tab", "Enter", "neither"),
        ("Shift+Tab", "Enter", "collapse"),
    ):
        if way:
            page.keyboard.press(way)
        page.keyboard.press(key)
        assert form.get_by_role("status").inner_text() == said(EXERCISES["02.2"], word)
        assert form.get_by_role("button", pressed=True).all_inner_texts() == [word]
        assert not form.get_by_role("button", disabled=True).count()


@pytest.mark.browser
def test_numbers_are_typed_and_a_gap_is_no_answer(open_built):
    page = open_built(CHAPTERS["02"])
    form = page.get_by_role("form", name="Exercise 2.1")
    fields = form.get_by_role("spinbutton", name="gradients of L")
    assert fields.count() == 2
    fields.first.focus()
    page.keyboard.type("-0.08")
    page.keyboard.press("Enter")
    assert form.get_by_role("status").inner_text() == ""
    fields.last.focus()
    for typed, answer in (("-0.08", (-0.08, -0.08)), ("0.08", (-0.08, 0.08))):
        fields.last.fill("")
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        assert form.get_by_role("status").inner_text() == said(EXERCISES["02.1"], answer)


@pytest.mark.browser
def test_without_javascript_nothing_is_there_to_be_clicked(chromium):
    page = chromium.new_page(java_script_enabled=False)
    for path in CHAPTERS.values():
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        assert page.locator("form.exercise").count()
        assert not page.locator("form.exercise:visible").count()
    page.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("night", [False, True])
def test_an_answered_exercise_shuts_nobody_out(open_built, night):
    page = open_built(CHAPTERS["02"], color_scheme="dark" if night else "light")
    for name, answer in (("2.1", (-0.08, 0.08)), ("2.2", "gap"), ("2.3", "stays")):
        page.evaluate(ANSWER, [name, answer])
    page.evaluate("document.querySelectorAll('section section:not(#exercises)').forEach((part) => part.remove())")
    page.evaluate(AXE)
    audit([(visit := Visit("02"), page)], "night" if night else "day", COLOURS if night else ALL)
    assert not visit.violations, "\n".join(visit.violations)
