"""Opens the archive of a stream, and finds where a run starts in it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tap_jobo.api.pages import ParsedPage
from tap_jobo.archive.archive import StreamArchive
from tap_jobo.errors import ApiError
from tap_jobo.model import NOTHING, Again, ArchiveFile, Entry, Position
from tap_jobo.sync import position as fold
from tap_jobo.sync.messages import Messages
from tap_jobo.sync.plan import ANEW
from tap_jobo.sync.position import ArchiveView, empty_view
from tap_jobo.sync.questions import Standing
from tap_jobo.sync.settings import SyncSettings
from tap_jobo.sync.start import Adopt, Load, Question, adopt, other_pipeline, where
from tap_jobo.sync.state import State


@dataclass(kw_only=True)
class Opening:
    """Where a run starts, and where its archive and its state stand.

    Attributes:
        settings: What the pipeline wants.
        state: The state of the warehouse, None if there is none. It moves with each page.
        open_archive: Lists the archive from an entry on. None if `archive` is false.
        parse: Parses a page.
        messages: What the user is told.
        archive: The archive, as it was at the last look.
        decision: How the run starts in it.
        is_anew: Whether a free feed is read from Jobo anew, because it never asks.
    """

    settings: SyncSettings
    state: State | None
    open_archive: Callable[[int], StreamArchive] | None
    parse: Callable[[Entry], ParsedPage]
    messages: Messages
    archive: StreamArchive | None = None
    is_anew: bool = False
    decision: Load | Adopt = field(default_factory=lambda: Load(1))
    _view: ArchiveView | None = None

    def look(self) -> None:
        """Read the archive as it is now, and decide where the run starts.

        Raises:
            StateError: The user has to decide first.
            FormatError: The archive, or its last page, cannot be read.
        """
        if self.open_archive is None:
            return
        archive = self.open_archive(self.state.offset if self.state else 0)
        self.archive, self._view = archive, self._survey(archive)
        decision = where(self.state, self._view)
        if isinstance(decision, Question) and self._view.is_free_feed:
            decision, self.is_anew = Load(self._view.file.first), True
        if isinstance(decision, Question):
            raise self.messages.question(decision, self.standing(self._view.position))
        self.decision = decision
        if isinstance(decision, Adopt):
            return
        if question := other_pipeline(self.state, self._view, self.settings):
            if not self._view.is_free_feed:
                raise self.messages.question(question, self.standing(self._view.position))
            self.is_anew = True

    def _survey(self, archive: StreamArchive) -> ArchiveView:
        def read_end(entry: Entry) -> tuple[int, str | None]:
            try:
                page = self.parse(entry)
            except ApiError as error:
                raise self.messages.unreadable(error, entry, archive, "") from error
            return len(page.items), page.following

        return survey(archive, read_end, is_free_feed=self.settings.spec.is_free)

    @property
    def view(self) -> ArchiveView:
        """The archive at the last look."""
        assert self._view is not None  # noqa: S101 - only a run with an archive asks
        return self._view

    def standing(self, position: Position) -> Standing:
        """Return where the stream stands, for messages."""
        return Standing(
            settings=self.settings,
            state=self.state,
            archive=self.archive,
            view=self._view,
            position=position,
        )

    @property
    def first(self) -> int:
        """The number of the first entry to load."""
        return self.decision.first if isinstance(self.decision, Load) else self.view.head + 1

    @property
    def has_pages_to_load(self) -> bool:
        """Whether the archive has pages that the warehouse lacks."""
        return self.archive is not None and self.first <= self.archive.head

    @property
    def is_on_archive(self) -> bool:
        """Whether the state is a place in the archive, from which the run goes on."""
        if self._view is None or self.state is None:
            return False
        return self.state.archive == self._view.file.id and self.first == self.state.offset + 1

    @property
    def is_ahead(self) -> bool:
        """Whether the state has more than its place in the archive says."""
        if isinstance(self.decision, Adopt) or self.state is None or self._view is None:
            return False
        if self._view.is_head_dropped and self.state.offset == self._view.head:
            return False  # `drop` has said that its last page is bought again
        if not self.is_on_archive or self._view.is_dropped(self.state.offset):
            return isinstance(self.decision, Load) and self.decision.is_ahead
        return not fold.are_alike(self.state.position, self._position_at(self.state.offset))

    def _position_at(self, offset: int) -> Position:
        assert self.archive is not None  # noqa: S101 - as above
        following = self.archive.header(offset + 1)
        return following.before if following else self.view.position

    @property
    def position(self) -> Position:
        """Where to go on buying: the head of the archive, or without one, the state."""
        if self._view is not None and not isinstance(self.decision, Adopt):
            return self._view.position
        return self.state.position if self.state else NOTHING

    @property
    def continues_from_state(self) -> bool:
        """Whether the position is that of the state alone, and of no page in the archive."""
        return self._view is None or self._view.is_empty or isinstance(self.decision, Adopt)

    @property
    def complete_base(self) -> int | None:
        """Page 1 of the last complete full sync in the archive."""
        return self._view.complete_base if self._view else None

    @property
    def overcount(self) -> int:
        """Credits that the header at the head counts too much."""
        return self._view.overcount if self._view else 0

    @property
    def ordered(self) -> Again | None:
        """What `restart` ordered, if it still holds."""
        if self.is_anew:
            return ANEW
        return self._view.ordered if self._view else None

    def adopt(self) -> None:
        """Let the archive go on from the state. The caller has the lock."""
        assert self.archive is not None  # noqa: S101 - as above
        assert self.state is not None  # noqa: S101 - only a state is adopted
        file = adopt(self.state, self.archive.head, self.archive.new_id())
        self.archive.save(file)
        self._view = empty_view(file, is_free_feed=self.view.is_free_feed)
        self.decision = Load(file.first)

    def place(self, position: Position, bill_offset: int | None) -> State:
        """Return the state of a page that is not in the archive: the place in it stays."""
        if self.state:
            state = self.state
            return State(state.archive, state.offset, state.entry, position, bill_offset)
        if self._view is None:
            return State(None, 0, None, position, bill_offset)
        before = self._view.file.first - 1
        return State(self._view.file.id, before, self._view.id_of(before), position, bill_offset)


def survey(
    archive: StreamArchive,
    read_end: Callable[[Entry], tuple[int, str | None]],
    *,
    is_free_feed: bool,
) -> ArchiveView:
    """Return what a run must know of an archive: it reads one entry, the head.

    Args:
        archive: The archive.
        read_end: Returns the rows of an entry, and where the next page starts.
        is_free_feed: Whether its feed costs nothing, and is listed for some days only.

    Raises:
        FormatError: the head cannot be read.
    """
    file = archive.file or ArchiveFile(id=archive.new_id(), first=1, origin=None, again=None)
    empty = empty_view(file, is_free_feed=is_free_feed)
    if archive.head < file.first:
        return empty
    entry = archive.read(archive.head)
    header = entry.header
    rows, next_cursor = (0, None) if header.is_dropped else read_end(entry)
    return replace(
        empty,
        head=archive.head,
        head_id=header.id,
        end_ids=fold.end_ids(archive.head, archive.id_of, archive.header),
        position=fold.advance(header, rows, next_cursor),
        complete_base=fold.base_after(header, next_cursor),
        overcount=header.credits - header.cost(rows),
        id_of=archive.id_of,
        is_dropped=archive.is_dropped,
    )
