"""Languages of MP4's tracks: ISO 639-2/T in `mdhd`, and BCP 47 in `elng` where that says more.

ISO/IEC 14496-12 sections 8.4.2.3 and 8.4.6; RFC 5646.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ntvmedia.formats.fmp4_boxes import UNDETERMINED

MAX_TAG_LENGTH: Final = 64
"""Characters; RFC 5646 section 4.4.1 asks for 35, and longer ones are somebody's mistake."""

_TAG: Final = re.compile("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)

# Each language with two letters in ISO 639-1, and the three of ISO 639-2/T after them. BCP 47
# demands the two where there are two (RFC 5646 section 2.2.1), and `mdhd` has room for three.
_CODES: Final = """
aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul
bhbih bibis bmbam bnben bobod brbre bsbos cacat ceche chcha cocos crcre csces cuchu cvchv
cycym dadan dedeu dvdiv dzdzo eeewe elell eneng eoepo esspa etest eueus fafas ffful fifin
fjfij fofao frfra fyfry gagle gdgla glglg gngrn guguj gvglv hahau heheb hihin hohmo hrhrv
hthat huhun hyhye hzher iaina idind ieile igibo iiiii ikipk ioido isisl itita iuiku jajpn
jvjav kakat kgkon kikik kjkua kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom kwcor
kykir lalat lbltz lglug lilim lnlin lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd mlmal
mnmon mrmar msmsa mtmlt mymya nanau nbnob ndnde nenep ngndo nlnld nnnno nonor nrnbl nvnav
nynya ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque rmroh rnrun roron
rurus rwkin sasan scsrd sdsnd sesme sgsag sisin skslk slslv smsmo snsna sosom sqsqi srsrp
ssssw stsot susun svswe swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur
tstso tttat twtwi tytah uguig ukukr ururd uzuzb veven vivie vovol wawln wowol xhxho yiyid
yoyor zazha zhzho zuzul
"""
_THREE_LETTERS: Final = {code[:2]: code[2:] for code in _CODES.split()}


class Language(NamedTuple):
    """A language in the two ways in which MP4 tells it.

    Attributes:
        code: ISO 639-2/T: 3 lower case letters.
        tag: BCP 47; empty where the code says it all.
    """

    code: str = UNDETERMINED
    tag: str = ""


def language(tag: str) -> Language:
    """Read a BCP 47 tag; one that is none counts as not told.

    Letters are not looked up: "xyz" is a code as good as another.
    """
    if len(tag) > MAX_TAG_LENGTH or not _TAG.fullmatch(tag):
        return Language()
    first = tag.partition("-")[0].lower()
    code = _THREE_LETTERS.get(first, first)
    if len(code) != 3:
        return Language(UNDETERMINED, tag)
    return Language(code, "" if first == tag.lower() else tag)
