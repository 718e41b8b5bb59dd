"""``citations``: sources cited in the text (docs/protocol.md sections 5 and 11).

Spans are UTF-8 byte offsets into their own text block, end exclusive. Search steps may come before
or after the text that cites them. A link is often a long redirect of the grounding service, and
the site is in ``title``. So rules about domains use both: a title that is a bare domain names the
site of a redirect link, and a denied domain is denied wherever it appears.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from evalkit._lib.json import JSON, MISSING
from evalkit._lib.text import plural, show
from evalkit.checks.core.arguments import Bounds, Words, or_bare
from evalkit.checks.core.base import Check, View, option_error
from evalkit.checks.core.formatting import excerpt, table
from evalkit.checks.core.strictness import Strictness, higher_from
from evalkit.protocol.step_reader import cited_text, pair_calls, text_blocks
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
_REDIRECT_HOST = "vertexaisearch.cloud.google.com"
_ROWS = 12


Search = tuple[Where, dict[str, JSON], bool]
"""The location and the raw step of a search call, and whether it has a result."""


class Share(Bounds):
    """Limits of a share between 0 and 1, both inclusive."""

    min: float | None = Field(None, ge=0, le=1, description="Smallest share allowed.")
    max: float | None = Field(None, ge=0, le=1, description="Largest share allowed.")


def _bare_domains(domains: list[str]) -> list[str]:
    for index, domain in enumerate(domains):
        if not _DOMAIN.fullmatch(domain.lower()) and domain != "localhost":
            raise option_error(
                f"{show(domain)} is not a domain; write it like 'example.org', without scheme and"
                " path",
                index,
            )
    return domains


Domains = Annotated[Words, AfterValidator(_bare_domains)]
Coverage = Annotated[
    Share,
    or_bare(
        int | float,
        lambda share: {"min": share},
        dict,
        "a number or {min: …, max: …}",
        Annotated[float, Field(ge=0, le=1)] | Share,
    ),
]


class Citation(NamedTuple):
    """One citation: the annotation, the text of its block, and its location."""

    raw: dict[str, JSON]
    text: str
    where: Where

    @property
    def cited(self) -> str:
        """The cited text, shortened."""
        start, end = self.raw.get("start_index"), self.raw.get("end_index")
        return show(cited_text(self.text, start, end).text, 60)

    @property
    def url(self) -> str:
        """The link, ``""`` where there is none."""
        url = self.raw.get("url")
        return url if isinstance(url, str) else ""

    @property
    def title(self) -> str:
        """The title of the page, file or place, ``""`` where there is none."""
        titles = (self.raw.get(key) for key in ("title", "file_name", "name"))
        return next((title for title in titles if isinstance(title, str)), "")

    @property
    def parsed_url(self) -> SplitResult:
        """The parts of the link, all empty where it is not a URL."""
        try:
            return urlsplit(self.url)
        except ValueError:
            return urlsplit("")

    def hosts(self, *, of_site: bool) -> list[str]:
        """Return the host of the cited site, or all hosts that the citation names."""
        host = (self.parsed_url.hostname or "").rstrip(".")
        title = self.title.strip().lower().rstrip(".")
        named = [host, title if _DOMAIN.fullmatch(title) else ""]
        # Any page can have the title "example.org"; only the title of a redirect names its site.
        is_redirect = _is_of(host, _REDIRECT_HOST) or "redirect" in self.parsed_url.path.lower()
        if of_site:
            named = [named[1] or host] if is_redirect else [host]
        return [name for name in named if name]


class Citations(Check):
    """The text cites enough sources, of the right sites, at the right words, after a search.

    The empty case: without ``min`` at least one citation is expected. So bare ``citations`` fails
    where there is none, and says whether nothing was searched or something was found and not
    cited. ``max: 0`` expects none. The coverage of an empty text is 0.
    """

    name: ClassVar[str] = "citations"
    shorthand: ClassVar[str | None] = "min"
    strictness: ClassVar[Mapping[str, Strictness]] = {
        "min": higher_from(1),
        "max": "lower",
        "domains": "allowed",
        "deny_domains": "required",
        "schemes": "allowed",
        "titles": "required_words",
        "coverage": "bounds",
        "spans": "rule",
        "searched": "rule",
    }

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
        description="Each of these must occur in the title of some citation, in any case.",
    )
    coverage: Coverage | None = Field(
        None,
        description="Share of the text's bytes that must be cited: a number (at least) or min/max.",
    )
    spans: Literal["valid"] | None = Field(
        None,
        description="valid: every span is in its text, on character boundaries, and not empty.",
    )
    searched: bool | None = Field(
        None,
        description="true: the turn has a search with a result; false: it has no search.",
    )

    def run(self, view: View) -> Iterator[Finding]:
        """Yield every rule that is broken."""
        citations = list(_citations(view))
        yield from self._count(citations, view)
        if self.searched is not None:
            yield from _search(view, _searches(view), self.searched)
        for citation in citations:
            yield from self._span(citation)
            yield from self._site(citation)
        for title in self.titles or ():
            if not any(title.casefold() in citation.title.casefold() for citation in citations):
                message = f"no citation has the title {show(title)}"
                listing = _listing(citations)
                yield Finding("title_missing", message, view.where, expected=title, detail=listing)
        if self.coverage is not None:
            yield from _covered(self.coverage, view, citations)

    def _count(self, citations: Sequence[Citation], view: View) -> Iterator[Finding]:
        count, listing = len(citations), _listing(citations)
        least = self.min if self.min is not None else int(self.max != 0)
        if count < least:
            code, reason = "not_searched", "nothing was searched, and"
            if _searches(view):
                code, reason = "not_cited", "something was searched, but"
            cited = "too few sources are" if citations else "no source is"
            yield Finding(
                code,
                f"expected at least {plural(least, 'citation')}, got {count}:"
                f" {reason} {cited} cited",
                view.where,
                expected={"min": least},
                got=count,
                detail=listing,
            )
        if self.max is not None and count > self.max:
            yield Finding(
                "too_many_citations",
                f"expected at most {plural(self.max, 'citation')}, got {count}",
                view.where,
                expected={"max": self.max},
                got=count,
                detail=listing,
            )

    def _span(self, citation: Citation) -> Iterator[Finding]:
        start, end = citation.raw.get("start_index"), citation.raw.get("end_index")
        span = cited_text(citation.text, start, end)
        if self.spans is not None and not span.ok:
            size = len(citation.text.encode("utf-8", "surrogatepass"))
            yield Finding(
                "span_invalid",
                f"{span.problem}: bytes {show(start)} to {show(end)} of {size} at {citation.cited}",
                citation.where,
                got={"start_index": start, "end_index": end},
                detail=_listing([citation]),
            )

    def _site(self, citation: Citation) -> Iterator[Finding]:
        url = citation.url
        problems: list[tuple[str, str, Any]] = []
        site = citation.hosts(of_site=True)
        if url and self.domains and not _is_any_of(site, self.domains):
            of = f"of {' or '.join(site) or show(url)}, not of {' or '.join(self.domains)}"
            problems.append(("domain_unexpected", of, self.domains))
        named = citation.hosts(of_site=False)
        denied = [domain for domain in self.deny_domains or () if _is_any_of(named, [domain])]
        if denied:
            problems.append(("domain_denied", f"of {denied[0]}, which is denied", MISSING))
        scheme = citation.parsed_url.scheme
        if url and self.schemes is not None and scheme not in self.schemes:
            of = f"by the scheme {show(scheme)}, not {' or '.join(self.schemes)}"
            problems.append(("scheme_unexpected", of, self.schemes))
        for code, of, expected in problems:
            yield Finding(
                code,
                f"the citation at {citation.cited} is {of}",
                citation.where,
                expected=expected,
                got=url,
                detail=_listing([citation]),
            )


def _is_of(host: str, domain: str) -> bool:
    domain = domain.lower().rstrip(".")
    return host == domain or host.endswith(f".{domain}")


def _is_any_of(hosts: Sequence[str], domains: Sequence[str]) -> bool:
    return any(_is_of(host, domain) for host in hosts for domain in domains)


def _citations(view: View) -> Iterator[Citation]:
    steps = view.numbered_steps
    for block in text_blocks([each.step.raw for each in steps]):
        for index, annotation in enumerate(block.annotations):
            if _is_citation(annotation):
                pointer = f"/content/{block.content}/annotations/{index}"
                yield Citation(annotation, block.text, steps[block.step].where(pointer))


def _is_citation(annotation: dict[str, JSON]) -> bool:
    return str(annotation.get("type", "")).endswith("_citation")


def _searches(view: View) -> list[Search]:
    searches = []
    for turn in view.turns:
        for call, result in pair_calls([step.raw for step in turn.steps]).pairs:
            step = turn.steps[call]
            if step.type in SEARCHES:
                where = Where(turn=turn.number, exchange=step.exchange, step=call + 1)
                searches.append((where, step.raw, result is not None))
    return searches


def _search(view: View, searches: Sequence[Search], is_expected: bool) -> Iterator[Finding]:
    where, raw, _ = searches[0] if searches else (view.where, {}, False)
    kind, arguments = raw.get("type"), raw.get("arguments")
    if is_expected and not searches:
        yield Finding(
            "not_searched", "nothing was searched: the steps contain no search call", where
        )
    elif is_expected and not any(is_answered for _, _, is_answered in searches):
        yield Finding("search_unanswered", f"{kind} {show(arguments)} has no result", where)
    elif searches and not is_expected:
        message = f"something was searched ({kind}), but no search was expected"
        yield Finding("searched", message, where, got=arguments)


def _covered(limits: Share, view: View, citations: Sequence[Citation]) -> Iterator[Finding]:
    """Check the share of the text's bytes in spans of citations; overlaps count once."""
    total = cited = 0
    gaps = []
    for block in text_blocks([step.raw for step in view.steps]):
        data = block.text.encode("utf-8", "surrogatepass")
        total += len(data)
        at = 0
        spans = [_byte_span(each, len(data)) for each in block.annotations if _is_citation(each)]
        for start, end in sorted(spans):
            gaps.append(data[at : max(at, start)])
            cited += max(0, end - max(at, start))
            at = max(at, end)
        gaps.append(data[at:])
    share = cited / total if total else 0.0
    if not limits.contains(share):
        texts = [gap.decode("utf-8", "replace").strip() for gap in gaps]
        rows = [["uncited", show(text, 100)] for text in texts if text][:_ROWS]
        yield Finding(
            "coverage",
            f"{share:.0%} of the text is cited ({cited} of {total} bytes), expected {limits}",
            view.where,
            expected=limits.to_json(),
            got=round(share, 4),
            detail=table(rows) or _listing(citations),
        )


def _byte_span(annotation: dict[str, JSON], size: int) -> tuple[int, int]:
    """Return a span clamped to its text, an empty one where its offsets are unusable."""
    try:
        start, end = int(annotation.get("start_index") or 0), int(annotation.get("end_index", -1))
    except (TypeError, ValueError, OverflowError):
        return 0, 0
    return (min(start, size), min(end, size)) if 0 <= start <= end else (0, 0)


def _listing(citations: Sequence[Citation]) -> str:
    if not citations:
        return ""
    rows = [["cites", "title", "url"]]
    for citation in citations[:_ROWS]:
        link = citation.url or citation.raw.get("document_uri")
        rows.append([citation.cited, show(excerpt(citation.title), 40), show(link, 60)])
    more = f"\nand {len(citations) - _ROWS} more" if len(citations) > _ROWS else ""
    return table(rows) + more
