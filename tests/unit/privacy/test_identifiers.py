"""Identifiers that a text shows by itself. Every example is invented."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cogenesis.privacy.identifiers import recognise


def spans(text: str) -> list[tuple[str, str]]:
    return [(f.text, f.role) for f in recognise(text)]


@pytest.mark.parametrize(
    "notation",
    [
        "elena.voss@mail.example",
        "elena (at) mail (dot) example",
        "elena[at]mail[dot]example",
        "elena at mail dot example",
        "e@ma dot example",
        "e at ma  dot\texample",
        "elena @ mail (dot) example dot org",
        "elena @ mail . example",
        "ｅlena＠mail.example",
        "elena@ma\u200bil.example",
        "https://voss.example/me?x=1",
        "www.voss-bakery.example",
        "voss-bakery.com",
        "@elena_voss",
        "+44 20 7946 0958",
        "(415) 555-0134",
        "415.555.0134",
        "415/555/0134",
        "415 - 555 - 0134",
        "4 1 5 5 5 5 0 1 3 4",
        "４１５ ５５５ ０１３４",
        "41\u200b5555\u00ad0134",
    ],
)
def test_contact_notations(notation: str) -> None:
    found = spans(f"please write to {notation} about it")
    assert any(role == "contact" and span == notation for span, role in found), found


@pytest.mark.parametrize(
    ("notation", "role"),
    [
        ("$1,250", "amount"),
        ("$ 40", "amount"),
        ("€3.5 million", "amount"),
        ("300 dollars", "amount"),
        ("40k", "amount"),
        ("85 €", "amount"),
        ("12 March 2024", "date"),
        ("March 12th", "date"),
        ("mar. 3, 2021", "date"),
        ("3rd of May", "date"),
        ("May the 3rd", "date"),
        ("12-Mar-24", "date"),
        ("October 2019", "date"),
        ("2024-03-12", "date"),
        ("12.03.2024", "date"),
        ("3/14", "date"),
        ("twenty-first of June", "date"),
        ("June twenty-first", "date"),
        ("12 Maple Street", "address"),
        ("12, maple street", "address"),
        ("221b North Baker St.", "address"),
        ("Apt 4B", "address"),
        ("P.O. Box 77", "address"),
        ("1985", "number"),
        ("12,500", "number"),
        ("2 0 2 3", "number"),
        ("2_0_2_3", "number"),
        ("٢٠٢٣", "number"),
        ("AB12345C", "number"),
        ("ZX-48213-K", "number"),
        ("Vine Road 8", "address"),
    ],
)
def test_other_notations(notation: str, role: str) -> None:
    found = spans(f"it was {notation} for us")
    assert any(notation in span and was == role for span, was in found), found


@pytest.mark.parametrize(
    "text",
    [
        "1. Say hello 2. Say why 3. Say thanks",
        "top 10 ideas for a 5-day plan",
        "open 24/7 with a 50/50 split",
        "add 1/2 cup of milk and 3/4 tsp of salt",
        "train for a 5k run and a 10k race",
        "10 steps to close a deal",
        "a 20 minute drive and 3 ways to cross a road",
        "chapter 3, part 12",
        "a group of 250 people",
        "you may first call us in march",
        "improve it by 15% in 6 weeks",
    ],
)
def test_small_numbers_and_list_numbering_are_none(text: str) -> None:
    assert spans(text) == []


@pytest.mark.parametrize(
    ("text", "name", "role"),
    [
        ("a letter to Elena about work", "Elena", "person"),
        ("a letter to elena about work", "elena", "person"),
        ("a letter to ELENA about work", "ELENA", "person"),
        ("Elena's garden", "Elena", "person"),
        ("a note for Robert C. Martin today", "Robert C. Martin", "person"),
        ("my talk with Dr. Okafor", "Okafor", "person"),
        ("my talk with dr okafor", "okafor", "person"),
        ("a toast for my sister grace", "grace", "person"),
        ("ask my boss Priyanka about it", "Priyanka", "person"),
        ("dear rose, thank you", "rose", "person"),
        ("please ask Rose about it", "Rose", "person"),
        ("Ask Rose.", "Rose", "person"),
        ("Toast for Grace and Frank", "Grace", "person"),
        ("Grace's birthday", "Grace", "person"),
        ("A Short Biography of Elena Stone", "Elena Stone", "person"),
        ("please ask Will about the plan", "Will", "person"),
        ("an email to Rose Martinez", "Rose Martinez", "person"),
        ("a flyer for Retro Fashion Inc.", "Retro Fashion Inc", "organisation"),
        ("news from Quellwood Partners today", "Quellwood Partners", "organisation"),
        ("our week in Kyoto with friends", "Kyoto", "name"),
        ("the launch of Brightwater next week", "Brightwater", "name"),
        ("join the Golden Thread of our town", "Golden Thread", "name"),
        ("an article for UCLA students", "UCLA", "name"),
    ],
)
def test_names(text: str, name: str, role: str) -> None:
    assert (name, role) in spans(text)


@pytest.mark.parametrize(
    "text",
    [
        "will you mark the date and grant me grace",
        "I hope the rose will bloom in May",
        "Plan a Social Media Campaign for an Upcoming Festival",
        "Personal Anecdotes on Mediterranean Cuisine",
        "Write a Spanish-language brochure about Japan",
        "a DIY guide with SEO and UX tips for AI startups",
        "a review for the HIV clinic",
        "the Board wants a Proposal by Monday",
        "An Ode to Joy",
    ],
)
def test_ordinary_text_holds_none(text: str) -> None:
    assert spans(text) == []


def test_overlapping_findings_become_one() -> None:
    found = recognise("write to elena.voss@mail.example or 12 Elena Street now")
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert found[0].text == "elena.voss@mail.example"
