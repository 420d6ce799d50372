"""What holds for every codec, whatever the network does (cases.md section 7)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from ntvmedia.media import Packet, Track
from ntvmedia.wire.rtp.packets import HEADER_SIZE, MAX_PAYLOAD
from tests.wire.rtp import streams

SIZES = st.lists(
    st.one_of(st.integers(8, 60), st.integers(1300, 1500), st.integers(3000, 9000)),
    min_size=1,
    max_size=3,
)


@st.composite
def media(draw: st.DrawFn, name: str) -> list[Packet]:
    """Draw a short stream of one codec; keyframes of it begin it."""
    make = streams.MAKERS[name]
    with_sei = draw(st.booleans())
    return [
        make(number, draw(SIZES), key=number % 4 == 0, sei=with_sei)
        for number in range(draw(st.integers(1, 9)))
    ]


@pytest.mark.parametrize("name", streams.MAKERS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    """D-RT-14: what was sent comes out, the same, in packets that are not too long.

    D-PL-09: also where sequence numbers and timestamps wrap.
    """
    packets = data.draw(media(name))
    mtu = data.draw(st.sampled_from((500, 1340, MAX_PAYLOAD)))
    if name in ("opus", "mp3"):
        mtu = MAX_PAYLOAD  # cannot be cut, or is kept whole
    source = streams.sender(packets[0].track, mtu=mtu)
    sent = [rtp for packet in packets for rtp in source.packetise(packet)]
    assert all(len(rtp) <= HEADER_SIZE + mtu <= 1460 for rtp in sent)
    target = streams.receiver(packets[0].track)
    # A second of media a second, about.
    events = streams.receive(target, sent)
    assert target.damaged == target.malformed == 0
    assert isinstance(events[0], Track)
    found = streams.media(events)
    assert [x.payload for x in found] == [x.payload for x in packets]
    assert [x.is_keyframe for x in found] == [x.is_keyframe for x in packets]
    shift = found[0].pts - packets[0].pts
    assert [x.pts - shift for x in found] == [x.pts for x in packets]
    assert all(a.dts < b.dts for a, b in pairwise(found))
    assert all(x.dts <= x.pts for x in found)


@pytest.mark.parametrize("name", streams.MAKERS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_loss_reordering_duplicates(name: str, data: st.DataObject) -> None:
    """D-RT-01, D-RT-03: what comes out was sent, in order, byte for byte; nothing freezes."""
    packets = data.draw(media(name))
    source = streams.sender(packets[0].track)
    sent = [rtp for packet in packets for rtp in source.packetise(packet)]
    count = len(sent)
    fates = data.draw(st.lists(st.integers(0, 99), min_size=count, max_size=count))
    worst = data.draw(st.integers(0, 40))
    arriving: list[tuple[int, bytes]] = []
    for place, (rtp, fate) in enumerate(zip(sent, fates, strict=True)):
        # The first packet comes: what was before it, nobody can know.
        if place and fate < worst // 2:
            continue
        late = fate % 5 if place and fate < worst else 0
        arriving.append((2 * (place + late), rtp))
        if fate > 95:
            arriving.append((2 * (place + fate % 7) + 1, rtp))
    arriving.sort(key=lambda item: item[0])
    target = streams.receiver(packets[0].track)
    events = streams.receive(target, [rtp for _place, rtp in arriving])
    found = streams.media(events)
    known = {packet.payload: index for index, packet in enumerate(packets)}
    places = [known[packet.payload] for packet in found]
    assert places == sorted(set(places))
    assert all(a.dts < b.dts for a, b in pairwise(found))
    # What comes whole behind it all is read: nothing waits for ever.
    key = streams.MAKERS[name](16, [100], key=True)
    after = [*source.packetise(key), *source.packetise(streams.MAKERS[name](17, [100], key=False))]
    target = streams.receiver(packets[0].track)
    whole = streams.receive(target, [*(rtp for _place, rtp in arriving), *after])
    assert known.keys() | {key.payload} >= {x.payload for x in streams.media(whole)[:-1]}
    assert streams.media(whole)[-1].payload == streams.MAKERS[name](17, [100], key=False).payload
