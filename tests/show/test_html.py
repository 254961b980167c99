"""The page and the notebook fragment as text: well formed, self-contained, and harmless whatever the names are."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import plotly.graph_objects
import pytest

from assay.show import html, notebook
from assay.show.facts import Comparison
from assay.show.figures import charts_of, colour_of
from assay.show.source import highlight

Sample = Callable[[str], Comparison]
VOID = {"meta", "br", "wbr", "img", "input", "link", "hr"}


class Outline(HTMLParser):
    """Elements and attributes of a page, and whether its tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def attributes(self, name: str) -> list[str]:
        return [value or "" for _, attributes in self.elements for key, value in attributes.items() if key == name]


@pytest.fixture(scope="module")
def page() -> Callable[[Comparison], str]:
    pages: dict[str, str] = {}
    return lambda found: pages.setdefault(found.to_json(), html.render(found))


def test_pages_are_well_formed(any_comparison: Comparison, page: Callable[[Comparison], str]) -> None:
    text = page(any_comparison)
    outline = Outline(text)
    assert text.startswith("<!doctype html>")
    assert outline.faults == []
    assert outline.open == []
    identifiers = outline.attributes("id")
    assert len(identifiers) == len(set(identifiers))
    for reference in outline.attributes("aria-controls") + outline.attributes("aria-labelledby"):
        assert reference in identifiers
    for target in outline.attributes("href"):
        assert target.startswith("#")
        assert target[1:] in identifiers


def test_pages_need_nothing_from_outside(any_comparison: Comparison, page: Callable[[Comparison], str]) -> None:
    outline = Outline(page(any_comparison))
    tags = {tag for tag, _ in outline.elements}
    assert not tags & {"link", "iframe", "img", "object", "embed", "base", "form"}
    assert outline.attributes("src") == []
    style = re.search(r"<style>(.*?)</style>", page(any_comparison), re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_only_our_own_scripts_run(any_comparison: Comparison, page: Callable[[Comparison], str]) -> None:
    outline = Outline(page(any_comparison))
    (policy,) = [a["content"] or "" for tag, a in outline.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    (allowed,) = re.findall(r"script-src ([^;]*)", policy)
    code = [text for attributes, text in outline.scripts if "type" not in attributes]
    assert allowed.split() == [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in code
    ]
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]


def test_hostile_names_stay_text(sample: Sample, page: Callable[[Comparison], str]) -> None:
    hostile = sample("hostile")
    text = page(hostile)
    outside = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "<img" not in outside
    assert "&lt;img src=x onerror=alert(1)&gt;" in outside
    assert "{{7*7}}" in outside, "a template in a name is not rendered"
    assert "\x1b" not in text
    assert "\u202e" not in text
    for attributes, data in Outline(text).scripts:
        if attributes.get("type") == "application/json":
            assert "<" not in data
            json.loads(data)


def test_the_data_in_the_page_is_the_comparison(any_comparison: Comparison, page: Callable[[Comparison], str]) -> None:
    (data,) = [text for attributes, text in Outline(page(any_comparison)).scripts if attributes.get("id") == "facts"]
    assert Comparison.from_json(data).to_json() == any_comparison.to_json()


def test_the_plotting_library_is_there_once_and_only_where_there_is_something_to_plot(
    sample: Sample, page: Callable[[Comparison], str]
) -> None:
    assert page(sample("all")).count('<script id="script-plotly">') == 1
    assert "script-plotly" not in page(sample("interrupted"))
    assert len(page(sample("interrupted"))) < 60_000


def test_figures_are_plotly_figures(any_comparison: Comparison) -> None:
    """graph_objects checks every property's name and value."""
    for chart in (chart for charts in charts_of(any_comparison) for chart in charts):
        assert chart.description
        plotly.graph_objects.Figure(chart.figure)


def test_figures_show_only_what_is_proven(sample: Sample) -> None:
    samples, cold, training = charts_of(sample("failures"))
    assert [chart.title for chart in samples] == [
        "training step, batch 64",
        "inference, batch 1",
        "inference, batch 64",
    ]
    names = [trace["name"] for trace in samples[0].figure["data"]]
    assert names[:2] == ["tensorflow:graph", "pytorch:eager"]
    assert "keras/torch:eager" not in names
    assert "tensorflow:xla" not in [trace["name"] for trace in samples[1].figure["data"]]
    assert len(cold[0].figure["data"]) == 3
    assert [len(chart.figure["data"]) for chart in training] == [11, 10], "float64 and ten curves; ten distances"


def test_a_broken_training_run_is_drawn_as_far_as_it_went(sample: Sample, page: Callable[[Comparison], str]) -> None:
    found = sample("one framework")
    assert found.training is not None
    curve = replace(found.training.curves[0], losses=(2.0, float("nan"), float("inf")), status="different")
    found = replace(found, training=replace(found.training, curves=(curve,), limit=float("inf")))
    losses, distances = charts_of(found)[2]
    assert losses.figure["data"][1]["y"] == [2.0, None, None]
    assert distances.figure["data"][0]["y"][1:] == [None, None]
    page(found)


def test_colours_are_the_framework_s_and_unknown_ones_differ(sample: Sample) -> None:
    order = sample("fourteen").contestants
    assert colour_of("jax:jit", order) == colour_of("jax:eager", order) == colour_of("jax")
    assert colour_of("plugin:graph", order) != colour_of("other/plugin:eager", order)


def test_code_is_highlighted_line_by_line_and_escaped() -> None:
    text = highlight("model.py", 'x = """\n<b>\n"""\n\ny = 1 < 2\n', marked=2)
    lines = text.split("\n")
    assert len(lines) == 5
    assert all(line.startswith('<span class="line') for line in lines)
    assert 'class="line marked"' in lines[1]
    assert "&lt;b&gt;" in lines[1]
    assert "&lt;" in lines[4]
    assert Outline(text).faults == []
    assert highlight("weird.unknown", "<x>") == '<span class="line">&lt;x&gt;</span>'


def test_the_first_diverging_line_is_marked_in_the_code(sample: Sample, page: Callable[[Comparison], str]) -> None:
    assert len(re.findall('class="line marked"', page(sample("failures")))) == 1


def test_notebook_fragments(any_comparison: Comparison) -> None:
    text = any_comparison._repr_html_()
    assert text == notebook.fragment(any_comparison)
    outline = Outline(text)
    assert outline.faults == []
    assert outline.open == []
    assert not {tag for tag, _ in outline.elements} & {"script", "style", "img"}
    assert len(text) < 40_000
    assert len(re.findall('<th scope="row"', text)) == len(any_comparison.contestants)
    assert "\x1b" not in text
