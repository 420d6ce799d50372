"""Real decoder configurations and frames, with the commands that made them.

Made with ffmpeg 5.1.9 (Debian 12: x264 0.164, x265 3.5, SVT-AV1 1.4, libaom 3.6, libvpx 1.12,
libopus 1.3.1, lame 3.100). `ffprobe` said of each file what the tests expect.
"""

from __future__ import annotations

from typing import Final

H: Final = bytes.fromhex

# ffmpeg -f lavfi -i testsrc2=size=1920x1080:rate=30000/1001 -frames:v 3 -pix_fmt yuv420p
#   -c:v libx264 -preset fast -profile:v high -level 4.0 a.mp4
AVCC_1080: Final = H(
    "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668eae3cb22c0fdf8f800"
)

# ffmpeg -f lavfi -i testsrc2=size=720x576:rate=25 -vf setsar=64/45 -frames:v 3
#   -pix_fmt yuv420p -c:v libx264 -flags +ilme+ildct -x264opts tff=1 a.mp4
AVCC_576I: Final = H(
    "0164001effe1001c6764001eacd940b424dff8020001688000000300800000190f8a14cb01000668"
    "fba3cb22c0fdf8f800"
)

# ffmpeg -f lavfi -i testsrc2=size=320x240:rate=15 -frames:v 3 -pix_fmt yuv420p
#   -c:v libx264 -profile:v baseline a.mp4
AVCC_BASELINE: Final = H(
    "0142c00cffe100186742c00cd90141fb0110000003001000000301e0f142a48001000568cb83cb20"
)

# ffmpeg -f lavfi -i testsrc2=size=322x242:rate=50 -frames:v 3 -pix_fmt yuv444p10
#   -c:v libx264 -color_primaries bt709 -color_trc bt709 -colorspace bt709 a.mp4
AVCC_444: Final = H(
    "01f40015ffe1001f67f4001590d9b282a10f1f1f80b501010140000003004000001903c58b658001"
    "000668ebe3c44844fffafa00"
)

# ffmpeg -f lavfi -i testsrc2=size=1280x720:rate=30 -frames:v 3 -pix_fmt yuv420p
#   -c:v libx265 -tag:v hvc1 h.mp4
# (the fourth array, x265's SEI of 2 kB, taken out)
HVCC_720: Final = H(
    "0101600000009000000000005df000fcfdf8f800000f03a00001001840010c01ffff016000000300"
    "90000003000003005d959809a10001002b42010101600000030090000003000003005da00280802d"
    "165959a4932bc05a020000030002000003003c10a2000100074401c172b46240"
)

# ffmpeg -f lavfi -i testsrc2=size=1918x1078:rate=24000/1001 -vf setsar=4/3 -frames:v 3
#   -pix_fmt yuv420p10 -c:v libx265 -tag:v hvc1 -x265-params
#   level-idc=5.1:high-tier=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc h.mp4
# (the fourth array, x265's SEI of 2 kB, taken out)
HVCC_1078: Final = H(
    "01222000000090000000000099f000fcfdfafa00000f03a00001001840010c01ffff222000000300"
    "900000030000030099959809a10001002e420101222000000300900000030000030099a003c08010"
    "e754d96566924caf0e6a1220120800001f480002ee0040a2000100074401c172b46240"
)

# ffmpeg -f lavfi -i testsrc2=size=1280x720:rate=30 -frames:v 3 -pix_fmt yuv420p
#   -c:v libsvtav1 v.mp4
AV1C_720: Final = H("81050c000a0b0000002d4cffb3c02f8004")

# ffmpeg -f lavfi -i testsrc2=size=642x362:rate=25 -frames:v 3 -pix_fmt yuv420p10
#   -c:v libaom-av1 -cpu-used 8 -color_primaries bt2020 -color_trc smpte2084
#   -colorspace bt2020nc v.mp4
AV1C_362: Final = H("81014c000a0e0000000cc5036936be5424402410")

# The first packet of the same: sequence header, and the start of a frame OBU.
AV1_KEYFRAME_START: Final = H(
    "0a0e0000000cc5036936be542440241032fc3e1400a10010dd34651c9fb40c304ca7f4322c09a1f8"
)

# ffmpeg -f lavfi -i testsrc2=size=640x360:rate=30 -frames:v 3 -pix_fmt yuv420p
#   -c:v libvpx-vp9 v.mp4
VPCC_360: Final = H("010000000015820202020000")

# The start of its first packet.
VP9_360: Final = H("824983420027f016760438241c184a1007a07fddfa3e8be7")

# ffmpeg -f lavfi -i testsrc2=size=642x362:rate=30 -frames:v 3 -pix_fmt yuv422p10
#   -c:v libvpx-vp9 v.mp4
VPCC_422: Final = H("010000000315a40202020000")

# The start of its first packet.
VP9_422: Final = H("b124c1a102014080b4b031c120e0c2c08039c07fd9f9be8b")

# ffmpeg -f lavfi -i testsrc2=size=176x144:rate=30 -frames:v 3 -pix_fmt yuv420p
#   -c:v libvpx v.webm  (the start of the first packet)
VP8_144: Final = H("f04c009d012ab00090000007088585888584880202030905")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.3 -ac 2 -c:a aac a.mkv
AAC_LC_STEREO: Final = H("119056e500")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=44100:duration=0.3
#   -af "pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0" -c:a aac a.mp4
AAC_LC_51: Final = H("123056e500")

# ffmpeg -i a.mp4 -c copy -f adts a.aac  (the first header; its frame has 879 bytes)
ADTS_51_HEADER: Final = H("fff151806dfffc")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.3 -ac 2 -c:a libopus a.mkv
OPUS_STEREO: Final = H("4f707573486561640102380180bb0000000000")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.3
#   -af "pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0" -c:a libopus -mapping_family 1 a.mp4
OPUS_51: Final = H("4f707573486561640106380180bb00000000010402000401020305")

# The dOps box of the same.
DOPS_51: Final = H("000601380000bb800000010402000401020305")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=44100:duration=0.3 -ac 2 -c:a ac3 -b:a 192k
#   a.mp4  (the start of the first packet of 834 bytes)
AC3_STEREO_44: Final = H("0b77c2ea544043e106f575f0c0c21818")

# The dac3 box of the same.
DAC3_STEREO_44: Final = H("501140")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.3
#   -af "pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0" -c:a ac3 a.mp4  (the packet has 1792 bytes)
AC3_51: Final = H("0b77c4b71e40ebf8403eff99c598b316")

# The dac3 box of the same.
DAC3_51: Final = H("103de0")

# The same with -c:a eac3  (the packet has 1792 bytes).
EAC3_51: Final = H("0b77037f3f87c00020fc210842084210")

# The dec3 box of the same.
DEC3_51: Final = H("0e00200f00")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.3 -ac 2 -c:a flac a.mkv
FLAC_STREAMINFO: Final = H("120012000000fc0005110bb802f000003840e5f051c128e84992c0cba99724092b51")

# The start of its first packet.
FLAC_FRAME: Final = H("fff85a8800374e000000a6014c01f202")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=44100:duration=0.3 -ac 1 -c:a libmp3lame
#   -b:a 128k m.mp3  (the header of the second frame: 417 bytes)
MP3_MONO_44: Final = H("fffb90c0")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=22050:duration=0.3 -ac 2 -c:a libmp3lame
#   m.mp3  (a header: 182 bytes)
MP3_STEREO_22: Final = H("fff37000")

# ffmpeg -f lavfi -i sine=frequency=440:sample_rate=48000:duration=0.3 -ac 2 -c:a mp2 m.mp2
#   (a header: 1152 bytes)
MP2_STEREO_48: Final = H("fffde404")
