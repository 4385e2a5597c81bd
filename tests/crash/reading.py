"""What the server says in the end: its log, and who is here."""

from client.session.rpc import ServerRpc
from protocol.messages import GetHistoryParams, GetHistoryResult, ListMembersParams, ListMembersResult
from protocol.methods import GET_HISTORY, LIST_MEMBERS, MAX_HISTORY, MAX_MEMBERS_PAGE


async def read_log(rpc: ServerRpc, token: str) -> list[GetHistoryResult]:
    """Read the whole log, in pages."""
    pages: list[GetHistoryResult] = []
    after = 0
    while True:
        params = GetHistoryParams(after=after, limit=MAX_HISTORY)
        page = await rpc.call(GET_HISTORY, params, GetHistoryResult, token)
        if not page.messages:
            return pages
        pages.append(page)
        after = page.messages[-1].seq


async def read_members(rpc: ServerRpc, token: str) -> set[str]:
    """Read the ids of all who are present."""
    present: list[str] = []
    while True:
        params = ListMembersParams(after_id=present[-1] if present else None, limit=MAX_MEMBERS_PAGE)
        page = await rpc.call(LIST_MEMBERS, params, ListMembersResult, token)
        if not page.members:
            return set(present)
        present.extend(member.id for member in page.members)
