"""``citations``: sources cited in the text (protocol sections 5 and 11).

Spans are UTF-8 byte offsets into their own text block, end exclusive. Search steps may stand before or after the text that cites them: real
answers do both. Citation links are often long redirects of the grounding service while the site stands in ``title``, so rules about domains
look at both: a title that is a bare domain names the site of a redirect link, and a denied domain is denied wherever it is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import plural, show
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import excerpt, table
from evalkit.checks.core.options import Bounds, Words
from evalkit.protocol.step_reader import cited_text, pair_calls, text_blocks
from evalkit.transcript import Step, Turn
from evalkit.verdict import Finding, Where

SEARCHES = frozenset(
    {
        "google_search_call",
        "url_context_call",
        "google_maps_call",
        "file_search_call",
        "retrieval_call",
    }
)
"""Calls whose results a citation may cite."""

_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)+[a-z][a-z0-9-]*[a-z0-9]\.?")
_REDIRECT_HOSTS = ("vertexaisearch.cloud.google.com",)
_SHOWN = 12


class Share(Bounds):
    """Limits of a share between 0 and 1, both inclusive."""

    min: float | None = Field(None, ge=0, le=1, description="Smallest share allowed.")
    max: float | None = Field(None, ge=0, le=1, description="Largest share allowed.")


def _at_least(value: Any) -> Any:
    return (
        {"min": value} if isinstance(value, int | float) and not isinstance(value, bool) else value
    )


Coverage = Annotated[
    Share,
    BeforeValidator(_at_least, json_schema_input_type=Annotated[float, Field(ge=0, le=1)] | Share),
]


def _bare_domains(domains: list[str]) -> list[str]:
    for place, domain in enumerate(domains):
        if not _DOMAIN.fullmatch(domain.lower()) and domain != "localhost":
            raise option_error(
                f"{show(domain)} is not a domain; write it like 'example.org', without scheme and path",
                place,
            )
    return domains


Domains = Annotated[Words, AfterValidator(_bare_domains)]


class Citation(NamedTuple):
    """One citation: the annotation, the block's text, and where it stands."""

    raw: dict[str, JSON]
    text: str
    where: Where

    @property
    def words(self) -> str:
        """The words it cites, shortened."""
        return show(
            cited_text(self.text, self.raw.get("start_index"), self.raw.get("end_index")).text, 60
        )

    @property
    def url(self) -> str:
        """Its link, ``""`` where it has none."""
        url = self.raw.get("url")
        return url if isinstance(url, str) else ""

    @property
    def title(self) -> str:
        """Its title: of a page, a file or a place."""
        return next(
            (
                value
                for word in ("title", "file_name", "name")
                if isinstance(value := self.raw.get(word), str)
            ),
            "",
        )


class Citations(Check):
    """The text cites sources: enough of them, of the right sites, at the right words, from a search that took place.

    The empty case: without ``min`` at least one citation is expected, so bare ``citations`` fails where there is none, and says whether
    nothing was searched or something was found and not cited. ``max: 0`` expects none. The coverage of no text is 0.
    """

    name: ClassVar[str] = "citations"
    shorthand: ClassVar[str | None] = "min"

    min: int | None = Field(None, ge=0, description="Fewest citations; 1 where absent.")
    max: int | None = Field(None, ge=0, description="Most citations.")
    domains: Domains | None = Field(
        None, description="Every cited link must be of one of these domains or a subdomain."
    )
    deny_domains: Domains | None = Field(
        None, description="No citation may be of one of these domains or a subdomain."
    )
    schemes: Words | None = Field(None, description="URL schemes allowed in links, e.g. https.")
    titles: Words | None = Field(
        None,
        description="Each of these must occur in some citation's title, whatever its case.",
    )
    coverage: Coverage | None = Field(
        None,
        description="Share of the text's bytes that must be cited: a number (at least) or min/max.",
    )
    spans: Literal["valid"] | None = Field(
        None,
        description="valid: every span lies in its text, on character boundaries, and is not empty.",
    )
    searched: bool | None = Field(
        None,
        description="true: a search and its result stand in the turn; false: no search does.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield every rule that does not hold."""
        found = list(_citations(view.turns))
        yield from self._number(found, view)
        yield from self._search(view)
        for citation in found:
            yield from self._one(citation)
        for title in self.titles or ():
            if not any(title.casefold() in citation.title.casefold() for citation in found):
                yield Finding(
                    "title_missing",
                    f"no citation is titled {show(title)}",
                    _whole(view),
                    expected=title,
                    detail=_listed(found),
                )
        if self.coverage is not None:
            yield from _covered(self.coverage, view, found)

    def _number(self, found: Sequence[Citation], view: View) -> Iterator[Finding]:
        least = self.min if self.min is not None else 0 if self.max == 0 else 1
        if len(found) < least:
            code, why = (
                ("not_cited", "something was searched, but")
                if _searches(view)
                else ("not_searched", "nothing was searched, and")
            )
            few = "too few sources are" if found else "no source is"
            message = f"expected at least {plural(least, 'citation')}, got {len(found)}: {why} {few} cited"
            yield Finding(
                code,
                message,
                _whole(view),
                expected={"min": least},
                got=len(found),
                detail=_listed(found),
            )
        if self.max is not None and len(found) > self.max:
            message = f"expected at most {plural(self.max, 'citation')}, got {len(found)}"
            yield Finding(
                "too_many_citations",
                message,
                _whole(view),
                expected={"max": self.max},
                got=len(found),
                detail=_listed(found),
            )

    def _search(self, view: View) -> Iterator[Finding]:
        if self.searched is None:
            return
        searches = _searches(view)
        if self.searched and not searches:
            yield Finding(
                "not_searched",
                "nothing was searched: no search call stands in the steps",
                _whole(view),
            )
        elif not self.searched and searches:
            where, step = searches[0][0], searches[0][1]
            yield Finding(
                "searched",
                f"something was searched ({step.type}), which must not be",
                where,
                expected=MISSING,
                got=step.raw.get("arguments"),
            )
        elif searches and not any(answered for _, _, answered in searches):
            where, step, _ = searches[0]
            yield Finding(
                "search_unanswered",
                f"no result came for {step.type} {show(step.raw.get('arguments'))}",
                where,
            )

    def _one(self, citation: Citation) -> Iterator[Finding]:
        raw, where = citation.raw, citation.where
        about = f"at {citation.words}"
        detail = _listed([citation])
        if self.spans is not None:
            span = cited_text(citation.text, raw.get("start_index"), raw.get("end_index"))
            if not span.ok:
                got = {"start_index": raw.get("start_index"), "end_index": raw.get("end_index")}
                size = len(citation.text.encode("utf-8", "surrogatepass"))
                offsets = f"bytes {show(got['start_index'])} to {show(got['end_index'])} of {size}"
                yield Finding(
                    "span_invalid",
                    f"{span.problem}: {offsets} {about}",
                    where,
                    expected=MISSING,
                    got=got,
                    detail=detail,
                )
        sites = _sites(citation)
        if (
            self.domains is not None
            and citation.url
            and not any(_of(site, domain) for site in sites.own for domain in self.domains)
        ):
            message = f"the citation {about} is of {' or '.join(sites.own) or show(citation.url)}, not of {' or '.join(self.domains)}"
            yield Finding(
                "domain_unexpected",
                message,
                where,
                expected=self.domains,
                got=citation.url,
                detail=detail,
            )
        denied = [
            domain
            for domain in self.deny_domains or ()
            if any(_of(site, domain) for site in sites.named)
        ]
        if denied:
            yield Finding(
                "domain_denied",
                f"the citation {about} is of {denied[0]}, which is denied",
                where,
                expected=MISSING,
                got=citation.url,
                detail=detail,
            )
        if self.schemes is not None and citation.url and _scheme(citation.url) not in self.schemes:
            message = f"the citation {about} has the scheme {show(_scheme(citation.url))}, not {' or '.join(self.schemes)}"
            yield Finding(
                "scheme_unexpected",
                message,
                where,
                expected=self.schemes,
                got=citation.url,
                detail=detail,
            )


class Sites(NamedTuple):
    """``own``: the hosts that are the citation's site; ``named``: every host it names at all."""

    own: list[str]
    named: list[str]


def _sites(citation: Citation) -> Sites:
    host, path = _host(citation.url)
    title = citation.title.strip().lower().rstrip(".")
    titled = title if _DOMAIN.fullmatch(title) else ""
    # Anybody can call a page "example.org"; only where the link is a redirect does the title stand for the site.
    redirect = any(_of(host, known) for known in _REDIRECT_HOSTS) or "redirect" in path.lower()
    own = [titled] if redirect and titled else [host] if host else []
    return Sites(own, [name for name in (host, titled) if name])


def _host(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip("."), parts.path
    except ValueError:
        return "", ""


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _of(host: str, domain: str) -> bool:
    wanted = domain.lower().rstrip(".")
    return host == wanted or host.endswith(f".{wanted}")


def _citations(turns: Sequence[Turn]) -> Iterator[Citation]:
    for turn in turns:
        for block in text_blocks([step.raw for step in turn.steps]):
            step = turn.steps[block.step]
            for index, annotation in enumerate(block.annotations):
                kind = annotation.get("type")
                if isinstance(kind, str) and kind.endswith("_citation"):
                    pointer = f"/content/{block.content}/annotations/{index}"
                    yield Citation(
                        annotation,
                        block.text,
                        Where(
                            turn=turn.number,
                            exchange=step.exchange,
                            step=block.step + 1,
                            pointer=pointer,
                            part="step",
                        ),
                    )


def _searches(view: View) -> list[tuple[Where, Step, bool]]:
    """Return every search call in view, and whether its result came."""
    found = []
    for turn in view.turns:
        if any(step.type in SEARCHES for step in turn.steps):
            for call, result in pair_calls([step.raw for step in turn.steps]).pairs:
                step = turn.steps[call]
                if step.type in SEARCHES:
                    found.append(
                        (
                            Where(turn=turn.number, exchange=step.exchange, step=call + 1),
                            step,
                            result is not None,
                        )
                    )
    return found


def _covered(limits: Share, view: View, found: Sequence[Citation]) -> Iterator[Finding]:
    """Judge the share of the text's bytes that lie in some citation's span; overlaps count once."""
    total = done = 0
    gaps = []
    for turn in view.turns:
        for block in text_blocks([step.raw for step in turn.steps]):
            data = block.text.encode("utf-8", "surrogatepass")
            total += len(data)
            at = 0
            for start, end in sorted(
                _span(annotation, len(data))
                for annotation in block.annotations
                if _is_citation(annotation)
            ):
                if start > at:
                    gaps.append(data[at:start])
                done += max(0, end - max(at, start))
                at = max(at, end)
            gaps.append(data[at:])
    share = done / total if total else 0.0
    if not limits.contains(share):
        uncited = [
            ["uncited", show(gap.decode("utf-8", "replace").strip(), 100)]
            for gap in gaps
            if gap.strip()
        ][:_SHOWN]
        message = (
            f"{share:.0%} of the text is cited ({done} of {total} bytes), {limits} is expected"
        )
        yield Finding(
            "coverage",
            message,
            _whole(view),
            expected=limits.to_json(),
            got=round(share, 4),
            detail=table(uncited) or _listed(found),
        )


def _is_citation(annotation: dict[str, JSON]) -> bool:
    return str(annotation.get("type", "")).endswith("_citation")


def _span(annotation: dict[str, JSON], size: int) -> tuple[int, int]:
    """Return a span clamped to its text; one without usable offsets is empty."""
    start, end = annotation.get("start_index") or 0, annotation.get("end_index")
    offsets: Any = [
        int(value)
        if isinstance(value, int | float) or (isinstance(value, str) and value.isdigit())
        else -1
        for value in (start, end)
    ]
    if offsets[0] < 0 or offsets[1] < offsets[0]:
        return 0, 0
    return min(offsets[0], size), min(offsets[1], size)


def _whole(view: View) -> Where:
    return Where(turn=view.turn.number if view.turn is not None else None)


def _listed(found: Sequence[Citation]) -> str:
    rows = [["cites", "title", "url"]]
    rows += [
        [
            item.words,
            show(excerpt(item.title), 40),
            show(item.url or item.raw.get("document_uri"), 60),
        ]
        for item in found[:_SHOWN]
    ]
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return "\n".join([table(rows), *more]) if found else ""
