"""Imports: what becomes a sample, what is left out, what is marked as whose."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from cogenesis.context.reader import read_samples
from cogenesis.data.exporting import export
from cogenesis.data.importing import Imported, Source, import_data
from cogenesis.data.mail import own_words, parse_mail
from cogenesis.errors import InputError
from cogenesis.privacy.published import PublishedData, refuse_private_data
from tests.unit.data.people import TEXTS, sample, write_list
from tests.unit.data.test_rows import PROMPT

LONG = " ".join(TEXTS[:3])


def imported(source: Source, out: Path) -> tuple[Imported, list[dict[str, Any]]]:
    done = import_data(source, out)
    found: list[dict[str, Any]] = json.loads(out.read_text("utf-8"))
    assert len(found) == done.samples
    assert len(read_samples(out)) == done.samples  # what every other command reads
    return done, found


def mail(
    subject: str = "The harvest",
    body: str = LONG,
    sender: str = "Nora Quill <nora@example.org>",
    date: str = "Mon, 02 Mar 2026 10:00:00 +0100",
) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Date"] = sender, "Tom <tom@example.org>", date
    message["Subject"] = subject
    message.set_content(body)
    return message.as_bytes()


def test_the_published_form_gets_its_parts_named_and_bad_samples_are_counted(
    tmp_path: Path,
) -> None:
    data = [sample("3_7_4"), sample("x", text=""), {"tid": "y"}, sample(text=f"{LONG} [Your Name]")]
    path = write_list(tmp_path / "in.json", data)
    source = Source(path, clean=True, origin="published")
    done, found = imported(source, tmp_path / "out.json")
    assert sum(done.left_out.values()) == 3
    assert found == [
        sample("3_7_4")
        | {
            "origin": "published",
            "group": "3_7",
            "general_instruction": "Letter about a garden",
            "details": "Tell how the harvest went.",
        }
    ]


def test_a_context_free_instruction_is_split_too(tmp_path: Path) -> None:
    bare = {key: sample()[key] for key in ("tid", "conversations")}
    _, (found,) = imported(Source(write_list(tmp_path / "in.json", [bare])), tmp_path / "out.json")
    assert found["general_instruction"] == "Letter about a garden"
    assert "origin" not in found


def test_a_mark_in_the_file_is_never_overwritten(tmp_path: Path) -> None:
    path = write_list(tmp_path / "in.json", [sample(origin="own"), sample("2", origin="own")])
    _, found = imported(Source(path, origin="published"), tmp_path / "out.json")
    assert {each["origin"] for each in found} == {"own"}


def test_prompts_of_titles_and_texts(tmp_path: Path) -> None:
    turns = [{"from": "user", "value": PROMPT}, {"from": "assistant", "value": LONG}]
    path = write_list(tmp_path / "in.json", [{"tid": "0", "conversations": turns}])
    _, (found,) = imported(Source(path, history=1), tmp_path / "out.json")
    assert (
        found["conversations"][0]["value"] == "Write the abstract of the paper “On a farmer's hail”"
    )
    assert [each["title"] for each in found["profile"]] == ["On rain"]
    assert found["form"] == "title-to-text"


@pytest.mark.parametrize(("said", "marked"), [("", "licensed"), ("own", "own")])
def test_e_mails_put_together_already_are_never_marked_as_published(
    said: str, marked: str, tmp_path: Path
) -> None:
    """Sets of that form are made of a licensed collection, whatever --origin says."""
    prompt = PROMPT.replace("History Paper Abstracts", "History E-Mails")
    assert prompt != PROMPT
    turns = [{"from": "user", "value": prompt}, {"from": "assistant", "value": LONG}]
    one = {"tid": "0", "conversations": turns} | ({"origin": said} if said else {})
    path, out = write_list(tmp_path / "in.json", [one, one | {"tid": "1"}]), tmp_path / "out.json"
    _, found = imported(Source(path, origin="published"), out)
    assert {each["origin"] for each in found} == {marked}
    assert found[0]["conversations"][0]["value"].startswith("Write the email with the subject")
    with pytest.raises(InputError, match="origin"):
        PublishedData(out, unsafe_send_context=True)


def lamp(folder: Path, asked: str, key: str, **question: Any) -> Path:
    profile = [
        {"id": "7", "title": "Old", key: TEXTS[1]},
        {"id": "8", "title": "Same", key: LONG},
        {"id": "9", "title": "Older", key: TEXTS[2]},
    ]
    one = {"id": "310", "input": f"{asked}: {LONG}", "profile": profile} | question
    golds = {"task": "LaMP_5", "golds": [{"id": "310", "output": "Rain: a history"}]}
    (folder / "dev_outputs.json").write_text(json.dumps(golds), "utf-8")
    return write_list(folder / "dev_questions.json", [one])


def test_lamp_is_turned_round(tmp_path: Path) -> None:
    path = lamp(tmp_path, "Generate a title for the following abstract of a paper", "abstract")
    _, (found,) = imported(Source(path), tmp_path / "out.json")
    turns = found["conversations"]
    assert turns[0]["value"] == "Write the abstract of the paper “Rain – a history”"
    assert turns[1]["value"] == LONG
    # The text that is asked about is in LaMP's own profile: it must not be read off there.
    assert [each["title"] for each in found["profile"]] == ["Old", "Older"]
    assert found["origin"] == "published"


def test_lamp_without_outputs_or_of_another_task(tmp_path: Path) -> None:
    path = lamp(tmp_path, "Which tag does this movie relate to", "description")
    with pytest.raises(InputError, match="asks for no title"):
        import_data(Source(path), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
    (tmp_path / "dev_outputs.json").unlink()
    with pytest.raises(InputError, match="--outputs"):
        import_data(Source(path), tmp_path / "out.json")


def test_avocado_from_the_licence_holders_copy(tmp_path: Path) -> None:
    """A hand-made miniature of the form that LaMP's script documents."""
    copy = tmp_path / "text"
    copy.mkdir()
    with zipfile.ZipFile(copy / "042.zip", "w") as archive:
        archive.writestr("042/042-000001-EM.txt", mail("Re: Budget: final", LONG))
        archive.writestr("042/042-000002-EM.txt", mail("Lunch", TEXTS[3]))
        archive.writestr("042/042-000003-EM.txt", mail("Never named", TEXTS[4]))
        archive.writestr("../../escape.txt", b"not unpacked")
    profile = [{"id": "1", "text": "042-000002-EM.txt"}, {"id": "2", "text": "099-000009-EM.txt"}]
    questions = [
        {"id": "600", "input": "042-000001-EM.txt", "profile": profile},
        {"id": "601", "input": "055-000001-EM.txt", "profile": []},
    ]
    path = write_list(tmp_path / "train_questions.json", questions)
    done, (found,) = imported(Source(path, avocado=copy), tmp_path / "out.json")
    assert found["conversations"][0]["value"] == "Write the email with the subject “Budget – final”"
    assert [(each["title"], each["text"]) for each in found["profile"]] == [("Lunch", TEXTS[3])]
    assert found["origin"] == "licensed"
    assert list(done.left_out) == ["its mail is not in the collection, or has no text"]
    assert not (tmp_path.parent / "escape.txt").exists()
    with pytest.raises(InputError, match="no zip files"):
        import_data(Source(path, avocado=tmp_path / "none"), tmp_path / "again.json")


def test_a_mail_in_two_folders_is_not_in_its_own_history(tmp_path: Path) -> None:
    copy = tmp_path / "text"
    copy.mkdir()
    with zipfile.ZipFile(copy / "042.zip", "w") as archive:
        archive.writestr("sent.txt", mail("Budget", LONG))
        archive.writestr("archived.txt", mail("Fwd: Budget", f"{LONG.casefold()}\n"))
        archive.writestr("lunch.txt", mail("Lunch", TEXTS[3]))
    named = ("sent.txt", "archived.txt", "lunch.txt")
    profile = [{"id": str(at), "text": name} for at, name in enumerate(named)]
    asked = [{"id": "600", "input": "sent.txt", "profile": profile}]
    path = write_list(tmp_path / "train_questions.json", asked)
    _, (found,) = imported(Source(path, avocado=copy, history=2), tmp_path / "out.json")
    assert [each["title"] for each in found["profile"]] == ["Lunch"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "texts"
    (made / "letters").mkdir(parents=True)
    (made / ".hidden").mkdir()
    (made / ".hidden" / "secret.txt").write_text(LONG, "utf-8")
    (made / "letters" / "to-tom.txt").write_text(LONG, "utf-8")
    (made / "bees.md").write_text(f"# On bees\n\n{LONG} Really.", "utf-8")
    (made / "short.txt").write_text("Too short.", "utf-8")
    (made / "latin.txt").write_bytes("é".encode("latin-1") * 100)
    (made / "sent.eml").write_bytes(mail(body=" ".join(TEXTS[3:6])))
    (made / "got.eml").write_bytes(mail(sender="Tom <tom@example.org>"))
    os.utime(made / "letters" / "to-tom.txt", (0, 0))
    outside = tmp_path / "outside.txt"
    outside.write_text(LONG, "utf-8")
    (made / "link.txt").symlink_to(outside)
    return made


def test_a_folder_of_ones_own_texts(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    done, found = imported(Source(folder, name="Nora Quill"), out)
    asked = [each["conversations"][0]["value"] for each in found]
    assert asked[0] == "Write a text: its title is “to tom”"
    assert set(asked[1:]) == {
        "Write an email: its subject is “The harvest”",
        "Write a text: its title is “On bees”",
    }
    assert [len(each["profile"]) for each in found] == [0, 1, 2]
    assert done.left_out == {
        "shorter than 20 words": 1,
        "not in UTF-8": 1,
        "mails that somebody else sent": 1,
    }
    assert {each["general_instruction"] for each in found} == {"Write a text", "Write an email"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_copy_of_a_text_is_not_in_its_own_history(tmp_path: Path) -> None:
    letters, copies = tmp_path / "letters", tmp_path / "letters" / "copies"
    copies.mkdir(parents=True)
    for at, text in enumerate((TEXTS[3], LONG, TEXTS[4], TEXTS[5])):
        (letters / f"{at}.txt").write_text(f"{text} {TEXTS[6]}", "utf-8")
        os.utime(letters / f"{at}.txt", (at, at))
    (copies / "again.txt").write_text(f"{LONG.upper()}\n{TEXTS[6]}!\n", "utf-8")
    os.utime(copies / "again.txt", (9, 9))
    source = Source(letters, name="Nora Quill", history=3)
    _, found = imported(source, tmp_path / "mine.json")
    again = found[-1]
    assert again["conversations"][1]["value"].startswith(LONG.upper())
    # Three others all the same, the newest last.
    assert [each["title"] for each in again["profile"]] == ["0", "2", "3"]


@pytest.mark.parametrize("ending", ["TXT", "Md", "EML"])
def test_endings_count_in_large_letters_too(tmp_path: Path, ending: str) -> None:
    letters = tmp_path / "letters"
    letters.mkdir()
    data = mail() if ending == "EML" else f"# On bees\n\n{LONG}".encode()
    (letters / f"one.{ending}").write_bytes(data)
    _, (found,) = imported(Source(letters, name="Nora Quill"), tmp_path / "mine.json")
    title = {"TXT": "one", "Md": "On bees", "EML": "The harvest"}[ending]
    assert f"“{title}”" in found["conversations"][0]["value"]


def test_ones_own_texts_are_never_sent_with_their_context(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    import_data(Source(folder, name="Nora Quill", origin="published"), out)
    with pytest.raises(InputError, match="origin"):
        PublishedData(out, unsafe_send_context=True)
    with pytest.raises(InputError, match="private texts"):
        refuse_private_data(out)


def test_a_folder_needs_a_name_and_an_address_may_take_its_place(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="--name"):
        import_data(Source(folder), tmp_path / "out.json")
    done = import_data(Source(folder, name="N.", address="NORA@example.org"), tmp_path / "out.json")
    assert done.samples == 3


def test_a_mail_keeps_only_what_its_sender_wrote() -> None:
    body = (
        "Dear Tom,\n\nyes.\n\n-- \nNora\n+1 555 0100\n\nOn Mon, Mar 2, 2026 at 10:00 AM Tom\n"
        "<tom@example.org> wrote:\n> Will you come?\n"
    )
    assert own_words(body) == "Dear Tom,\n\nyes."
    assert own_words("One\n> two\nthree") == "One\nthree"
    assert own_words("Fine.\n-----Original Message-----\nFrom: Tom") == "Fine."


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"Subject: =?utf-8?q?=ff?=\nDate: yesterday\nContent-Type: text/plain; charset=none\n\nx",
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: image/png\n\nx\n--a--",
        b"From: <<>>,\nContent-Transfer-Encoding: base64\n\n!!!!",
    ],
)
def test_broken_mails_raise_nothing(data: bytes) -> None:
    assert isinstance(parse_mail(data).body, str)


def test_the_text_of_a_page_without_style_and_quotation() -> None:
    message = EmailMessage()
    message["Subject"] = "AW: Re: Bees"
    message.set_content(
        "<html><head><style>p {}</style></head><body><p>Dear <b>Tom</b>,</p><p>yes.<br>Nora</p>"
        "<blockquote>Will you?</blockquote></body></html>",
        subtype="html",
    )
    found = parse_mail(message.as_bytes())
    assert (found.subject, found.body) == ("Bees", "Dear Tom,\n\nyes.\nNora")


def test_an_ending_that_is_no_form_is_refused(tmp_path: Path) -> None:
    path = write_list(tmp_path / "in.json", [sample()])
    with pytest.raises(InputError, match="name the file"):
        import_data(Source(path), tmp_path / "out.csv")


def test_what_is_read_is_never_written_over(folder: Path, tmp_path: Path) -> None:
    path = write_list(tmp_path / "mine.json", [sample(), {"tid": "lost if it were written over"}])
    before = path.read_bytes()
    linked = tmp_path / "linked.json"
    linked.symlink_to(path)
    for out in (path, tmp_path / "." / "mine.json", linked):
        with pytest.raises(InputError, match="is read here"):
            import_data(Source(path), out)
        with pytest.raises(InputError, match="is read here"):
            export({"mine": [path]}, out)
    many = tmp_path / "many"
    many.mkdir()
    inside = write_list(many / "train.json", [sample()])
    with pytest.raises(InputError, match="is read here"):
        import_data(Source(many), inside)
    assert path.read_bytes() == before
    # Samples may be put beside the letters that they are made of.
    import_data(Source(folder, name="Nora Quill"), folder / "samples.json")


def test_lamps_outputs_are_never_written_over(tmp_path: Path) -> None:
    asked = "Generate a title for the following abstract of a paper"
    questions = lamp(tmp_path, asked, "abstract")
    for out in (questions, tmp_path / "dev_outputs.json"):
        before = out.read_bytes()
        with pytest.raises(InputError, match="is read here"):
            import_data(Source(questions), out)
        assert out.read_bytes() == before
