"""What ntvmedia gives to twistd and to its own plugin search.

Keep this module light: every twistd on the machine imports it once to fill `dropin.cache`.
"""

from twisted.application.service import ServiceMaker

from ntvmedia.clients.ffmpeg.card import TestSource
from ntvmedia.clients.ffmpeg.file import FileSource
from ntvmedia.clients.ffmpeg.mms import MMSSource
from ntvmedia.clients.ffmpeg.udp import UDPSource
from ntvmedia.clients.http.source import HTTPSource
from ntvmedia.clients.rtmp.source import RTMPSource
from ntvmedia.clients.rtmp.target import RTMPTarget
from ntvmedia.clients.rtsp.source import RTSPSource
from ntvmedia.clients.rtsp.target import RTSPTarget
from ntvmedia.endpoints.http.endpoint import HTTPEndpoint, HTTPSEndpoint
from ntvmedia.endpoints.http.flv import FLVRoute
from ntvmedia.endpoints.http.hls.route import HLSRoute
from ntvmedia.endpoints.http.ts import TSRoute
from ntvmedia.endpoints.rtmp.factory import RTMPEndpoint, RTMPSEndpoint
from ntvmedia.endpoints.rtsp.factory import RTSPEndpoint, RTSPSEndpoint

ntvmedia = ServiceMaker("NTV Media", "ntvmedia.tap", "A streaming media server.", "ntvmedia")
rtmp = RTMPEndpoint()
rtmps = RTMPSEndpoint()
rtsp = RTSPEndpoint()
rtsps = RTSPSEndpoint()
http = HTTPEndpoint()
https = HTTPSEndpoint()
flv = FLVRoute()
ts = TSRoute()
hls = HLSRoute()
rtmp_source = RTMPSource()
rtmp_target = RTMPTarget()
rtsp_source = RTSPSource()
rtsp_target = RTSPTarget()
http_source = HTTPSource()
mms_source = MMSSource()
udp_source = UDPSource()
file_source = FileSource()
test_source = TestSource()
