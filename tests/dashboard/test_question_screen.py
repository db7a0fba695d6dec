"""How questions look: the badge, the rows, the detail pane and the dialog, at many sizes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.control.fakes import REFUSED
from tests.dashboard.sample_model import NOW, STUCK, ControllerHarness, lines_of
from tests.dashboard.sample_questions import (
    ART,
    CODES,
    FINGERPRINT,
    HOST_KEY,
    PASSPHRASE,
    RESTING,
    TOUCH,
)
from tunnelkeeper.control.payloads import QuestionClosedEvent, QuestionEvent, TunnelEvent
from tunnelkeeper.core.snapshot import ProgressSnapshot, PromptSnapshot, QuestionSnapshot
from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE, Glyphs
from tunnelkeeper.dashboard.text_width import line_width

SIZES = [(60, 15), (60, 24), (80, 24), (120, 35), (200, 50)]


def harness_with(*questions: QuestionSnapshot, glyphs: Glyphs = UNICODE) -> ControllerHarness:
    harness = ControllerHarness(glyphs=glyphs)
    for question in questions:
        harness.model.on_event(QuestionEvent(question), NOW.monotonic)
    return harness


def opened(*questions: QuestionSnapshot, glyphs: Glyphs = UNICODE) -> ControllerHarness:
    harness = harness_with(*questions, glyphs=glyphs)
    harness.controller.questions.open()
    return harness


@pytest.mark.parametrize("size", SIZES)
def test_the_badge_counts_the_questions_on_every_screen(size: tuple[int, int]) -> None:
    assert "press A" not in ControllerHarness().text(*size)
    harness = harness_with(PASSPHRASE, HOST_KEY, TOUCH)
    assert "2 questions: press A" in harness.text(*size)
    assert "A answer" in harness.lines(*size)[-1]
    harness.model.on_event(QuestionClosedEvent("q1", "answered"), NOW.monotonic)
    assert "1 question: press A" in harness.text(*size)
    harness.model.on_event(QuestionClosedEvent("q2", "answered"), NOW.monotonic)

    assert "waiting for a touch" in harness.text(*size)


def test_rows_say_what_their_tunnels_wait_for() -> None:
    lines = harness_with(PASSPHRASE).lines(200)
    assert [line for line in lines if "waits: passphrase" in line] == [
        line for line in lines if " away " in line or " stuck " in line
    ]
    narrow = harness_with(PASSPHRASE, HOST_KEY, TOUCH).lines(80)
    assert [line.split()[-1] for line in narrow if " away " in line] == ["passphrase"]


def test_a_row_is_rendered_again_when_its_question_closes() -> None:
    harness = harness_with(HOST_KEY)
    assert "waits: host key" in harness.text(200)
    harness.model.on_event(QuestionClosedEvent("q2", "answered"), NOW.monotonic)

    assert "waits: host key" not in harness.text(200)


def test_the_row_of_a_login_says_that_it_waits_for_a_touch() -> None:
    harness = harness_with(TOUCH)
    progress = ProgressSnapshot("me@relay:22", "login", "waiting for a touch")
    connecting = msgspec.structs.replace(STUCK, state="connecting", progress=progress, attempt=1)
    harness.model.on_event(TunnelEvent(connecting), NOW.monotonic)

    assert "login: waiting for a touch" in harness.text(200)


def test_the_detail_pane_shows_the_question_and_the_command() -> None:
    failure = msgspec.structs.replace(
        REFUSED, message=PASSPHRASE.text, hint="unlock it: tunnelkeeper unlock stuck", question="q1"
    )
    harness = harness_with(msgspec.structs.replace(PASSPHRASE, problem="wrong passphrase"))
    harness.model.on_event(
        TunnelEvent(msgspec.structs.replace(STUCK, failure=failure)), NOW.monotonic
    )
    harness.controller.select("stuck")
    harness.controller.toggle_detail()
    text = harness.text(200, 50)

    assert text.count(PASSPHRASE.text) == 1
    assert "Wrong passphrase" in text
    assert "A answers it here; or unlock it: tunnelkeeper unlock stuck" in text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("question", [PASSPHRASE, HOST_KEY, CODES, RESTING])
def test_a_dialog_fits_and_shows_its_field(
    question: QuestionSnapshot, glyphs: Glyphs, size: tuple[int, int]
) -> None:
    harness = opened(question, glyphs=glyphs)
    lines = lines_of(harness.draw(*size))
    text = harness.text(*size)

    assert [line_width(line) for line in lines] == [size[0]] * size[1]
    assert not glyphs.is_ascii or text.isascii()
    for prompt in question.prompts[:1]:
        assert prompt.text.strip() in text
    if question is not HOST_KEY or size != SIZES[0]:
        assert question.about in text


@pytest.mark.parametrize(("size", "has_art"), [((60, 24), False), ((80, 24), True)])
def test_random_art_is_shown_if_there_is_room(size: tuple[int, int], has_art: bool) -> None:
    text = opened(HOST_KEY).text(*size)

    assert (ART.splitlines()[0] in text) is has_art
    assert text.count(FINGERPRINT) == 2
    assert "/etc/ssh/ssh_known_hosts" in text
    assert "known_hosts:3: old.example" in text


def test_the_text_of_a_small_dialog_can_be_scrolled() -> None:
    harness = opened(HOST_KEY)
    assert "me@new.example:22" not in harness.text(60, 15)
    for _ in range(10):
        harness.controller.questions.scroll(1)
    text = harness.text(60, 15)

    assert "Host        me@new.example:22" in text
    assert "PageUp, PageDown" in text


def test_a_server_cannot_draw_with_its_texts() -> None:
    question = msgspec.structs.replace(
        CODES, text="\x1b[2Jwide 漢字\x07", prompts=[PromptSnapshot("\x1b]0;x\x07Code:")]
    )
    text = opened(question).text()

    assert "\x1b" not in text
    assert "\x07" not in text


@given(
    st.builds(
        QuestionSnapshot,
        id=st.just("q1"),
        kind=st.sampled_from(["passphrase", "password", "codes", "host_key"]),
        about=st.text(max_size=80),
        text=st.text(max_size=1000),
        prompts=st.lists(
            st.builds(PromptSnapshot, st.text(max_size=200), st.booleans()), max_size=16
        ),
        tunnels=st.lists(st.text(max_size=20), max_size=20),
        attempt=st.just(1),
        live=st.booleans(),
        seconds_left=st.none() | st.floats(0, 100),
        problem=st.text(max_size=200),
        host_key=st.none() | st.just(HOST_KEY.host_key),
    ),
    st.sampled_from([*SIZES, (20, 6), (101, 12)]),
    st.integers(0, 20),
    st.text(max_size=60),
)
def test_any_question_fits_any_screen(
    question: QuestionSnapshot, size: tuple[int, int], scrolled: int, typed: str
) -> None:
    harness = opened(question)
    for character in typed:
        harness.controller.questions.type_text(character)
        harness.controller.questions.move_focus(1)
    harness.controller.questions.scroll(scrolled)
    lines = lines_of(harness.draw(*size))

    assert [line_width(line) for line in lines] == [size[0]] * size[1]
