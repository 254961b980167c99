"""Written code as highlighted HTML, in colours that follow the page's theme."""

from __future__ import annotations

LIGHT, DARK = "xcode", "github-dark"


def highlight(name: str, text: str, marked: int | None = None) -> str:
    """Each line as a `span.line`, escaped and coloured by Pygments; the marked line (from 1) stands out."""
    from pygments import highlight as coloured
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers import get_lexer_for_filename
    from pygments.lexers.special import TextLexer
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_for_filename(name, stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    lines = coloured(text.rstrip("\n"), lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")
    return "\n".join(
        f'<span class="line marked">{line}</span>' if number == marked else f'<span class="line">{line}</span>'
        for number, line in enumerate(lines, 1)
    )


def token_colours() -> str:
    """CSS rules for Pygments' classes, with a light and a dark colour each."""
    from pygments.styles import get_style_by_name
    from pygments.token import STANDARD_TYPES

    light, dark = get_style_by_name(LIGHT), get_style_by_name(DARK)
    rules = []
    for token, short in STANDARD_TYPES.items():
        day, night = light.style_for_token(token), dark.style_for_token(token)
        if not short or not (day["color"] or night["color"]):
            continue
        colours = ", ".join(f"#{style['color']}" if style["color"] else "currentColor" for style in (day, night))
        rules.append(f".source .{short} {{ color: light-dark({colours}); }}")
    return "\n" + "\n".join(rules) + "\n"
